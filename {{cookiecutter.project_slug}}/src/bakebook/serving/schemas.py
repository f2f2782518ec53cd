"""What a caller may send, made from the signature: one type per
input, under the column's own name.
"""

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Annotated, Any, Generic, TypeVar

from annotated_types import Interval, Len, MaxLen
from pydantic import AfterValidator, ConfigDict, FailFast, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from bakebook.contracts import Example, Input, Signature
from bakebook.errors import first_few
from bakebook.models.meanings import meanings_of
from bakebook.serving.problems import MOST_FAULTS, Fault, WrongRows, wrong
from bakebook.serving.unfamiliar import Familiar
from bakebook.tables.values import GREATEST_FLOAT32, LONGEST_VALUE

Row = dict[str, object]  # the values of one row, by input
Item = TypeVar("Item")
STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
BLANKS = b" \t\r\n"  # of JSON
MOST_LEVELS = 20  # that a description names


def without_nul(text: str) -> str:
    """The text; raises ValueError for one that PostgreSQL cannot store."""
    if "\0" in text:
        raise ValueError("a text cannot contain NUL")
    return text


def _within_calendar(time: date) -> datetime:
    """The time, for a day its first moment; raises ValueError for
    one that does not exist in UTC.
    """
    found = time if isinstance(time, datetime) else datetime(time.year, time.month, time.day)
    try:
        found.astimezone(UTC)
    except (OverflowError, ValueError):
        raise ValueError("the time is outside the calendar") from None
    return found


Number = Annotated[float, Interval(ge=-GREATEST_FLOAT32, le=GREATEST_FLOAT32)]
Text = Annotated[str, MaxLen(LONGEST_VALUE), AfterValidator(without_nul)]
TYPES: dict[str, Any] = {
    "numeric": Number,
    "boolean": bool | Annotated[int, Interval(ge=0, le=1)],
    "datetime": Annotated[datetime | date, AfterValidator(_within_calendar)],
    "categorical": Text,
    "text": Text,
}
# What a category may also be, by its dtype in the table
CATEGORY_TYPES: dict[str, Any] = {
    "number": Text | Number,
    "amount": Text | Number,
    "boolean": Text | bool,
}


class OneOrMany(Generic[Item]):
    """A JSON object, or a list of them. What does not fit is named once, or for the first object of
    a list: a body of some megabytes can be wrong in millions of places.
    """

    def __init__(self, type_: type[Item], one: str, names: Sequence[str], most: int) -> None:
        """`one` is what people call an object, `names` are its fields, `most` may be in a list."""
        many: Any = Annotated[list[type_], FailFast(), Len(1, most)]  # type: ignore[valid-type]
        self._one: TypeAdapter[Item] = TypeAdapter(type_)
        self._many: TypeAdapter[list[Item]] = TypeAdapter(many)
        self._what = one
        self._fields = len(names)
        self._decoder = json.JSONDecoder(object_pairs_hook=self._check_fields)

    def read(self, body: bytes) -> tuple[list[Item], bool]:
        """The objects, and whether they came as a list. Raises WrongRows."""
        with suppress(ValueError, RecursionError):  # which validation says better
            self._decoder.decode(body.decode())
        try:
            if body.lstrip(BLANKS).startswith(b"["):
                return self._many.validate_json(body), True
            return [self._one.validate_json(body)], False
        except ValidationError as error:
            raise WrongRows(faults(error)) from None

    def _check_fields(self, pairs: list[tuple[str, object]]) -> None:
        """Raises WrongRows for fields that pydantic takes silently, or makes an error of each."""
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise wrong("the field is given twice", name)
            seen.add(name)
        if len(pairs) > self._fields + MOST_FAULTS:
            raise wrong(f"{self._what} has {len(pairs)} fields, which should be {self._fields}")


