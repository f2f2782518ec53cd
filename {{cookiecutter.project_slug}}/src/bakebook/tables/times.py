"""Text becomes times."""

import contextlib
import re
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from bakebook.contracts import ReadOptions
from bakebook.errors import BadInput
from bakebook.tables.columns import WrongValue, is_text, refuse, without_markers
from bakebook.tables.values import as_time

EXAMPLE_TIME = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
NOT_A_TIME = "is not a date or time"
TIME = pa.timestamp("us")
FIRST_TIME = pa.scalar(datetime.min, TIME)
LAST_TIME = pa.scalar(datetime.max, TIME)
# How many digits each part of a time has
DIGITS = {"Y": "4", "m": "1,2", "d": "1,2", "H": "1,2", "M": "1,2", "S": "1,2"}


def convert_times(
    column: pa.ChunkedArray, format_: str, options: ReadOptions, where: str
) -> pa.ChunkedArray:
    """The column as times in UTC, without a zone. Raises WrongValue, or BadInput for the format."""
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
            raise WrongValue(where, row, value, NOT_A_TIME, is_malformed=True) from None
    return pa.chunked_array([pa.array(times, TIME).take(encoded.indices)])


def _within_calendar(
    values: pa.ChunkedArray, written: pa.ChunkedArray, where: str
) -> pa.ChunkedArray:
    """The times, once all are of the years 1 to 9999, which Python has too."""
    is_outside = pc.or_(pc.less(values, FIRST_TIME), pc.greater(values, LAST_TIME))
    refuse(is_outside, written, NOT_A_TIME, where, is_malformed=True)
    return values


def _check_format(format_: str, where: str) -> None:
    try:
        datetime.strptime(EXAMPLE_TIME.strftime(format_), format_)
    except (ValueError, re.error):
        remedy = "write it like %d.%m.%Y %H:%M"
        raise BadInput(f"{where}: '{format_}' is not a time format", remedy) from None


def _as_iso(text: pa.ChunkedArray, format_: str) -> pa.ChunkedArray:
    """Times of a purely numeric format in ISO 8601. Raises ArrowInvalid for any other format or
    value.
    """
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
