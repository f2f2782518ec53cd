"""What a column's values are: text becomes numbers, booleans or times, or stays text.

One code for training and for the service: it needs pyarrow, but not pandas.
"""

import codecs
import re
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from bakebook.contracts import ReadOptions
from bakebook.errors import BadInput, first_line
from bakebook.params import DTYPES
from bakebook.tables.columns import folded, is_plain, is_text, refuse, without_markers
from bakebook.tables.notations import are_of_one_unit, plain
from bakebook.tables.times import convert_times
from bakebook.tables.values import BOOLEANS, GREATEST_FLOAT32, NUMERIC_MARKER, as_text

NUMERIC_DTYPES = ("number", "integer", "amount")
DELIMITERS = ",;\t|"
EXACT = 2**53  # a float cannot tell greater whole numbers apart
LONGEST_NUMBER = 400  # characters
SET_DTYPE = "set its dtype in ingest.columns"
A_DTYPE = {"number": "a number", "integer": "an integer", "amount": "an amount"}


def convert(
    column: pa.ChunkedArray, dtype: str, options: ReadOptions, where: str
) -> pa.ChunkedArray:
    """The values of one column with its dtype, null for a missing one; times are in UTC, without a
    zone.

    `where` begins the message of an error. Raises WrongValue with the first value of another dtype,
    BadInput when none could have it.
    """
    name, _, format_ = dtype.partition(" ")
    if name not in DTYPES:
        choices = ", ".join(DTYPES)
        raise BadInput(
            f"{where}: '{dtype}' is not a dtype", f"choose from {choices} in ingest.columns"
        )
    if not is_plain(column):
        raise BadInput(
            f"{where} contains {column.type}",
            "write it as numbers, times or text, or set its dtype to ignore in ingest.columns",
        )
    try:
        if name == "text":
            return without_markers(column, options)
        if name == "folded":
            return folded(column, options)
        if name == "datetime":
            return convert_times(column, format_, options, where)
        if name == "boolean":
            return _convert_booleans(column, options, where)
        return _convert_numbers(column, name, options, where)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise BadInput(f"{where} is not {dtype} ({first_line(error)})", SET_DTYPE) from None


def unique(header: Iterable[object]) -> list[str]:
    """Column names without blanks around them; `column 3` for the third without one, `x (2)` for a
    second x.
    """
    found: dict[str, None] = {}
    counts: dict[str, int] = {}  # so that many equal names take no longer than others
    for number, given in enumerate(header, start=1):
        base = as_text(given).strip() or f"column {number}"
        name = base
        while name in found:
            counts[base] = counts.get(base, 1) + 1
            name = f"{base} ({counts[base]})"
        found[name] = None
    return list(found)


def codec(encoding: str) -> str:
    """Python's name of the encoding; UTF-8 with or without a byte order mark."""
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        remedy = "set ingest.encoding: utf-8, utf-16, cp1252, …"
        raise BadInput(f"there is no encoding '{encoding}'", remedy) from None
    return "utf-8-sig" if name == "utf-8" else name


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
    refuse(pc.is_inf(values), written, "is not finite", where)
    too_great = pc.greater(pc.abs(values), GREATEST_FLOAT32)
    refuse(too_great, written, "is too large for a 32-bit float", where)
    if dtype != "integer":
        return values
    inexact = pc.greater_equal(pc.abs(values), float(EXACT))
    refuse(inexact, written, "is 2^53 or more, where integers lose digits", where)
    return values.cast(pa.int64())


def _without_numeric_markers(values: pa.ChunkedArray, options: ReadOptions) -> pa.ChunkedArray:
    markers = [float(marker) for marker in options.missing if NUMERIC_MARKER.fullmatch(marker)]
    is_marker = pc.is_in(values, value_set=pa.array(markers, pa.float64()))
    is_missing = pc.or_(pc.is_nan(values), is_marker)
    return pc.if_else(is_missing, pa.scalar(None, pa.float64()), values)


def _parse_numbers(
    text: pa.ChunkedArray, dtype: str, options: ReadOptions, where: str
) -> pa.ChunkedArray:
    if dtype == "amount":
        return _parse_amounts(text, options, where)
    point = re.escape(options.decimal)
    patterns = {
        "integer": r"^[+-]?\d+$",
        "number": rf"^[+-]?(\d+({point}\d*)?|{point}\d+)([eE][+-]?\d+)?$",
    }
    is_number = pc.match_substring_regex(text, patterns[dtype])
    refuse(pc.invert(is_number), text, f"is not {A_DTYPE[dtype]}", where, is_malformed=True)
    too_long = pc.greater(pc.utf8_length(text), LONGEST_NUMBER)
    refuse(too_long, text, "has too many digits", where)
    return pc.replace_substring(text, options.decimal, ".").cast(pa.float64())


def _parse_amounts(text: pa.ChunkedArray, options: ReadOptions, where: str) -> pa.ChunkedArray:
    """Numbers in any notation, all of one unit: 5 of $5 and 5 of 5 % are different things."""
    values, units = plain(text, options.decimal)
    is_missed = pc.and_(pc.is_null(values), pc.is_valid(text))
    refuse(is_missed, text, "is not an amount", where, is_malformed=True)
    if not are_of_one_unit(units):
        counts = pc.value_counts(units.drop_null()).to_pylist()
        usual = max(counts, key=lambda one: one["counts"])["values"]
        other = pc.and_(pc.is_valid(units), pc.not_equal(units, usual))
        named = f"in {usual}" if usual else "without a unit"
        refuse(other, text, f"has another unit than the values {named}", where, is_malformed=True)
    return values


def _convert_booleans(column: pa.ChunkedArray, options: ReadOptions, where: str) -> pa.ChunkedArray:
    if pa.types.is_boolean(column.type):
        return column
    text = without_markers(column, options)
    words = pc.utf8_lower(text)
    known = pa.array(list(BOOLEANS))
    true = pa.array([word for word, value in BOOLEANS.items() if value])
    is_unknown = pc.and_(pc.is_valid(words), pc.invert(pc.is_in(words, value_set=known)))
    refuse(is_unknown, text, "is neither true nor false", where, is_malformed=True)
    return pc.if_else(
        pc.is_null(words), pa.scalar(None, pa.bool_()), pc.is_in(words, value_set=true)
    )
