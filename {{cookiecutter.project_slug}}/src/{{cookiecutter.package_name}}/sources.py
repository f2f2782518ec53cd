"""Reads the source as params.yaml says: nothing is guessed here (`nb data use` guesses, and writes what it found)."""

import codecs
import csv as python_csv
import gzip
import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from .encoding import LONGEST, as_text
from .errors import BadInput, did_you_mean, first_line
from .kinds import Reading, codec, convert, simple, unique

BLOCK = 1 << 24  # bytes that Arrow parses at a time; no row may be longer
FORMATS = ("csv", "json lines", "excel", "parquet")
REMEDY = "mend the file, or run nb data use to look at it anew"


def read(path: Path, reading: Reading) -> pd.DataFrame:
    """The table in a file, or in all files of a folder, one below the other in the order of their names.

    Raises BadInput with the row (counted from 1, below the header) and the column of what is not of its kind.
    """
    table = as_written(path, reading)
    _compare_columns(path.name, table.column_names, list(reading.columns))
    found = {}
    for column, kind in reading.columns.items():
        found[column] = convert(table[column], kind, reading, f"{path.name}, column '{column}'").to_pandas()
        table = table.drop_columns([column])  # so that its memory is free
    return pd.DataFrame(found)


def as_written(path: Path, reading: Reading) -> pa.Table:
    """The table before its values are given a kind: text, but for the numbers, dates and booleans of typed formats."""
    tables: list[pa.Table] = []
    for name, opened in files(path):
        with _readable(name):
            tables.append(_simple(READERS[reading.file_format](opened, name, reading), name))
        _compare_columns(name, tables[-1].column_names, tables[0].column_names)
    if not sum(one.num_rows for one in tables):
        raise BadInput(f"{path.name} has no rows → {REMEDY}")
    return pa.table({name: _joined([one[name] for one in tables]) for name in tables[0].column_names})


