"""Missing values, and values that the training did not show."""

import pyarrow as pa
import pyarrow.compute as pc

from bakebook.contracts import Input
from bakebook.monitoring.features import as_numbers, seconds
from bakebook.monitoring.observations import Observations
from bakebook.monitoring.reference import Reference
from bakebook.monitoring.results import InputQuality

DIGITS = 6


def quality(rows: Observations, reference: Reference) -> tuple[InputQuality, ...]:
    """The inputs of some predictions, those with the most faults first; nothing without rows."""
    if not len(rows):
        return ()
    found = []
    for column in reference.signature.inputs:
        values = rows.inputs[column.name]
        one = InputQuality(
            name=column.name,
            missing=_missing(values),
            usually_missing=_missing(reference.inputs[column.name]),
            unseen=_unseen(values, column),
        )
        found.append(one)
    return tuple(sorted(found, key=lambda one: -_faults(one)))


def _faults(one: InputQuality) -> float:
    return max(one.missing - one.usually_missing, one.unseen)


def _missing(values: pa.ChunkedArray) -> float:
    return round(values.null_count / max(len(values), 1), DIGITS)


def _unseen(values: pa.ChunkedArray, column: Input) -> float:
    """The share of the values outside the range, or of none of the categories, of the training."""
    present = values.drop_null()
    if column.levels is not None and pa.types.is_string(present.type):
        is_known = pc.is_in(present, pa.array(column.levels, pa.string()))
    elif column.minimum is not None and column.role == "datetime":
        times = pa.array(as_numbers(present, column))
        least, greatest = (seconds(str(one)) for one in (column.minimum, column.maximum))
        is_known = pc.and_(pc.greater_equal(times, least), pc.less_equal(times, greatest))
    elif column.minimum is not None and pa.types.is_floating(present.type):
        above = pc.greater_equal(present, float(column.minimum))
        is_known = pc.and_(above, pc.less_equal(present, float(column.maximum or 0)))
    else:
        return 0.0
    return round(1 - (pc.mean(is_known).as_py() or 0.0), DIGITS) if len(present) else 0.0
