"""The form of the page that predicts, made from the signature: a person reads and types what the table would have."""

from collections.abc import Mapping
from typing import Any

from ..encoding import as_text, as_time
from .rows import describe


def fields(
    signature: Mapping[str, Any], values: Mapping[str, str], faults: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """One field for each input, with what was typed and what is wrong with it."""
    found = []
    for place, column in enumerate(signature["inputs"]):
        name = column["name"]
        bounds = {end: _written(column[end], signature, column) for end in ("least", "greatest") if end in column}
        more = {"help": describe(column | bounds), "value": values.get(name, ""), "fault": (faults or {}).get(name, "")}
        found.append({"id": f"i{place}", **column, **more, "yes_or_no": _yes_or_no(signature, name)})
    return found


def typed(signature: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    """What was typed into each field, by the input's name."""
    return {column["name"]: given.get(f"i{place}", "") for place, column in enumerate(signature["inputs"])}


def example(signature: Mapping[str, Any]) -> dict[str, str]:
    """The first example of the signature, as a person would type it."""
    inputs = signature["examples"][0]["inputs"]
    return {column["name"]: _written(inputs[column["name"]], signature, column) for column in signature["inputs"]}


def values(signature: Mapping[str, Any], written: Mapping[str, str]) -> dict[str, Any]:
    """The inputs of a row that was typed, which are read as a file's; raises WrongRows with every fault."""
    from .files import converted, texts  # bring Arrow, which takes a moment, and is not needed to start

    return converted({name: texts([value]) for name, value in written.items()}, signature)[0]


def _yes_or_no(signature: Mapping[str, Any], name: str) -> tuple[str, str]:
    return ("true", "false") if signature["reading"]["columns"][name] == "boolean" else ("1", "0")


def _written(value: Any, signature: Mapping[str, Any], column: Mapping[str, Any]) -> str:
    reading, is_given = signature["reading"], value is not None
    if is_given and column["type"] == "boolean":
        return _yes_or_no(signature, column["name"])[0 if value else 1]
    if is_given and column["type"] == "number":
        return as_text(value).replace(".", reading["decimal"])
    if is_given and column["type"] == "datetime" and (form := reading["columns"][column["name"]].partition(" ")[2]):
        return as_time(value).strftime(form)
    return as_text(value)
