"""How much a model depends on each input."""

from functools import partial
from typing import TYPE_CHECKING

import pandas as pd
from sklearn.inspection import permutation_importance

from bakebook.contracts import Metrics, Schema
from bakebook.models.task import Holdout, Plot

from .. import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS = 2_000  # on which the importance is measured


def importance_plot(scoring: str, label: str) -> Plot:
    """The plot of a task whose score scikit-learn calls `scoring`, and people `label`."""

    def draw(table: pd.DataFrame, schema: Schema, metrics: Metrics) -> "Figure":
        return plots.importance(table, label)

    return Plot(
        name="importance",
        title="Permutation importance",
        caption="Shuffling an important input lowers the score. Correlated inputs share the drop.",
        template="bar_horizontal",
        x="importance",
        y="input",
        table=partial(measure, scoring=scoring),
        draw=draw,
    )


def measure(holdout: Holdout, *, scoring: str, repeats: int, random_state: int) -> pd.DataFrame:
    """How much the score drops when one input is shuffled: input, importance, spread, the greatest
    first.
    """
    X = holdout.X
    rows = X.sample(min(len(X), MOST_ROWS), random_state=random_state).index
    found = permutation_importance(
        holdout.model,
        X.loc[rows],
        holdout.y.loc[rows],
        n_repeats=repeats,
        random_state=random_state,
        scoring=scoring,
    )
    table = pd.DataFrame(
        {
            "input": X.columns,
            "importance": found.importances_mean,
            "spread": found.importances_std,
        }
    )
    return (
        table.round(6)
        .sort_values("importance", ascending=False, kind="stable")
        .reset_index(drop=True)
    )
