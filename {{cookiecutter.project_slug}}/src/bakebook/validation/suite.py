"""The data contract as a person writes it: a Great Expectations suite in JSON, read strictly."""

from dataclasses import dataclass
from typing import Any, get_args

from bakebook.errors import BadInput
from bakebook.params import Severity

JsonObject = dict[str, Any]
SUITE_FILE = "expectations/suite.json"
OWN_SUITE_FILE = "expectations/columns.json"  # of the project's own columns
COLUMN_ARGUMENTS = ("column", "column_A", "column_B", "column_list")
SEVERITIES: tuple[Severity, ...] = get_args(Severity)  # the most severe first


@dataclass(frozen=True)
class Expectation:
    """One expectation, in the terms of Great Expectations."""

    type: str
    severity: Severity
    kwargs: JsonObject
    # As the suite has it, with what Great Expectations may know beyond these
    source: JsonObject

    @property
    def name(self) -> str:
        """The type in plain words: column values to be between."""
        return self.type.removeprefix("expect_").replace("_", " ")

    @property
    def columns(self) -> set[str]:
        """The columns whose values it is about."""
        named = [value for key, value in self.kwargs.items() if key in COLUMN_ARGUMENTS]
        listed = [value if isinstance(value, list) else [value] for value in named]
        return {str(name) for names in listed for name in names}


def expectations_of(suite: Any, file: str = SUITE_FILE) -> list[Expectation]:
    """The suite's expectations. Raises BadInput on what no suite can contain; `file` names it."""
    listed = suite.get("expectations") if isinstance(suite, dict) else None
    if not isinstance(listed, list):
        raise BadInput(
            f"{file} has no list 'expectations'",
            "write one with notebooks/exploratory/explore.ipynb",
        )
    return [_expectation(f"{number} of {file}", one) for number, one in enumerate(listed, start=1)]


def _expectation(which: str, one: Any) -> Expectation:
    if not isinstance(one, dict) or not isinstance(one.get("type"), str):
        raise BadInput(f"expectation {which} has no 'type'", "add it")
    severity = one.get("severity", "critical")
    if severity not in SEVERITIES:
        what = f"expectation {which} has severity '{severity}'"
        raise BadInput(what, f"choose {', '.join(SEVERITIES)}")
    kwargs = one.get("kwargs", {})
    if not isinstance(kwargs, dict):
        what = f"'kwargs' of expectation {which} is not an object"
        raise BadInput(what, 'write them as {"column": "…"}')
    return Expectation(one["type"], severity, dict(kwargs), {**one, "severity": severity})
