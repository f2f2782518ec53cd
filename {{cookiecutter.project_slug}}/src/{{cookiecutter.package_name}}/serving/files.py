"""Tables that are sent to be predicted: each column is read as `ingest` reads it, a thousand rows at a time."""

import codecs
import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import IO, Any

import pyarrow as pa
from pyarrow import parquet

from ..encoding import LONGEST, as_text
from ..errors import BadInput, first_line
from ..kinds import DELIMITERS, EXAMPLE, Misfit, Reading, codec, convert, simple, unique
from .rows import WrongRows

TOGETHER = 1000  # rows
BLOCK = 1 << 20  # bytes
UTF_8 = codec("utf-8")
ADDED = ("prediction_id", "predicted", "model_version")
MISREAD = (UnicodeError, LookupError, csv.Error)
Rows = list[dict[str, Any]]


def converted(columns: Mapping[str, pa.ChunkedArray], signature: Mapping[str, Any], first: int = 0) -> Rows:
    """The rows of the inputs' columns, from number `first` on; raises WrongRows with the first misfit of each."""
    reading, found, wrong = Reading(**signature["reading"]), {}, []
    for name, type_ in ((column["name"], column["type"]) for column in signature["inputs"]):
        kind = reading.columns[name]
        try:
            found[name] = _values(convert(simple(columns[name], name), kind, reading, name), type_)
        except Misfit as error:
            shown = f" (such as {_such_as(kind, reading)})" if error.problem.startswith("is no ") else ""
            wrong.append({"where": [first + error.row, name], "reason": f"the value {error.problem}{shown}"})
        except BadInput:
            wrong.append({"where": [name], "reason": f"the column cannot be read as {kind}"})
    if wrong:
        raise WrongRows(wrong)
    return [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]


def _values(column: pa.ChunkedArray, type_: str) -> list[Any]:
    """As the model takes them, whose role of a column may be another than its kind: numbers that are categories."""
    values = column.to_numpy().tolist() if pa.types.is_timestamp(column.type) else column.to_pylist()
    if type_ in ("category", "text"):
        return [None if value is None else as_text(value) for value in values]
    return [bool(value) if value in (0, 1) else value for value in values] if type_ == "boolean" else values


def _such_as(kind: str, reading: Reading) -> str:
    """A value of a kind, as the project's table has it."""
    name, _, form = kind.partition(" ")
    if name == "datetime":
        return EXAMPLE.strftime(form or "%Y-%m-%d")
    return "yes" if name == "boolean" else f"12{reading.decimal}5"


def opened(file: IO[bytes], media: str, charset: str, signature: Mapping[str, Any]) -> "Table":
    """The table in a file of that media type. Raises WrongRows when it has not the model's inputs."""
    return CsvTable(file, signature, charset) if media == CsvTable.media else ParquetTable(file, signature)


class Table(ABC):
    """A table in a file, and its copy with what the model says of each row."""

    media: str

    def __init__(self, file: IO[bytes], signature: Mapping[str, Any]) -> None:
        self.file, self.signature = file, signature
        self.reading = Reading(**signature["reading"])
        self.added = [*ADDED, *(f"probability of {name}" for name in signature["classes"] or [])]

    @abstractmethod
    def chunks(self) -> Iterator[tuple[Any, Rows]]:
        """Each part of the table as it was sent, and its rows with the model's inputs alone."""

    @abstractmethod
    def write(self, parts: Iterator[tuple[Any, Rows]], target: IO[bytes]) -> None:
        """The parts with the answers to their rows, one below the other."""

    def _places(self, header: list[str]) -> dict[str, int]:
        """Where each input stands among the columns, whose names are those that `ingest` gives them."""
        names = unique(header)
        if missing := [name for name in self.reading.columns if name not in names]:
            raise WrongRows([{"where": [name], "reason": "the table has no such column"} for name in missing])
        for name in self.added:
            if name in names:
                raise WrongRows([{"where": [name], "reason": "the answer has a column of this name: rename yours"}])
        return {name: names.index(name) for name in self.reading.columns}

    def _columns(self, answers: Rows) -> dict[str, list[Any]]:
        """What is added to the table, by column."""
        found = [[one["id"], one["predicted"], one["model_version"]] for one in answers]
        rows = [[*row, *(one["probabilities"] or {}).values()] for row, one in zip(found, answers, strict=True)]
        return dict(zip(self.added, map(list, zip(*rows, strict=True)), strict=True))


