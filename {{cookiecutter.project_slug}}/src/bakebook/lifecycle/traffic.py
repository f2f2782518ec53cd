"""Rows as callers might send them: those of the table with some noise, changing month by month."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bakebook.contracts import Input, Signature
from bakebook.params import Shift
from bakebook.tables.values import as_text

NOISE = 0.1  # of a number, in standard deviations
TILT = 3.0  # the rows with the greatest numbers become e³ times as frequent as those with the least
GROWTH = 1.7  # power of the time with which the share of mirrored rows grows
SUDDEN = 0.5  # of the time, at which all rows become mirrored …
MOST_SUDDEN = 0.8  # … but for a fifth


class Traffic:
    """Rows of a table, drawn with a seed, as the months go by.

    A mirrored row keeps its label and has each number mirrored within its column's range, its
    category the one from the other end, and its booleans reversed: the relation of inputs and
    target is another. Where only inputs move, rows with great numbers become more frequent.
    """

    def __init__(self, table: pd.DataFrame, signature: Signature, whole: Sequence[str]) -> None:
        target = table[signature.target]
        is_known = target.notna()
        if signature.classes is not None:
            is_known = target.map(as_text, na_action="ignore").isin(signature.classes)
        self._table = table[is_known].reset_index(drop=True)
        self._signature = signature
        self._whole = set(whole)
        numbers = self._table.select_dtypes("number")
        inputs = [one.name for one in signature.inputs if one.name in numbers]
        ranks = numbers[inputs].rank(pct=True).mean(axis=1) if inputs else numbers.sum(axis=1)
        self._rank = ranks.rank(pct=True).fillna(0).to_numpy()

    def month(
        self, rows: int, time: float, shift: Shift, random: np.random.Generator
    ) -> tuple[list[dict[str, Any]], list[Any]]:
        """So many rows as a caller sends them, and their labels. `time` is between 0, the first
        month, and 1, the last.
        """
        weights = np.exp(TILT * time * self._rank * (shift == "inputs"))
        drawn = random.choice(len(self._table), rows, p=weights / weights.sum())
        part = self._table.iloc[drawn].reset_index(drop=True)
        is_mirrored = random.random(rows) < mirrored_share(time, shift)
        columns = {}
        for one in self._signature.inputs:
            noise = random.normal(size=rows)
            columns[one.name] = self._values(one, part[one.name], is_mirrored, noise)
        names = list(columns)
        found = [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        return found, [self._label(value) for value in part[self._signature.target]]

    def _values(
        self, column: Input, values: pd.Series, is_mirrored: np.ndarray, noise: np.ndarray
    ) -> list[Any]:
        known = self._table[column.name]
        if column.role == "numeric":
            low, high = float(known.min()), float(known.max())
            moved = values.astype(float) + NOISE * float(known.std()) * noise
            moved = moved.where(~is_mirrored, low + high - moved).clip(low, high)
            return _plain(moved.round() if column.name in self._whole else moved)
        if column.role == "boolean":
            return _plain(values.where(~is_mirrored, ~values.astype("boolean")), bool)
        if column.role == "categorical" and column.levels:
            opposite = dict(zip(column.levels, reversed(column.levels), strict=True))
            texts = values.map(as_text, na_action="ignore")
            return _plain(
                texts.where(~is_mirrored, texts.map(lambda text: opposite.get(text, text)))
            )
        if column.role == "datetime":
            return _plain(values.dt.strftime("%Y-%m-%dT%H:%M:%S"))
        return _plain(values.map(as_text, na_action="ignore"))

    def _label(self, value: Any) -> Any:
        return float(value) if self._signature.classes is None else as_text(value)


def mirrored_share(time: float, shift: Shift) -> float:
    """The share of rows that are mirrored, at a time between 0 and 1."""
    if shift == "gradual":
        return time**GROWTH
    return MOST_SUDDEN if shift == "sudden" and time >= SUDDEN else 0.0


def _plain(values: pd.Series, type_: type = object) -> list[Any]:
    """Values as JSON has them; None for what is missing."""
    given = values.astype(object).where(values.notna(), None)
    return [value if value is None or type_ is object else type_(value) for value in given]
