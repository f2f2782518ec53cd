"""Drafts a data contract: a Great Expectations suite for a person to edit.

The draft has to hold for new rows of the same kind, not only for the table that it was drafted
from, and to fail when the rows are of another kind. Its bounds are therefore those that a second
sample of the same distribution stays within, with a margin of so many standard deviations: a
failure of severity `warning` is worth a look, a failure of severity `critical` ruins a model.
"""

import math
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import pandas as pd

MOST_ROWS = 100_000  # whose values are examined: bounds are no narrower for more
MOST_LEVELS = 100  # distinct texts up to which a draft lists them
MOST_CLASSES = 200  # the same for the target
FEW_NUMBERS = 20  # distinct values of a target up to which they are listed
WARNING_SD = 4.0  # standard deviations of the difference of two samples
CRITICAL_SD = 5.0
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
WARNING_INSIDE = 0.97  # the share of the rows within the usual range
CRITICAL_INSIDE = 0.75
CRITICAL_MISSING = 0.25  # the share of the values there were that may newly be missing
COMMON_CLASS = 20  # expected rows of a class from which a sample without it is another kind
MOST_COPIES = 0.2  # of a table's rows, beyond which copies are no news
DIGITS = 6  # significant ones, of a bound
# A missing value changes the type of whole numbers and of booleans: either type is accepted.
INTERCHANGEABLE_TYPES = (("float64", "int64"), ("bool", "object"))

ExpectationDict = dict[str, Any]  # as Great Expectations writes it to JSON


