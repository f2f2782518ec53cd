"""Predictions that people labelled, as further rows of the table: what `nb db export` wrote, once it was reviewed."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from . import sources
from .errors import BadInput
from .kinds import Reading, convert

ID = "prediction_id"
EXPORTED = (ID, "predicted", "model_version", "labelled_by", "labelled_at")  # beside inputs and target


def read(path: Path, reading: Reading) -> pd.DataFrame:
    """The columns of the table that the file has, each of its kind, and the ids as index."""
    written = sources.as_written(path, Reading(file_format="parquet"))
    if ID not in written.column_names:
        raise BadInput(f"{path.name} has no column '{ID}' → name a file that nb db export wrote")
    found = {
        name: convert(written[name], kind, Reading(), f"{path.name}, column '{name}'").to_pandas()
        for name, kind in reading.columns.items()
        if name in written.column_names and not pa.types.is_null(written[name].type)
    }
    return pd.DataFrame(found).set_axis(written[ID].to_pandas(), axis="index")


def add(table: pd.DataFrame, path: Path | None, reading: Reading) -> pd.DataFrame:
    """The table with the labelled rows below it; without a path, the table.

    A column that the service does not ask for is continued, where the table says how: a constant by its value, a key by
    further numbers or by the ids of the predictions. Any other is missing.
    """
    if path is None:
        return table
    more = read(path, reading)
    if not len(more.columns):
        raise BadInput(f"{path.name} has none of the table's columns → set ingest.feedback, or leave it empty")
    for name in table.columns.difference(more.columns):
        more[name] = _continued(table[name], more.index)
    return pd.concat([table, more[table.columns]], ignore_index=True)


def _continued(column: pd.Series, ids: pd.Index) -> pd.Series:
    if column.nunique() == 1 and column.notna().all():
        return pd.Series(column.iloc[0], index=ids)
    if not column.is_unique:
        return pd.Series(np.nan, index=ids)
    if pd.api.types.is_integer_dtype(column):
        return pd.Series(range(int(column.max()) + 1, int(column.max()) + 1 + len(ids)), index=ids)
    return pd.Series(ids, index=ids) if pd.api.types.is_string_dtype(column) else pd.Series(np.nan, index=ids)
