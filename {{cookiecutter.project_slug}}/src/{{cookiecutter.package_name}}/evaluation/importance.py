"""How much a model depends on each input."""

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bakebook.contracts import Metrics, Schema
from bakebook.models.encoding import tensor_types
from bakebook.models.task import Holdout, Plot, Score

from .. import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS = 2_000  # on which the importance is measured
SAME = 0.8  # Spearman's correlation from which inputs are shuffled together


def importance_plot(score: Score, label: str) -> Plot:
    """The plot of a task by the score that people call `label`."""

    def draw(table: pd.DataFrame, schema: Schema, metrics: Metrics) -> "Figure":
        return plots.importance(table, label)

    return Plot(
        name="importance",
        title="Permutation importance",
        caption=(
            "Shuffling an important input lowers the score. Inputs that are strongly correlated are"
            " shuffled together. The lines are two standard deviations over shuffles and rows."
        ),
        template="bar_horizontal",
        x="importance",
        y="input",
        table=partial(measure, score=score),
        draw=draw,
    )


def measure(holdout: Holdout, *, score: Score, repeats: int, random_state: int) -> pd.DataFrame:
    """How much the score drops when an input is shuffled: input, importance, spread, the greatest
    first (Breiman, 2001). The spread is the standard deviation over shuffles and resamples of the
    rows.
    """
    X = holdout.X.sample(min(len(holdout.X), MOST_ROWS), random_state=random_state)
    y = holdout.y.loc[X.index].to_numpy()
    y_score = np.empty((len(y), len(holdout.schema.classes or ())))  # of which the shape counts
    y_pred = holdout.model.predict(X)
    chance = np.random.default_rng(random_state)
    rows = []
    for name, columns in together(X, holdout.schema).items():
        drops = []
        for _ in range(repeats):
            shuffled = X.copy()
            shuffled[columns] = X[columns].iloc[chance.permutation(len(X))].to_numpy()
            without = holdout.model.predict(shuffled)
            drawn = chance.integers(len(X), size=len(X))
            whole = score.compute(y, y_pred, y_score) - score.compute(y, without, y_score)
            part = score.compute(y[drawn], y_pred[drawn], y_score)
            drops.append((whole, part - score.compute(y[drawn], without[drawn], y_score)))
        found = np.array(drops)
        rows.append((name, found[:, 0].mean(), found[:, 1].std()))
    table = pd.DataFrame(rows, columns=["input", "importance", "spread"]).round(6)
    return table.sort_values("importance", ascending=False, kind="stable", ignore_index=True)


def together(X: pd.DataFrame, schema: Schema) -> dict[str, list[str]]:
    """The columns of X that are shuffled together, by the names of their inputs: the parts of a
    time, and inputs that say almost the same.
    """
    parts = {column.name: list(tensor_types(column)) for column in schema.inputs}
    names = list(parts)
    first = {name: columns[0] for name, columns in parts.items()}
    numeric = [name for name in names if pd.api.types.is_numeric_dtype(X[first[name]])]
    same = X[[first[name] for name in numeric]].corr("spearman").abs().to_numpy() > SAME
    leader = {name: name for name in names}
    for row, name in enumerate(numeric):
        for other in np.flatnonzero(same[row, :row]):
            old, new = leader[name], leader[numeric[other]]
            leader = {one: new if of == old else of for one, of in leader.items()}
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(leader[name], []).append(name)
    return {
        " + ".join(members): [column for one in members for column in parts[one]]
        for members in groups.values()
    }
