"""How values become the tensors of the model: one code for training and for serving. It needs only
numpy.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from bakebook.contracts import Input
from bakebook.tables.values import as_text, as_time, in_utc

Tensors = dict[str, np.ndarray]
TensorType = Literal["number", "category", "text"]
# Stands for every category that was too rare, or absent, in training
UNKNOWN = "\N{REPLACEMENT CHARACTER}"
MISSING = "missing"
RANK = "rank"
# Scripts without blanks between words: each sign is a word.
WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\w\w+")


def encode(column: Input, values: Iterable[object]) -> Tensors:
    """The tensors (n,) of one input by name: float32 for numbers, booleans and times, object for
    texts.

    A missing value is None, NaN or NaT. Raises ValueError when a value does not have the input's
    role.
    """
    tensors = _ENCODERS[column.role](column, values)
    if column.has_gaps:
        is_missing = np.isnan(next(iter(tensors.values())))
        tensors[_part_name(column, MISSING)] = is_missing.astype(np.float32)
    return tensors


def tensor_types(column: Input) -> dict[str, TensorType]:
    """The names of the tensors of one input, and what each holds."""
    if column.role == "categorical":
        types: dict[str, TensorType] = {column.name: "category"}
        return types | ({_part_name(column, RANK): "number"} if column.order else {})
    if column.role == "text":
        return {column.name: "text"}
    names = [column.name]
    if column.role == "datetime":
        names = [_part_name(column, part) for part in column.parts or ()]
    if column.has_gaps:
        names.append(_part_name(column, MISSING))
    return dict.fromkeys(names, "number")


def parts_of_time(values: Iterable[object]) -> Tensors:
    """Every part of a time as float32 (n,), NaN where it is missing; a time without a zone is taken
    as UTC.
    """
    seconds = _times(values)
    missing = np.isnat(seconds)
    second = seconds.astype("datetime64[s]").astype("int64")
    day = seconds.astype("datetime64[D]").astype("int64")
    month = seconds.astype("datetime64[M]").astype("int64")
    year = seconds.astype("datetime64[Y]").astype("int64")
    first_of_month = month.astype("datetime64[M]").astype("datetime64[D]").astype("int64")
    parts = {
        "days": day,  # since 1970
        "year": year + 1970,
        "month": month - year * 12 + 1,
        "day": day - first_of_month + 1,
        "weekday": (day + 3) % 7,  # Monday is 0
        "hour": second // 3600 - day * 24,
    }
    return {
        name: np.where(missing, np.nan, part).astype(np.float32) for name, part in parts.items()
    }


def _part_name(column: Input, part: str) -> str:
    return f"{column.name} ({part})"


def _encode_numbers(column: Input, values: Iterable[object]) -> Tensors:
    if column.offset is None:
        return {column.name: np.asarray(values, dtype=np.float32)}
    exact = np.asarray(values, dtype=np.float64) - column.offset
    return {column.name: exact.astype(np.float32)}


def _encode_times(column: Input, values: Iterable[object]) -> Tensors:
    found = parts_of_time(values)
    return {_part_name(column, part): found[part] for part in column.parts or ()}


def _encode_categories(column: Input, values: Iterable[object]) -> Tensors:
    levels = set(column.levels or ())
    known: dict[object, str] = {}

    def level(value: object) -> str:
        if value not in known:
            text = as_text(value)
            known[value] = text if text in levels else UNKNOWN
        return known[value]

    if not column.order:
        return {column.name: np.array([level(value) for value in values], dtype=object)}
    given = list(values)
    return {
        column.name: np.array([level(value) for value in given], dtype=object),
        _part_name(column, RANK): _ranks(column.order, given),
    }


def _ranks(order: Sequence[str], values: Iterable[object]) -> np.ndarray:
    """The place of each category in the order as float32 (n,), NaN for any other value."""
    places = {name: float(place) for place, name in enumerate(order)}
    ranks = [places.get(as_text(value), np.nan) for value in values]
    return np.array(ranks, dtype=np.float32)


def _encode_texts(column: Input, values: Iterable[object]) -> Tensors:
    """Words in lower case, and their pairs or, of short texts, their letters; one blank is between
    them, so that ONNX and scikit-learn split them alike.
    """
    texts = []
    for value in values:
        words = WORD.findall(as_text(value).lower())
        more = _triples(words) if column.is_short else _pairs(words)
        texts.append(" ".join([*words, *more]))
    return {column.name: np.array(texts, dtype=object)}


def _pairs(words: Sequence[str]) -> Iterator[str]:
    """Neighbouring words: `not+good`."""
    return (f"{first}+{second}" for first, second in pairwise(words))


def _triples(words: Sequence[str]) -> Iterator[str]:
    """Three letters in a row of each word, whose ends count as letters: `~_no`, `~not`, `~ot_`."""
    for word in words:
        letters = f"_{word}_"
        for place in range(len(letters) - 2):
            yield f"~{letters[place : place + 3]}"


def _times(values: Iterable[object]) -> np.ndarray:
    if isinstance(values, np.ndarray) and values.dtype.kind == "M":
        return values.astype("datetime64[s]")
    return np.array([_time(value) for value in values], dtype="datetime64[s]")


def _time(value: Any) -> np.datetime64:
    if value is None or value != value:
        return np.datetime64("NaT")
    if isinstance(value, str):
        value = as_time(value)
    if isinstance(value, datetime):
        value = in_utc(value)
    return np.datetime64(value, "s")


_ENCODERS: dict[str, Callable[[Input, Iterable[object]], Tensors]] = {
    "numeric": _encode_numbers,
    "boolean": _encode_numbers,
    "datetime": _encode_times,
    "categorical": _encode_categories,
    "text": _encode_texts,
}
