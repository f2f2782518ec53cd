"""How good a regressor is."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.dummy import DummyRegressor
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

# name: (function of y (n,) and y_pred (n,); whether more is better)
SCORES: dict[str, tuple[Callable[..., float], bool]] = {
    "mae": (mean_absolute_error, False),
    "rmse": (root_mean_squared_error, False),
    "r2": (r2_score, True),
}
SCORING = "r2"  # by which the importance of an input is measured
TENTHS = 10


def baseline(X: pd.DataFrame, y: pd.Series) -> DummyRegressor:
    """What a model must beat: the mean of the train rows, whatever the inputs."""
    return DummyRegressor(strategy="mean").fit(X, y)


def scores(model: Any, X: pd.DataFrame, y: pd.Series) -> dict[str, float]:
    """Every score of SCORES, in the unit of the target but for r2, rounded to six digits."""
    y_pred = model.predict(X)
    found = {name: float(score(y, y_pred)) for name, (score, _) in SCORES.items()}
    return {name: round(value, 6) for name, value in found.items() if np.isfinite(value)}


def details(model: Any, X: pd.DataFrame, y: pd.Series, classes: None) -> dict[str, Any]:
    """The middle and the extremes of the target among the test rows, beside which the errors can be read."""
    return {"target": {name: round(float(y.quantile(q)), 6) for name, q in (("min", 0), ("median", 0.5), ("max", 1))}}


def predictions(model: Any, X: pd.DataFrame, y: pd.Series, classes: None) -> pd.DataFrame:
    """One row per test row: the actual and the predicted number."""
    return pd.DataFrame({"actual": y.to_numpy(), "predicted": model.predict(X)}).round(6)


def errors(model: Any, X: pd.DataFrame, y: pd.Series, classes: None) -> pd.DataFrame:
    """The residual (actual minus predicted) of each test row, beside its prediction."""
    y_pred = model.predict(X)
    return pd.DataFrame({"predicted": y_pred, "residual": y.to_numpy() - y_pred}).round(6)


def calibration(model: Any, X: pd.DataFrame, y: pd.Series) -> pd.DataFrame:
    """By tenth of the predictions: their mean, the mean that was true, and the mean absolute error."""
    rows = pd.DataFrame({"predicted": model.predict(X), "actual": y.to_numpy()})
    rows["error"] = (rows["actual"] - rows["predicted"]).abs()
    tenth = pd.qcut(rows["predicted"].rank(method="first"), min(TENTHS, len(rows)), labels=False)
    return rows.groupby(tenth.rename("tenth")).mean().round(6)
