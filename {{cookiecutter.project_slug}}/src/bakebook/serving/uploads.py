"""Tables that are sent to be predicted: read as `ingest` reads the table, a thousand rows at a time."""

import codecs
import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

import pyarrow as pa
from pyarrow import parquet

from bakebook.contracts import ReadOptions, Signature
from bakebook.errors import BadInput, first_line
from bakebook.serving.problems import Fault, WrongRows, wrong
from bakebook.serving.schemas import Row
from bakebook.tables.dtypes import (
    DELIMITERS,
    EXAMPLE_TIME,
    WrongValue,
    codec,
    convert,
    simplify,
    unique,
)
from bakebook.tables.values import LONGEST_VALUE, as_text

CHUNK_ROWS = 1000
BLOCK_BYTES = 1 << 20
UTF_8 = codec("utf-8")
ADDED_COLUMNS = ("prediction_id", "predicted", "model_version")
NO_ROWS = "the table has no rows"
CSV_ERRORS = (UnicodeError, LookupError, csv.Error)


@dataclass(frozen=True)
class Chunk:
    """A part of a table as it was sent, and its rows with only the model's inputs."""

    sent: Any  # lists of texts of a CSV file, a record batch of a Parquet file
    rows: list[Row]


@dataclass(frozen=True)
class Answered:
    """A part of a table as it was sent, and the answer to each of its rows."""

    sent: Any
    answers: list[dict[str, Any]]


def converted(
    columns: Mapping[str, pa.ChunkedArray], signature: Signature, first: int = 0
) -> list[Row]:
    """The rows of the inputs' columns, from number `first` on. Raises WrongRows with the first fault of each column."""
    options = signature.reading
    found = {}
    faults = []
    for column in signature.inputs:
        name = column.name
        dtype = options.columns[name]
        try:
            values = convert(simplify(columns[name], name), dtype, options, name)
            found[name] = _values(values, column.role)
        except WrongValue as error:
            example = (
                f" (for example {_example(dtype, options)})"
                if error.problem.startswith(("is no ", "is neither"))
                else ""
            )
            reason = f"the value {error.problem}{example}"
            faults.append(Fault(where=[first + error.row, name], reason=reason))
        except BadInput:
            faults.append(Fault(where=[name], reason=f"the column cannot be read as {dtype}"))
    if faults:
        raise WrongRows(faults)
    return [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]


def texts(values: list[str]) -> pa.ChunkedArray:
    """A column of values as they are written."""
    return pa.chunked_array([pa.array(values, pa.string())])


def open_table(file: IO[bytes], media: str, charset: str, signature: Signature) -> "Table":
    """The table in a file of that media type. Raises WrongRows when it does not have the model's inputs."""
    if media == CsvTable.media:
        return CsvTable(file, signature, charset)
    return ParquetTable(file, signature)


class Table(ABC):
    """A table in a file, and its copy with the predictions."""

    media: str

    def __init__(self, file: IO[bytes], signature: Signature) -> None:
        self.file = file
        self.signature = signature
        self.options = signature.reading
        probabilities = [f"probability of {name}" for name in signature.classes or ()]
        self.added = [*ADDED_COLUMNS, *probabilities]

    @abstractmethod
    def chunks(self) -> Iterator[Chunk]:
        """Each part of the table."""

    @abstractmethod
    def write(self, parts: Iterator[Answered], target: IO[bytes]) -> None:
        """Writes the parts with the answers to their rows, one below the other."""

    def _places(self, header: list[str]) -> dict[str, int]:
        """Where each input stands among the columns, whose names are those that `ingest` gives them."""
        names = unique(header)
        inputs = list(self.options.columns)
        missing = [
            Fault(where=[name], reason="the table has no such column")
            for name in inputs
            if name not in names
        ]
        if missing:
            raise WrongRows(missing)
        for name in self.added:
            if name in names:
                raise wrong("the answer has a column with this name: rename yours", name)
        return {name: names.index(name) for name in inputs}

    def _added_columns(self, answers: list[dict[str, Any]]) -> dict[str, list[Any]]:
        """What is added to the table, by column."""
        rows = []
        for answer in answers:
            probabilities = (answer["probabilities"] or {}).values()
            rows.append(
                [answer["id"], answer["predicted"], answer["model_version"], *probabilities]
            )
        columns = map(list, zip(*rows, strict=True))
        return dict(zip(self.added, columns, strict=True))


