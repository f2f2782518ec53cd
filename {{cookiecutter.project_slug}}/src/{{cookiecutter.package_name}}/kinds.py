"""What a column's values are, and how they are written: text becomes numbers, booleans, times, or stays text.

For training and for what the service is sent: it needs pyarrow, and no pandas.
"""

import codecs
import contextlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from .encoding import BOOLEANS, as_text, as_time
from .errors import BadInput, first_line

EXACT = 2**53  # whole numbers beyond it are no longer told apart by a float
GREATEST = 3.4e38  # of the numbers of 32 bits with which a model computes
TIME = pa.timestamp("us")
FIRST, LAST = (pa.scalar(time, TIME) for time in (datetime.min, datetime.max))
EXAMPLE = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)  # which any format can write
DELIMITERS = ",;\t|"
DIGITS = {"Y": "4"} | dict.fromkeys("mdHMS", "1,2")  # of the parts of a time
KINDS = ("number", "integer", "amount", "boolean", "datetime", "text")  # a datetime may name its format
TEXTUAL = (pa.types.is_large_string, pa.types.is_string_view, pa.types.is_dictionary, pa.types.is_null)
PLAIN = (
    pa.types.is_string,
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_timestamp,
    pa.types.is_date,
)
AROUND = r"^[A-Z]{3}\b|\b[A-Z]{3}$|\p{Sc}|%"  # what an amount may hold: EUR, €, %
MARK = re.compile(r"[+-]?\d+(\.\d+)?")  # a mark of missing values that is a number


@dataclass(frozen=True)
class Reading:
    """How a source is read: section `ingest` of params.yaml."""

    file_format: str = "csv"
    encoding: str = "utf-8"
    delimiter: str = ","
    decimal: str = "."
    missing: list[str] = field(default_factory=lambda: [""])
    columns: dict[str, str] = field(default_factory=dict)  # empty: every column as text


class Misfit(BadInput):
    """A value that is not of its column's kind: its row, counted from 0, and the problem, which does not repeat it."""

    def __init__(self, where: str, row: int, value: str, problem: str) -> None:
        shown = value if len(value) <= 40 else f"{value[:40]}…"
        remedy = "mend it, or say what it is: nb data use --missing or --kind, ingest in params.yaml"
        super().__init__(f"{where}, row {row + 1}: '{shown}' {problem} → {remedy}")
        self.row, self.problem = row, problem


def convert(column: pa.ChunkedArray, kind: str, reading: Reading, where: str) -> pa.ChunkedArray:
    """The values of one column as its kind says, null for a missing one; times are in UTC, without saying so.

    Raises Misfit with the first value that is of another kind, BadInput when none could be of it.
    """
    name, _, form = kind.partition(" ")
    if name not in KINDS:
        raise BadInput(f"{where}: '{kind}' is no kind of column → choose from {', '.join(KINDS)} in ingest.columns")
    try:
        if name == "text":
            return without_marks(column, reading)
        if name == "datetime":
            return _datetimes(column, form, reading, where)
        if name == "boolean":
            return _booleans(column, reading, where)
        return _numbers(column, name, reading, where)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise BadInput(f"{where} is not {kind} ({first_line(error)}) → set its kind in ingest.columns") from None


def unique(header: Iterable[Any]) -> list[str]:
    """Names for all columns: blanks around them go, `column 3` for the third without one, `x (2)` for a second x."""
    found: dict[str, None] = {}
    for number, given in enumerate(header, start=1):
        name = base = as_text(given).strip() or f"column {number}"
        count = 1
        while name in found:
            count += 1
            name = f"{base} ({count})"
        found[name] = None
    return list(found)


