"""The task of predicting classes: its baseline, intervals and plots. y contains the place of each
row's class in `schema.classes`.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_curve

from bakebook.contracts import Interval, Metrics, Schema
from bakebook.models.deciding import threshold_of
from bakebook.models.intervals import bootstrap, exact_share
from bakebook.models.task import Holdout, Plot, Score, forest_or_boosting, rounded
from bakebook.params import Task as TaskName, Threshold

from .. import plots
from .class_scores import (
    BINS,
    OF_RARER,
    accuracy,
    average_precision,
    balanced_accuracy,
    calibration_error,
    confusion,
    error_of_perfection,
    f1_macro,
    log_loss,
    mean_f1,
    precision,
    rarer_of,
    recall,
    roc_auc,
)
from .importance import importance_plot
from .slices import slices_plot

MOST_POINTS = 500  # of a curve
# Where no test row is wrong, no resample has a wrong one either
PERFECT_AT_ONE = ("balanced_accuracy", "f1_macro", "roc_auc")


def _interval_of_perfection(y: np.ndarray, blocks: np.ndarray | None) -> Interval:
    """The interval of a mean over classes that is 1: the recall of the class with the fewest rows,
    or blocks of rows, could be as low as its exact interval says.
    """
    independent = np.arange(len(y)) if blocks is None else blocks
    pairs = np.unique(np.column_stack([y, independent]), axis=0)
    counts = np.unique(pairs[:, 0], return_counts=True)[1]
    rarest = int(counts.min())
    missing = 1 - exact_share(rarest, rarest).low
    return Interval(low=round(1 - missing / len(counts), 6), high=1.0)


def confusion_rows(holdout: Holdout) -> pd.DataFrame:
    """One row per test row: the actual and the predicted class."""
    names = np.array(holdout.schema.classes, dtype=object)
    predicted = holdout.model.predict(holdout.X)
    return pd.DataFrame({"actual": names[holdout.y.to_numpy()], "predicted": names[predicted]})


def roc_curves(holdout: Holdout) -> pd.DataFrame:
    """The ROC curve of each class against the rest: class,
    false_positive_rate, true_positive_rate.
    """
    y_score = holdout.model.predict_proba(holdout.X)
    curves = []
    for place, name in enumerate(holdout.schema.classes or ()):
        is_class = holdout.y == place
        if 0 < is_class.sum() < len(is_class):
            curves.append(_roc_curve(name, is_class, y_score[:, place]))
    if not curves:
        return pd.DataFrame(columns=["class", "false_positive_rate", "true_positive_rate"])
    return pd.concat(curves, ignore_index=True).round(6)


def _roc_curve(name: str, is_class: pd.Series, y_score: np.ndarray) -> pd.DataFrame:
    false_positive_rate, true_positive_rate, _ = roc_curve(is_class, y_score)
    columns = {"false_positive_rate": false_positive_rate, "true_positive_rate": true_positive_rate}
    curve = pd.DataFrame({"class": name, **columns})
    points = np.unique(np.linspace(0, len(curve) - 1, MOST_POINTS).astype(int))
    return curve.iloc[points]


def calibration(holdout: Holdout) -> pd.DataFrame:
    """Mean confidence and accuracy of the predictions by bins of
    equal width: confidence, accuracy.
    """
    y_score = holdout.model.predict_proba(holdout.X)
    is_correct = y_score.argmax(axis=1) == holdout.y
    accuracy, confidence = calibration_curve(is_correct, y_score.max(axis=1), n_bins=BINS)
    return pd.DataFrame({"confidence": confidence, "accuracy": accuracy}).round(6)


def wrong(holdout: Holdout) -> np.ndarray:
    """Whether each row is predicted wrongly (n,): 1.0 or 0.0."""
    predicted = holdout.model.predict(holdout.X)
    return np.asarray(predicted != holdout.y.to_numpy(), dtype=np.float64)


# What a guess reaches in these says nothing: the shares of the classes are calibrated, and whoever
# always guesses the rarer class finds all its rows
NOT_GUESSED = ("calibration_error", "precision", "recall")


class Classification:
    """The task of predicting classes; bakebook.models.task.Task describes each attribute."""

    name: TaskName = "classification"
    scores: Mapping[str, Score] = {
        "accuracy": Score(accuracy, more_is_better=True),
        "balanced_accuracy": Score(balanced_accuracy, more_is_better=True),
        "f1_macro": Score(f1_macro, more_is_better=True),
        "roc_auc": Score(roc_auc, more_is_better=True),
        "log_loss": Score(log_loss, more_is_better=False),
        "calibration_error": Score(calibration_error, more_is_better=False),
        "precision": Score(precision, more_is_better=True),
        "recall": Score(recall, more_is_better=True),
        "average_precision": Score(average_precision, more_is_better=True),
    }
    scoring = "f1_macro"
    scoring_label = "macro F1"
    baseline_text = (
        "predicts the class frequencies of the training rows; for F1, it draws classes by these"
        " frequencies where that scores higher than the most frequent class"
    )
    first_models = forest_or_boosting(
        "Classifier", 2000
    )  # the probabilities of a forest are better on fewer
    first_criteria: Mapping[str, Threshold] = {"f1_macro": "baseline"}
    first_watched: Mapping[str, Threshold] = {"f1_macro": "baseline"}
    predictions = Plot(
        name="confusion_matrix",
        title="Confusion matrix",
        caption="Correct predictions are on the diagonal; other cells count confusions.",
        template="confusion",
        x="predicted",
        y="actual",
        table=confusion_rows,
        draw=plots.confusion_matrix,
    )
    errors = Plot(
        name="roc",
        title="ROC of each class against the rest",
        caption="The closer a curve is to the upper left corner, the better the separation.",
        template="simple",
        x="false_positive_rate",
        y="true_positive_rate",
        table=roc_curves,
        draw=plots.roc,
    )
    confidence = Plot(
        name="calibration",
        title="Calibration",
        caption="On the dotted line, 90 % of predictions with 90 % confidence are correct.",
        template="linear",
        x="confidence",
        y="accuracy",
        table=calibration,
        draw=plots.calibration,
    )
    importance = importance_plot(Score(f1_macro, more_is_better=True), scoring_label)
    slices = slices_plot(wrong, "share of wrong predictions")

    @property
    def plots(self) -> tuple[Plot, ...]:
        return (self.predictions, self.errors, self.confidence, self.importance, self.slices)

    def baseline(self, y_train: pd.Series, y_test: pd.Series, schema: Schema) -> dict[str, float]:
        classes = len(schema.classes or ())
        shares = np.bincount(y_train, minlength=classes) / len(y_train)
        y = y_test.to_numpy()
        y_pred = np.full(len(y), shares.argmax())
        y_score = np.tile(shares, (len(y), 1))
        found = {name: score.compute(y, y_pred, y_score) for name, score in self.scores.items()}
        for name in NOT_GUESSED:
            del found[name]
        drawn = np.outer(np.bincount(y, minlength=classes), shares)
        found["f1_macro"] = max(found["f1_macro"], mean_f1(drawn))
        return rounded(found)

    def evaluate(self, model: Any, X: pd.DataFrame, y: pd.Series) -> dict[str, float]:
        y_pred = model.predict(X)
        y_score = model.predict_proba(X)
        actual = y.to_numpy()
        return rounded(
            {name: score.compute(actual, y_pred, y_score) for name, score in self.scores.items()}
        )

    def intervals(self, holdout: Holdout, random_state: int) -> dict[str, Interval]:
        y = holdout.y.to_numpy()
        computed = {name: score.compute for name, score in self.scores.items()}
        for compute in OF_RARER:
            computed[compute.__name__] = partial(compute, rarer=rarer_of(y))
        y_pred = holdout.model.predict(holdout.X)
        y_score = holdout.model.predict_proba(holdout.X)
        found = bootstrap(computed, y, y_pred, y_score, random_state, holdout.blocks)
        if holdout.blocks is None:
            found["accuracy"] = exact_share(int(np.sum(y == y_pred)), len(y))
        for name in PERFECT_AT_ONE:
            if name in found and found[name].low == 1:
                found[name] = _interval_of_perfection(y, holdout.blocks)
        return found

    def details(self, holdout: Holdout) -> dict[str, object]:
        names = holdout.schema.classes or ()
        predicted = holdout.model.predict(holdout.X)
        y_score = holdout.model.predict_proba(holdout.X)
        counts = confusion(holdout.y.to_numpy(), predicted, len(names))
        both = counts.sum(axis=0) + counts.sum(axis=1)
        values = 2 * counts.diagonal() / np.maximum(both, 1)
        pairs = zip(names, values, both, strict=True)
        support = dict(zip(names, counts.sum(axis=1).tolist(), strict=True))
        found: dict[str, object] = {
            "f1": rounded({name: value for name, value, rows in pairs if rows}),
            "support": support,
            "perfect_calibration_error": round(error_of_perfection(y_score), 6),
        }
        if len(names) == 2:
            found["rarer_class"] = names[rarer_of(holdout.y.to_numpy())]
            found["threshold"] = threshold_of(holdout.model)
        return found

    def describe_details(self, metrics: Metrics, schema: Schema) -> str:
        lines = []
        for name, rows in (metrics.support or {}).items():
            value = (metrics.f1 or {}).get(name)
            text = f"{value:.4f} on {rows} test rows" if rows else "no test rows"
            lines.append(f"- {name}: {text}")
        text = "\n".join(["F1 of each class:", "", *lines])
        if metrics.rarer_class is None or schema.classes is None:
            return text
        decided = (
            f"Precision, recall and average precision are those of {metrics.rarer_class}, the rarer"
            f" class. {schema.classes[1]} is predicted from a probability of"
            f" {metrics.threshold:.4g} on."
        )
        return f"{decided}\n\n{text}"
