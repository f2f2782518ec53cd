"""Predictions that people labelled, as further rows of the table: what `nb db export` wrote, after
a review.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from bakebook.contracts import FeedbackRows, ReadOptions
from bakebook.errors import BadInput
from bakebook.params import IGNORE
from bakebook.tables.dtypes import convert
from bakebook.tables.readers import read_untyped

ID = "prediction_id"
IS_SAMPLE = "is_sample"  # whether the prediction was drawn at random


def read(path: Path, options: ReadOptions) -> pd.DataFrame:
    """The columns of the table that the file has, each with its dtype; the index says whether each
    prediction was drawn at random.
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
    is_sample = np.zeros(len(written), dtype=bool)
    if IS_SAMPLE in written.column_names and pa.types.is_boolean(written[IS_SAMPLE].type):
        is_sample = written[IS_SAMPLE].fill_null(False).to_numpy()
    return pd.DataFrame(columns).set_axis(is_sample, axis="index")


def add(
    table: pd.DataFrame, path: Path | None, options: ReadOptions
) -> tuple[pd.DataFrame, FeedbackRows]:
    """The table with the labelled rows below it, and where these are; without a path, the table
    alone. A column that the service does not ask for, such as a key, is missing in these rows.
    """
    if path is None:
        return table, FeedbackRows()
    rows = read(path, options)
    if not len(rows.columns):
        raise BadInput(
            f"{path.name} has none of the table's columns", "set ingest.feedback, or leave it empty"
        )
    is_sample = rows.index.to_numpy()
    rows = rows.reset_index(drop=True)
    lacking = [name for name in table.columns if name not in rows]
    rows = rows.join(table.iloc[:0][lacking].reindex(rows.index))
    longer = pd.concat([table, rows[table.columns]], ignore_index=True)
    places = np.arange(len(table), len(longer))
    found = {"rows": places.tolist(), "sample": places[is_sample].tolist()}
    return longer, FeedbackRows(**found, lacking=tuple(lacking))
