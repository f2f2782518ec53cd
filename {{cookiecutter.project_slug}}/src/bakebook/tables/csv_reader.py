"""Reads CSV files, and names the row of whatever breaks them."""

import codecs
import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from bakebook.contracts import ReadOptions
from bakebook.errors import BadInput, first_line
from bakebook.tables.dtypes import codec, unique
from bakebook.tables.layout import cut, layout_of
from bakebook.tables.values import LONGEST_VALUE

BLOCK_BYTES = 1 << 24  # that Arrow parses at a time; no row may be longer
FIX_FILE = "fix the file, or run nb data use to inspect it again"


def read_header(file: IO[bytes], name: str, options: ReadOptions) -> tuple[list[str], int]:
    """The column names of a CSV file, each once, and how many lines they take."""
    start = file.tell()
    text = io.TextIOWrapper(file, encoding=codec(options.encoding), newline="")
    try:
        with readable(name):
            rows = csv.reader(text, delimiter=options.delimiter)
            header = next((row for row in rows if row), [])
            return unique(header), rows.line_num
    finally:
        text.detach()
        file.seek(start)


def read_csv(file: IO[bytes], name: str, options: ReadOptions) -> pa.Table:
    has_odd_quotes = _scan(file, name, options.encoding)
    if not layout_of(options).is_plain:
        file, options = _cut(file, name, options)
    header, header_lines = read_header(file, name, options)
    if not header:
        raise BadInput(f"{name} is empty", FIX_FILE)
    wrong_rows: list[object] = []

    def note_wrong_row(row: object) -> str:
        wrong_rows.append(row)
        return "skip"

    table = arrow_csv.read_csv(
        file,
        read_options=arrow_csv.ReadOptions(
            block_size=BLOCK_BYTES,
            use_threads=False,
            column_names=header,
            skip_rows=header_lines,
            encoding=codec(options.encoding),
        ),
        parse_options=arrow_csv.ParseOptions(
            delimiter=options.delimiter,
            newlines_in_values=True,
            invalid_row_handler=note_wrong_row,
        ),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()), null_values=[]
        ),
    )
    if wrong_rows:
        raise _wrong_width(name, wrong_rows[0], len(header), header_lines, has_odd_quotes)
    _check_lengths(table, name)
    if has_odd_quotes and _ends_in_open_quote(table):
        raise _open_quote(name, table.num_rows)
    return table


def _cut(file: IO[bytes], name: str, options: ReadOptions) -> tuple[IO[bytes], ReadOptions]:
    """The table alone, without what stands above and below it, as a plain CSV file."""
    text = io.TextIOWrapper(file, encoding=codec(options.encoding), newline="")
    with readable(name):
        rows = list(csv.reader(text, delimiter=options.delimiter))
    text.detach()
    layout = layout_of(options)
    header, body = cut(rows, layout, name)
    first = layout.skip_rows + layout.header_rows
    for number, row in enumerate(rows[first : len(rows) - layout.footer_rows], 1):
        if row and len(row) != len(header):
            what = f"{name}: row {number} has {len(row)} values, the header {len(header)}"
            raise BadInput(what, FIX_FILE)
    plain = io.StringIO()
    csv.writer(plain, lineterminator="\n").writerows([header, *body])
    found = ReadOptions(columns=options.columns)
    return io.BytesIO(plain.getvalue().encode()), found


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


def _scan(file: IO[bytes], name: str, encoding: str) -> bool:
    """Decodes the whole file, raises BadInput on what is not text; whether the number of quotes is
    odd.
    """
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
def readable(name: str) -> Iterator[None]:
    """Turns whatever a library raises on a broken file into one sentence; each has exceptions of
    its own.
    """
    try:
        yield
    except BadInput:
        raise
    except Exception as error:
        raise BadInput(
            f"{name} cannot be read as a table ({first_line(error)})", FIX_FILE
        ) from None