class CsvTable(Table):
    """With a header, in UTF-8 or the encoding of the project's own table, with its delimiter or another common one."""

    media = "text/csv"

    def __init__(self, file: IO[bytes], signature: Mapping[str, Any], charset: str = "") -> None:
        super().__init__(file, signature)
        self.is_marked = _starts_with_mark(file)
        self.encoding = codec(charset or ("utf-8" if _is_utf8(file) else self.reading.encoding))
        try:
            self.delimiter, self.header = self._head()
        except MISREAD as error:
            raise self._no_csv(0, error) from None
        self.places = self._places(self.header)

    def chunks(self) -> Iterator[tuple[Any, Rows]]:
        number, part = 0, list[list[str]]()
        try:
            lines = self._lines(self.delimiter)
            next(lines)
            for line in lines:
                if len(line) != len(self.header):
                    reason = f"it has {len(line)} values, the header {len(self.header)}"
                    raise WrongRows([{"where": [number], "reason": reason}])
                part.append(line)
                number += 1
                if len(part) == TOGETHER:
                    yield part, self._typed(part, number - len(part))
                    part = []
            if part:
                yield part, self._typed(part, number - len(part))
        except MISREAD as error:
            raise self._no_csv(number, error) from None

    def write(self, parts: Iterator[tuple[Any, Rows]], target: IO[bytes]) -> None:
        """In UTF-8, with the mark by which spreadsheets know it if the file had it or another encoding."""
        is_plain = self.encoding == UTF_8 and not self.is_marked
        text = io.TextIOWrapper(target, encoding="utf-8" if is_plain else UTF_8, newline="")
        writer = csv.writer(text, delimiter=self.delimiter, lineterminator="\n")
        writer.writerow([*self.header, *self.added])
        for lines, answers in parts:
            added = zip(*self._columns(answers).values(), strict=True)
            writer.writerows([*line, *map(self._written, more)] for line, more in zip(lines, added, strict=True))
        text.flush()
        text.detach()

    def _head(self) -> tuple[str, list[str]]:
        """Delimiter and header: those of the project's table, unless another delimiter alone gives all inputs."""
        for delimiter in (self.reading.delimiter, *DELIMITERS):
            with suppress(csv.Error):
                header = next(self._lines(delimiter), [])
                if set(self.reading.columns) <= set(unique(header)):
                    return delimiter, header
        return self.reading.delimiter, next(self._lines(self.reading.delimiter), [])

    def _no_csv(self, number: int, error: Exception) -> WrongRows:
        return WrongRows(
            [
                {
                    "where": [number],
                    "reason": f"this is no CSV in {self.encoding.removesuffix('-sig')} ({first_line(error)})",
                }
            ]
        )

    def _lines(self, delimiter: str) -> Iterator[list[str]]:
        """The header and each row; empty lines are left out."""
        csv.field_size_limit(LONGEST)
        self.file.seek(0)
        text = io.TextIOWrapper(self.file, encoding=self.encoding, newline="")
        try:
            yield from filter(None, csv.reader(text, delimiter=delimiter, strict=True))
        finally:
            with suppress(ValueError):  # the file is closed already
                text.detach()

    def _typed(self, lines: list[list[str]], first: int) -> Rows:
        columns = {name: [line[place] for line in lines] for name, place in self.places.items()}
        return converted({name: texts(values) for name, values in columns.items()}, self.signature, first)

    def _written(self, value: Any) -> Any:
        """A number with the decimal sign of the project's table."""
        return str(value).replace(".", self.reading.decimal) if isinstance(value, float) else value


class ParquetTable(Table):
    """Any that Arrow reads; null and NaN are missing."""

    media = "application/vnd.apache.parquet"

    def chunks(self) -> Iterator[tuple[Any, Rows]]:
        first = 0
        try:
            stored = parquet.ParquetFile(self.file)
            places = self._places(stored.schema_arrow.names)
            for batch in stored.iter_batches(TOGETHER):
                columns = {name: pa.chunked_array([batch.column(place)]) for name, place in places.items()}
                yield batch, converted(columns, self.signature, first)
                first += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            raise WrongRows([{"where": [], "reason": f"this is no Parquet file ({error})"}]) from None

    def write(self, parts: Iterator[tuple[Any, Rows]], target: IO[bytes]) -> None:
        writer = None
        for batch, answers in parts:
            table = pa.Table.from_batches([batch])
            for name, values in self._columns(answers).items():
                table = table.append_column(name, pa.array(values))
            writer = writer or parquet.ParquetWriter(target, table.schema)
            writer.write_table(table)
        if writer is None:
            raise WrongRows([{"where": [], "reason": "the table has no rows"}])
        writer.close()


def texts(values: list[str]) -> pa.ChunkedArray:
    """A column as it is written."""
    return pa.chunked_array([pa.array(values, pa.string())])


def _starts_with_mark(file: IO[bytes]) -> bool:
    file.seek(0)
    return file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8


def _is_utf8(file: IO[bytes]) -> bool:
    """Whether it can be nothing else, as what has bytes of UTF-16 or ISO 2022 could."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    file.seek(0)
    try:
        while block := file.read(BLOCK):
            if b"\0" in block or b"\x1b" in block:
                return False
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
