"""How values become the tensors of the model: one code for training and for serving. It needs numpy only."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

LONGEST = 100_000  # letters of one value: what is longer is a broken file, not a value
OTHER = "\N{REPLACEMENT CHARACTER}"  # stands for every category that was too rare, or absent, when the model learned
PAIRS = ("true false", "yes no", "y n", "t f", "on off", "ja nein", "oui non", "si no", "sí no", "wahr falsch", "是 否")
BOOLEANS = {word: number == 0 for pair in PAIRS for number, word in enumerate(pair.split())}  # as tables write them
WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\w\w+")  # scripts without blanks: each sign is a word

# part of a time: its value from seconds, days, months and years since 1970, each (n,)
PARTS: dict[str, Callable[[Any, Any, Any, Any], np.ndarray]] = {
    "days": lambda seconds, days, months, years: days,
    "year": lambda seconds, days, months, years: years + 1970,
    "month": lambda seconds, days, months, years: months - years * 12 + 1,
    "day": lambda seconds, days, months, years: (
        days - months.astype("datetime64[M]").astype("datetime64[D]").astype("int64") + 1
    ),
    "weekday": lambda seconds, days, months, years: (days + 3) % 7,  # Monday is 0
    "hour": lambda seconds, days, months, years: seconds // 3600 - days * 24,
}


def encode(column: Mapping[str, Any], values: Iterable[Any]) -> dict[str, np.ndarray]:
    """The tensors (n,) of one input of the schema, by name: float32 for numbers, booleans and times, else text.

    Raises ValueError when a value is not of the column's type. A missing one is None, NaN or NaT.
    """
    return _ENCODERS[column["type"]](column, values)


def tensor_types(column: Mapping[str, Any]) -> dict[str, str]:
    """The names of the tensors of one input, and whether each holds a number, a category or a text."""
    if column["type"] == "datetime":
        return {f"{column['name']} ({part})": "number" for part in column["parts"]}
    return {column["name"]: "number" if column["type"] == "boolean" else column["type"]}


def as_text(value: Any) -> str:
    """A category as text: nothing for a missing one, 3 for 3.0."""
    if value is None or value != value:
        return ""
    whole = isinstance(value, float | np.floating) and value.is_integer()
    return str(int(value)) if whole else str(value)


def as_time(text: str, form: str = "") -> datetime:
    """A time in UTC, without saying so, from ISO 8601 (a year or a month is its first day) or a format of strptime.

    Raises ValueError on anything else, OverflowError on a time that has no place in UTC.
    """
    if form:
        found = datetime.strptime(text, form)
    else:
        found = datetime.fromisoformat(text + "-01-01"[len(text) - 4 :] if len(text) in (4, 7) else text)
    return _in_utc(found)


def parts_of_time(values: Iterable[Any]) -> dict[str, np.ndarray]:
    """Every part of PARTS as float32 (n,); a time without a zone is taken for UTC."""
    seconds = _times(values)
    gone = np.isnat(seconds)
    units = [seconds.astype(f"datetime64[{unit}]").astype("int64") for unit in "sDMY"]
    return {part: np.where(gone, np.nan, find(*units)).astype(np.float32) for part, find in PARTS.items()}


def _numbers(column: Mapping[str, Any], values: Iterable[Any]) -> dict[str, np.ndarray]:
    return {column["name"]: np.asarray(values, dtype=np.float32)}


def _datetimes(column: Mapping[str, Any], values: Iterable[Any]) -> dict[str, np.ndarray]:
    found = parts_of_time(values)
    return {f"{column['name']} ({part})": found[part] for part in column["parts"]}


def _categories(column: Mapping[str, Any], values: Iterable[Any]) -> dict[str, np.ndarray]:
    levels, known = set(column["levels"]), dict[Any, str]()

    def level(value: Any) -> str:
        if value not in known:
            text = as_text(value)
            known[value] = text if text in levels else OTHER
        return known[value]

    return {column["name"]: np.array([level(value) for value in values], dtype=object)}


def _texts(column: Mapping[str, Any], values: Iterable[Any]) -> dict[str, np.ndarray]:
    """Words in small letters with one blank between them, so that ONNX and scikit-learn split them alike."""
    words = (" ".join(WORD.findall(as_text(value).lower())) for value in values)
    return {column["name"]: np.array(list(words), dtype=object)}


def _times(values: Iterable[Any]) -> np.ndarray:
    if isinstance(values, np.ndarray) and values.dtype.kind == "M":
        return values.astype("datetime64[s]")
    return np.array([_time(value) for value in values], dtype="datetime64[s]")


def _time(value: Any) -> np.datetime64:
    if value is None or value != value:
        return np.datetime64("NaT")
    if isinstance(value, str):
        value = as_time(value)
    return np.datetime64(_in_utc(value) if isinstance(value, datetime) else value, "s")


def _in_utc(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time


_ENCODERS: dict[str, Callable[[Mapping[str, Any], Iterable[Any]], dict[str, np.ndarray]]] = {
    "number": _numbers,
    "boolean": _numbers,
    "datetime": _datetimes,
    "category": _categories,
    "text": _texts,
}
