"""What the columns of a table contain, one row per column."""

from collections.abc import Mapping

import pandas as pd


def overview(table: pd.DataFrame, dtypes: Mapping[str, str] | None = None) -> pd.DataFrame:
    """One row per column: dtype, missing and distinct values, minimum and maximum."""
    bounded = table.select_dtypes(["number", "datetime"])
    summary = pd.DataFrame(
        {
            "dtype": pd.Series(dtypes) if dtypes else table.dtypes.astype(str),
            "missing": table.isna().sum(),
            "distinct": table.nunique(),
            "minimum": bounded.min().astype(object),
            "maximum": bounded.max().astype(object),
        }
    )
    return summary.reindex(table.columns)


def missing(table: pd.DataFrame) -> pd.DataFrame | str:
    """The columns with missing values, how many and their share of the rows; or a sentence that
    there are none.
    """
    counts = table.isna().sum()
    found = counts[counts > 0].sort_values(ascending=False)
    if found.empty:
        return "No value is missing."
    share = found / len(table)
    return pd.DataFrame({"missing": found, "share": share.round(4)})
