"""Rows that test, chosen by what they are: the same rows test in the next version of the table.

A row's place between 0 and 1 is a hash of its inputs, or of its group. What lies below `test_size`
tests. Rows that come, go or move do not change the place of others.
"""

import math

import numpy as np
import pandas as pd

from bakebook.contracts import Schema
from bakebook.models.rows import distinguishing, groups_of
from bakebook.tables.values import as_text

ODD = 0x9E3779B97F4A7C15  # 2^64 divided by the golden ratio
BITS = 0xFFFFFFFFFFFFFFFF
TOLERANCE = 0.2  # of the wanted number of rows, by which it may be missed
DEVIATIONS = 2  # of the number of rows that chance chooses, by which it may be missed too


def places(rows: pd.DataFrame, schema: Schema, random_state: int) -> pd.Series:
    """The place (n,) of each row in [0, 1): equal for rows that stay together, which are those of a
    group, or copies. Neither the target, nor times, keys and columns of `columns.py` matter, except
    that equal rows which are no copies are told apart by the target.
    """
    hashes = identities(rows, schema)
    if schema.split != "group" and groups_of(rows, schema) is None:
        hashes = hashes + _numbers_of_equal(hashes, rows[schema.target])
    seeded = _mixed(hashes.to_numpy() + np.uint64((random_state + 1) * ODD & BITS))
    return pd.Series((seeded >> np.uint64(11)) / float(1 << 53), index=rows.index)


def copies_of(rows: pd.DataFrame, schema: Schema, random_state: int) -> pd.Series:
    """A number (n,) that copies of a row share, whatever the split; rows that are equal by chance
    have different ones.
    """
    return places(rows, schema.model_copy(update={"split": "random"}), random_state)


def identities(rows: pd.DataFrame, schema: Schema) -> pd.Series:
    """64 bits (n,) by which rows are known again in another version of the table: of a group split
    the group, else what the row is.
    """
    hashes = row_hashes(rows, schema)
    if schema.split != "group":
        return hashes
    key = rows[schema.split_by]
    return pd.Series(_column_hashes(key), index=rows.index).where(key.notna(), hashes)


def row_hashes(rows: pd.DataFrame, schema: Schema) -> pd.Series:
    """64 bits (n,) of what distinguishes the rows, whatever the order of the columns, and whether
    or not whole numbers are kept as such.
    """
    own = {column.name for column in schema.derived}
    names = [name for name in distinguishing(schema) if name in rows and name not in own]
    if not names:  # every input is computed: by what is read for it
        read = {name for column in schema.derived for name in column.reads}
        names = [name for name in read - own if name in rows]
    found = np.zeros(len(rows), dtype=np.uint64)
    for name in sorted(names):
        found = _mixed(found * np.uint64(ODD) + _column_hashes(rows[name]))
    return pd.Series(found, index=rows.index)


def held_out(places: pd.Series, strata: pd.Series | None, test_size: float) -> np.ndarray:
    """A mask (n,) of the rows that test: those whose place is below `test_size`. Where that is far
    from the share of a stratum (see `tolerated`), the next ones test too, or fewer do.
    """
    parts = np.zeros(len(places)) if strata is None else strata.fillna("").astype(str).to_numpy()
    chosen = np.zeros(len(places), dtype=bool)
    for part in np.unique(parts):
        is_part = parts == part
        chosen |= is_part & places.isin(_chosen(places[is_part], test_size)).to_numpy()
    if not chosen.any():
        sizes = places.map(places.value_counts())
        first = places[sizes == sizes.min()].min()
        chosen = (places == first).to_numpy()
    return chosen


def tolerated(rows: int, test_size: float) -> float:
    """By how many rows a test set may miss its share: a fifth, or what chance explains."""
    wanted = test_size * rows
    return max(TOLERANCE * wanted, DEVIATIONS * math.sqrt(wanted * (1 - test_size)))


def _chosen(places: pd.Series, test_size: float) -> list[float]:
    """The places below `test_size`, or as many as come near to that share of the rows."""
    sizes = places.value_counts().sort_index()
    wanted = test_size * len(places)
    missed = tolerated(len(places), test_size)
    least = max(math.ceil(wanted - missed), round(min(wanted, 1)))
    most = math.floor(wanted + missed)
    total = 0
    found = []
    for place, size in zip(sizes.index.to_numpy(float), sizes.to_numpy(), strict=True):
        if total + size <= most and (place < test_size or total < least):
            found.append(float(place))
            total += size
    return found


def _numbers_of_equal(hashes: pd.Series, target: pd.Series) -> pd.Series:
    """A number for each row: 0 for the first of those that are equal, others for the next."""
    table = pd.DataFrame({"hash": hashes, "target": target.map(as_text)})
    number = table.sort_values(["hash", "target"]).groupby("hash").cumcount()
    return number.reindex(hashes.index).astype(np.uint64) * np.uint64(ODD)


def _column_hashes(values: pd.Series) -> np.ndarray:
    if pd.api.types.is_datetime64_any_dtype(values):
        return _mixed(values.to_numpy("datetime64[s]").astype(np.int64).view(np.uint64))
    if pd.api.types.is_numeric_dtype(values):
        numbers = values.to_numpy(np.float64, na_value=np.nan) + 0.0  # -0 is 0
        return _mixed(np.where(np.isnan(numbers), np.nan, numbers).view(np.uint64))
    texts = values.astype(object).where(values.notna(), "").map(str)
    return np.asarray(pd.util.hash_array(texts.to_numpy()))


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """Each of 64 bits depends on all (the finalizer of SplitMix64, Steele et al., OOPSLA 2014)."""
    mixed = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))
