"""The scores, baseline and plots of a regressor."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from bakebook.contracts import Interval, Metrics, Schema
from bakebook.models.intervals import bootstrap
from bakebook.models.task import Holdout, Plot, Score, forest_or_boosting, rounded
from bakebook.params import Task as TaskName, Threshold

from .. import plots
from .importance import importance_plot
from .slices import slices_plot

DECILES = 10


def actual_and_predicted(holdout: Holdout) -> pd.DataFrame:
    """One row per test row: the actual and the predicted number."""
    predicted = holdout.model.predict(holdout.X)
    return pd.DataFrame({"actual": holdout.y.to_numpy(), "predicted": predicted}).round(6)


def residuals(holdout: Holdout) -> pd.DataFrame:
    """The residual (actual minus predicted) of each test row, beside its prediction."""
    predicted = holdout.model.predict(holdout.X)
    residual = holdout.y.to_numpy() - predicted
    return pd.DataFrame({"predicted": predicted, "residual": residual}).round(6)


def error_by_decile(holdout: Holdout) -> pd.DataFrame:
    """By decile of the predictions: mean prediction, actual number and absolute error, and the
    standard error of the last.
    """
    rows = pd.DataFrame(
        {"predicted": holdout.model.predict(holdout.X), "actual": holdout.y.to_numpy()}
    )
    rows["error"] = (rows["actual"] - rows["predicted"]).abs()
    ranks = rows["predicted"].rank(method="first")
    decile = pd.qcut(ranks, min(DECILES, len(rows)), labels=False)
    groups = rows.groupby(decile.rename("decile"))
    return groups.mean().assign(spread=groups["error"].sem().fillna(0)).round(6)


def absolute_errors(holdout: Holdout) -> np.ndarray:
    """How far each prediction is from the truth (n,)."""
    return np.abs(holdout.y.to_numpy() - holdout.model.predict(holdout.X))


def mae(y: np.ndarray, y_pred: np.ndarray, y_score: None) -> float:
    """The mean absolute error."""
    return float(np.mean(np.abs(y - y_pred)))


def rmse(y: np.ndarray, y_pred: np.ndarray, y_score: None) -> float:
    """The root of the mean squared error."""
    return float(np.sqrt(np.mean((y - y_pred) ** 2)))


def r2(y: np.ndarray, y_pred: np.ndarray, y_score: None) -> float:
    """The share of the variance that the model explains; NaN when all rows have one value."""
    total = np.sum((y - y.mean()) ** 2)
    return float(1 - np.sum((y - y_pred) ** 2) / total) if total else float("nan")


class Regression:
    """The task of predicting numbers; bakebook.models.task.Task describes each attribute."""

    name: TaskName = "regression"
    scores: Mapping[str, Score] = {
        "mae": Score(mae, more_is_better=False),
        "rmse": Score(rmse, more_is_better=False),
        "r2": Score(r2, more_is_better=True),
    }
    scoring = "r2"
    scoring_label = "R²"
    baseline_text = "predicts the mean of the training rows, and for mae their median"
    first_models = forest_or_boosting("Regressor", 150)
    first_criteria: Mapping[str, Threshold] = {"r2": "baseline"}
    first_watched: Mapping[str, Threshold] = {"mae": "baseline"}
    predictions = Plot(
        name="actual_and_predicted",
        title="Actual and predicted",
        caption="Perfect predictions are on the dotted line.",
        template="scatter",
        x="predicted",
        y="actual",
        table=actual_and_predicted,
        draw=plots.actual_and_predicted,
    )
    errors = Plot(
        name="residuals",
        title="Residuals",
        caption="A trend is structure that the model missed; a funnel means that errors grow.",
        template="scatter",
        x="predicted",
        y="residual",
        table=residuals,
        draw=plots.residuals,
    )
    confidence = Plot(
        name="error_by_decile",
        title="Error by decile of the predictions",
        caption="The mean absolute error, from the smallest predictions to the largest.",
        template="linear",
        x="predicted",
        y="error",
        table=error_by_decile,
        draw=plots.error_by_decile,
    )
    importance = importance_plot(Score(r2, more_is_better=True), scoring_label)
    slices = slices_plot(absolute_errors, "mean absolute error")

    @property
    def plots(self) -> tuple[Plot, ...]:
        return (self.predictions, self.errors, self.confidence, self.importance, self.slices)

    def baseline(self, y_train: pd.Series, y_test: pd.Series, schema: Schema) -> dict[str, float]:
        y = y_test.to_numpy()
        guesses = {"mae": y_train.median(), "rmse": y_train.mean(), "r2": y_train.mean()}
        found = {}
        for name, guess in guesses.items():
            found[name] = self.scores[name].compute(y, np.full(len(y), guess), None)
        return rounded(found)

    def evaluate(self, model: Any, X: pd.DataFrame, y: pd.Series) -> dict[str, float]:
        y_pred = model.predict(X)
        return rounded(
            {name: score.compute(y.to_numpy(), y_pred, None) for name, score in self.scores.items()}
        )

    def intervals(self, holdout: Holdout, random_state: int) -> dict[str, Interval]:
        computed = {name: score.compute for name, score in self.scores.items()}
        y_pred = np.asarray(holdout.model.predict(holdout.X), dtype=np.float64)
        y = holdout.y.to_numpy()
        return bootstrap(computed, y, y_pred, None, random_state, holdout.blocks)

    def details(self, holdout: Holdout) -> dict[str, object]:
        quantiles = {"min": 0.0, "median": 0.5, "max": 1.0}
        return {
            "target": rounded({name: float(holdout.y.quantile(q)) for name, q in quantiles.items()})
        }

    def describe_details(self, metrics: Metrics, schema: Schema) -> str:
        spread = ", ".join(f"{name} {value:g}" for name, value in (metrics.target or {}).items())
        unit = f"mae and rmse are in the unit of `{schema.target}`"
        return f"{unit}, which has {spread} among the test rows."
