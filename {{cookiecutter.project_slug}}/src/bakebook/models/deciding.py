"""From which probability on the second of two classes is predicted."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import get_scorer
from sklearn.pipeline import Pipeline

from bakebook.errors import BadInput
from bakebook.models.intervals import Draw, drawing
from bakebook.params import Decision

HALF = 0.5
MOST_CANDIDATES = 50
RESAMPLES = 25
CLEARLY = 2.0  # standard errors by which another threshold must be better than one half
Worth = Callable[[np.ndarray, np.ndarray, float], float]  # of places, probabilities, threshold


class DecidingPipeline(Pipeline):
    """A pipeline that predicts the second class from `threshold` on, and not from one half."""

    threshold = HALF

    def predict(self, X: Any, **params: Any) -> np.ndarray:
        decided: np.ndarray = decide(self.predict_proba(X), self.threshold)
        return decided


class _Known(ClassifierMixin, BaseEstimator):
    """Predictions that were made before, for scikit-learn's scorers."""

    def __init__(self, y_score: np.ndarray, threshold: float) -> None:
        self.y_score = y_score
        self.threshold = threshold
        self.classes_ = np.arange(y_score.shape[1])

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict(self, X: object) -> np.ndarray:
        return decide(self.y_score, self.threshold)

    def predict_proba(self, X: object) -> np.ndarray:
        return self.y_score


def decide(y_score: np.ndarray, threshold: float) -> np.ndarray:
    """The places of the classes (n,) for probabilities (n, 2)."""
    return (y_score[:, 1] >= threshold).astype(np.int64)


def with_threshold(model: Pipeline, threshold: float) -> Pipeline:
    """The same fitted pipeline, which predicts by the threshold."""
    if threshold == HALF:
        return model
    deciding = DecidingPipeline(model.steps)
    deciding.threshold = threshold
    return deciding


def threshold_of(model: Pipeline) -> float:
    """The threshold by which a pipeline predicts one of two classes."""
    return model.threshold if isinstance(model, DecidingPipeline) else HALF


def score_at(y: np.ndarray, y_score: np.ndarray, threshold: float, scoring: str) -> float:
    """scikit-learn's score of probabilities (n, 2) at a threshold."""
    return float(get_scorer(scoring)(_Known(y_score, threshold), y, y))


def choose(
    decision: Decision,
    y: np.ndarray,
    y_score: np.ndarray,
    scoring: str,
    classes: Sequence[str],
    blocks: np.ndarray | None = None,
) -> float:
    """The threshold for y (n,) and the probabilities (n, 2) of a model that did not learn the rows.

    Where the best one is not clearly better than one half, it is one half: on few rows, it would
    only follow chance; `blocks` (n,) tells which rows are related. Raises BadInput for costs of
    other classes.
    """
    best = best_threshold(decision, y, y_score, scoring, classes)
    if isinstance(decision, int | float) or best == HALF:
        return best
    worth = _worth(decision, scoring, y, classes)
    return best if _is_clear(worth, y_score, best, drawing(len(y), blocks)) else HALF


def best_threshold(
    decision: Decision,
    y: np.ndarray,
    y_score: np.ndarray,
    scoring: str,
    classes: Sequence[str],
) -> float:
    """The threshold with the best score, or the least costs, whether or not that is chance."""
    if isinstance(decision, int | float):
        return float(decision)
    worth = _worth(decision, scoring, y, classes)
    every = np.arange(len(y))
    candidates = _candidates(y_score[:, 1])
    values = [worth(every, y_score, threshold) for threshold in candidates]
    return float(candidates[int(np.argmax(values))])


def _worth(decision: Decision, scoring: str, y: np.ndarray, classes: Sequence[str]) -> Worth:
    """What the rows at some places are worth at a threshold: the score, or minus the costs."""
    if not isinstance(decision, Mapping):
        return lambda rows, y_score, threshold: score_at(y[rows], y_score[rows], threshold, scoring)
    costs = _costs(decision, y, classes)

    def worth(rows: np.ndarray, y_score: np.ndarray, threshold: float) -> float:
        is_wrong = decide(y_score[rows], threshold) != y[rows]
        return -float(np.sum(costs[rows] * is_wrong))

    return worth


def _candidates(probabilities: np.ndarray) -> np.ndarray:
    """Thresholds between the probabilities that occur, those near one half first."""
    known = np.unique(np.round(probabilities, 6))
    between = (known[:-1] + known[1:]) / 2
    places = np.linspace(0, len(between) - 1, min(MOST_CANDIDATES, len(between)))
    chosen = np.append(between[places.astype(int)], HALF)
    return chosen[np.argsort(np.abs(chosen - HALF), kind="stable")]


def _is_clear(worth: Worth, y_score: np.ndarray, best: float, draw: Draw) -> bool:
    chance = np.random.default_rng(0)
    gains = []
    for _ in range(RESAMPLES):
        drawn = draw(chance)
        gains.append(worth(drawn, y_score, best) - worth(drawn, y_score, HALF))
    return bool(np.mean(gains) > CLEARLY * np.std(gains))


def _costs(costs: Mapping[str | int, float], y: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """What it costs to miss each row."""
    if set(map(str, costs)) != set(classes):
        named = " and ".join(classes)
        what = f"train.threshold has costs of {', '.join(map(str, costs)) or 'nothing'}"
        raise BadInput(what, f"give the cost of a missed row of {named}")
    by_class = {str(name): cost for name, cost in costs.items()}
    return np.array([by_class[name] for name in classes], dtype=float)[y]
