"""Cross-validation: what a model scores on rows that it was not fitted on."""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from IPython.display import ProgressBar
from sklearn.base import clone
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import Pipeline

from .errors import BadInput, did_you_mean


@dataclass(frozen=True)
class Plan:
    """How to look for a better model, in the words of `params.yaml: train`."""

    search: str  # none, grid, random, optuna or automl
    space: Mapping[str, Any]  # of each hyperparameter the values to try, or {low, high, log}
    trials: int  # at most; 0: as many as the time allows
    time_budget: float  # seconds after which no further trial starts; 0: no limit
    cv: int
    scoring: str
    random_state: int

    def __post_init__(self) -> None:
        if self.scoring not in get_scorer_names():
            near = did_you_mean(self.scoring, get_scorer_names())
            raise BadInput(f"train.scoring '{self.scoring}' is unknown to scikit-learn{near or ' → f1_macro, r2, …'}")
        if self.search not in ("none", "grid") and not self.trials and not self.time_budget:
            raise BadInput(f"train.search: {self.search} would not end → set train.trials or train.time_budget")


class Progress:
    """Shows how much of a search is done, of its trials or of its time, and says whether it may go on."""

    def __init__(self, trials: int, seconds: float) -> None:
        self.trials, self.seconds, self.started = trials, seconds, time.monotonic()
        self.bar = ProgressBar(trials or math.ceil(seconds))
        self.bar.display()

    def may_go_on(self, done: int) -> bool:
        """Whether there are trials and time left after so many."""
        passed = time.monotonic() - self.started
        shown = min(done if self.trials else int(passed), self.bar.total)
        if shown != self.bar.progress:
            self.bar.progress = shown
        return (done < self.trials or not self.trials) and (passed < self.seconds or not self.seconds)

    def finish(self) -> None:
        self.bar.progress = self.bar.total


def cross_validate(model: Pipeline, X: pd.DataFrame, y: pd.Series, plan: Plan) -> pd.DataFrame:
    """The score of each fold: how far the result depends on the rows."""
    found = list(scores(model, *often(X, y, plan.cv), plan))
    return pd.DataFrame({plan.scoring: found}, index=pd.Index(range(1, plan.cv + 1), name="fold"))


def scores(model: Pipeline, X: pd.DataFrame, y: pd.Series, plan: Plan) -> Iterator[float]:
    """The score on each fold of the model fitted on the others. Raises BadInput where it is not defined.

    The rows are shuffled: in a sorted table, a fold would hold what no other does.
    """
    scorer, kind = get_scorer(plan.scoring), StratifiedKFold if _is_classes(y) else KFold
    for train, test in kind(plan.cv, shuffle=True, random_state=plan.random_state).split(X, y):
        score = float(scorer(clone(model).fit(X.iloc[train], y.iloc[train]), X.iloc[test], y.iloc[test]))
        if not math.isfinite(score):
            raise BadInput(f"{plan.scoring} is not defined on every fold → set another train.scoring")
        yield score


def often(X: pd.DataFrame, y: pd.Series, cv: int) -> tuple[pd.DataFrame, pd.Series]:
    """The rows whose class has one for every fold; all, where y is a number."""
    counts = y.map(y.value_counts())
    kept = counts >= cv if _is_classes(y) and (counts >= cv).any() else counts > 0
    return X[kept], y[kept]


def _is_classes(y: pd.Series) -> bool:
    return pd.api.types.is_integer_dtype(y)
