"""Reads the source as params.yaml says: nothing is guessed here (`nb data use` guesses, and writes what it found)."""

import codecs
import csv as python_csv
import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from .errors import BadInput, did_you_mean, first_line

LONGEST = 100_000  # letters of one value: what is longer is a broken file, not a value
EXACT = 2**53  # whole numbers beyond it are no longer told apart by a float
BLOCK = 1 << 24  # bytes that Arrow parses at a time; no row may be longer
PAIRS = ("true false", "yes no", "y n", "t f", "on off", "ja nein", "oui non", "si no", "sí no", "wahr falsch", "是 否")
WORDS = {word: number == 0 for pair in PAIRS for number, word in enumerate(pair.split())}  # booleans in words
FORMATS = ("csv", "json lines", "excel", "parquet")
KINDS = ("number", "integer", "amount", "boolean", "datetime", "text")  # of a column; a datetime may name its format
SIGNS = r"[^0-9,.eE+-]"  # what an amount may hold beside its number: currencies, per cent, blanks between thousands
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
REMEDY = "mend the file, or run nb data use to look at it anew"


@dataclass(frozen=True)
class Reading:
    """How a source is read: section `ingest` of params.yaml."""

    file_format: str = "csv"
    encoding: str = "utf-8"
    delimiter: str = ","
    decimal: str = "."
    missing: list[str] = field(default_factory=lambda: [""])
    columns: dict[str, str] = field(default_factory=dict)  # empty: every column as text


def read(path: Path, reading: Reading) -> pd.DataFrame:
    """The table in a file, or in all files of a folder, one below the other in the order of their names.

    Raises BadInput with the row (counted from 1, below the header) and the column of what is not of its kind.
    """
    table = as_written(path, reading)
    _compare_columns(path.name, table.column_names, list(reading.columns))
    found = {}
    for column, kind in reading.columns.items():
        found[column] = convert(table[column], kind, reading, f"{path.name}, column '{column}'")
        table = table.drop_columns([column])  # so that its memory is free
    return pd.DataFrame(found)


def as_written(path: Path, reading: Reading) -> pa.Table:
    """The table before its values are given a kind: text, but for the numbers, dates and booleans of typed formats."""
    tables: list[pa.Table] = []
    for name, opened in files(path):
        with _told(name):
            tables.append(_READERS[reading.file_format](opened, name, reading))
        _compare_columns(name, tables[-1].column_names, tables[0].column_names)
    table = pa.concat_tables(tables, promote_options="permissive")
    if not table.num_rows:
        raise BadInput(f"{path.name} has no rows → {REMEDY}")
    return table


def convert(column: pa.ChunkedArray, kind: str, reading: Reading, where: str) -> pd.Series:
    """The values of one column as its kind says; a missing one is NaN or NaT. Raises BadInput with the first misfit."""
    name, _, form = kind.partition(" ")
    if name not in KINDS:
        raise BadInput(f"{where}: '{kind}' is no kind of column → choose from {', '.join(KINDS)} in ingest.columns")
    if name == "text":
        return without_marks(column, reading).to_pandas()
    if name == "datetime":
        return _datetimes(column, form, reading, where)
    if name == "boolean":
        return _booleans(column, reading, where)
    return _numbers(column, name, reading, where)


