"""Predictions that people labelled, as further rows of the table: what `nb db export` wrote, after
a review.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from bakebook.contracts import ReadOptions
from bakebook.errors import BadInput
from bakebook.params import IGNORE
from bakebook.tables.dtypes import convert
from bakebook.tables.readers import read_untyped

ID = "prediction_id"


def read(path: Path, options: ReadOptions) -> pd.DataFrame:
    """The columns of the table that the file has, each with its dtype; the index has the ids of the
    predictions.
    """
    written = read_untyped(path, ReadOptions(file_format="parquet"))
    if ID not in written.column_names:
        raise BadInput(f"{path.name} has no column '{ID}'", "name a file that nb db export wrote")
    columns = {}
    for name, dtype in options.columns.items():
        is_given = name in written.column_names and dtype != IGNORE
        if is_given and not pa.types.is_null(written[name].type):
            where = f"{path.name}, column '{name}'"
            columns[name] = convert(written[name], dtype, ReadOptions(), where).to_pandas()
    return pd.DataFrame(columns).set_axis(written[ID].to_pandas(), axis="index")


def add(table: pd.DataFrame, path: Path | None, options: ReadOptions) -> pd.DataFrame:
    """The table with the labelled rows below it; without a path, the table alone.

    A column that the service does not ask for is continued where its values allow: a constant by
    its value, a key by further numbers or by the ids of the predictions. Any other is missing.
    """
    if path is None:
        return table
    rows = read(path, options)
    if not len(rows.columns):
        raise BadInput(
            f"{path.name} has none of the table's columns", "set ingest.feedback, or leave it empty"
        )
    for name in table.columns.difference(rows.columns):
        rows[name] = _continued(table[name], rows.index)
    return pd.concat([table, rows[table.columns]], ignore_index=True)


def _continued(column: pd.Series, ids: pd.Index) -> pd.Series:
    if column.nunique() == 1 and column.notna().all():
        return pd.Series(column.iloc[0], index=ids)
    if column.is_unique and pd.api.types.is_integer_dtype(column):
        first = int(column.max()) + 1
        return pd.Series(range(first, first + len(ids)), index=ids)
    if column.is_unique and pd.api.types.is_string_dtype(column):
        return pd.Series(ids, index=ids)
    return pd.Series(np.nan, index=ids)
