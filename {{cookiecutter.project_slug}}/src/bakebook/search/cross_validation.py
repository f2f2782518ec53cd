"""Cross-validation: what a model scores on rows that it was not fitted on."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
from sklearn.metrics import get_scorer
from sklearn.pipeline import Pipeline

from bakebook.contracts import CrossValidation
from bakebook.errors import BadInput, first_line
from bakebook.models.fitting import fit
from bakebook.models.rows import Rows, folds
from bakebook.search.plan import Plan

DIGITS = 6


def cross_validate(model: Pipeline, rows: Rows, plan: Plan) -> CrossValidation:
    """The score of the model in each fold, in other folds than those in which a search chose it:
    the best of many trials is partly the luckiest. Rare classes are excluded.
    """
    frequent, plan = frequent_classes(rows, plan)
    found = list(scores(model, frequent, plan.in_other_folds()))
    return CrossValidation(
        scoring=plan.scoring,
        mean=round(float(np.mean(found)), DIGITS),
        spread=round(float(np.std(found)), DIGITS),
        folds=tuple(round(score, DIGITS) for score in found),
    )


def shown(found: CrossValidation) -> pd.DataFrame:
    """One row per fold: its score."""
    folds = pd.RangeIndex(1, len(found.folds) + 1, name="fold")
    return pd.DataFrame({found.scoring: found.folds}, index=folds)


def scores(model: Pipeline, rows: Rows, plan: Plan) -> Iterator[float]:
    """The score on each fold of the model fitted on the others. Raises BadInput where it is not
    defined.
    """
    scorer = get_scorer(plan.scoring)
    is_measured = False
    for train, test in folds(rows, plan.cv, plan.random_state):
        train_rows, test_rows = _same_classes(rows.take(train), rows.take(test))
        if train_rows is None or test_rows is None:
            continue
        is_measured = True
        fitted = fit(model, train_rows)
        try:
            score = float(scorer(fitted, test_rows.X, test_rows.y))
        except ValueError as error:
            what = f"train.scoring {plan.scoring} does not fit the target ({first_line(error)})"
            raise BadInput(what, "set another train.scoring") from None
        if not math.isfinite(score):
            raise BadInput(
                f"train.scoring {plan.scoring} is not defined on every fold",
                "set another train.scoring",
            )
        yield score
    if not is_measured:
        what = "no fold has two classes to learn and one of them to predict"
        raise BadInput(what, "choose another prepare.split, or fewer folds (train.cv)")


def frequent_classes(rows: Rows, plan: Plan) -> tuple[Rows, Plan]:
    """The rows of classes that have a row, or a group, for every fold, with the classes numbered
    from 0 again.

    Where only one class has that many, there are fewer folds. A number to predict keeps all rows.
    Raises BadInput when no two classes have two rows each.
    """
    if not _is_classes(rows.y):
        return rows, plan
    counts = rows.y.value_counts()
    if rows.groups is not None:
        counts = rows.groups.groupby(rows.y).nunique()
    second_largest = int(counts.nlargest(2).iloc[-1])
    cv = min(plan.cv, second_largest)
    if cv < 2 or len(counts) < 2:
        what = "no two classes have two training rows each"
        if rows.groups is not None:
            what = "no two classes are in two groups of training rows each"
        raise BadInput(what, "choose another prepare.target or prepare.split")
    is_frequent = rows.y.map(counts) >= cv
    kept = rows.take(np.flatnonzero(is_frequent))
    return _renumbered(kept, kept.y), replace(plan, cv=cv)


def _same_classes(train: Rows, test: Rows) -> tuple[Rows | None, Rows | None]:
    """The rows of a fold: those to predict are of classes that were learned, which are numbered
    from 0. None where nothing can be measured.
    """
    if not _is_classes(train.y):
        return train, test
    learned = np.unique(train.y)
    known = test.take(np.flatnonzero(test.y.isin(learned)))
    if len(learned) < 2 or known.y.empty:
        return None, None
    return _renumbered(train, train.y), _renumbered(known, train.y)


def _renumbered(rows: Rows, learned: pd.Series) -> Rows:
    """The same rows, with the classes of `learned` numbered from 0."""
    codes = np.searchsorted(np.unique(learned), rows.y)
    return replace(rows, y=pd.Series(codes, index=rows.y.index, dtype="int64"))


def _is_classes(y: pd.Series) -> bool:
    return pd.api.types.is_integer_dtype(y)
