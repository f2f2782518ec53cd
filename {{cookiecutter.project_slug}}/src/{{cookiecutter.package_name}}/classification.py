"""How good a classifier is. y holds the places of the classes, as `features.labels` gives them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.calibration import calibration_curve
from sklearn.dummy import DummyClassifier
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss, recall_score, roc_auc_score, roc_curve

# name: (function of y (n,), y_pred (n,) and y_score (n, classes); whether more is better)
SCORES: dict[str, tuple[Callable[..., float], bool]] = {
    "accuracy": (lambda y, y_pred, y_score: accuracy_score(y, y_pred), True),
    "balanced_accuracy": (lambda y, y_pred, y_score: _balanced_accuracy(y, y_pred), True),
    "f1_macro": (lambda y, y_pred, y_score: f1_score(y, y_pred, average="macro", zero_division=0), True),
    "roc_auc": (lambda y, y_pred, y_score: _roc_auc(y, y_score), True),
    "log_loss": (lambda y, y_pred, y_score: log_loss(y, y_score, labels=range(y_score.shape[1])), False),
    "calibration_error": (lambda y, y_pred, y_score: _calibration_error(y, y_pred, y_score), False),
}
POINTS = 500  # of a curve, beyond which the eye sees no more
SCORING = "f1_macro"  # by which the importance of an input is measured


def baseline(X: pd.DataFrame, y: pd.Series) -> DummyClassifier:
    """What a model must beat: the class frequencies of the train rows, whatever the inputs."""
    return DummyClassifier(strategy="prior").fit(X, y)


def scores(model: Any, X: pd.DataFrame, y: pd.Series) -> dict[str, float]:
    """Every score of SCORES that the rows given allow, rounded to six digits."""
    y_pred, y_score = model.predict(X), model.predict_proba(X)
    found = {name: float(score(y.to_numpy(), y_pred, y_score)) for name, (score, _) in SCORES.items()}
    return {name: round(value, 6) for name, value in found.items() if np.isfinite(value)}


def details(model: Any, X: pd.DataFrame, y: pd.Series, classes: list[str]) -> dict[str, Any]:
    """F1 of each class, by its name."""
    values = f1_score(y, model.predict(X), labels=range(len(classes)), average=None, zero_division=0)
    return {"f1": {name: round(float(value), 6) for name, value in zip(classes, values, strict=True)}}


def predictions(model: Any, X: pd.DataFrame, y: pd.Series, classes: list[str]) -> pd.DataFrame:
    """One row per test row: the actual and the predicted class."""
    names = np.array(classes, dtype=object)
    return pd.DataFrame({"actual": names[y.to_numpy()], "predicted": names[model.predict(X)]})


def confusion_counts(rows: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Counts (classes, classes): actual down, predicted across."""
    counts = confusion_matrix(rows["actual"], rows["predicted"], labels=classes)
    return pd.DataFrame(counts, index=pd.Index(classes, name="actual"), columns=pd.Index(classes, name="predicted"))


def errors(model: Any, X: pd.DataFrame, y: pd.Series, classes: list[str]) -> pd.DataFrame:
    """The ROC curve of each class against the rest: class, false_positive_rate, true_positive_rate."""
    y_score = model.predict_proba(X)
    curves = []
    for place, name in enumerate(classes):
        if 0 < (y == place).sum() < len(y):
            fpr, tpr, _ = roc_curve(y == place, y_score[:, place])
            curve = pd.DataFrame({"class": name, "false_positive_rate": fpr, "true_positive_rate": tpr})
            curves.append(curve.iloc[np.unique(np.linspace(0, len(curve) - 1, POINTS).astype(int))])
    empty = pd.DataFrame(columns=["class", "false_positive_rate", "true_positive_rate"])
    return pd.concat(curves, ignore_index=True).round(6) if curves else empty


def calibration(model: Any, X: pd.DataFrame, y: pd.Series, bins: int = 10) -> pd.DataFrame:
    """Of the rows predicted with some confidence, the share that was right: confidence, right, by equal-width bins."""
    y_score = model.predict_proba(X)
    right, confidence = calibration_curve(model.predict(X) == y, y_score.max(axis=1), n_bins=bins)
    return pd.DataFrame({"confidence": confidence, "right": right}).round(6)


def _balanced_accuracy(y: np.ndarray, y_pred: np.ndarray) -> float:
    """The mean recall of the classes that are among the rows."""
    return recall_score(y, y_pred, labels=np.unique(y), average="macro", zero_division=0)


def _roc_auc(y: np.ndarray, y_score: np.ndarray) -> float:
    """The mean over the classes of each against the rest; NaN when all rows are of one class."""
    if y_score.shape[1] == 2:
        return roc_auc_score(y, y_score[:, 1]) if len(np.unique(y)) == 2 else float("nan")
    areas = [roc_auc_score(y == place, y_score[:, place]) for place in np.unique(y) if (y != place).any()]
    return float(np.mean(areas)) if areas else float("nan")


def _calibration_error(y: np.ndarray, y_pred: np.ndarray, y_score: np.ndarray, bins: int = 10) -> float:
    """Mean distance of confidence from the share that was right, weighted by rows (Naeini et al., AAAI 2015)."""
    confidence, right = y_score.max(axis=1), y_pred == y
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(confidence[which == b].mean() - right[which == b].mean()) * (which == b).mean() for b in set(which)]
    return float(sum(gaps))
