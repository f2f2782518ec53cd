"""What a column's values are: text becomes numbers, booleans or times, or stays text.

One code for training and for the service: it needs pyarrow, but not pandas.
"""

import codecs
import contextlib
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bakebook.contracts import ReadOptions
from bakebook.errors import BadInput, first_line
from bakebook.tables.values import BOOLEANS, GREATEST_FLOAT32, as_text, as_time

DTYPES = (
    "number",
    "integer",
    "amount",
    "boolean",
    "datetime",
    "text",
)  # a datetime may name its format
NUMERIC_DTYPES = ("number", "integer", "amount")
DELIMITERS = ",;\t|"
EXACT = 2**53  # a float cannot tell greater whole numbers apart
EXAMPLE_TIME = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
LONGEST_NUMBER = 400  # letters
LONGEST_SHOWN = 40  # letters of a value in a message
SET_DTYPE = "set its dtype in ingest.columns"

TIME = pa.timestamp("us")
FIRST_TIME = pa.scalar(datetime.min, TIME)
LAST_TIME = pa.scalar(datetime.max, TIME)
DIGITS = {
    "Y": "4",
    "m": "1,2",
    "d": "1,2",
    "H": "1,2",
    "M": "1,2",
    "S": "1,2",
}  # of the parts of a time
CURRENCY = r"^[A-Z]{3}\b|\b[A-Z]{3}$|\p{Sc}|%"  # what an amount may contain: EUR, €, %
NUMERIC_MARKER = re.compile(r"[+-]?\d+(\.\d+)?")

TEXT_TYPES = (
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_dictionary,
    pa.types.is_null,
)
PLAIN_TYPES = (
    pa.types.is_string,
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_timestamp,
    pa.types.is_date,
)


class WrongValue(BadInput):
    """A value that does not have its column's dtype: its row, counted from 0, and the problem without the value."""

    def __init__(self, where: str, row: int, value: str, problem: str) -> None:
        shown = value if len(value) <= LONGEST_SHOWN else f"{value[:LONGEST_SHOWN]}…"
        super().__init__(
            f"{where}, row {row + 1}: '{shown}' {problem}",
            "fix the value, or declare it: nb data use --missing or --dtype, ingest in params.yaml",
        )
        self.row = row
        self.problem = problem


def convert(
    column: pa.ChunkedArray, dtype: str, options: ReadOptions, where: str
) -> pa.ChunkedArray:
    """The values of one column with its dtype, null for a missing one; times are in UTC, without a zone.

    `where` begins the message of an error. Raises WrongValue with the first value of another dtype, BadInput when
    none could have it.
    """
    name, _, format_ = dtype.partition(" ")
    if name not in DTYPES:
        choices = ", ".join(DTYPES)
        raise BadInput(
            f"{where}: '{dtype}' is not a dtype", f"choose from {choices} in ingest.columns"
        )
    try:
        if name == "text":
            return without_markers(column, options)
        if name == "datetime":
            return _convert_times(column, format_, options, where)
        if name == "boolean":
            return _convert_booleans(column, options, where)
        return _convert_numbers(column, name, options, where)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise BadInput(f"{where} is not {dtype} ({first_line(error)})", SET_DTYPE) from None


def unique(header: Iterable[Any]) -> list[str]:
    """Column names without blanks around them; `column 3` for the third without one, `x (2)` for a second x."""
    found: dict[str, None] = {}
    for number, given in enumerate(header, start=1):
        base = as_text(given).strip() or f"column {number}"
        name = base
        count = 1
        while name in found:
            count += 1
            name = f"{base} ({count})"
        found[name] = None
    return list(found)