def files(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """The files of a source, opened and unpacked, each with its name."""
    if not path.exists():
        raise BadInput(f"there is no {path} → dvc pull brings it, or set ingest.source in params.yaml")
    within = (one for one in path.rglob("*") if one.is_file() and not one.name.startswith("."))
    found = sorted(within) if path.is_dir() else [path]
    for one in found:
        yield from _opened(one)
    if not found:
        raise BadInput(f"the folder {path.name} is empty → set ingest.source in params.yaml")


def names(opened: IO[bytes], name: str, reading: Reading) -> tuple[list[str], int]:
    """The column names of a CSV file, each once, and the lines that they take."""
    start = opened.tell()
    text = io.TextIOWrapper(opened, encoding=codec(reading.encoding), newline="")
    try:
        with _readable(name):
            rows = python_csv.reader(text, delimiter=reading.delimiter)
            header = next((row for row in rows if row), [])
            return unique(header), rows.line_num
    finally:
        text.detach()
        opened.seek(start)


def _opened(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Unpacks gzip and zip by what the file holds, not by its name."""
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        if start[:2] == b"\x1f\x8b":
            with _readable(path.name):
                yield path.name, io.BytesIO(gzip.decompress(file.read()))
        elif start == b"PK\x03\x04" and path.suffix.lower() not in {".xlsx", ".xlsm", ".xlsb", ".ods"}:
            with _readable(path.name), zipfile.ZipFile(file) as packed:
                for member in sorted(filter(_is_meant, packed.namelist())):
                    yield f"{path.name}/{member}", io.BytesIO(packed.read(member))
        else:
            yield path.name, file


def _is_meant(member: str) -> bool:
    """Not a folder, nor what a Mac adds to each zip."""
    return not member.endswith("/") and not any(part.startswith((".", "__MACOSX")) for part in member.split("/"))


def _csv(opened: IO[bytes], name: str, reading: Reading) -> pa.Table:
    header, lines = names(opened, name, reading)
    if not header:
        raise BadInput(f"{name} is empty → {REMEDY}")
    odd = _scan(opened, name, reading.encoding)
    wrong: list[Any] = []

    def note(row: Any) -> str:
        wrong.append(row)
        return "skip"

    read, parse = csv.ReadOptions(block_size=BLOCK, use_threads=False), csv.ParseOptions(delimiter=reading.delimiter)
    read.column_names, read.skip_rows, read.encoding = header, lines, codec(reading.encoding)
    parse.newlines_in_values, parse.invalid_row_handler = True, note
    text = csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()), null_values=[])
    table = csv.read_csv(opened, read_options=read, parse_options=parse, convert_options=text)
    if wrong and odd and "\n" in (wrong[0].text or ""):
        raise BadInput(f"{name}: a quote that opens in row {wrong[0].number - lines} is never closed → {REMEDY}")
    if wrong:
        where = f"row {wrong[0].number - lines} has" if wrong[0].number else "a row has"
        raise BadInput(f"{name}: {where} {wrong[0].actual_columns} values, the header {len(header)} → {REMEDY}")
    for column in header:
        if table.num_rows and pc.max(pc.utf8_length(table[column])).as_py() > LONGEST:
            row = pc.index(pc.greater(pc.utf8_length(table[column]), LONGEST), True).as_py() + 1
            raise BadInput(f"{name}, column '{column}', row {row}: the value has over {LONGEST} letters → {REMEDY}")
    last = table.slice(max(0, table.num_rows - 1)).to_pylist()
    if odd and any("\n" in value for row in last for value in row.values()):
        raise BadInput(f"{name}: a quote that opens in row {table.num_rows} is never closed → {REMEDY}")
    return table


def _json_lines(opened: IO[bytes], name: str, reading: Reading) -> pa.Table:
    start = opened.tell()
    one_list = opened.read(100).lstrip().startswith(b"[")
    opened.seek(start)
    how: dict[str, Any] = {"dtype": False, "convert_dates": False, "encoding": codec(reading.encoding)}
    table = pd.read_json(opened, lines=not one_list, **how)
    for column in table:
        if table[column].map(lambda value: isinstance(value, list | dict)).any():
            raise BadInput(f"{name}: column '{column}' holds lists or objects → make each of them a column of its own")
    return typed(table)


def _excel(opened: IO[bytes], name: str, reading: Reading) -> pa.Table:
    table = pd.read_excel(opened, engine="calamine", keep_default_na=False, header=None)
    header, rows = table.head(1), table.iloc[1:].reset_index(drop=True)
    if header.empty:
        raise BadInput(f"{name} is empty → {REMEDY}")
    return typed(rows.set_axis(header.iloc[0].to_list(), axis="columns"))


def _parquet(opened: IO[bytes], name: str, reading: Reading) -> pa.Table:
    table = parquet.read_table(opened)
    return table.rename_columns(unique(table.column_names))


READERS: dict[str, Callable[[IO[bytes], str, Reading], pa.Table]] = {
    "csv": _csv,
    "json lines": _json_lines,
    "excel": _excel,
    "parquet": _parquet,
}


def typed(table: pd.DataFrame) -> pa.Table:
    """Columns of one type keep it, mixed ones become text."""
    columns = {}
    for name, (_, values) in zip(unique(list(table.columns)), table.items(), strict=True):
        values = values.infer_objects()
        if values.dtype == object:
            values = values.map(lambda value: None if value is None or value != value else as_text(value))
        columns[name] = pa.chunked_array([pa.Array.from_pandas(values)])
    return pa.table(columns)


def _simple(table: pa.Table, name: str) -> pa.Table:
    columns = {column: simple(table[column], f"{name}: column '{column}'") for column in table.column_names}
    return pa.table(columns) if columns else table


def _joined(parts: list[pa.ChunkedArray]) -> pa.ChunkedArray:
    """The same column of several files: text, where it is text in one of them."""
    if len({part.type for part in parts}) > 1:
        common = pa.string() if any(pa.types.is_string(part.type) for part in parts) else pa.float64()
        parts = [part.cast(common) for part in parts]
    return pa.chunked_array([chunk for part in parts for chunk in part.chunks], parts[0].type)


def _compare_columns(name: str, found: list[str], wanted: list[str]) -> None:
    for column in wanted:
        if column not in found:
            near = did_you_mean(column, found)
            raise BadInput(f"{name} has no column '{column}'{near or ' → nb data use looks at the table anew'}")
    for column in found:
        if column not in wanted:
            raise BadInput(f"{name} has a column '{column}' that is new → nb data use looks at the table anew")


def _scan(opened: IO[bytes], name: str, encoding: str) -> bool:
    """Reads all once, raises BadInput on what is no text; whether the number of quotes is odd."""
    start, line, quotes = opened.tell(), 1, 0
    decoder = codecs.getincrementaldecoder(codec(encoding))()
    while block := opened.read(BLOCK):
        try:
            text = decoder.decode(block)
        except UnicodeDecodeError:
            raise BadInput(f"{name} is not all {encoding}, after line {line} → nb data use --encoding …") from None
        if "\0" in text:
            raise BadInput(
                f"{name} has a NUL byte in line {line + text[: text.index(chr(0))].count(chr(10))} → {REMEDY}"
            )
        line, quotes = line + text.count("\n"), quotes + text.count('"')
    opened.seek(start)
    return quotes % 2 == 1


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Says in one sentence what a library makes of a broken file; each has errors of its own."""
    try:
        yield
    except BadInput:
        raise
    except Exception as error:
        raise BadInput(f"{name} is no readable table ({first_line(error)}) → {REMEDY}") from None
