"""Columns that give the target away."""

import pandas as pd

from bakebook.contracts import Input, Schema
from bakebook.models.targets import TARGETS

LEAK_SCORE = 0.99  # of a single column, from which it is suspected to contain the target
LEAK_ROWS = 10_000  # that are searched for a leak
LEAK_FEWEST_ROWS = 10


def leaks(train: pd.DataFrame, schema: Schema) -> dict[str, float]:
    """The columns that alone almost determine the target, with the score of a small tree on rows it
    did not see.

    The score is balanced accuracy or R². Columns whose values hardly repeat, such as texts, are not
    examined.
    """
    rows = train.sample(min(len(train), LEAK_ROWS), random_state=0)
    halves = (rows.iloc[::2], rows.iloc[1::2])
    if len(halves[1]) < LEAK_FEWEST_ROWS:
        return {}
    scores = {column.name: _score_alone(halves, column, schema) for column in schema.inputs}
    return {name: score for name, score in scores.items() if score >= LEAK_SCORE}


def _score_alone(halves: tuple[pd.DataFrame, pd.DataFrame], column: Input, schema: Schema) -> float:
    """The score on the second half of a small tree that learned one column of the first; 0 where it
    is not examined.
    """
    if column.role in ("text", "datetime"):
        return 0.0
    both = pd.concat(halves)
    codes = both[column.name]
    if column.role == "categorical":
        codes = pd.Series(pd.factorize(codes)[0], index=both.index)
        if codes.nunique() > len(both) / 5:
            return 0.0
    target = TARGETS[schema.task]
    X = codes.astype("float64").to_numpy().reshape(-1, 1)
    y = target.labels(both[schema.target])
    half = len(halves[0])
    tree = target.small_tree().fit(X[:half], y.iloc[:half])
    return target.score(y.iloc[half:].to_numpy(), tree.predict(X[half:]))
