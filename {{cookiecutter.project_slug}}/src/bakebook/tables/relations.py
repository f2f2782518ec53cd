"""Which rows of a table belong together: those of one patient, those that follow each other in
time, copies.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from bakebook.tables.values import as_text

MOST_ROWS_PER_VALUE = 50  # on average: a value with more rows is a category
FEWEST_VALUES = 10  # of a key: fewer groups cannot be divided into training and test rows
FEWEST_MOMENTS = 20
LEAST_REPEATED = 0.3  # the share of rows whose value another row has too
MOST_GROUPS_EXAMINED = 2_000
ALMOST_ALWAYS = 0.95
HARDLY_VARIES = 0.1  # of a column's variance
MORE_THAN_CHANCE = 10  # times as many equal pairs of rows as independent columns would have

KEY_WORDS = ("id", "ids", "uuid", "guid", "key")
ENTITIES = (
    "account",
    "client",
    "customer",
    "device",
    "driver",
    "family",
    "household",
    "machine",
    "member",
    "participant",
    "patient",
    "person",
    "sensor",
    "session",
    "student",
    "subject",
    "user",
    "vehicle",
    "visitor",
)
TIME_WORDS = ("time", "timestamp", "date", "datetime", "epoch", "year", "month", "day", "hour")
ENTITY_KEY = re.compile(rf"({'|'.join(ENTITIES)})s?(id|no|nr|num|key|code)?", re.IGNORECASE)
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


@dataclass(frozen=True)
class Relation:
    """Rows that belong together by the values of one column, and how that was recognised."""

    method: Literal["group", "time"]
    by: str
    reason: str
    is_certain: bool  # else only a measurement can tell whether it matters


def relations(table: pd.DataFrame, target: str, roles: Mapping[str, str]) -> list[Relation]:
    """At most one group and one time by which the rows may be related, the certain ones first.

    A group is a column whose values repeat: named like a key, or deciding the target. A time is
    certain where the rows are in its order.
    """
    names = [name for name in map(str, table.columns) if name != target]
    groups = [_group(table, name, target, roles.get(name, "")) for name in names]
    times = [_time(table[name], name, roles.get(name, "")) for name in names]
    found = []
    for candidates in (groups, times):
        known = [one for one in candidates if one is not None]
        if known:
            found.append(max(known, key=lambda one: one.is_certain))
    return sorted(found, key=lambda one: not one.is_certain)


def is_key_name(name: str) -> bool:
    """Whether a column's name says that its values stand for persons or things: PatientID,
    customer, device_id.
    """
    if ENTITY_KEY.fullmatch(re.sub(r"[\W_]+", "", name)):
        return True
    words = [word.lower() for word in WORD.findall(name)]
    return bool(words) and words[-1] in KEY_WORDS


def copies(table: pd.DataFrame, names: list[str]) -> pd.Series | None:
    """A number for each distinct row by the columns `names`; None where equal rows are no more
    frequent than chance makes them.

    Rows with few and coarse columns are often equal without being copies: the equal pairs are
    compared with those that independent columns would have.
    """
    if not names:
        return None
    hashes = pd.util.hash_pandas_object(table[names], index=False)
    counts = hashes.value_counts().to_numpy()
    pairs = float(np.sum(counts * (counts - 1.0)))
    if not pairs:
        return None
    rows = len(table)
    by_chance = rows * (rows - 1.0)
    for name in names:
        shares = np.bincount(_codes(table[name])) / rows
        by_chance *= float(np.sum(shares**2))
    if pairs < MORE_THAN_CHANCE * by_chance:
        return None
    return pd.Series(pd.factorize(hashes)[0], index=table.index)


def _codes(values: pd.Series) -> np.ndarray:
    return pd.factorize(values, use_na_sentinel=False)[0]


def _group(table: pd.DataFrame, name: str, target: str, role: str) -> Relation | None:
    column = table[name]
    is_named = is_key_name(name)
    is_word = role == "categorical" and not pd.api.types.is_numeric_dtype(column)
    is_whole = pd.api.types.is_integer_dtype(column) or is_word or role == "identifier"
    if role in ("datetime", "boolean", "text", "constant", "empty") or not is_whole:
        return None
    values = column.dropna()
    counts = values.value_counts()
    if len(counts) < FEWEST_VALUES or len(values) > MOST_ROWS_PER_VALUE * len(counts):
        return None
    repeated = float(counts[counts > 1].sum()) / len(table)
    if repeated < LEAST_REPEATED:
        return None
    size = f"{len(values) / len(counts):.3g} rows for each value"
    if is_named:
        return Relation("group", name, f"a key with {size}", is_certain=True)
    repeated_values = counts[counts > 1].index[:MOST_GROUPS_EXAMINED]
    examined = table[column.isin(repeated_values)]
    decides = _decides(examined, name, target)
    if is_word and decides:
        reason = f"{size}, and each value has one {target}"
        return Relation("group", name, reason, is_certain=True)
    if is_word or decides or _describes(examined, name, target):
        return Relation("group", name, size, is_certain=False)
    return None


def _describes(table: pd.DataFrame, name: str, target: str) -> bool:
    """Whether half of the other numbers hardly vary among the rows of a value."""
    others = table.drop(columns=[name, target]).select_dtypes("number")
    others = others.loc[:, others.nunique() > FEWEST_VALUES]
    if others.shape[1] < 2:
        return False
    within = others - others.groupby(table[name].to_numpy()).transform("mean")
    is_alike = within.var() < HARDLY_VARIES * others.var()
    return bool(is_alike.mean() >= 0.5)


def _decides(table: pd.DataFrame, name: str, target: str) -> bool:
    """Whether rows with the same value almost always have the same target, and not by chance."""
    rows = table[[name, target]].dropna()
    if rows.empty:
        return False
    shuffled = rows[target].sample(frac=1, random_state=0).to_numpy()
    by_chance = _share_constant(rows[name], pd.Series(shuffled, index=rows.index))
    return _share_constant(rows[name], rows[target]) >= ALMOST_ALWAYS and by_chance < 0.5


def _share_constant(groups: pd.Series, values: pd.Series) -> float:
    texts = values.map(as_text)
    return float((texts.groupby(groups.to_numpy()).nunique() == 1).mean())


def _time(column: pd.Series, name: str, role: str) -> Relation | None:
    is_time = role == "datetime"
    words = [word.lower() for word in WORD.findall(name)]
    is_number = role in ("numeric", "identifier") and pd.api.types.is_numeric_dtype(column)
    if not is_time and not (is_number and set(words) & set(TIME_WORDS)):
        return None
    values = column.dropna()
    if values.nunique() < FEWEST_MOMENTS:
        return None
    if values.is_monotonic_increasing or values.is_monotonic_decreasing:
        return Relation("time", name, "the rows are in its order", is_certain=True)
    return Relation("time", name, "a time", is_certain=False) if is_time else None
