"""Values on their way into a function of `columns.py`, and its results on their way out."""

from collections.abc import Callable, Iterable
from datetime import date, datetime, time
from typing import Any

import numpy as np

from bakebook.tables.values import BOOLEANS, GREATEST_FLOAT32, as_text, as_time, in_utc


def as_type(values: Iterable[Any], type_: type) -> list[Any]:
    """The values of a column as a function takes them: plain Python, None for a missing one."""
    if isinstance(values, np.ndarray):
        values = _plain_list(values)
    convert = _CONVERSIONS[type_]
    return [None if _is_missing(value) else convert(value) for value in values]


def _plain_list(values: np.ndarray) -> list[Any]:
    """An array's values as Python has them; times with the microseconds that tables store."""
    if values.dtype.kind == "M":
        values = values.astype("datetime64[us]")
    return values.tolist()


def _is_missing(value: Any) -> bool:
    return value is None or value == "" or value != value


def _as_number(value: Any) -> float:
    return float(value)


def _as_integer(value: Any) -> int | float:
    """A whole number; a caller may send another where the table had only whole ones."""
    number = float(value)
    return int(number) if number.is_integer() else number


def _as_boolean(value: Any) -> bool:
    return BOOLEANS[value.lower()] if isinstance(value, str) else bool(value)


def _as_datetime(value: Any) -> datetime:
    if isinstance(value, str):
        return as_time(value)
    if isinstance(value, datetime):
        return in_utc(value)
    return datetime.combine(value, time())


_CONVERSIONS: dict[type, Callable[[Any], Any]] = {
    int: _as_integer,
    float: _as_number,
    bool: _as_boolean,
    str: as_text,
    datetime: _as_datetime,
}


def checked(value: Any, type_: type) -> Any:
    """A result as the model takes it. Raises ValueError for one of another type."""
    if isinstance(value, np.generic):
        value = value.item()
    if _is_missing(value):
        return None
    if type_ in (int, float):
        return _checked_number(value, type_)
    if type_ is datetime and isinstance(value, date):
        return _as_datetime(value)
    if not isinstance(value, type_):
        raise ValueError(_mismatch(value, type_))
    return value


def _checked_number(value: Any, type_: type) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(_mismatch(value, type_))
    if not abs(value) <= GREATEST_FLOAT32:
        raise ValueError("the result is not finite or too large for a 32-bit float")
    if type_ is float:
        return float(value)
    if value != int(value):
        raise ValueError(f"the result {value:g} is not a whole number (write -> float)")
    return int(value)


def _mismatch(value: Any, type_: type) -> str:
    return f"the result is a {type(value).__name__}, not a {type_.__name__}"