def simplify(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    """The column with the one type for text. Raises BadInput on what no column of a table contains."""
    if any(is_type(column.type) for is_type in TEXT_TYPES):
        return column.cast(pa.string())
    if not any(is_type(column.type) for is_type in PLAIN_TYPES):
        raise BadInput(f"{where} holds {column.type}", "write it as numbers, times or text")
    return column


def codec(encoding: str) -> str:
    """Python's name of the encoding; UTF-8 with or without a byte order mark."""
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        remedy = "set ingest.encoding: utf-8, utf-16, cp1252, …"
        raise BadInput(f"there is no encoding '{encoding}'", remedy) from None
    return "utf-8-sig" if name == "utf-8" else name


def is_text(column: pa.ChunkedArray) -> bool:
    """Whether the column holds text."""
    return pa.types.is_string(column.type)


def without_markers(column: pa.ChunkedArray, options: ReadOptions) -> pa.ChunkedArray:
    """The values as text without blanks around them; missing-value markers become null."""
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    is_missing = pc.is_in(text, value_set=pa.array(options.missing, pa.string()))
    return pc.if_else(is_missing, pa.scalar(None, pa.string()), text)


def _convert_numbers(
    column: pa.ChunkedArray, dtype: str, options: ReadOptions, where: str
) -> pa.ChunkedArray:
    written = column
    if is_text(column):
        written = without_markers(column, options)
        values = _parse_numbers(written, dtype, options, where)
    else:
        values = column.cast(pa.float64(), safe=False)
    values = _without_numeric_markers(values, options)
    _refuse(pc.is_inf(values), written, "is not finite", where)
    too_great = pc.greater(pc.abs(values), GREATEST_FLOAT32)
    _refuse(too_great, written, "is beyond the numbers of 32 bits", where)
    if dtype != "integer":
        return values
    inexact = pc.greater_equal(pc.abs(values), float(EXACT))
    _refuse(inexact, written, "is beyond 2^53, where a number loses digits", where)
    return values.cast(pa.int64())


def _without_numeric_markers(values: pa.ChunkedArray, options: ReadOptions) -> pa.ChunkedArray:
    markers = [float(marker) for marker in options.missing if NUMERIC_MARKER.fullmatch(marker)]
    is_marker = pc.is_in(values, value_set=pa.array(markers, pa.float64()))
    is_missing = pc.or_(pc.is_nan(values), is_marker)
    return pc.if_else(is_missing, pa.scalar(None, pa.float64()), values)


def _parse_numbers(
    text: pa.ChunkedArray, dtype: str, options: ReadOptions, where: str
) -> pa.ChunkedArray:
    point = re.escape(options.decimal)
    separator = re.escape("." if options.decimal == "," else ",")
    patterns = {
        "integer": r"^[+-]?\d+$",
        "number": rf"^[+-]?(\d+({point}\d*)?|{point}\d+)([eE][+-]?\d+)?$",
        "amount": rf"^[+-]?(\d+|\d{{1,3}}({separator}\d{{3}})+)({point}\d+)?$",
    }
    written = _without_currency(text) if dtype == "amount" else text
    is_number = pc.match_substring_regex(written, patterns[dtype])
    _refuse(pc.invert(is_number), text, f"is no {dtype}", where)
    too_long = pc.greater(pc.utf8_length(written), LONGEST_NUMBER)
    _refuse(too_long, text, "has too many digits", where)
    if dtype == "amount":
        written = pc.replace_substring_regex(written, separator, "")
    return pc.replace_substring(written, options.decimal, ".").cast(pa.float64())


def _without_currency(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """An amount as a plain number; in brackets, as accountants write it, it is negative."""
    replacements = (
        (r"^\((.*)\)$", r"-\1"),
        (CURRENCY, ""),
        (r"[\s'’](\d{3})", r"\1"),
        (r"^(-?)\s+", r"\1"),
    )
    for pattern, replacement in replacements:
        text = pc.replace_substring_regex(text, pattern, replacement)
    return pc.utf8_trim_whitespace(text)


def _convert_booleans(column: pa.ChunkedArray, options: ReadOptions, where: str) -> pa.ChunkedArray:
    if pa.types.is_boolean(column.type):
        return column
    text = without_markers(column, options)
    words = pc.utf8_lower(text)
    known = pa.array(list(BOOLEANS))
    true = pa.array([word for word, value in BOOLEANS.items() if value])
    is_unknown = pc.and_(pc.is_valid(words), pc.invert(pc.is_in(words, value_set=known)))
    _refuse(is_unknown, text, "is neither true nor false", where)
    return pc.if_else(
        pc.is_null(words), pa.scalar(None, pa.bool_()), pc.is_in(words, value_set=true)
    )


def _convert_times(
    column: pa.ChunkedArray, format_: str, options: ReadOptions, where: str
) -> pa.ChunkedArray:
    if format_:
        _check_format(format_, where)
    if not is_text(column):
        has_nanoseconds = getattr(column.type, "unit", "") == "ns"  # which are cut off
        return _within_calendar(column.cast(TIME, safe=not has_nanoseconds), column, where)
    text = without_markers(column, options)
    with contextlib.suppress(pa.ArrowInvalid):  # Arrow converts numbers without a zone all at once
        iso = _as_iso(text, format_) if format_ else text
        return _within_calendar(iso.cast(TIME), text, where)
    return _parse_times(text, format_, where)


def _parse_times(text: pa.ChunkedArray, format_: str, where: str) -> pa.ChunkedArray:
    """Parses each distinct value once, in the order of the rows."""
    encoded = text.combine_chunks().dictionary_encode()
    times = []
    for value in encoded.dictionary.to_pylist():
        try:
            times.append(as_time(value, format_))
        except (ValueError, OverflowError):
            row = pc.index(text, value).as_py()
            raise WrongValue(where, row, value, "is no date or time") from None
    return pa.chunked_array([pa.array(times, TIME).take(encoded.indices)])


def _within_calendar(
    values: pa.ChunkedArray, written: pa.ChunkedArray, where: str
) -> pa.ChunkedArray:
    """The times, once all are of the years 1 to 9999, which Python has too."""
    is_outside = pc.or_(pc.less(values, FIRST_TIME), pc.greater(values, LAST_TIME))
    _refuse(is_outside, written, "is no date or time", where)
    return values


def _check_format(format_: str, where: str) -> None:
    try:
        datetime.strptime(EXAMPLE_TIME.strftime(format_), format_)
    except (ValueError, re.error):
        remedy = "write it like %d.%m.%Y %H:%M"
        raise BadInput(f"{where}: '{format_}' is no format of a time", remedy) from None


def _as_iso(text: pa.ChunkedArray, format_: str) -> pa.ChunkedArray:
    """Times of a purely numeric format in ISO 8601. Raises ArrowInvalid for any other format or value."""
    pattern = re.sub("%([YmdHMS])", _named_group, re.escape(format_))
    found = pc.extract_regex(text, f"^{pattern}$")
    parts = set(re.findall("%.", format_))
    is_numeric = "%" not in pattern and {"%Y", "%m", "%d"} <= parts
    if not is_numeric or found.null_count > text.null_count:
        raise pa.ArrowInvalid(format_)
    named = {}
    for field in found.type:
        named[field.name] = pc.utf8_lpad(pc.struct_field(found, field.name), 2, "0")
    date = pc.binary_join_element_wise(named["Y"], named["m"], named["d"], "-")
    clock = [named.get(part, "00") for part in "HMS"]
    time = pc.binary_join_element_wise(*clock, ":")
    return pc.binary_join_element_wise(date, time, "T")


def _named_group(match: re.Match[str]) -> str:
    part = match[1]
    return rf"(?P<{part}>\d{{{DIGITS[part]}}})"


def _refuse(is_wrong: pa.ChunkedArray, text: pa.ChunkedArray, problem: str, where: str) -> None:
    """Raises WrongValue with the first row for which `is_wrong` is True; null counts as right."""
    row = pc.index(is_wrong, True).as_py()
    if row >= 0:
        value = text.slice(row, 1).cast(pa.string())[0].as_py()
        raise WrongValue(where, row, value, problem)
