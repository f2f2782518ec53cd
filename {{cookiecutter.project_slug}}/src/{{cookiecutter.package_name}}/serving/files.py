"""Tables that are sent to be predicted: CSV by the standard library, Parquet by Arrow, a thousand rows at a time."""

import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import IO, Any

from ..encoding import BOOLEANS
from .rows import LONGEST, WrongRows

TOGETHER = 1000  # rows
DELIMITERS = ",;\t|"
YES_OR_NO = BOOLEANS | {"1": True, "0": False}
ADDED = ("prediction_id", "predicted", "model_version")
Rows = list[dict[str, Any]]


class Table(ABC):
    """A table in a file, and its copy with what the model says of each row."""

    media: str

    def __init__(self, file: IO[bytes], signature: Mapping[str, Any]) -> None:
        self.file, self.signature = file, signature
        self.inputs = [column["name"] for column in signature["inputs"]]
        self.added = [*ADDED, *(f"probability of {name}" for name in signature["classes"] or [])]

    @abstractmethod
    def chunks(self) -> Iterator[tuple[Any, Rows]]:
        """Each part of the table as it was sent, and its rows with the model's inputs alone."""

    @abstractmethod
    def write(self, parts: Iterator[tuple[Any, Rows]], target: IO[bytes]) -> None:
        """The parts with the answers to their rows, one below the other."""

    def _check_columns(self, names: list[str]) -> None:
        if missing := [name for name in self.inputs if name not in names]:
            raise WrongRows([{"where": [name], "reason": "the table has no such column"} for name in missing])
        for name in names:
            if names.count(name) > 1:
                raise WrongRows([{"where": [name], "reason": "two columns have this name"}])
        for name in self.added:
            if name in names:
                raise WrongRows([{"where": [name], "reason": "the answer has a column of this name: rename yours"}])

    def _columns(self, answers: Rows) -> dict[str, list[Any]]:
        """What is added to the table, by column."""
        found = [[one["id"], one["predicted"], one["model_version"]] for one in answers]
        rows = [[*row, *(one["probabilities"] or {}).values()] for row, one in zip(found, answers, strict=True)]
        return dict(zip(self.added, map(list, zip(*rows, strict=True)), strict=True))


class CsvTable(Table):
    """In UTF-8, with a header; comma, semicolon, tab or bar between the values, an empty one is missing."""

    media = "text/csv"

    def chunks(self) -> Iterator[tuple[Any, Rows]]:
        self.file.seek(0)
        text = io.TextIOWrapper(self.file, encoding="utf-8-sig", newline="")
        csv.field_size_limit(LONGEST)
        number = 0
        try:
            start = text.readline(LONGEST)
            self.delimiter = max(DELIMITERS, key=start.count)
            text.seek(0)
            lines = filter(None, csv.reader(text, delimiter=self.delimiter, strict=True))  # without empty lines
            self.header = [name.strip() for name in next(lines, [])]
            self._check_columns(self.header)
            part: list[list[str]] = []
            for number, line in enumerate(lines):
                if len(line) != len(self.header):
                    reason = f"it has {len(line)} values, the header {len(self.header)}"
                    raise WrongRows([{"where": [number], "reason": reason}])
                part.append(line)
                if len(part) == TOGETHER:
                    yield part, self._typed(part, number - len(part) + 1)
                    part = []
            if part:
                yield part, self._typed(part, number - len(part) + 1)
        except (UnicodeDecodeError, csv.Error) as error:
            raise WrongRows([{"where": [number], "reason": f"this is no CSV in UTF-8 ({error})"}]) from None
        finally:
            text.detach()

    def _typed(self, lines: list[list[str]], first: int) -> Rows:
        named = (dict(zip(self.header, line, strict=True)) for line in lines)
        return [from_text(row, self.signature, number) for number, row in enumerate(named, start=first)]

    def write(self, parts: Iterator[tuple[Any, Rows]], target: IO[bytes]) -> None:
        text = io.TextIOWrapper(target, encoding="utf-8", newline="")
        writer = csv.writer(text, delimiter=self.delimiter, lineterminator="\n")
        writer.writerow([*self.header, *self.added])
        for lines, answers in parts:
            added = zip(*self._columns(answers).values(), strict=True)
            writer.writerows([*line, *more] for line, more in zip(lines, added, strict=True))
        text.flush()
        text.detach()


class ParquetTable(Table):
    """Any that Arrow reads; null and NaN are missing."""

    media = "application/vnd.apache.parquet"

    def chunks(self) -> Iterator[tuple[Any, Rows]]:
        import pyarrow as pa
        from pyarrow import parquet

        try:
            stored = parquet.ParquetFile(self.file)
            self.schema = stored.schema_arrow
            self._check_columns(self.schema.names)
            for batch in stored.iter_batches(TOGETHER):
                columns = {name: _plain(batch.column(name), pa) for name in self.inputs}
                rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
                yield batch, rows
        except (pa.ArrowException, OSError) as error:
            raise WrongRows([{"where": [], "reason": f"this is no Parquet file ({error})"}]) from None

    def write(self, parts: Iterator[tuple[Any, Rows]], target: IO[bytes]) -> None:
        import pyarrow as pa
        from pyarrow import parquet

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


def from_text(row: Mapping[str, str], signature: Mapping[str, Any], number: int = 0) -> dict[str, Any]:
    """The inputs of a row that was written as text; what is empty is missing. Raises WrongRows with every fault."""
    found, wrong = {}, []
    for column in signature["inputs"]:
        name, text = column["name"], row[column["name"]].strip()
        try:
            found[name] = FROM_TEXT[column["type"]](text) if text else None
        except (ValueError, KeyError):
            reason = f"this is no {column['type']} such as {SUCH_AS[column['type']]}"
            wrong.append({"where": [number, name], "reason": reason})
    if wrong:
        raise WrongRows(wrong)
    return found


def _number(text: str) -> float:
    if "_" in text:  # which Python allows
        raise ValueError(text)
    return float(text)


def _plain(column: Any, pa: Any) -> list[Any]:
    if pa.types.is_decimal(column.type) or pa.types.is_float16(column.type):
        column = column.cast(pa.float64())
    return [None if value is None or value != value else value for value in column.to_pylist()]


FROM_TEXT: dict[str, Callable[[str], Any]] = {
    "number": _number,
    "boolean": lambda text: YES_OR_NO[text.lower()],
    "datetime": datetime.fromisoformat,
    "category": str,
    "text": str,
}
SUCH_AS = {"number": "12.5", "boolean": "yes or no", "datetime": "2026-11-21 or 2026-11-21T08:30"}
KINDS: dict[str, type[Table]] = {
    "text/csv": CsvTable,
    "application/vnd.apache.parquet": ParquetTable,
    "application/octet-stream": ParquetTable,
}