def files(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """The files of a source, opened and unpacked, each with its name."""
    if not path.exists():
        raise BadInput(f"there is no {path} → dvc pull brings it, or set ingest.source in params.yaml")
    found = sorted(one for one in path.iterdir() if one.name != ".gitignore") if path.is_dir() else [path]
    for one in found:
        yield from _opened(one)
    if not found:
        raise BadInput(f"the folder {path.name} is empty → set ingest.source in params.yaml")


def names(opened: IO[bytes], name: str, reading: Reading) -> tuple[list[str], int]:
    """The column names of a CSV file, each once, and the lines that they take."""
    start = opened.tell()
    text = io.TextIOWrapper(opened, encoding=codec(reading.encoding), newline="")
    try:
        with _told(name):
            rows = python_csv.reader(text, delimiter=reading.delimiter)
            header = next(rows, [])
            return unique(header), rows.line_num
    finally:
        text.detach()
        opened.seek(start)


def unique(header: list[Any]) -> list[str]:
    """Names for all columns: blanks around them go, `column 3` for the third without one, `x (2)` for a second x."""
    found: dict[str, None] = {}
    for number, given in enumerate(header, start=1):
        name = base = str(given if given is not None else "").strip() or f"column {number}"
        count = 1
        while name in found:
            count += 1
            name = f"{base} ({count})"
        found[name] = None
    return list(found)


def _opened(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Unpacks gzip and zip by what the file holds, not by its name."""
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        if start[:2] == b"\x1f\x8b":
            with _told(path.name):
                yield path.name, io.BytesIO(gzip.decompress(file.read()))
        elif start == b"PK\x03\x04" and path.suffix.lower() not in {".xlsx", ".xlsm", ".xlsb", ".ods"}:
            with _told(path.name), zipfile.ZipFile(file) as packed:
                for member in sorted(one for one in packed.namelist() if not one.endswith("/")):
                    yield f"{path.name}/{member}", io.BytesIO(packed.read(member))
        else:
            yield path.name, file


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
    table = pd.read_json(opened, lines=True, dtype=False, convert_dates=False, encoding=codec(reading.encoding))
    for column in table:
        if table[column].map(lambda value: isinstance(value, list | dict)).any():
            raise BadInput(f"{name}: column '{column}' holds lists or objects → make each of them a column of its own")
    return _typed(table)


def _excel(opened: IO[bytes], name: str, reading: Reading) -> pa.Table:
    table = pd.read_excel(opened, engine="calamine", keep_default_na=False, header=None)
    header, rows = table.head(1), table.iloc[1:].reset_index(drop=True)
    if header.empty:
        raise BadInput(f"{name} is empty → {REMEDY}")
    return _typed(rows.set_axis(header.iloc[0].to_list(), axis="columns"))


def _parquet(opened: IO[bytes], name: str, reading: Reading) -> pa.Table:
    table = parquet.read_table(opened)
    return table.rename_columns(unique(table.column_names))


_READERS: dict[str, Callable[[IO[bytes], str, Reading], pa.Table]] = {
    "csv": _csv,
    "json lines": _json_lines,
    "excel": _excel,
    "parquet": _parquet,
}


def _typed(table: pd.DataFrame) -> pa.Table:
    """Columns of one type keep it, mixed ones become text."""
    columns = {}
    for name, (_, values) in zip(unique(list(table.columns)), table.items(), strict=True):
        values = values.infer_objects()
        if values.dtype == object:
            values = values.map(lambda value: None if value is None or value != value else _plain(value))
        columns[name] = pa.chunked_array([pa.Array.from_pandas(values)])
    return pa.table(columns)


def _plain(value: Any) -> str:
    """2 for 2.0: a spreadsheet has no whole numbers."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _compare_columns(name: str, found: list[str], wanted: list[str]) -> None:
    for column in wanted:
        if column not in found:
            near = did_you_mean(column, found)
            raise BadInput(f"{name} has no column '{column}'{near or ' → nb data use looks at the table anew'}")
    for column in found:
        if column not in wanted:
            raise BadInput(f"{name} has a column '{column}' that is new → nb data use looks at the table anew")


def without_marks(column: pa.ChunkedArray, reading: Reading) -> pa.ChunkedArray:
    """The values as text without blanks around them; the marks of missing values become null."""
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    marked = pc.is_in(text, value_set=pa.array(reading.missing, pa.string()))
    return pc.if_else(marked, pa.scalar(None, pa.string()), text)


def _numbers(column: pa.ChunkedArray, kind: str, reading: Reading, where: str) -> pd.Series:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        text = without_marks(column, reading)
        if kind == "amount":
            text = pc.replace_substring_regex(text, SIGNS, "")
            text = pc.replace_substring(text, "." if reading.decimal == "," else ",", "")
        written = pc.replace_substring(text, reading.decimal, ".")
        pattern = r"^[+-]?\d+$" if kind == "integer" else r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
        _refuse(pc.invert(pc.match_substring_regex(written, pattern)), text, f"is no {kind}", where)
        _refuse(pc.greater(pc.utf8_length(written), 400), text, "has too many digits", where)
        values = written.cast(pa.float64())
    else:
        text, values = column, column.cast(pa.float64())
    marks = [float(mark) for mark in reading.missing if NUMBER.fullmatch(mark)]
    values = pc.if_else(
        pc.is_in(values, value_set=pa.array(marks, pa.float64())), pa.scalar(None, pa.float64()), values
    )
    _refuse(pc.is_inf(values), text, "is not finite", where)
    whole = kind == "integer"
    if whole:
        _refuse(
            pc.greater_equal(pc.abs(values), float(EXACT)), text, "is beyond 2^53, where a number loses digits", where
        )
    return values.cast(pa.int64()).to_pandas() if whole else values.to_pandas()


def _booleans(column: pa.ChunkedArray, reading: Reading, where: str) -> pd.Series:
    if pa.types.is_boolean(column.type):
        return column.to_pandas()
    text = without_marks(column, reading)
    words = pc.utf8_lower(text)
    true = pa.array([word for word, means in WORDS.items() if means])
    false = pa.array([word for word, means in WORDS.items() if not means])
    _refuse(
        pc.invert(pc.or_(pc.is_in(words, value_set=true), pc.is_in(words, value_set=false))),
        text,
        "is no yes or no",
        where,
    )
    return pc.if_else(pc.is_null(words), pa.scalar(None, pa.bool_()), pc.is_in(words, value_set=true)).to_pandas()


def _datetimes(column: pa.ChunkedArray, form: str, reading: Reading, where: str) -> pd.Series:
    if pa.types.is_string(column.type):
        text = without_marks(column, reading)
        values = pd.to_datetime(text.to_pandas(), format=form or "ISO8601", errors="coerce", utc=True)
        _refuse(pc.and_(pc.is_valid(text), pa.array(values.isna())), text, "is no date or time", where)
    else:
        values = pd.to_datetime(column.to_pandas(), utc=True)
    return values.dt.tz_localize(None).astype("datetime64[us]")


def _refuse(misfits: pa.ChunkedArray, text: pa.ChunkedArray, problem: str, where: str) -> None:
    """Raises BadInput with the first row that is True; what is missing fits."""
    row = pc.index(misfits, True).as_py()
    if row >= 0:
        value = str(text[row])
        shown = value if len(value) <= 40 else f"{value[:40]}…"
        raise BadInput(
            f"{where}, row {row + 1}: '{shown}' {problem} → mend it, or say what it is:"
            " nb data use --missing or --kind, ingest in params.yaml"
        )


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


def codec(encoding: str) -> str:
    """Python's name of the encoding; UTF-8 with or without its mark at the start."""
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise BadInput(f"there is no encoding '{encoding}' → set ingest.encoding: utf-8, utf-16, cp1252, …") from None
    return "utf-8-sig" if name == "utf-8" else name


@contextmanager
def _told(name: str) -> Iterator[None]:
    """What the libraries say of a broken file, in one sentence."""
    try:
        yield
    except (ValueError, OSError, EOFError, UnicodeError, zipfile.BadZipFile, zlib.error, python_csv.Error) as error:
        raise BadInput(f"{name} is no readable table ({first_line(error)}) → {REMEDY}") from None
