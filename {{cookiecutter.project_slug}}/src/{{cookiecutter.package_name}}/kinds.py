"""What a column's values are, and how they are written: text becomes numbers, booleans, times, or stays text."""

import re
from dataclasses import dataclass, field

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from .encoding import BOOLEANS
from .errors import BadInput, first_line

EXACT = 2**53  # whole numbers beyond it are no longer told apart by a float
GREATEST = 3.4e38  # of the numbers of 32 bits with which a model computes
KINDS = ("number", "integer", "amount", "boolean", "datetime", "text")  # a datetime may name its format
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


def convert(column: pa.ChunkedArray, kind: str, reading: Reading, where: str) -> pd.Series:
    """The values of one column as its kind says; a missing one is NaN or NaT. Raises BadInput with the first misfit."""
    name, _, form = kind.partition(" ")
    if name not in KINDS:
        raise BadInput(f"{where}: '{kind}' is no kind of column → choose from {', '.join(KINDS)} in ingest.columns")
    try:
        if name == "text":
            return without_marks(column, reading).to_pandas()
        if name == "datetime":
            return _datetimes(column, form, reading, where)
        if name == "boolean":
            return _booleans(column, reading, where)
        return _numbers(column, name, reading, where)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise BadInput(f"{where} is not {kind} ({first_line(error)}) → set its kind in ingest.columns") from None


def is_text(column: pa.ChunkedArray) -> bool:
    return pa.types.is_string(column.type)


def without_marks(column: pa.ChunkedArray, reading: Reading) -> pa.ChunkedArray:
    """The values as text without blanks around them; the marks of missing values become null."""
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    marked = pc.is_in(text, value_set=pa.array(reading.missing, pa.string()))
    return pc.if_else(marked, pa.scalar(None, pa.string()), text)


def _numbers(column: pa.ChunkedArray, kind: str, reading: Reading, where: str) -> pd.Series:
    text = without_marks(column, reading) if is_text(column) else column
    values = _parsed(text, kind, reading, where) if is_text(column) else column.cast(pa.float64(), safe=False)
    marks = pa.array([float(mark) for mark in reading.missing if MARK.fullmatch(mark)], pa.float64())
    values = pc.if_else(pc.is_in(values, value_set=marks), pa.scalar(None, pa.float64()), values)
    _refuse(pc.is_inf(values), text, "is not finite", where)
    _refuse(pc.greater(pc.abs(values), GREATEST), text, "is beyond the numbers of 32 bits", where)
    if kind != "integer":
        return values.to_pandas()
    _refuse(pc.greater_equal(pc.abs(values), float(EXACT)), text, "is beyond 2^53, where a number loses digits", where)
    return values.cast(pa.int64()).to_pandas()


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


def _booleans(column: pa.ChunkedArray, reading: Reading, where: str) -> pd.Series:
    if pa.types.is_boolean(column.type):
        return column.to_pandas()
    text = without_marks(column, reading)
    words = pc.utf8_lower(text)
    true, known = (pa.array([word for word, means in BOOLEANS.items() if means or every]) for every in (False, True))
    misfits = pc.and_(pc.is_valid(words), pc.invert(pc.is_in(words, value_set=known)))
    _refuse(misfits, text, "is no yes or no", where)
    return pc.if_else(pc.is_null(words), pa.scalar(None, pa.bool_()), pc.is_in(words, value_set=true)).to_pandas()


def _datetimes(column: pa.ChunkedArray, form: str, reading: Reading, where: str) -> pd.Series:
    if is_text(column):
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
