"""Reads the source as params.yaml describes it. Nothing is guessed here: `nb data use` guesses and writes it down."""

import codecs
import csv as python_csv
import gzip
import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from bakebook.contracts import ReadOptions
from bakebook.errors import BadInput, did_you_mean, first_line
from bakebook.tables.dtypes import codec, convert, simplify, unique
from bakebook.tables.values import LONGEST_VALUE, as_text

BLOCK_BYTES = 1 << 24  # that Arrow parses at a time; no row may be longer
GZIP = b"\x1f\x8b"
ZIP = b"PK\x03\x04"
EXCEL_SUFFIXES = {".xlsx", ".xlsm", ".xlsb", ".ods"}
FIX_FILE = "fix the file, or run nb data use to inspect it again"
INSPECT_AGAIN = "nb data use inspects the table again"


def read(path: Path, options: ReadOptions) -> pd.DataFrame:
    """The table in a file, or in all files of a folder, one below the other in the order of their names.

    Raises BadInput with the row (counted from 1, below the header) and the column of a value of another dtype.
    """
    return typed(read_untyped(path, options), options, path.name)


def read_untyped(path: Path, options: ReadOptions) -> pa.Table:
    """The table before its dtypes apply: text, except the numbers, dates and booleans of typed formats."""
    reader = READERS[options.file_format]
    tables: list[pa.Table] = []
    for name, file in open_files(path):
        with _readable(name):
            tables.append(_simplified(reader(file, name, options), name))
        _compare_columns(name, tables[-1].column_names, tables[0].column_names)
    if not sum(table.num_rows for table in tables):
        raise BadInput(f"{path.name} has no rows", FIX_FILE)
    names = tables[0].column_names
    return pa.table({name: _stacked([table[name] for table in tables]) for name in names})


def typed(table: pa.Table, options: ReadOptions, source_name: str) -> pd.DataFrame:
    """The table with the dtypes of `options.columns`; `source_name` is for messages."""
    _compare_columns(source_name, table.column_names, list(options.columns))
    columns = {}
    for name, dtype in options.columns.items():
        where = f"{source_name}, column '{name}'"
        columns[name] = convert(table[name], dtype, options, where).to_pandas()
        table = table.drop_columns([name])  # frees its memory
    return pd.DataFrame(columns)


