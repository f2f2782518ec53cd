"""Tables that are sent to be predicted: read as `ingest` reads the table, a thousand rows at a
time.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

import pyarrow as pa

from bakebook.contracts import ReadOptions, Signature
from bakebook.errors import BadInput
from bakebook.serving.predictor import Answer
from bakebook.serving.problems import MOST_FAULTS, Fault, WrongRows, wrong
from bakebook.serving.schemas import Row
from bakebook.serving.unfamiliar import in_words
from bakebook.tables.columns import WrongValue, simplify
from bakebook.tables.dtypes import convert, unique
from bakebook.tables.times import EXAMPLE_TIME
from bakebook.tables.values import as_text

CHUNK_ROWS = 1000
ADDED_COLUMNS = ("prediction_id", "predicted", "model_version")
WARNINGS = "warnings"  # the last column that is added
NO_ROWS = "the table has no rows"


@dataclass(frozen=True)
class Chunk:
    """A part of a table as it was sent, its rows with only the model's inputs, and the labels that
    it brings along.
    """

    sent: Any  # lists of texts of a CSV file, a record batch of a Parquet file
    rows: list[Row]
    labels: list[str | None]  # None for a row without one; empty where they are not asked for


@dataclass(frozen=True)
class Answered:
    """A part of a table as it was sent, and the answer to each of its rows."""

    sent: Any
    answers: list[Answer]


def converted(
    columns: Mapping[str, pa.ChunkedArray], signature: Signature, first: int = 0
) -> list[Row]:
    """The rows of the inputs' columns, from number `first` on. Raises WrongRows with the first
    fault of each column, for at most MOST_FAULTS columns.
    """
    options = signature.reading
    found = {}
    faults = []
    for column in signature.inputs:
        name = column.name
        dtype = options.columns[name]
        try:
            values = convert(simplify(columns[name]), dtype, options.of(name), name)
            found[name] = _values(values, column.role)
        except WrongValue as error:
            example = f" (for example {_example(dtype, options)})" if error.is_malformed else ""
            reason = f"the value {error.problem}{example}"
            faults.append(Fault(where=[first + error.row, name], reason=reason))
        except BadInput:
            faults.append(Fault(where=[name], reason=f"the column cannot be read as {dtype}"))
        if len(faults) == MOST_FAULTS:
            break
    if faults:
        raise WrongRows(faults)
    return [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]


def texts(values: list[str]) -> pa.ChunkedArray:
    """A column of values as they are written."""
    return pa.chunked_array([pa.array(values, pa.string())])


class Table(ABC):
    """A table in a file, and its copy with the predictions."""

    media: str

    def __init__(self, file: IO[bytes], signature: Signature, *, has_labels: bool) -> None:
        self.file = file
        self.signature = signature
        self.has_labels = has_labels
        self.options = signature.reading
        probabilities = [f"probability of {name}" for name in signature.classes or ()]
        self.added = [*ADDED_COLUMNS, *probabilities, WARNINGS]

    def _chunk(self, sent: Any, columns: dict[str, pa.ChunkedArray], first: int) -> Chunk:
        """A part of the table from its columns, of which the first row has the number `first`."""
        given = columns.pop(self.signature.target, None) if self.has_labels else None
        labels = [] if given is None else self._labels(given, first)
        return Chunk(sent, converted(columns, self.signature, first), labels)

    def _labels(self, column: pa.ChunkedArray, first: int) -> list[str | None]:
        """The labels, read as `ingest` reads the target; None where it is missing."""
        name, dtype = self.signature.target, self.signature.target_dtype
        options = self.options.of(name)
        try:
            values = convert(simplify(column), dtype, options, name)
        except WrongValue as error:
            raise wrong(f"the value {error.problem}", first + error.row, name) from None
        except BadInput:
            raise wrong(f"the column cannot be read as {dtype}", name) from None
        return [None if value is None else as_text(value) for value in values.to_pylist()]

    @abstractmethod
    def chunks(self) -> Iterator[Chunk]:
        """Each part of the table."""

    @abstractmethod
    def write(self, parts: Iterator[Answered], target: IO[bytes]) -> None:
        """Writes the parts with the answers to their rows, one below the other."""

    def _places(self, header: list[str]) -> dict[str, int]:
        """Where each input stands among the columns, whose names are those that `ingest` gives
        them.
        """
        names = unique(header)
        inputs = list(self.options.columns) + [self.signature.target] * self.has_labels
        places = {name: place for place, name in enumerate(names)}
        missing = [name for name in inputs if name not in places]
        if missing:
            reason = "the table has no such column"
            raise WrongRows([Fault(where=[name], reason=reason) for name in missing[:MOST_FAULTS]])
        for name in self.added:
            if name in places:
                raise wrong("the answer has a column with this name: rename yours", name)
        return {name: places[name] for name in inputs}

    def _added_columns(self, answers: list[Answer]) -> dict[str, list[Any]]:
        """What is added to the table, by column."""
        rows = []
        for answer in answers:
            probabilities = (answer["probabilities"] or {}).values()
            version, warnings = answer["model_version"], in_words(answer["warnings"])
            rows.append([answer["id"], answer["predicted"], version, *probabilities, warnings])
        columns = map(list, zip(*rows, strict=True))
        return dict(zip(self.added, columns, strict=True))


def _values(column: pa.ChunkedArray, role: str) -> list[object]:
    """Values as the model takes them, whose role may differ from the dtype: numbers can be
    categories.
    """
    values = (
        column.to_numpy().tolist() if pa.types.is_timestamp(column.type) else column.to_pylist()
    )
    if role in ("categorical", "text"):
        return [None if value is None else as_text(value) for value in values]
    if role == "boolean":
        return [bool(value) if value in (0, 1) else value for value in values]
    return values


def _example(dtype: str, options: ReadOptions) -> str:
    """A value of a dtype, as the project's table writes it."""
    name, _, format_ = dtype.partition(" ")
    if name == "datetime":
        return EXAMPLE_TIME.strftime(format_ or "%Y-%m-%d")
    return "yes" if name == "boolean" else f"12{options.decimal}5"
