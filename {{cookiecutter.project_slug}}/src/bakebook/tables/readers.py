"""Reads the source as params.yaml describes it. Nothing is guessed here: `nb data use` guesses and
writes it down.
"""

import gzip
import io
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from bakebook.contracts import ReadOptions
from bakebook.errors import BadInput, did_you_mean
from bakebook.params import IGNORE
from bakebook.tables.columns import simplify
from bakebook.tables.csv_reader import BLOCK_BYTES, FIX_FILE, read_csv, readable
from bakebook.tables.dtypes import codec, convert, unique
from bakebook.tables.values import as_text
from bakebook.tables.workbook import sheet_tables

GZIP = b"\x1f\x8b"
ZIP = b"PK\x03\x04"
EXCEL_SUFFIXES = {".xlsx", ".xlsm", ".xlsb", ".ods"}
UNPACKED = "NB_MAX_UNPACKED"
MOST_TIMES = 100  # of a packed file's size
MOST_BYTES = 256_000_000  # that a small packed file may contain
WIDTH = "NB_MAX_COLUMNS"
MOST_COLUMNS = 20_000
INSPECT_AGAIN = "nb data use inspects the table again"


def read(path: Path, options: ReadOptions) -> pd.DataFrame:
    """The table in a file, or in all files of a folder, one below the other in the order of their
    names.

    Raises BadInput with the row (counted from 1, below the header) and the column of a value of
    another dtype.
    """
    return typed(read_untyped(path, options), options, path.name)


def read_untyped(path: Path, options: ReadOptions) -> pa.Table:
    """The table before its dtypes apply: text, except the numbers, dates and booleans of typed
    formats.
    """
    reader = READERS[options.file_format]
    tables: list[pa.Table] = []
    for name, file in open_files(path):
        with readable(name):
            tables.append(_simplified(reader(file, name, options)))
        _check_width(name, tables[-1].num_columns)
        _compare_columns(name, tables[-1].column_names, tables[0].column_names)
    if not sum(table.num_rows for table in tables):
        raise BadInput(f"{path.name} has no rows", FIX_FILE)
    return _below_each_other(tables)


def typed(table: pa.Table, options: ReadOptions, source_name: str) -> pd.DataFrame:
    """The table with the dtypes of `options.columns`, without the columns to ignore; `source_name`
    is for messages.
    """
    _compare_columns(source_name, table.column_names, list(options.columns))
    columns = {}
    for name, dtype in options.columns.items():
        if dtype == IGNORE:
            continue
        where = f"{source_name}, column '{name}'"
        columns[name] = convert(table[name], dtype, options.of(name), where).to_pandas()
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


def limit(variable: str, usual: int) -> int:
    """The limit that a variable raises, or the usual one. Raises BadInput where it is no number."""
    given = os.environ.get(variable, str(usual))
    if not given.isdecimal():
        raise BadInput(f"{variable} is '{given}', not a whole number", f"set it to {usual} or more")
    return int(given)


def _text_or_none(value: object) -> str | None:
    is_missing = value is None or value != value
    return None if is_missing else as_text(value)


def _unpacked(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Unpacks gzip and zip by what the file contains, not by its name."""
    with path.open("rb") as file:
        start = file.read(len(ZIP))
        file.seek(0)
        if start.startswith(GZIP):
            with readable(path.name), gzip.open(file) as content:
                yield path.name, _whole(content, path)
        elif start == ZIP and path.suffix.lower() not in EXCEL_SUFFIXES:
            with readable(path.name), zipfile.ZipFile(file) as archive:
                for member in sorted(filter(_is_data, archive.namelist())):
                    with archive.open(member) as content:
                        yield f"{path.name}/{member}", _whole(content, path)
        else:
            yield path.name, file


def _whole(content: IO[bytes] | gzip.GzipFile, path: Path) -> io.BytesIO:
    """What is packed in a file. Raises BadInput where it is far more than a table would be: some
    kilobytes can unpack to more than a machine holds.
    """
    most = max(MOST_TIMES * path.stat().st_size, MOST_BYTES)
    most = limit(UNPACKED, most)
    found = io.BytesIO()
    while block := content.read(BLOCK_BYTES):
        found.write(block)
        if found.tell() > most:
            what = f"{path.name} unpacks to more than {most / 1e6:,.0f} MB"
            raise BadInput(what, f"unpack it, or set the variable {UNPACKED} to more bytes")
    found.seek(0)
    return found


def _is_data(member: str) -> bool:
    """Whether a member of a zip file is neither a folder nor something that macOS adds."""
    parts = member.split("/")
    return bool(parts[-1]) and not any(part.startswith((".", "__MACOSX")) for part in parts)


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
    is_nested = table.map(lambda value: isinstance(value, list | dict)).any()
    nested = table.loc[:, is_nested].map(lambda value: json.dumps(value).encode())
    plain = to_arrow(table.loc[:, ~is_nested])
    for column in nested:  # as bytes, which no dtype but `ignore` reads
        values = pa.chunked_array([pa.array(nested[column], pa.binary())])
        plain = plain.append_column(str(column), values)
    return plain


def _read_excel(file: IO[bytes], name: str, options: ReadOptions) -> pa.Table:
    found = sheet_tables(file, name, options)
    tables = [to_arrow(pd.DataFrame(rows, columns=header)) for header, rows in found]
    for table in tables:
        _compare_columns(name, table.column_names, tables[0].column_names)
    return _below_each_other(tables)


def _read_parquet(file: IO[bytes], name: str, options: ReadOptions) -> pa.Table:
    table = parquet.read_table(file)
    return table.rename_columns(unique(table.column_names))


READERS: dict[str, Callable[[IO[bytes], str, ReadOptions], pa.Table]] = {
    "csv": read_csv,
    "json lines": _read_json_lines,
    "excel": _read_excel,
    "parquet": _read_parquet,
}


def _check_width(name: str, columns: int) -> None:
    most = limit(WIDTH, MOST_COLUMNS)
    if columns > most:
        what = f"{name} has {columns:,} columns, and more than {most:,} are rarely meant"
        raise BadInput(what, f"choose the columns, or set the variable {WIDTH} to more")


def _simplified(table: pa.Table) -> pa.Table:
    if not table.column_names:
        return table
    return pa.table({name: simplify(table[name]) for name in table.column_names})


def _below_each_other(tables: Sequence[pa.Table]) -> pa.Table:
    names = tables[0].column_names
    return pa.table({name: _stacked([table[name] for table in tables]) for name in names})


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
