"""Drafts a data contract: a Great Expectations suite that a table meets, for a person to edit."""

from collections.abc import Collection
from typing import Any

import pandas as pd

FEW_VALUES = 20  # distinct texts up to which a draft lists them
FEW_CLASSES = 200  # the same for the target
DIGITS = 6  # after the decimal point of a range
# A missing value changes the type of whole numbers and of booleans: either type is accepted.
INTERCHANGEABLE_TYPES = (("float64", "int64"), ("bool", "object"))

ExpectationDict = dict[str, Any]  # as Great Expectations writes it to JSON


def draft(
    table: pd.DataFrame, target: str, unique: Collection[str] = (), margin: float = 0.1
) -> dict[str, object]:
    """A suite that the table meets, to be reviewed.

    Ranges extend beyond the values of the table by `margin` of their width. The columns in `unique`
    are expected to have another value in each row.
    """
    columns = list(table.columns)
    found = [
        _expect("table_columns_to_match_set", "critical", column_set=columns, exact_match=True),
        _expect("table_row_count_to_be_between", "critical", min_value=max(1, len(table) // 2)),
        _expect("compound_columns_to_be_unique", "warning", column_list=columns),
    ]
    for name in columns:
        column = table[name]
        found.append(_expect_type(column))
        found += _expect_missing(column, margin)
        found += _expect_values(column, name == target, margin)
    found += [_expect("column_values_to_be_unique", "warning", column=name) for name in unique]
    return {"name": "table", "expectations": found}


def _expect(name: str, severity: str, **kwargs: Any) -> ExpectationDict:
    return {"type": f"expect_{name}", "kwargs": kwargs, "severity": severity}


def _expect_type(column: pd.Series) -> ExpectationDict:
    name = str(column.dtype)
    for types in INTERCHANGEABLE_TYPES:
        if name in types:
            return _expect(
                "column_values_to_be_in_type_list",
                "critical",
                column=column.name,
                type_list=list(types),
            )
    return _expect("column_values_to_be_of_type", "critical", column=column.name, type_=name)


def _expect_missing(column: pd.Series, margin: float) -> list[ExpectationDict]:
    share = float(column.isna().mean())
    if share == 1:
        return []
    if share == 0:
        return [_expect("column_values_to_not_be_null", "critical", column=column.name)]
    mostly = round(max(0.0, 1 - share - margin), 4)
    return [_expect("column_values_to_not_be_null", "warning", column=column.name, mostly=mostly)]


def _expect_values(column: pd.Series, is_target: bool, margin: float) -> list[ExpectationDict]:
    values = column.dropna()
    if values.empty:
        return []
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return [_expect_range(column, margin)]
    few = FEW_CLASSES if is_target else FEW_VALUES
    if pd.api.types.is_string_dtype(column) and column.nunique() <= few:
        severity = "critical" if is_target else "warning"
        listed = sorted(values.astype(str).unique())
        return [
            _expect("column_values_to_be_in_set", severity, column=column.name, value_set=listed)
        ]
    return []


def _expect_range(column: pd.Series, margin: float) -> ExpectationDict:
    minimum = float(column.min())
    maximum = float(column.max())
    spare = round((maximum - minimum) * margin, DIGITS)
    return _expect(
        "column_values_to_be_between",
        "warning",
        column=column.name,
        min_value=round(minimum - spare, DIGITS),
        max_value=round(maximum + spare, DIGITS),
    )
