"""What of a row the model has not seen in training."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from bakebook.contracts import Input, Signature
from bakebook.tables.values import as_text, as_time, in_utc

UNSEEN = "not seen in training"
OUTSIDE = "outside the training range"
ALL_MISSING = "all inputs are missing"

Warning_ = dict[str, str | None]  # input (None for the whole row) and reason
Find = Callable[[object], str | None]


class Familiar:
    """Compares rows with what the signature says of the training rows."""

    def __init__(self, signature: Signature) -> None:
        known = [column for column in signature.inputs if not column.only_read]
        self._names = [column.name for column in known]
        found = {column.name: _comparison(column) for column in known}
        self._find = {name: find for name, find in found.items() if find is not None}

    def warnings(self, row: Mapping[str, object]) -> list[Warning_]:
        """Each value of a row that the model has not seen the like of."""
        if all(row[name] is None for name in self._names):
            return [{"input": None, "reason": ALL_MISSING}]
        found: list[Warning_] = []
        for name, find in self._find.items():
            value = row[name]
            reason = None if value is None else find(value)
            if reason:
                found.append({"input": name, "reason": reason})
        return found


def in_words(warnings: Sequence[Warning_]) -> str:
    """The warnings of one row in one cell of a table; empty where there are none."""
    return "; ".join(": ".join(filter(None, (one["input"], one["reason"]))) for one in warnings)


def _comparison(column: Input) -> Find | None:
    if column.levels is not None:
        levels = set(column.levels)
        return lambda value: None if as_text(value) in levels else UNSEEN
    if column.minimum is None or column.maximum is None:
        return None
    if column.role == "datetime":
        return _comparison_of_times(str(column.minimum), str(column.maximum))
    least = column.minimum
    greatest = column.maximum

    def find(value: object) -> str | None:
        is_inside = least <= value <= greatest  # type: ignore[operator]
        return None if is_inside else OUTSIDE

    return find


def _comparison_of_times(minimum: str, maximum: str) -> Find:
    least = as_time(minimum)
    greatest = as_time(maximum)

    def find(value: object) -> str | None:
        time = in_utc(value) if isinstance(value, datetime) else as_time(str(value))
        return None if least <= time <= greatest else OUTSIDE

    return find
