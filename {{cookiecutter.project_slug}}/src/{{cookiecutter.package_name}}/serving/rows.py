"""What a caller may send, made from the signature: one type for each input, under the column's own name."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any

from annotated_types import Interval, MaxLen
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError, conlist
from typing_extensions import TypedDict

from ..encoding import LONGEST

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
GREATEST = 3.4028234e38  # that the model's 32 bits hold


def whole(text: str) -> str:
    """The text; raises ValueError for one that PostgreSQL does not keep."""
    if "\0" in text:
        raise ValueError("a NUL has no place in a text")
    return text


def _within(time: date) -> datetime:
    """The time, of a day its first; raises ValueError for one that has no place in UTC."""
    found = time if isinstance(time, datetime) else datetime(time.year, time.month, time.day)
    try:
        return found.astimezone(UTC) and found
    except (OverflowError, ValueError):
        raise ValueError("the time is beyond the calendar") from None


Number = Annotated[float, Interval(ge=-GREATEST, le=GREATEST)]
Text = Annotated[str, MaxLen(LONGEST), AfterValidator(whole)]
TYPES: dict[str, Any] = {
    "number": Number,
    "boolean": bool | Annotated[int, Interval(ge=0, le=1)],
    "datetime": Annotated[datetime | date, AfterValidator(_within)],
    "text": Text,
}
CATEGORIES: dict[str, Any] = {"number": Text | Number, "amount": Text | Number, "boolean": Text | bool}  # by their kind


class WrongRows(Exception):
    """What was sent does not fit the signature; `faults` has place and reason of each, without the value."""

    def __init__(self, faults: list[dict[str, Any]]) -> None:
        super().__init__(faults[0]["reason"])
        self.faults = faults


class Rows:
    """Reads rows strictly: no value is bent into another type, no field is unknown, missing or given twice."""

    def __init__(self, signature: Mapping[str, Any], most: int) -> None:
        row = _row_type(signature)
        self._one: TypeAdapter[dict[str, Any]] = TypeAdapter(row)
        self._many: TypeAdapter[list[dict[str, Any]]] = TypeAdapter(conlist(row, min_length=1, max_length=most))
        self.names = [column["name"] for column in signature["inputs"]]

    def read(self, body: bytes) -> tuple[list[dict[str, Any]], bool]:
        """The rows of a JSON object (one) or list (many), and whether it was a list."""
        many = body.lstrip(b" \t\r\n").startswith(b"[")
        try:
            found = self._many.validate_json(body) if many else [self._one.validate_json(body)]
        except ValidationError as error:
            raise WrongRows(faults(error)) from None
        if body.count(b":") != len(found) * len(self.names):  # every field is there: more may be a twin, or a text
            _twins.decode(body.decode())
        return found, many

    def check(self, rows: list[dict[str, Any]], first: int = 0) -> list[dict[str, Any]]:
        """Rows of a file, which are Python's values already; `first` is the number of the first."""
        found = []
        for place, row in enumerate(rows, start=first):
            try:
                found.append(self._one.validate_python(row))
            except ValidationError as error:
                raise WrongRows(faults(error, (place,))) from None
        return found

    def columns(self, rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
        """The same by column, as the model takes them."""
        return {name: [row[name] for row in rows] for name in self.names}

    def schema(self) -> dict[str, Any]:
        """JSON schema of a row."""
        return self._one.json_schema()


def _row_type(signature: Mapping[str, Any]) -> Any:
    kinds = signature["reading"]["columns"]
    fields = {one["name"]: _field(one, kinds[one["name"]], signature["examples"]) for one in signature["inputs"]}
    row = TypedDict("Row", fields)  # type: ignore[misc]
    row.__pydantic_config__ = STRICT  # type: ignore[attr-defined]
    return row


def _field(column: Mapping[str, Any], kind: str, examples: Iterable[Mapping[str, Any]]) -> Any:
    shown = [example["inputs"][column["name"]] for example in examples]
    distinct = list({json.dumps(value): value for value in shown}.values())
    told = Field(title=column["name"], description=describe(column), examples=distinct)
    type_ = CATEGORIES.get(kind, Text) if column["type"] == "category" else TYPES[column["type"]]
    return Annotated[type_ | None, told]


def describe(column: Mapping[str, Any]) -> str:
    """What the model knows of an input: the range or the levels that it learned from."""
    if "least" in column:
        return f"{column['type']}, learned from {column['least']} to {column['greatest']}"
    if "levels" in column:
        levels = ", ".join(level or "(none)" for level in column["levels"][:20])
        more = len(column["levels"]) - 20
        return f"category, learned: {levels}" + (f" and {more} more" if more > 0 else "")
    return str(column["type"])


def faults(error: ValidationError, before: tuple[int, ...] = ()) -> list[dict[str, Any]]:
    """Place and reason of each value that does not fit, the first twenty."""
    reasons: dict[tuple[int | str, ...], list[str]] = {}
    for one in error.errors(include_url=False, include_input=False, include_context=False):
        names = [place for place, part in enumerate(one["loc"]) if isinstance(part, str)] or [len(one["loc"])]
        field = one["loc"][: names[0] + 1]  # what follows is one of the types that it may have
        reasons.setdefault(field, []).append(one["msg"])
    return [
        {"where": [*before, *field], "reason": ", or ".join([first, *(_short(one) for one in others)])}
        for field, (first, *others) in list(reasons.items())[:20]
    ]


def _short(reason: str) -> str:
    return reason.removeprefix("Input should be ")


def _once(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        twin = next(name for name in names if names.count(name) > 1)
        raise WrongRows([{"where": [twin], "reason": "the field is given twice"}])


_twins = json.JSONDecoder(object_pairs_hook=_once)
