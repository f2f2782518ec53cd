"""What differs between the columns that params.yaml describes and those of a table."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import product

import pandas as pd
import pyarrow as pa

from bakebook.contracts import ReadOptions
from bakebook.errors import BadInput
from bakebook.params import IGNORE
from bakebook.tables.columns import WrongValue, simplify
from bakebook.tables.dtypes import convert

COMPARED_ROWS = 1000
FEWEST_ROWS = 5  # that can show that two columns are one
SAME_SHARE = 0.95  # of the compared rows that have the same value
NEAR_NAME = 0.7  # similarity of two names, between 0 and 1
MOST_PAIRS = 2500  # of old and new columns that are compared; more would take minutes

SAME_VALUES = "same values"
NEAR = "near name"


@dataclass(frozen=True)
class Changes:
    """How the columns of a table differ from those that were known."""

    renamed: Mapping[str, str] = field(default_factory=dict)  # the new name by the old one
    reasons: Mapping[str, str] = field(default_factory=dict)  # for a rename, by the old name
    added: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.renamed or self.added or self.dropped)

    def now(self, name: str) -> str:
        """What a known column is called now."""
        return self.renamed.get(name, name)


def compare(
    known: Mapping[str, str], table: pa.Table, options: ReadOptions, earlier: pd.DataFrame | None
) -> Changes:
    """The changes from the known columns, with their dtypes, to those of an untyped table.

    A column that is gone and a new one are taken for one that was renamed where most rows have the
    values of the `earlier` table, or where names are near and the dtype still fits.
    """
    added = [name for name in table.column_names if name not in known]
    dropped = [name for name in known if name not in table.column_names]
    pairs = list(product(dropped, added))
    found = []
    for old, new in pairs if len(pairs) <= MOST_PAIRS else []:
        reason = _reason(old, new, known[old], table, options, earlier)
        if reason:
            found.append((reason == SAME_VALUES, _similarity(old, new), old, new, reason))
    renamed: dict[str, str] = {}
    reasons = {}
    for _, _, old, new, reason in sorted(found, key=lambda one: one[:2], reverse=True):
        if old not in renamed and new not in renamed.values():
            renamed[old] = new
            reasons[old] = reason
    return Changes(
        renamed,
        reasons,
        tuple(name for name in added if name not in renamed.values()),
        tuple(name for name in dropped if name not in renamed),
    )


def _reason(
    old: str,
    new: str,
    dtype: str,
    table: pa.Table,
    options: ReadOptions,
    earlier: pd.DataFrame | None,
) -> str:
    """Why the new column is the old one; empty where it does not seem so."""
    if dtype == IGNORE:
        return ""
    try:
        values = convert(simplify(table[new]), dtype, options.of(new), new)
    except (WrongValue, BadInput):
        return ""
    if earlier is not None and old in earlier and _are_same(earlier[old], values.to_pandas()):
        return SAME_VALUES
    digits = [re.findall(r"\d+", name) for name in (old, new)]
    is_near = digits[0] == digits[1] and _similarity(old, new) >= NEAR_NAME
    return NEAR if is_near else ""


def _are_same(one: pd.Series, other: pd.Series) -> bool:
    rows = min(len(one), len(other), COMPARED_ROWS)
    if rows < FEWEST_ROWS or one.head(rows).nunique() < 2:
        return False
    first = one.head(rows).reset_index(drop=True).astype(object)
    second = other.head(rows).reset_index(drop=True).astype(object)
    is_same = (first == second) | (first.isna() & second.isna())
    return bool(is_same.mean() >= SAME_SHARE)


def _similarity(one: str, other: str) -> float:
    names = [re.sub(r"[\W_]+", "", name).lower() for name in (one, other)]
    return SequenceMatcher(None, names[0], names[1]).ratio()