class CsvTable(Table):
    """A CSV file with a header: in UTF-8 or the encoding of the project's table, with its delimiter or a common one."""

    media = "text/csv"

    def __init__(self, file: IO[bytes], signature: Signature, charset: str = "") -> None:
        super().__init__(file, signature)
        self.has_mark = _has_byte_order_mark(file)
        guessed = "utf-8" if _is_utf8(file) else self.options.encoding
        self.encoding = codec(charset or guessed)
        try:
            self.delimiter, self.header = self._head()
        except CSV_ERRORS as error:
            raise self._no_csv(0, error) from None
        self.places = self._places(self.header)

    def chunks(self) -> Iterator[Chunk]:
        number = 0
        part: list[list[str]] = []
        try:
            lines = self._lines(self.delimiter)
            next(lines)
            for line in lines:
                if len(line) != len(self.header):
                    raise wrong(
                        f"the row has {len(line)} values, the header {len(self.header)}", number
                    )
                part.append(line)
                number += 1
                if len(part) == CHUNK_ROWS:
                    yield self._chunk(part, number - len(part))
                    part = []
            if part:
                yield self._chunk(part, number - len(part))
        except CSV_ERRORS as error:
            raise self._no_csv(number, error) from None

    def write(self, parts: Iterator[Answered], target: IO[bytes]) -> None:
        """In UTF-8; with the byte order mark that spreadsheets need if the file had it or another encoding."""
        is_plain = self.encoding == UTF_8 and not self.has_mark
        text = io.TextIOWrapper(target, encoding="utf-8" if is_plain else UTF_8, newline="")
        writer = csv.writer(text, delimiter=self.delimiter, lineterminator="\n")
        writer.writerow([*self.header, *self.added])
        for part in parts:
            added = zip(*self._added_columns(part.answers).values(), strict=True)
            for line, values in zip(part.sent, added, strict=True):
                writer.writerow([*line, *map(self._written, values)])
        text.flush()
        text.detach()

    def _head(self) -> tuple[str, list[str]]:
        """Delimiter and header: those of the project's table, unless only another delimiter gives all inputs."""
        for delimiter in (self.options.delimiter, *DELIMITERS):
            with suppress(csv.Error):
                header = next(self._lines(delimiter), [])
                if set(self.options.columns) <= set(unique(header)):
                    return delimiter, header
        return self.options.delimiter, next(self._lines(self.options.delimiter), [])

    def _no_csv(self, number: int, error: Exception) -> WrongRows:
        encoding = self.encoding.removesuffix("-sig")
        return wrong(f"this is no CSV in {encoding} ({first_line(error)})", number)

    def _lines(self, delimiter: str) -> Iterator[list[str]]:
        """The header and each row, without empty lines."""
        csv.field_size_limit(LONGEST_VALUE)
        self.file.seek(0)
        text = io.TextIOWrapper(self.file, encoding=self.encoding, newline="")
        try:
            yield from filter(None, csv.reader(text, delimiter=delimiter, strict=True))
        finally:
            with suppress(ValueError):  # the file is closed already
                text.detach()

    def _chunk(self, lines: list[list[str]], first: int) -> Chunk:
        columns = {}
        for name, place in self.places.items():
            columns[name] = texts([line[place] for line in lines])
        return Chunk(lines, converted(columns, self.signature, first))

    def _written(self, value: Any) -> Any:
        """A number with the decimal sign of the project's table."""
        return str(value).replace(".", self.options.decimal) if isinstance(value, float) else value


class ParquetTable(Table):
    """Any Parquet file that Arrow reads; null and NaN are missing."""

    media = "application/vnd.apache.parquet"

    def chunks(self) -> Iterator[Chunk]:
        first = 0
        try:
            stored = parquet.ParquetFile(self.file)
            places = self._places(stored.schema_arrow.names)
            for batch in stored.iter_batches(CHUNK_ROWS):
                columns = {
                    name: pa.chunked_array([batch.column(place)]) for name, place in places.items()
                }
                yield Chunk(batch, converted(columns, self.signature, first))
                first += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            raise wrong(f"this is no Parquet file ({first_line(error)})") from None

    def write(self, parts: Iterator[Answered], target: IO[bytes]) -> None:
        writer = None
        for part in parts:
            table = pa.Table.from_batches([part.sent])
            for name, values in self._added_columns(part.answers).items():
                table = table.append_column(name, pa.array(values))
            writer = writer or parquet.ParquetWriter(target, table.schema)
            writer.write_table(table)
        if writer is None:
            raise wrong(NO_ROWS)
        writer.close()


def _values(column: pa.ChunkedArray, role: str) -> list[Any]:
    """Values as the model takes them, whose role may differ from the dtype: numbers can be categories."""
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


def _has_byte_order_mark(file: IO[bytes]) -> bool:
    file.seek(0)
    return file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8


def _is_utf8(file: IO[bytes]) -> bool:
    """Whether the file can be nothing but UTF-8: it has no byte that only UTF-16 or ISO 2022 would have."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    file.seek(0)
    try:
        while block := file.read(BLOCK_BYTES):
            if b"\0" in block or b"\x1b" in block:
                return False
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
