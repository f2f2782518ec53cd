"""Cross-validation: what a model scores on rows that it was not fitted on."""

import math
from collections.abc import Iterator
from dataclasses import replace

import pandas as pd
from sklearn.base import clone
from sklearn.metrics import get_scorer
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import Pipeline

from bakebook.errors import BadInput, first_line
from bakebook.search.plan import Plan


def cross_validate(model: Pipeline, X: pd.DataFrame, y: pd.Series, plan: Plan) -> pd.DataFrame:
    """The score of each fold: how much the result depends on the
    rows. Rare classes are excluded.
    """
    found = list(scores(model, *frequent_classes(X, y, plan)))
    folds = pd.RangeIndex(1, len(found) + 1, name="fold")
    return pd.DataFrame({plan.scoring: found}, index=folds)


def scores(model: Pipeline, X: pd.DataFrame, y: pd.Series, plan: Plan) -> Iterator[float]:
    """The score on each fold of the model fitted on the others. Raises BadInput where it is not
    defined.
    """
    scorer = get_scorer(plan.scoring)
    for train, test in splitter(y, plan).split(X, y):
        fitted = clone(model).fit(X.iloc[train], y.iloc[train])
        try:
            score = float(scorer(fitted, X.iloc[test], y.iloc[test]))
        except ValueError as error:
            what = f"train.scoring {plan.scoring} does not fit the target ({first_line(error)})"
            raise BadInput(what, "set another train.scoring") from None
        if not math.isfinite(score):
            raise BadInput(
                f"train.scoring {plan.scoring} is not defined on every fold",
                "set another train.scoring",
            )
        yield score


def splitter(y: pd.Series, plan: Plan) -> KFold | StratifiedKFold:
    """Folds of shuffled rows: in a sorted table, a fold would otherwise hold what no other does."""
    class_ = StratifiedKFold if _is_classes(y) else KFold
    return class_(plan.cv, shuffle=True, random_state=plan.random_state)


def frequent_classes(
    X: pd.DataFrame, y: pd.Series, plan: Plan
) -> tuple[pd.DataFrame, pd.Series, Plan]:
    """The rows of classes that have a row for every fold, with the classes numbered from 0 again.

    Where only one class has that many rows, there are fewer folds. A number to predict keeps all
    rows. Raises BadInput when no two classes have two rows each.
    """
    if not _is_classes(y):
        return X, y, plan
    counts = y.value_counts()
    second_largest = int(counts.nlargest(2).iloc[-1])
    cv = min(plan.cv, second_largest)
    if cv < 2:
        raise BadInput(
            "no two classes have two training rows each", "choose another prepare.target"
        )
    is_frequent = y.map(counts) >= cv
    codes, _ = pd.factorize(y[is_frequent], sort=True)
    classes = pd.Series(codes.astype("int64"), index=y.index[is_frequent])
    return X[is_frequent], classes, replace(plan, cv=cv)


def _is_classes(y: pd.Series) -> bool:
    return pd.api.types.is_integer_dtype(y)
