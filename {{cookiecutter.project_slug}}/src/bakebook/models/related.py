"""How much a random split flatters a model where rows belong together: a small forest is measured
both ways.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bakebook.contracts import Schema
from bakebook.models.group_split import whole_groups
from bakebook.models.schema import to_X
from bakebook.models.targets import TARGETS
from bakebook.tables.relations import Relation, relations

MOST_ROWS = 5_000  # that are learned from: whole groups, or the latest
TEST_SIZES = (0.2, 0.25, 0.3)  # of the test rows of each repeat
MATTERS = 0.05  # the smallest difference of two scores that is worth a warning
FEWEST_ROWS = 40


@dataclass(frozen=True)
class Flattery:
    """The score of a small forest on random test rows, and on rows held out by a relation."""

    relation: Relation
    random: float
    related: float
    matters: bool


def flatteries(train: pd.DataFrame, schema: Schema) -> list[Flattery]:
    """What a random split hides: one for each relation among the rows (bakebook.tables.relations).

    Rows that the split already relates are not measured again.
    """
    if schema.split in ("group", "time") or len(train) < FEWEST_ROWS:
        return []
    names = {column.name: column.role for column in schema.inputs}
    found = relations(train, schema.target, {**schema.excluded, **names})
    return [_measured(train, schema, one) for one in found]


def _measured(train: pd.DataFrame, schema: Schema, relation: Relation) -> Flattery:
    table = _fewer(train, relation)
    X = _coded(table, schema)
    y = TARGETS[schema.task].labels(table[schema.target]).to_numpy()
    random = [_score(X, y, is_test, schema) for is_test in _random(len(table))]
    related = [_score(X, y, is_test, schema) for is_test in _held_out(table, schema, relation)]
    difference = float(np.mean(random) - np.mean(related))
    noise = float(np.sqrt(np.var(random) / len(random) + np.var(related) / len(related)))
    matters = difference > MATTERS and difference > 3 * noise
    return Flattery(relation, float(np.mean(random)), float(np.mean(related)), matters)


def _fewer(table: pd.DataFrame, relation: Relation) -> pd.DataFrame:
    if len(table) <= MOST_ROWS:
        return table
    if relation.method == "time":
        return table.sort_values(relation.by, kind="stable").tail(MOST_ROWS)
    counts = table[relation.by].value_counts(sort=False)
    kept = counts.sample(frac=1, random_state=0).cumsum()
    return table[table[relation.by].isin(kept.index[kept <= MOST_ROWS])]


def _coded(table: pd.DataFrame, schema: Schema) -> np.ndarray:
    """The inputs as numbers for trees; texts are left out."""
    used = tuple(column for column in schema.inputs if column.role != "text")
    X = to_X(table, schema.model_copy(update={"inputs": used}))
    numbers = {}
    for name, values in X.items():
        is_number = pd.api.types.is_numeric_dtype(values)
        numbers[name] = values if is_number else pd.factorize(values, sort=True)[0]
    return pd.DataFrame(numbers).to_numpy(dtype=np.float32)


def _random(rows: int) -> Iterator[np.ndarray]:
    for repeat, size in enumerate(TEST_SIZES):
        order = np.random.default_rng(repeat).permutation(rows)
        yield order < max(1, round(rows * size))


def _held_out(table: pd.DataFrame, schema: Schema, relation: Relation) -> Iterator[np.ndarray]:
    column = table[relation.by]
    codes = pd.factorize(column, use_na_sentinel=False)[0]
    strata = pd.factorize(TARGETS[schema.task].strata(table[schema.target]))[0] + 1
    ranks = column.rank(method="dense", pct=True).fillna(0).to_numpy()
    for repeat, size in enumerate(TEST_SIZES):
        if relation.method == "group":
            yield whole_groups(codes, strata, size, repeat)
        else:
            yield ranks > 1 - size


def _score(X: np.ndarray, y: np.ndarray, is_test: np.ndarray, schema: Schema) -> float:
    target = TARGETS[schema.task]
    model = target.small_forest().fit(X[~is_test], y[~is_test])
    return target.score(y[is_test], model.predict(X[is_test]))
