"""Cross-validation: what a model scores on rows that it was not fitted on."""

import math
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from IPython.display import ProgressBar
from sklearn.base import clone
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import Pipeline

from .errors import BadInput, did_you_mean, first_line


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
        if "NB_NO_BARS" not in os.environ:
            self.bar.display()

    def may_go_on(self, done: int) -> bool:
        """Whether there are trials and time left after so many."""
        passed = time.monotonic() - self.started
        shown = min(done if self.trials else int(passed), self.bar.total)
        if shown != self.bar.progress:
            self._show(shown)
        return not done or (done < (self.trials or math.inf) and passed < (self.seconds or math.inf))

    def finish(self) -> None:
        self._show(self.bar.total)

    def _show(self, done: int) -> None:
        if "NB_NO_BARS" not in os.environ:  # nbval, which compares outputs
            self.bar.progress = done


def cross_validate(model: Pipeline, X: pd.DataFrame, y: pd.Series, plan: Plan) -> pd.DataFrame:
    """The score of each fold: how far the result depends on the rows."""
    found = list(scores(model, *often(X, y, plan)))
    return pd.DataFrame({plan.scoring: found}, index=pd.Index(range(1, len(found) + 1), name="fold"))


def scores(model: Pipeline, X: pd.DataFrame, y: pd.Series, plan: Plan) -> Iterator[float]:
    """The score on each fold of the model fitted on the others. Raises BadInput where it is not defined.

    The rows are shuffled: in a sorted table, a fold would hold what no other does.
    """
    scorer = get_scorer(plan.scoring)
    for train, test in splitter(y, plan).split(X, y):
        fitted = clone(model).fit(X.iloc[train], y.iloc[train])
        try:
            score = float(scorer(fitted, X.iloc[test], y.iloc[test]))
        except ValueError as error:
            raise BadInput(f"train.scoring {plan.scoring} does not fit ({first_line(error)}) → set another") from None
        if not math.isfinite(score):
            raise BadInput(f"train.scoring {plan.scoring} is not defined on every fold → set another")
        yield score


def splitter(y: pd.Series, plan: Plan) -> KFold | StratifiedKFold:
    kind = StratifiedKFold if _is_classes(y) else KFold
    return kind(plan.cv, shuffle=True, random_state=plan.random_state)


def often(X: pd.DataFrame, y: pd.Series, plan: Plan) -> tuple[pd.DataFrame, pd.Series, Plan]:
    """The rows whose class has one for every fold, numbered anew; fewer folds where only one class has.

    All rows, where y is a number. Raises BadInput when no two classes have two rows each.
    """
    if not _is_classes(y):
        return X, y, plan
    counts = y.value_counts()
    cv = min(plan.cv, int(counts.nlargest(2).iloc[-1]))
    if cv < 2:
        raise BadInput("no two classes have two train rows each → choose another prepare.target")
    kept = y.map(counts) >= cv
    places = pd.Series(pd.factorize(y[kept], sort=True)[0].astype("int64"), index=y.index[kept])
    return X[kept], places, replace(plan, cv=cv)


def _is_classes(y: pd.Series) -> bool:
    return pd.api.types.is_integer_dtype(y)