def open_files(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """The files of a source, opened and unpacked, each with its name."""
    if not path.exists():
        raise BadInput(
            f"there is no {path}", "dvc pull downloads it, or set ingest.source in params.yaml"
        )
    found = [path]
    if path.is_dir():
        found = sorted(
            one for one in path.rglob("*") if one.is_file() and not one.name.startswith(".")
        )
    if not found:
        raise BadInput(f"the folder {path.name} is empty", "set ingest.source in params.yaml")
    for one in found:
        yield from _unpacked(one)


def read_header(file: IO[bytes], name: str, options: ReadOptions) -> tuple[list[str], int]:
    """The column names of a CSV file, each once, and how many lines they take."""
    start = file.tell()
    text = io.TextIOWrapper(file, encoding=codec(options.encoding), newline="")
    try:
        with _readable(name):
            rows = python_csv.reader(text, delimiter=options.delimiter)
            header = next((row for row in rows if row), [])
            return unique(header), rows.line_num
    finally:
        text.detach()
        file.seek(start)


def to_arrow(table: pd.DataFrame) -> pa.Table:
    """Columns of one type keep it, mixed ones become text."""
    columns = {}
    names = unique(list(table.columns))
    for name, (_, values) in zip(names, table.items(), strict=True):
        inferred = values.infer_objects()
        if inferred.dtype == object:
            inferred = inferred.map(_text_or_none)
        columns[name] = pa.chunked_array([pa.Array.from_pandas(inferred)])
    return pa.table(columns)


def _text_or_none(value: Any) -> str | None:
    is_missing = value is None or value != value
    return None if is_missing else as_text(value)


def _unpacked(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Unpacks gzip and zip by what the file contains, not by its name."""
    with path.open("rb") as file:
        start = file.read(len(ZIP))
        file.seek(0)
        if start.startswith(GZIP):
            with _readable(path.name):
                yield path.name, io.BytesIO(gzip.decompress(file.read()))
        elif start == ZIP and path.suffix.lower() not in EXCEL_SUFFIXES:
            with _readable(path.name), zipfile.ZipFile(file) as archive:
                for member in sorted(filter(_is_data, archive.namelist())):
                    yield f"{path.name}/{member}", io.BytesIO(archive.read(member))
        else:
            yield path.name, file


def _is_data(member: str) -> bool:
    """Whether a member of a zip file is neither a folder nor something that macOS adds."""
    parts = member.split("/")
    return bool(parts[-1]) and not any(part.startswith((".", "__MACOSX")) for part in parts)


def _read_csv(file: IO[bytes], name: str, options: ReadOptions) -> pa.Table:
    header, header_lines = read_header(file, name, options)
    if not header:
        raise BadInput(f"{name} is empty", FIX_FILE)
    has_odd_quotes = _scan(file, name, options.encoding)
    wrong_rows: list[Any] = []

    def note_wrong_row(row: Any) -> str:
        wrong_rows.append(row)
        return "skip"

    table = csv.read_csv(
        file,
        read_options=csv.ReadOptions(
            block_size=BLOCK_BYTES,
            use_threads=False,
            column_names=header,
            skip_rows=header_lines,
            encoding=codec(options.encoding),
        ),
        parse_options=csv.ParseOptions(
            delimiter=options.delimiter,
            newlines_in_values=True,
            invalid_row_handler=note_wrong_row,
        ),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()), null_values=[]
        ),
    )
    if wrong_rows:
        raise _wrong_width(name, wrong_rows[0], len(header), header_lines, has_odd_quotes)
    _check_lengths(table, name)
    if has_odd_quotes and _ends_in_open_quote(table):
        raise _open_quote(name, table.num_rows)
    return table


def _wrong_width(
    name: str, row: Any, width: int, header_lines: int, has_odd_quotes: bool
) -> BadInput:
    """The error for a row that does not have one value per column."""
    if has_odd_quotes and "\n" in (row.text or ""):
        return _open_quote(name, row.number - header_lines)
    where = f"row {row.number - header_lines} has" if row.number else "a row has"
    return BadInput(f"{name}: {where} {row.actual_columns} values, the header {width}", FIX_FILE)


def _open_quote(name: str, row: int) -> BadInput:
    return BadInput(f"{name}: a quote that opens in row {row} is never closed", FIX_FILE)


def _ends_in_open_quote(table: pa.Table) -> bool:
    last = table.slice(max(0, table.num_rows - 1)).to_pylist()
    return any("\n" in value for row in last for value in row.values())


def _check_lengths(table: pa.Table, name: str) -> None:
    if not table.num_rows:
        return
    for column in table.column_names:
        lengths = pc.utf8_length(table[column])
        if pc.max(lengths).as_py() > LONGEST_VALUE:
            row = pc.index(pc.greater(lengths, LONGEST_VALUE), True).as_py() + 1
            where = f"{name}, column '{column}', row {row}"
            raise BadInput(f"{where}: the value has over {LONGEST_VALUE} letters", FIX_FILE)


def _read_json_lines(file: IO[bytes], name: str, options: ReadOptions) -> pa.Table:
    start = file.tell()
    is_list = file.read(100).lstrip().startswith(b"[")
    file.seek(start)
    table = pd.read_json(
        file,
        lines=not is_list,
        dtype=False,
        convert_dates=False,
        encoding=codec(options.encoding),
    )
    for column in table:
        if table[column].map(lambda value: isinstance(value, list | dict)).any():
            what = f"{name}: column '{column}' holds lists or objects"
            raise BadInput(what, "make each of them a column of its own")
    return to_arrow(table)


def _read_excel(file: IO[bytes], name: str, options: ReadOptions) -> pa.Table:
    table = pd.read_excel(file, engine="calamine", keep_default_na=False, header=None)
    header = table.head(1)
    if header.empty:
        raise BadInput(f"{name} is empty", FIX_FILE)
    rows = table.iloc[1:].reset_index(drop=True)
    return to_arrow(rows.set_axis(header.iloc[0].to_list(), axis="columns"))


def _read_parquet(file: IO[bytes], name: str, options: ReadOptions) -> pa.Table:
    table = parquet.read_table(file)
    return table.rename_columns(unique(table.column_names))


READERS: dict[str, Callable[[IO[bytes], str, ReadOptions], pa.Table]] = {
    "csv": _read_csv,
    "json lines": _read_json_lines,
    "excel": _read_excel,
    "parquet": _read_parquet,
}


def _simplified(table: pa.Table, name: str) -> pa.Table:
    if not table.column_names:
        return table
    columns = {}
    for column in table.column_names:
        columns[column] = simplify(table[column], f"{name}: column '{column}'")
    return pa.table(columns)


def _stacked(parts: list[pa.ChunkedArray]) -> pa.ChunkedArray:
    """The same column of several files: text where it is text in one of them."""
    if len({part.type for part in parts}) > 1:
        has_text = any(pa.types.is_string(part.type) for part in parts)
        common = pa.string() if has_text else pa.float64()
        parts = [part.cast(common) for part in parts]
    chunks = [chunk for part in parts for chunk in part.chunks]
    return pa.chunked_array(chunks, parts[0].type)


def _compare_columns(name: str, found: Sequence[str], wanted: Sequence[str]) -> None:
    for column in wanted:
        if column not in found:
            remedy = did_you_mean(column, found) or INSPECT_AGAIN
            raise BadInput(f"{name} has no column '{column}'", remedy)
    for column in found:
        if column not in wanted:
            raise BadInput(f"{name} has a new column '{column}'", INSPECT_AGAIN)


def _scan(file: IO[bytes], name: str, encoding: str) -> bool:
    """Decodes the whole file, raises BadInput on what is not text; whether the number of quotes is odd."""
    start = file.tell()
    line = 1
    quotes = 0
    decoder = codecs.getincrementaldecoder(codec(encoding))()
    while block := file.read(BLOCK_BYTES):
        try:
            text = decoder.decode(block)
        except UnicodeDecodeError:
            what = f"{name} is not entirely {encoding}, after line {line}"
            raise BadInput(what, "nb data use --encoding …") from None
        if "\0" in text:
            line += text[: text.index("\0")].count("\n")
            raise BadInput(f"{name} has a NUL byte in line {line}", FIX_FILE)
        line += text.count("\n")
        quotes += text.count('"')
    file.seek(start)
    return quotes % 2 == 1


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Turns whatever a library raises on a broken file into one sentence; each has exceptions of its own."""
    try:
        yield
    except BadInput:
        raise
    except Exception as error:
        raise BadInput(f"{name} is no readable table ({first_line(error)})", FIX_FILE) from None