def simple(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    """The column with the one type for text. Raises BadInput on what no column of a table holds."""
    if any(is_type(column.type) for is_type in TEXTUAL):
        return column.cast(pa.string())
    if not any(is_type(column.type) for is_type in PLAIN):
        raise BadInput(f"{where} holds {column.type} → write it as numbers, times or text")
    return column


def codec(encoding: str) -> str:
    """Python's name of the encoding; UTF-8 with or without its mark at the start."""
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise BadInput(f"there is no encoding '{encoding}' → set ingest.encoding: utf-8, utf-16, cp1252, …") from None
    return "utf-8-sig" if name == "utf-8" else name


def is_text(column: pa.ChunkedArray) -> bool:
    return pa.types.is_string(column.type)


def without_marks(column: pa.ChunkedArray, reading: Reading) -> pa.ChunkedArray:
    """The values as text without blanks around them; the marks of missing values become null."""
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    marked = pc.is_in(text, value_set=pa.array(reading.missing, pa.string()))
    return pc.if_else(marked, pa.scalar(None, pa.string()), text)


def _numbers(column: pa.ChunkedArray, kind: str, reading: Reading, where: str) -> pa.ChunkedArray:
    text = without_marks(column, reading) if is_text(column) else column
    values = _parsed(text, kind, reading, where) if is_text(column) else column.cast(pa.float64(), safe=False)
    marks = pa.array([float(mark) for mark in reading.missing if MARK.fullmatch(mark)], pa.float64())
    gone = pc.or_(pc.is_nan(values), pc.is_in(values, value_set=marks))
    values = pc.if_else(gone, pa.scalar(None, pa.float64()), values)
    _refuse(pc.is_inf(values), text, "is not finite", where)
    _refuse(pc.greater(pc.abs(values), GREATEST), text, "is beyond the numbers of 32 bits", where)
    if kind != "integer":
        return values
    _refuse(pc.greater_equal(pc.abs(values), float(EXACT)), text, "is beyond 2^53, where a number loses digits", where)
    return values.cast(pa.int64())


def _parsed(text: pa.ChunkedArray, kind: str, reading: Reading, where: str) -> pa.ChunkedArray:
    point, group = re.escape(reading.decimal), re.escape("." if reading.decimal == "," else ",")
    patterns = {
        "integer": r"^[+-]?\d+$",
        "number": rf"^[+-]?(\d+({point}\d*)?|{point}\d+)([eE][+-]?\d+)?$",
        "amount": rf"^[+-]?(\d+|\d{{1,3}}({group}\d{{3}})+)({point}\d+)?$",
    }
    written = _bare(text) if kind == "amount" else text
    _refuse(pc.invert(pc.match_substring_regex(written, patterns[kind])), text, f"is no {kind}", where)
    _refuse(pc.greater(pc.utf8_length(written), 400), text, "has too many digits", where)
    if kind == "amount":
        written = pc.replace_substring_regex(written, group, "")
    return pc.replace_substring(written, reading.decimal, ".").cast(pa.float64())


def _bare(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """An amount without its currency; in brackets, as bookkeepers write it, it is below zero."""
    for pattern, instead in ((r"^\((.*)\)$", r"-\1"), (AROUND, ""), (r"[\s'’](\d{3})", r"\1"), (r"^(-?)\s+", r"\1")):
        text = pc.replace_substring_regex(text, pattern, instead)
    return pc.utf8_trim_whitespace(text)


def _booleans(column: pa.ChunkedArray, reading: Reading, where: str) -> pa.ChunkedArray:
    if pa.types.is_boolean(column.type):
        return column
    text = without_marks(column, reading)
    words = pc.utf8_lower(text)
    true, known = (pa.array([word for word, means in BOOLEANS.items() if means or every]) for every in (False, True))
    misfits = pc.and_(pc.is_valid(words), pc.invert(pc.is_in(words, value_set=known)))
    _refuse(misfits, text, "is no yes or no", where)
    return pc.if_else(pc.is_null(words), pa.scalar(None, pa.bool_()), pc.is_in(words, value_set=true))


def _datetimes(column: pa.ChunkedArray, form: str, reading: Reading, where: str) -> pa.ChunkedArray:
    if form:
        _check_format(form, where)
    if not is_text(column):
        values = column.cast(TIME, safe=getattr(column.type, "unit", "") != "ns")  # whose last three digits go
        return _within_calendar(values, column, where)
    text = without_marks(column, reading)
    with contextlib.suppress(pa.ArrowInvalid):  # all are numbers, without a zone: at once
        return _within_calendar((_as_iso(text, form) if form else text).cast(TIME), text, where)
    packed = text.combine_chunks().dictionary_encode()  # each is parsed once, in the order in which they come
    times = []
    for value in packed.dictionary.to_pylist():
        try:
            times.append(as_time(value, form))
        except (ValueError, OverflowError):
            raise Misfit(where, pc.index(text, value).as_py(), value, "is no date or time") from None
    return pa.chunked_array([pa.array(times, TIME).take(packed.indices)])


def _within_calendar(values: pa.ChunkedArray, written: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    """The times, all of which Python has too: those of the years 1 to 9999."""
    _refuse(pc.or_(pc.less(values, FIRST), pc.greater(values, LAST)), written, "is no date or time", where)
    return values


def _check_format(form: str, where: str) -> None:
    try:
        datetime.strptime(EXAMPLE.strftime(form), form)
    except (ValueError, re.error):
        raise BadInput(f"{where}: '{form}' is no format of a time → write it like %d.%m.%Y %H:%M") from None


def _as_iso(text: pa.ChunkedArray, form: str) -> pa.ChunkedArray:
    """The times of a format that has numbers alone, as ISO 8601 has them. Raises ArrowInvalid on any other."""
    pattern = re.sub("%([YmdHMS])", lambda found: rf"(?P<{found[1]}>\d{{{DIGITS[found[1]]}}})", re.escape(form))
    found = pc.extract_regex(text, f"^{pattern}$")
    if "%" in pattern or not {"%Y", "%m", "%d"} <= set(re.findall("%.", form)) or found.null_count > text.null_count:
        raise pa.ArrowInvalid(form)
    named = {field.name: pc.utf8_lpad(pc.struct_field(found, field.name), 2, "0") for field in found.type}
    hour, minute, second = (named.get(part, "00") for part in "HMS")
    day, time = (named["Y"], named["m"], named["d"], "-"), (hour, minute, second, ":")
    return pc.binary_join_element_wise(pc.binary_join_element_wise(*day), pc.binary_join_element_wise(*time), "T")


def _refuse(misfits: pa.ChunkedArray, text: pa.ChunkedArray, problem: str, where: str) -> None:
    """Raises Misfit with the first row that is True; what is missing fits."""
    row = pc.index(misfits, True).as_py()
    if row >= 0:
        raise Misfit(where, row, text.slice(row, 1).cast(pa.string())[0].as_py(), problem)