def draft(table: pd.DataFrame, target: str, unique: Collection[str] = ()) -> dict[str, object]:
    """A suite that the table meets, and that new rows of the same kind meet too.

    The columns in `unique` are expected to have another value in each row; nothing else is
    expected of their values.
    """
    columns = list(table.columns)
    some = table if len(table) <= MOST_ROWS else table.sample(MOST_ROWS, random_state=0)
    found = [
        _expect("table_columns_to_match_set", "critical", column_set=columns, exact_match=True),
        _expect("table_row_count_to_be_between", "critical", min_value=max(1, len(table) // 2)),
        *_expect_copies(table, columns),
    ]
    for name in columns:
        column = some[name]
        found.append(_expect_type(column))
        found += _expect_missing(column)
        if name == target:
            found += _expect_target(table[name])
        elif name not in unique:
            found += _expect_values(column, MOST_LEVELS, "warning")
    found += [_expect("column_values_to_be_unique", "warning", column=name) for name in unique]
    return {"name": "table", "expectations": found}


def _expect(name: str, severity: str, **kwargs: Any) -> ExpectationDict:
    return {"type": f"expect_{name}", "kwargs": kwargs, "severity": severity}


def _expect_copies(table: pd.DataFrame, columns: list[str]) -> Iterator[ExpectationDict]:
    copied = _share_of_copies(table)
    if copied > MOST_COPIES:
        return
    mostly = _at_least(1 - copied, len(table), WARNING_SD)
    yield _expect(
        "compound_columns_to_be_unique",
        "warning",
        column_list=columns,
        ignore_row_if="never",
        mostly=mostly,
    )


def _share_of_copies(table: pd.DataFrame) -> float:
    """The share of the rows that another row equals; numbers are compared first."""
    numbers = table.select_dtypes("number")
    rows = table
    if numbers.shape[1] and len(numbers) > MOST_ROWS:
        hashes = pd.util.hash_pandas_object(numbers, index=False)
        rows = table[hashes.duplicated(keep=False)]
    return float(rows.duplicated(keep=False).sum() / len(table))


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


def _expect_missing(column: pd.Series) -> Iterator[ExpectationDict]:
    present = float(column.notna().mean())
    if present == 0:
        return
    rows = len(column)
    usual = _at_least(present, rows, WARNING_SD)
    least = min(present * (1 - CRITICAL_MISSING), _at_least(present, rows, CRITICAL_SD))
    limits = {"critical": round(least, 4), "warning": usual}
    for severity, mostly in limits.items():
        if mostly > 0:
            yield _expect(
                "column_values_to_not_be_null", severity, column=column.name, mostly=mostly
            )


def _expect_target(column: pd.Series) -> Iterator[ExpectationDict]:
    """Few distinct values are classes: no other is expected, and none that is common is lost."""
    values = column.dropna()
    is_word = not pd.api.types.is_numeric_dtype(column)
    counts = values.value_counts()
    most = MOST_CLASSES if is_word else FEW_NUMBERS
    if values.empty or len(counts) > most:
        yield from _expect_values(column, most, "critical")
        return
    listed = sorted(counts.index.tolist(), key=str if is_word else None)
    rare = int(counts[counts < COMMON_CLASS / 2].count())
    mostly = {"mostly": _at_least(1 - rare / len(values), len(values), WARNING_SD)} if rare else {}
    yield _expect(
        "column_values_to_be_in_set", "critical", column=column.name, value_set=listed, **mostly
    )
    common = [value for value in listed if counts[value] / 2 >= COMMON_CLASS]
    if len(common) > 1:
        yield _expect(
            "column_distinct_values_to_contain_set",
            "critical",
            column=column.name,
            value_set=common,
        )


def _expect_values(column: pd.Series, most: int, severity: str) -> Iterator[ExpectationDict]:
    values = column.dropna()
    if values.empty:
        return
    if values.nunique() > 1:
        yield _expect(
            "column_unique_value_count_to_be_between", "critical", column=column.name, min_value=2
        )
    if pd.api.types.is_bool_dtype(column):
        return
    if pd.api.types.is_numeric_dtype(column):
        yield from _expect_numbers(column.name, np.sort(values.to_numpy(dtype=float)))
    elif pd.api.types.is_string_dtype(column) and values.nunique() <= most:
        once = int((values.value_counts() == 1).sum())
        yield _expect(
            "column_values_to_be_in_set",
            severity,
            column=column.name,
            value_set=sorted(values.astype(str).unique()),
            mostly=_at_least(1 - once / len(values), len(values), WARNING_SD),
        )


def _expect_numbers(name: object, values: np.ndarray) -> Iterator[ExpectationDict]:
    """Where most values lie, and how they are distributed."""
    first, last = np.quantile(values, (0.01, 0.99))
    inside = {"critical": (1.0, CRITICAL_INSIDE), "warning": (0.5, WARNING_INSIDE)}
    margins = {"critical": CRITICAL_SD, "warning": WARNING_SD}
    for severity, (widths, mostly) in inside.items():
        spare = widths * (last - first)
        yield _expect(
            "column_values_to_be_between",
            severity,
            column=name,
            min_value=_bound(max(first - spare, 0.0) if values[0] >= 0 else first - spare, -1),
            max_value=_bound(min(last + spare, 0.0) if values[-1] <= 0 else last + spare, 1),
            mostly=mostly,
        )
        bands = {q: _band(values, q, margins[severity]) for q in QUANTILES}
        known = {q: band for q, band in bands.items() if band != [None, None]}
        if known:
            ranges = {"quantiles": list(known), "value_ranges": list(known.values())}
            yield _expect(
                "column_quantile_values_to_be_between",
                severity,
                column=name,
                quantile_ranges=ranges,
                allow_relative_error="lower",
            )


def _band(values: np.ndarray, quantile: float, deviations: float) -> list[float | None]:
    """Within which the quantile of a second sample lies: the order statistics whose rank is so many
    standard deviations away. None where no value of the table is that far.
    """
    rows = len(values)
    spare = deviations * math.sqrt(2 * quantile * (1 - quantile) * rows)
    low = math.floor(quantile * rows - spare) - 1
    high = math.ceil(quantile * rows + spare)
    return [
        _bound(values[low], -1) if low >= 0 else None,
        _bound(values[high], 1) if high < rows else None,
    ]


def _at_least(share: float, rows: int, deviations: float) -> float:
    """The least share in a second sample of as many rows (after Wilson, JASA 1927)."""
    spare = deviations * math.sqrt(2 * share * (1 - share) / rows) + deviations**2 / rows
    return round(max(0.0, share - spare), 4)


def _bound(value: float, direction: int) -> float:
    """The value rounded away from the range that it bounds."""
    if value == 0 or not math.isfinite(value):
        return float(value)
    digits = DIGITS - 1 - math.floor(math.log10(abs(value)))
    scale = 10.0**digits
    scaled = value * scale
    whole = math.floor(scaled) if direction < 0 else math.ceil(scaled)
    return round(whole / scale, max(digits, 0))
