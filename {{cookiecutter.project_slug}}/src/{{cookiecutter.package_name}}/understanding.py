"""Looks at a table that nobody described yet, and proposes how to read it and what each column is to a model."""

import codecs
import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import chardet
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from . import kinds, sources
from .encoding import BOOLEANS
from .errors import BadInput, did_you_mean
from .kinds import DELIMITERS, EXACT, Reading, is_text

SAMPLE = 1 << 20  # bytes that are looked at for encoding and delimiter
WESTERN = 2.5  # how much likelier Windows-1252 is, before a letter is seen, than any other legacy code page
MARKS = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "Null", "null", "?", "-", "--")
MARKS_OF_NUMBERS = ("-", "--")  # in a column of words, these may be words
DATES = (
    *("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%Y-%m-%d", "%Y.%m.%d", "%d-%m-%Y", "%Y%m%d"),
    *("%d %b %Y", "%b %d, %Y", "%d %B %Y"),
)
TIMES = ("", " %H:%M", " %H:%M:%S")
ENDINGS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "json lines",
    ".ndjson": "json lines",
    ".json": "json lines",
}
ENDINGS |= dict.fromkeys((".xlsx", ".xls", ".xlsm", ".xlsb", ".ods"), "excel")
IDENTIFIER = re.compile(r"(^|[\W_])(id|uuid|guid|key|index|nr|no|number|code)$|^unnamed|^column \d+$", re.IGNORECASE)
MISFITS = 3  # different values that are no numbers, among many that are
FEW = 20  # different values up to which whole numbers may be classes, and repeated sentences may be categories


@dataclass(frozen=True)
class Proposal:
    """How to read a source, the task, and each column's role with the reason for it."""

    reading: Reading
    task: str
    task_reason: str
    roles: dict[str, tuple[str, str]]


def look(
    path: Path,
    target: str,
    *,
    task: str = "auto",
    encoding: str = "",
    missing: Iterable[str] = (),
    told: Mapping[str, str] | None = None,
) -> Proposal:
    """Everything that can be proposed for a source; `told` holds the kinds of columns that a person knows better.

    Raises BadInput when it is no table, or the target is unfit.
    """
    reading = look_at_file(path, encoding)
    written = sources.as_written(path, reading)
    _check_target(path.name, target, written)
    reading = replace(reading, missing=_marks(written, missing), decimal=_decimal(written, reading))
    found = {name: _kind(written[name], reading, is_target=name == target) for name in written.column_names}
    for name in told or {}:
        if name not in found:
            raise BadInput(f"{path.name} has no column '{name}'{did_you_mean(name, found)} → mend --kind")
    reading = replace(reading, columns=found | dict(told or {}))
    table = sources.read(path, reading)
    task, why = _task(table[target], reading.columns[target], task)
    return Proposal(reading, task, why, roles(table, target, reading.columns))


def columns(path: Path, encoding: str = "") -> list[str]:
    """The names of the columns of a source."""
    return sources.as_written(path, look_at_file(path, encoding)).column_names


def look_at_file(path: Path, encoding: str = "") -> Reading:
    """Format, encoding and delimiter, from the first file of the source."""
    for name, opened in sources.files(path):
        start = opened.read(SAMPLE)
        opened.seek(0)
        kind = _format(name, start)
        if kind == "excel" or kind == "parquet":
            return Reading(file_format=kind)
        if not start.strip():
            raise BadInput(f"{name} is empty → choose another file")
        encoding = encoding or _encoding(opened, start)
        text = start.decode(kinds.codec(encoding), errors="ignore")
        if kind == "csv" and _unprintable(text):
            raise BadInput(
                f"{name} is no table: it holds bytes that are no text → choose CSV, Excel, Parquet or JSON Lines"
            )
        delimiter = _delimiter(text) if kind == "csv" else ","
        return Reading(file_format=kind, encoding=encoding, delimiter=delimiter)
    raise BadInput(f"{path.name} holds no file → choose another")


def roles(table: pd.DataFrame, target: str, kinds: dict[str, str]) -> dict[str, tuple[str, str]]:
    """The role of each column but the target, with the reason."""
    return {str(name): _role(str(name), table[name], kinds[str(name)]) for name in table.columns if name != target}


def _format(name: str, start: bytes) -> str:
    path = Path(name)
    ending = Path(path.stem).suffix if path.suffix.lower() in {".gz", ".zip"} else path.suffix
    if start.startswith(b"PAR1"):
        return "parquet"
    if start.startswith(b"\xd0\xcf\x11\xe0") or (start.startswith(b"PK\x03\x04")):
        return "excel"
    return "json lines" if start.lstrip().startswith(b"{") else ENDINGS.get(ending.lower(), "csv")


