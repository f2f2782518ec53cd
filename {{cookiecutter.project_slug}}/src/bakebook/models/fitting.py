"""Fits a model so that whatever it holds back inside, for target encoding, calibration or early
stopping, is divided as the rows are.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import TargetEncoder

from bakebook.errors import BadInput
from bakebook.models.rows import Fold, Rows, inner_folds

ENCODING_FOLDS = 5
VALIDATION_FOLDS = 10  # of which the last one stops the training early
EARLY_STOPPING_ROWS = 10_000  # from which scikit-learn's boosting stops early by itself
SEED = 0


class GivenFolds:
    """Folds as scikit-learn's estimators take them; only the fit itself needs them, so they are
    not saved with the model.
    """

    def __init__(self, folds: list[Fold]) -> None:
        self.folds = folds

    def __deepcopy__(self, memo: object) -> "GivenFolds":
        return self

    def __getstate__(self) -> dict[str, object]:
        return {"folds": []}

    def get_n_splits(self, X: object = None, y: object = None, groups: object = None) -> int:
        return len(self.folds)

    def split(self, X: object, y: object = None, groups: object = None) -> Iterator[Fold]:
        return iter(self.folds)


def fit(model: Pipeline, rows: Rows) -> Pipeline:
    """A fitted copy of the pipeline of preprocessing and estimator.

    Raises BadInput where a class has too few rows to calibrate the probabilities of an estimator
    that has none.
    """
    fitted = clone(model)
    _divide_for_encoding(fitted, rows)
    _divide_for_calibration(fitted.named_steps["estimator"], rows)
    if not rows.are_related:
        return fitted.fit(rows.X, rows.y)
    X = fitted[:-1].fit_transform(rows.X, rows.y)
    _fit_estimator(fitted.named_steps["estimator"], X, rows)
    return fitted


def preprocessed(model: Pipeline, rows: Rows) -> np.ndarray:
    """The rows as the estimator of the pipeline learns from them: float32 (n, features)."""
    unfitted = clone(model)
    _divide_for_encoding(unfitted, rows)
    return np.asarray(unfitted[:-1].fit_transform(rows.X, rows.y), dtype=np.float32)


def _divide_for_encoding(model: Pipeline, rows: Rows) -> None:
    """Divides the rows for what encodes by the target, so that no row is encoded by its own."""
    encoders = [step for step in _steps(model) if isinstance(step, TargetEncoder)]
    if encoders:
        folds = GivenFolds(inner_folds(rows, ENCODING_FOLDS, SEED))
        for encoder in encoders:
            encoder.set_params(cv=folds)


def _divide_for_calibration(estimator: BaseEstimator, rows: Rows) -> None:
    """Divides the rows for a calibration: as they are related, and so that each part has each
    class.
    """
    if not isinstance(estimator, CalibratedClassifierCV):
        return
    fewest = int(rows.y.value_counts().min())
    if fewest < 2:
        name = type(estimator.estimator).__name__
        what = f"a class has only one training row, and {name} needs two to have probabilities"
        raise BadInput(what, "nb estimators lists others, or add rows")
    cv = min(estimator.cv, fewest)
    if rows.are_related:
        estimator.set_params(cv=GivenFolds(inner_folds(rows, cv, SEED)))
    else:
        estimator.set_params(cv=cv)


def _fit_estimator(estimator: Any, X: Any, rows: Rows) -> None:
    if not _stops_early(estimator, len(rows.y)):
        estimator.fit(X, rows.y)
        return
    train, validation = inner_folds(rows, VALIDATION_FOLDS, SEED)[-1]
    y = rows.y.to_numpy()
    estimator.fit(X[train], y[train], X_val=X[validation], y_val=y[validation])


def _stops_early(estimator: BaseEstimator, rows: int) -> bool:
    """Whether scikit-learn's boosting would hold back rows at random."""
    if not type(estimator).__name__.startswith("HistGradientBoosting"):
        return False
    asked = estimator.get_params(deep=False)["early_stopping"]
    return rows > EARLY_STOPPING_ROWS if asked == "auto" else bool(asked)


def _steps(model: Pipeline) -> Iterator[BaseEstimator]:
    for value in model.get_params(deep=True).values():
        if isinstance(value, BaseEstimator):
            yield value