class Rows:
    """Reads rows strictly: no value is converted to another type, no field is unknown, missing or
    given twice.
    """

    def __init__(self, signature: Signature, most: int) -> None:
        """`most` is how many rows one request may have."""
        row = _row_type(signature)
        self.names = [column.name for column in signature.inputs]
        self._body = OneOrMany[Row](row, "a row", self.names, most)
        self._one: TypeAdapter[Row] = TypeAdapter(row)
        self.warnings = Familiar(signature).warnings
        self._meanings = meanings_of(signature)

    def read(self, body: bytes) -> tuple[list[Row], bool]:
        """The rows of a JSON object (one) or list (many), and whether it was a list."""
        return self._body.read(body)

    def check(self, rows: Sequence[Row], first: int = 0) -> list[Row]:
        """Rows of a file or form, which have Python's values already; `first` is the number of the
        first.
        """
        found = []
        for number, row in enumerate(rows, start=first):
            try:
                found.append(self._one.validate_python(row))
            except ValidationError as error:
                raise WrongRows(faults(error, number)) from None
        return found

    def columns(self, rows: Sequence[Row]) -> dict[str, list[object]]:
        """The rows by column, as the model takes them: what stood for a missing value in the table
        does so here, and blanks around a text mean nothing.
        """
        found = {name: [row[name] for row in rows] for name in self.names}
        for name, meaning in self._meanings.items():
            found[name] = [meaning(value) for value in found[name]]
        return found

    def meant(self, row: Row) -> Row:
        """A row as the model takes it."""
        return row | {name: meaning(row[name]) for name, meaning in self._meanings.items()}

    def schema(self) -> dict[str, object]:
        """The JSON schema of a row."""
        return self._one.json_schema()


def describe(column: Input, minimum: object = None, maximum: object = None) -> str:
    """What the model knows about an input: the range or the categories of the training rows.

    `minimum` and `maximum` replace the bounds as they are written.
    """
    if column.only_read:
        return f"{column.role}, from which other inputs are computed"
    if column.minimum is not None:
        return (
            f"{column.role}, trained on {minimum or column.minimum} to {maximum or column.maximum}"
        )
    if column.levels is not None:
        levels = [level or "(none)" for level in column.levels]
        return f"categorical, trained on: {first_few(levels, MOST_LEVELS)}"
    return column.role


def faults(error: ValidationError, row: int | None = None) -> list[Fault]:
    """Place and reason of each value that does not fit; `row` is the number of the row where
    pydantic does not know it.
    """
    reasons: dict[tuple[int | str, ...], list[str]] = {}
    for one in error.errors(include_url=False, include_input=False, include_context=False):
        reasons.setdefault(_field(one["loc"]), []).append(one["msg"])
    before = [] if row is None else [row]
    found = []
    for field, (first, *others) in list(reasons.items())[:MOST_FAULTS]:
        alternatives = [reason.removeprefix("Input should be ") for reason in others]
        found.append(Fault(where=[*before, *field], reason=", or ".join([first, *alternatives])))
    return found


def _field(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """The place of a field, without the name of one of the types that it may have."""
    for place, part in enumerate(location):
        if isinstance(part, str):
            return location[: place + 1]
    return location


def _row_type(signature: Signature) -> type[Row]:
    fields = {}
    for column in signature.inputs:
        dtype = signature.reading.columns[column.name]
        fields[column.name] = _field_type(column, dtype, signature.examples)
    row = TypedDict("Row", fields)  # type: ignore[misc]
    row.__pydantic_config__ = STRICT  # type: ignore[attr-defined]
    return row  # type: ignore[return-value]


def _field_type(column: Input, dtype: str, examples: Iterable[Example]) -> Any:
    values = [example.inputs[column.name] for example in examples]
    distinct = list({json.dumps(value): value for value in values}.values())
    field = Field(title=column.name, description=describe(column), examples=distinct)
    type_ = TYPES[column.role]
    if column.role == "categorical":
        type_ = CATEGORY_TYPES.get(dtype, Text)
    return Annotated[type_ | None, field]