def _encoding(opened: Any, start: bytes) -> str:
    """UTF-16 by its mark, UTF-8 when all of it is, else what chardet finds most likely, with a liking for Western."""
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while block := opened.read(SAMPLE):
            decoder.decode(block)
        return "utf-8"
    except UnicodeDecodeError:
        found = chardet.detect_all(start + block, encoding_era=chardet.EncodingEra.MODERN_WEB, ignore_threshold=True)
        sure = {one["encoding"]: one["confidence"] for one in found if one["encoding"]}
        best = max(sure, key=lambda name: sure[name] * (WESTERN if name == "Windows-1252" else 1), default="cp1252")
        return codecs.lookup(best).name
    finally:
        opened.seek(0)


def _unprintable(text: str) -> bool:
    strange = sum(letter < " " and letter not in "\t\r\n\f" for letter in text[:10_000])
    return strange > len(text[:10_000]) / 50


def _delimiter(text: str) -> str:
    """The one that gives the same number of values in the most of the first lines, and the most values."""
    lines = [line[:10_000] for line in text.splitlines(keepends=True)[:200]]

    def fit(delimiter: str) -> tuple[float, int]:
        try:
            counts = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
        except csv.Error:  # a quote that never closes: reading names its row
            return 0.0, 1
        width = counts[0] if counts else 1
        return (sum(count == width for count in counts) / max(1, len(counts)) if width > 1 else 0.0), width

    best = max(DELIMITERS, key=fit)
    return best if fit(best)[1] > 1 else ","


def _check_target(name: str, target: str, table: pa.Table) -> None:
    found = table.column_names
    if target not in found:
        near = did_you_mean(target, found) or f" → choose one of {', '.join(found[:20])}"
        raise BadInput(f"{name} has no column '{target}' to predict{near}")
    if f"{target} (2)" in found:
        raise BadInput(f"{name} has two columns '{target}' → rename one of them, so that the target is clear")
    if table.num_rows == 1:
        raise BadInput(f"{name} has one row → a model needs rows to learn from and rows to be tested on")


def _distinct(column: pa.ChunkedArray) -> pa.Array:
    return pc.utf8_trim_whitespace(pc.unique(column).cast(pa.string())).drop_null()


def _marks(table: pa.Table, told: Iterable[str]) -> list[str]:
    """What stands for a missing value: what is known to, and is there, and what was told."""
    found = {""}
    for name in table.column_names:
        if is_text(table[name]):
            values = _distinct(table[name])
            known = pc.is_in(values, value_set=pa.array(MARKS))
            here = set(values.filter(known).to_pylist())
            numbers = _share(values.filter(pc.invert(known)), NUMBER) > 0.5
            found |= here if numbers else here - set(MARKS_OF_NUMBERS)
    found |= set(told)
    return [mark for mark in MARKS if mark in found] + [mark for mark in told if mark not in MARKS]


NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
# A comma, or a point, that can only stand before decimals: 1,5 or 0,125 or 1.234,50, but not 1,234.
DECISIVE = {
    ",": r"^[+-]?((\d+|\d{1,3}(\.\d{3})+),(\d{1,2}|\d{4,})|0,\d+|\d{1,3}(\.\d{3})+,\d+)$",
    ".": r"^[+-]?((\d+|\d{1,3}(,\d{3})+)\.(\d{1,2}|\d{4,})|0\.\d+|\d{1,3}(,\d{3})+\.\d+)$",
}


def _share(values: pa.Array, pattern: str) -> float:
    matches = pc.match_substring_regex(values, pattern)
    return (pc.sum(matches).as_py() or 0) / max(1, len(values))


def _decimal(table: pa.Table, reading: Reading) -> str:
    """The sign that more columns can only mean so; in doubt a comma where semicolons part the values."""
    columns = [_distinct(table[name]) for name in table.column_names if is_text(table[name])]
    count = {sign: sum(_share(values, DECISIVE[sign]) > 0.1 for values in columns) for sign in DECISIVE}
    if count[","] == count["."]:
        doubtful = any(_share(values, r"^[+-]?\d+,\d+$") > 0.5 for values in columns)
        return "," if doubtful and reading.delimiter == ";" and not count["."] else "."
    return "," if count[","] > count["."] else "."


