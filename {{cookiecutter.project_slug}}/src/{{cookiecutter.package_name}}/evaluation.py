"""How good the model is: scores beside a baseline's, success criteria, and the tables behind each plot."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.calibration import calibration_curve
from sklearn.dummy import DummyClassifier
from sklearn.inspection import permutation_importance
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    log_loss,
    roc_auc_score,
    roc_curve,
)
from sklearn.pipeline import Pipeline

from .errors import BadInput

# name: (function of y, y_pred, y_score, classes; whether more is better)
SCORES: dict[str, tuple[Callable[..., float], bool]] = {
    "accuracy": (lambda y, y_pred, y_score, classes: accuracy_score(y, y_pred), True),
    "balanced_accuracy": (lambda y, y_pred, y_score, classes: balanced_accuracy_score(y, y_pred), True),
    "f1_macro": (lambda y, y_pred, y_score, classes: f1_score(y, y_pred, average="macro", zero_division=0), True),
    "roc_auc": (lambda y, y_pred, y_score, classes: _roc_auc(y, y_score, classes), True),
    "log_loss": (lambda y, y_pred, y_score, classes: log_loss(y, y_score, labels=classes), False),
    "calibration_error": (lambda y, y_pred, y_score, classes: _calibration_error(y, y_pred, y_score), False),
}


def scores(model: Any, X: pd.DataFrame, y: pd.Series) -> dict[str, float]:
    """Every score of SCORES on the rows given, rounded to six digits."""
    y_pred, y_score, classes = model.predict(X), model.predict_proba(X), list(model.classes_)
    return {name: round(float(score(y, y_pred, y_score, classes)), 6) for name, (score, _) in SCORES.items()}


def f1_per_class(model: Any, X: pd.DataFrame, y: pd.Series) -> dict[str, float]:
    """F1 of each class, by its name."""
    values = f1_score(y, model.predict(X), labels=list(model.classes_), average=None, zero_division=0)
    return {str(name): round(float(value), 6) for name, value in zip(model.classes_, values, strict=True)}


def baseline(X: pd.DataFrame, y: pd.Series) -> DummyClassifier:
    """What a model must beat: the class frequencies of the train rows, whatever the inputs."""
    return DummyClassifier(strategy="prior").fit(X, y)


def metrics(
    model: Any, baseline: Any, X: pd.DataFrame, y: pd.Series, criteria: Mapping[str, float], train_rows: int
) -> dict[str, Any]:
    """All that `metrics.json` holds: {rows, model, baseline, f1, success}."""
    found = scores(model, X, y)
    return {
        "rows": {"train": train_rows, "test": len(X)},
        "model": found,
        "baseline": scores(baseline, X, y),
        "f1": f1_per_class(model, X, y),
        "success": judge(found, criteria),
    }


def judge(found: Mapping[str, float], criteria: Mapping[str, float]) -> dict[str, Any]:
    """Each success criterion beside its score, and whether all passed. Raises BadInput on an unknown score."""
    judged = {}
    for name, threshold in criteria.items():
        if name not in SCORES:
            raise BadInput(f"evaluate.criteria has no score '{name}' → choose from {', '.join(SCORES)}")
        more_is_better = SCORES[name][1]
        passed = found[name] >= threshold if more_is_better else found[name] <= threshold
        bound = "at least" if more_is_better else "at most"
        judged[name] = {"bound": bound, "threshold": threshold, "score": found[name], "passed": passed}
    return {"passed": all(one["passed"] for one in judged.values()), "criteria": judged}


def comparison(metrics: Mapping[str, Any]) -> pd.DataFrame:
    """Model, baseline and criterion of every score, as a table."""
    table = pd.DataFrame({"model": metrics["model"], "baseline": metrics["baseline"]})
    for name, one in metrics["success"]["criteria"].items():
        table.loc[name, ["criterion", "passed"]] = [f"{one['bound']} {one['threshold']:g}", one["passed"]]
    return table.fillna("").rename_axis("score")


def confusion(model: Any, X: pd.DataFrame, y: pd.Series) -> pd.DataFrame:
    """One row per test row: the actual and the predicted class."""
    return pd.DataFrame({"actual": np.asarray(y), "predicted": model.predict(X)})


def confusion_counts(rows: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Counts (classes, classes): actual down, predicted across."""
    counts = confusion_matrix(rows["actual"], rows["predicted"], labels=classes)
    return pd.DataFrame(counts, index=pd.Index(classes, name="actual"), columns=pd.Index(classes, name="predicted"))


def roc(model: Any, X: pd.DataFrame, y: pd.Series) -> pd.DataFrame:
    """The ROC curve of each class against the rest: class, false_positive_rate, true_positive_rate."""
    y_score = model.predict_proba(X)
    curves = []
    for column, name in enumerate(model.classes_):
        fpr, tpr, _ = roc_curve(y == name, y_score[:, column])
        curves.append(pd.DataFrame({"class": name, "false_positive_rate": fpr, "true_positive_rate": tpr}))
    return pd.concat(curves, ignore_index=True).round(6)


def calibration(model: Any, X: pd.DataFrame, y: pd.Series, bins: int = 10) -> pd.DataFrame:
    """Of the rows predicted with some confidence, the share that was right: confidence, right, by equal-width bins."""
    y_score = model.predict_proba(X)
    right, confidence = calibration_curve(model.predict(X) == y, y_score.max(axis=1), n_bins=bins)
    return pd.DataFrame({"confidence": confidence, "right": right}).round(6)


def importance(
    model: Pipeline, X: pd.DataFrame, y: pd.Series, *, repeats: int, random_state: int, scoring: str = "f1_macro"
) -> pd.DataFrame:
    """How much the score falls when one input is shuffled: input, importance, spread, the greatest first."""
    found = permutation_importance(model, X, y, n_repeats=repeats, random_state=random_state, scoring=scoring)
    table = pd.DataFrame({"input": X.columns, "importance": found.importances_mean, "spread": found.importances_std})
    return table.round(6).sort_values("importance", ascending=False, kind="stable").reset_index(drop=True)


def _roc_auc(y: pd.Series, y_score: np.ndarray, classes: list[str]) -> float:
    if len(classes) == 2:
        return roc_auc_score(y == classes[1], y_score[:, 1])
    return roc_auc_score(y, y_score, labels=classes, multi_class="ovr", average="macro")


def _calibration_error(y: pd.Series, y_pred: np.ndarray, y_score: np.ndarray, bins: int = 10) -> float:
    """Mean distance of confidence from the share that was right, weighted by rows (Naeini et al., AAAI 2015)."""
    confidence, right = y_score.max(axis=1), y_pred == y.to_numpy()
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(confidence[which == b].mean() - right[which == b].mean()) * (which == b).mean() for b in set(which)]
    return float(sum(gaps))
