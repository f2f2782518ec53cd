"""The form of the page that predicts, made from the signature: from values to what a person types, and back."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from ..encoding import BOOLEANS, as_text, as_time
from .rows import WrongRows, describe

SUCH_AS = {"number": "12.5", "boolean": "yes or no", "datetime": "2026-11-21 or 2026-11-21T08:30"}


def fields(
    signature: Mapping[str, Any], values: Mapping[str, str], faults: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """One field for each input, with what was typed and what is wrong with it."""
    return [
        {
            "id": f"i{place}",
            **column,
            "help": describe(column),
            "value": values.get(column["name"], ""),
            "fault": (faults or {}).get(column["name"], ""),
        }
        for place, column in enumerate(signature["inputs"])
    ]


def typed(signature: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    """What was typed into each field, by the input's name."""
    return {column["name"]: given.get(f"i{place}", "") for place, column in enumerate(signature["inputs"])}


def example(signature: Mapping[str, Any]) -> dict[str, str]:
    """The first example of the signature, as a person would type it."""
    inputs = signature["examples"][0]["inputs"]
    return {name: str(one).lower() if isinstance(one, bool) else as_text(one) for name, one in inputs.items()}


def values(signature: Mapping[str, Any], written: Mapping[str, str]) -> dict[str, Any]:
    """The inputs of a row that was typed; what is empty is missing. Raises WrongRows with every fault."""
    found, wrong = {}, []
    for column in signature["inputs"]:
        name, text = column["name"], written[column["name"]].strip()
        try:
            found[name] = _VALUES[column["type"]](text, signature["reading"], name) if text else None
        except (ValueError, KeyError, OverflowError):
            reason = f"this is no {column['type']} such as {SUCH_AS[column['type']]}"
            wrong.append({"where": [0, name], "reason": reason})
    if wrong:
        raise WrongRows(wrong)
    return found


def _number(text: str, reading: Mapping[str, Any], name: str) -> float:
    """With a decimal point, as the page shows it, or as the project's table has it."""
    if "_" in text:  # which Python allows
        raise ValueError(text)
    return float(text.replace(reading["decimal"], "."))


def _time(text: str, reading: Mapping[str, Any], name: str) -> datetime:
    """In ISO 8601, as the page shows it, or as the project's table has it."""
    with suppress(ValueError):
        return as_time(text)
    return as_time(text, reading["columns"][name].partition(" ")[2])


_VALUES: dict[str, Callable[[str, Mapping[str, Any], str], Any]] = {
    "number": _number,
    "boolean": lambda text, reading, name: BOOLEANS[text.lower()],
    "datetime": _time,
    "category": lambda text, reading, name: text,
    "text": lambda text, reading, name: text,
}