def _kind(column: pa.ChunkedArray, reading: Reading, is_target: bool) -> str:
    if not is_text(column):
        return _native_kind(column)
    values = kinds.without_marks(pa.chunked_array([_distinct(column)]), reading).drop_null()
    if not len(values):
        return "text"
    codes = _share(values, r"^[+-]?0\d")  # 00123 is a code, not a number
    if _share(values, r"^\d{16,}$") > 0.5:  # so is what a float cannot hold
        return "text"
    if not codes and _fits(values, "integer", reading):
        return "integer"
    if not codes and _share(values, r"^[+-]?\d+$") == 1:
        return "integer"  # which reading refuses, with the row
    if not codes and _fits(values, "number", reading):
        return "number"
    if (
        not is_target
        and set(pc.utf8_lower(values).to_pylist()[:3]) <= set(BOOLEANS)
        and _fits(values, "boolean", reading)
    ):
        return "boolean"
    if when := _date(values, reading):
        return when
    if not codes and _fits(values, "amount", reading):
        return "amount"
    return "number" if not codes and _all_but_numbers(values) else "text"


def _native_kind(column: pa.ChunkedArray) -> str:
    if pa.types.is_boolean(column.type):
        return "boolean"
    if pa.types.is_integer(column.type):
        beyond = (
            column.null_count < len(column)
            and (pc.max(pc.abs(column.cast(pa.float64(), safe=False))).as_py() or 0) >= EXACT
        )
        return "text" if beyond else "integer"
    if pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        whole = column.null_count < len(column) and pc.all(pc.equal(column, pc.floor(column))).as_py()
        return (
            "integer"
            if whole and pa.types.is_floating(column.type) and pc.max(pc.abs(column)).as_py() < EXACT
            else "number"
        )
    return "datetime" if pa.types.is_temporal(column.type) else "text"


def _all_but_numbers(values: pa.ChunkedArray) -> bool:
    """Whether a few misfits stand among many numbers: reading then names the first, instead of taking all for words."""
    numbers = round(_share(values, NUMBER) * len(values))
    return numbers > FEW and len(values) - numbers <= MISFITS


def _fits(values: pa.ChunkedArray, kind: str, reading: Reading) -> bool:
    try:
        kinds.convert(values, kind, reading, "")
    except BadInput:
        return False
    return True


def _date(values: pa.ChunkedArray, reading: Reading) -> str:
    """`datetime` for ISO 8601, with the format for others, the first that fits all values; else nothing."""
    if _share(values, r"\d") < 1 or _share(values, r"^.{6,35}$") < 1:
        return ""
    formats = ["", *(date + time for date in DATES for time in TIMES)]
    kinds = [f"datetime {form}".strip() for form in formats]
    return next((kind for kind in kinds if _fits(values, kind, reading)), "")


def _task(target: pd.Series, kind: str, task: str) -> tuple[str, str]:
    """The task and why. Raises BadInput when only a person can tell, or when there is nothing to learn."""
    values, name = target.dropna(), target.name
    count = values.nunique()
    if not len(values):
        raise BadInput(f"column '{name}' has no values → choose another target")
    if count < 2:
        raise BadInput(f"column '{name}' has one value only, '{values.iloc[0]}' → choose another target")
    numeric = kind in {"number", "integer", "amount"}
    if task == "regression" and not numeric:
        raise BadInput(f"column '{name}' holds no numbers, so it is not for regression → --task classification")
    if task != "auto":
        return task, "as you said"
    if not numeric:
        return "classification", f"{count} different words"
    if count == 2:
        return "classification", f"two values, {values.min():g} and {values.max():g}"
    if kind == "integer" and count <= FEW:
        raise BadInput(
            f"column '{name}' has {count} different whole numbers: are they classes or amounts?"
            " → --task classification, or --task regression"
        )
    return "regression", f"{count} different numbers"


def _role(name: str, column: pd.Series, kind: str) -> tuple[str, str]:
    values = column.dropna()
    rows, count = len(column), values.nunique()
    if not len(values):
        return "empty", "no value at all"
    if count == 1 and len(values) == rows:
        return "constant", f"always {str(values.iloc[0])[:40]!r}"
    if kind == "boolean":
        return "boolean", "yes or no"
    if kind.startswith("datetime"):
        return "datetime", f"{values.min():%Y-%m-%d} to {values.max():%Y-%m-%d}"
    if kind != "text":
        return _role_of_numbers(name, values, kind, rows, count)
    words = values.astype(str).str.count(r"\S+")
    if count == rows and rows > FEW and words.mean() < 1.5:
        return "identifier", "another text in each row, of one word"
    if words.mean() >= 3 and count > FEW and count > rows / 10:
        return "text", f"{words.mean():.0f} words on average"
    return "categorical", f"{count} different texts" if count > 1 else f"{str(values.iloc[0])[:40]!r}, or nothing"


def _role_of_numbers(name: str, values: pd.Series, kind: str, rows: int, count: int) -> tuple[str, str]:
    if kind == "integer" and count == rows and rows > FEW:
        if values.max() - values.min() + 1 == rows:
            return "identifier", "the rows' own numbers"
        if IDENTIFIER.search(name):
            return "identifier", "another number in each row, and the name of a key"
    return "numeric", f"{count} different numbers"
