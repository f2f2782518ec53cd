"""Inputs as numbers, for the models that tell rows apart or estimate errors."""

from datetime import UTC

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bakebook.contracts import Input, Signature
from bakebook.tables.values import as_time


def features(inputs: pa.Table, signature: Signature) -> np.ndarray:
    """A column (n, inputs) of each input: numbers as they are, categories by their place among the
    levels, times in seconds, the length of a text; NaN for what is missing.
    """
    columns = [as_numbers(inputs[one.name], one) for one in signature.inputs]
    return np.column_stack(columns) if columns else np.empty((inputs.num_rows, 0))


def as_numbers(values: pa.ChunkedArray, column: Input) -> np.ndarray:
    """The values (n,) of one input."""
    if column.role == "categorical":
        known = pa.array(column.levels or (), pa.string())
        places = pc.index_in(values, known).fill_null(len(known))
        values = pc.if_else(pc.is_valid(values), places, None)
    elif column.role == "text":
        values = pc.utf8_length(values)
    elif column.role == "datetime":
        return np.array([seconds(text) for text in values.to_pylist()], float)
    return np.asarray(pc.cast(values, pa.float64()).to_numpy(), float)


def seconds(text: str | None) -> float:
    """Since 1970; NaN for what is missing, or no time."""
    try:
        return float("nan") if text is None else as_time(text).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return float("nan")
