"""Rows to learn from, with what makes some of them belong together; and how they are divided into
folds, as `prepare` divides them into training and test rows.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

from bakebook.contracts import Schema
from bakebook.errors import BadInput
from bakebook.models.schema import to_X_y
from bakebook.models.task import Holdout
from bakebook.tables.relations import copies, is_key_name
from bakebook.tables.values import as_text

Fold = tuple[np.ndarray, np.ndarray]  # the places of the rows to train on, and of those held out


@dataclass(frozen=True)
class Rows:
    """X (n, tensors) and y (n,); where rows are related, the group or the moment of each."""

    X: pd.DataFrame
    y: pd.Series
    groups: pd.Series | None = None
    moments: pd.Series | None = None

    @property
    def are_related(self) -> bool:
        return self.groups is not None or self.moments is not None

    def take(self, places: np.ndarray) -> "Rows":
        """Some of the rows, by their places or as a mask."""
        groups = None if self.groups is None else self.groups.iloc[places]
        moments = None if self.moments is None else self.moments.iloc[places]
        return Rows(self.X.iloc[places], self.y.iloc[places], groups, moments)


def rows_of(table: pd.DataFrame, schema: Schema) -> Rows:
    """The rows of a table for a model, related as the schema's split says."""
    X, y = to_X_y(table, schema)
    return Rows(X, y, groups_of(table, schema), moments_of(table, schema))


def holdout_of(model: Any, table: pd.DataFrame, schema: Schema) -> Holdout:
    """A fitted model with rows that it never saw, related as the schema's split says."""
    rows = rows_of(table, schema)
    return Holdout(model, rows.X, rows.y, schema, blocks_of(rows))


def groups_of(table: pd.DataFrame, schema: Schema) -> pd.Series | None:
    """The group of each row as a number: rows that share a value of `split_by`, or copies of each
    other. A row without a value is a group of its own. None where no rows are related.
    """
    if schema.split == "group":
        column = table[schema.split_by]
        own = "row " + column.index.astype(str)
        keys = column.map(as_text).where(column.notna(), own)
        return pd.Series(pd.factorize(keys)[0], index=table.index)
    if schema.split == "time":
        return None
    present = [name for name in distinguishing(schema) if name in table]
    return copies(table, present)


def moments_of(table: pd.DataFrame, schema: Schema) -> pd.Series | None:
    """The time of each row where the split is by time."""
    return table[schema.split_by] if schema.split == "time" else None


def distinguishing(schema: Schema) -> list[str]:
    """The inputs in which two rows must differ so as not to be copies: neither times nor keys."""
    inputs = [column for column in schema.inputs if column.role != "datetime"]
    return [column.name for column in inputs if not is_key_name(column.name)]


def digest(table: pd.DataFrame, schema: Schema) -> str:
    """The SHA-256 of the rows in any order, as the table has them: a column of `columns.py` makes
    no other rows.
    """
    own = {column.name for column in schema.derived}
    given = table[[name for name in table if name not in own]]
    hashes = np.sort(pd.util.hash_pandas_object(given, index=False).to_numpy())
    return hashlib.sha256(hashes.tobytes()).hexdigest()


def blocks_of(rows: Rows) -> np.ndarray | None:
    """For each row the number of the rows that stand or fall with it: its group; of moments, a
    block of the n^(1/3) rows around it (Hall, Horowitz and Jing, Biometrika 1995). None where rows
    are independent.
    """
    if rows.groups is not None:
        return pd.factorize(rows.groups)[0]
    if rows.moments is None:
        return None
    order = rows.moments.rank(method="first").to_numpy() - 1
    return (order // round(len(order) ** (1 / 3))).astype(int)


def folds(rows: Rows, cv: int, random_state: int) -> list[Fold]:
    """Folds to measure a model in: whole groups are held out, or what comes later is.

    With moments, the folds are the last `cv` of `cv` + 1 equal parts of the time, and each is
    predicted from what was before; another `random_state` moves their borders.
    """
    if rows.moments is not None:
        return _later(rows.moments, cv, random_state)
    return _held_out(rows, cv, random_state)


def inner_folds(rows: Rows, cv: int, random_state: int) -> list[Fold]:
    """Folds to learn from, in which every row is held out once: of moments, neighbouring ones are
    held out together. Rows of a single group, or of rare classes only, are held out at random.
    """
    if rows.groups is not None and rows.groups.nunique() < 2:
        rows = Rows(rows.X, rows.y)
    if rows.moments is None:
        is_rare = rows.groups is None and rows.y.value_counts().max() < cv
        if is_rare:
            return list(KFold(cv, shuffle=True, random_state=random_state).split(rows.X))
        return _held_out(rows, cv, random_state)
    order = np.argsort(rows.moments.to_numpy(), kind="stable")
    parts = np.array_split(order, cv)
    return [(np.setdiff1d(order, part), np.sort(part)) for part in parts]


def _held_out(rows: Rows, cv: int, random_state: int) -> list[Fold]:
    is_classes = pd.api.types.is_integer_dtype(rows.y)
    if rows.groups is None:
        class_ = StratifiedKFold if is_classes else KFold
        splitter = class_(cv, shuffle=True, random_state=random_state)
        return list(splitter.split(rows.X, rows.y))
    cv = min(cv, rows.groups.nunique())
    if cv < 2:
        raise BadInput("the training rows are of one group", "name another as prepare.split_by")
    class_ = StratifiedGroupKFold if is_classes else GroupKFold
    splitter = class_(cv, shuffle=True, random_state=random_state)
    return list(splitter.split(rows.X, rows.y, rows.groups))


def _later(moments: pd.Series, cv: int, random_state: int) -> list[Fold]:
    values = moments.to_numpy()
    known = np.sort(values[~pd.isna(values)])
    start = np.random.default_rng(random_state).uniform(0.5, 1.5)
    places = (np.arange(cv) + start) / (cv + start) * len(known)
    borders = np.unique(known[places.astype(int)])
    found = []
    for number, border in enumerate(borders):
        is_later = values >= border
        if number + 1 < len(borders):
            is_later &= values < borders[number + 1]
        is_earlier = (values < border) | pd.isna(values)
        if is_earlier.any() and is_later.any():
            found.append((np.flatnonzero(is_earlier), np.flatnonzero(is_later)))
    if not found:
        raise BadInput("the training rows are of one moment", "name another as prepare.split_by")
    return found
