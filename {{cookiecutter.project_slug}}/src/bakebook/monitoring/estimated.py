"""The score that a window should have, without a label.

For classes: what the calibrated probabilities expect (confidence-based performance estimation). For
numbers: a model of the errors on the reference (direct error estimation). Both hold where inputs
moved and their relation to the target did not; where that changed, only labels can tell.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import pyarrow as pa
from scipy.optimize import minimize_scalar
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.isotonic import IsotonicRegression

from bakebook.contracts import Interval
from bakebook.monitoring.features import features
from bakebook.monitoring.influence import SCORES
from bakebook.monitoring.observations import Observations
from bakebook.monitoring.performance import WIDTH
from bakebook.monitoring.reference import Reference
from bakebook.monitoring.results import Measured

DRAWS = 100  # of the reference, and of labels
ERROR_MODELS = 10
MANY_ROWS = 1000  # of the reference, from which a curve calibrates, and not a single number
FEWEST_ROWS = 20  # of a reference
MOST_LEARNT = 5000  # of its rows
MOST_TREES = 50
SMALLEST = 1e-6  # of a probability
BOUNDS = (0.025, 0.5, 0.975)
DIGITS = 6


class Estimator(Protocol):
    """Estimates the scores of predictions of one model."""

    def estimate(self, rows: Observations) -> dict[str, Measured]: ...


def estimator(reference: Reference, names: Mapping[str, float]) -> Estimator:
    """What estimates these scores; the reference is the model's own test rows."""
    if reference.probabilities is None:
        return ErrorModels(reference, names)
    return Calibrated(reference, names)


class Calibrated:
    """Draws labels by the probabilities, which are calibrated by resamples of the reference."""

    def __init__(self, reference: Reference, names: Mapping[str, float]) -> None:
        self._names = names
        chance = np.random.default_rng(0)
        is_usable = reference.truth >= 0
        given = np.asarray(reference.probabilities)[is_usable]
        truth = reference.truth[is_usable]
        self._curves = []
        for _ in range(DRAWS if len(truth) >= FEWEST_ROWS else 0):
            drawn = chance.integers(len(truth), size=min(len(truth), MOST_LEARNT))
            self._curves.append(_calibration(given[drawn], truth[drawn]))

    def estimate(self, rows: Observations) -> dict[str, Measured]:
        """The estimate is the median over the draws; nothing without predictions."""
        if rows.probabilities is None or not len(rows) or not self._curves:
            return {}
        chance = np.random.default_rng(0)  # a window's estimate does not depend on the others
        is_whole = np.isfinite(rows.probabilities).all(axis=1)
        order = np.argsort(rows.probabilities[is_whole, 0], kind="stable")  # which curves read fast
        given = rows.probabilities[is_whole][order]
        predicted = rows.predicted[is_whole][order]
        if not len(given):
            return {}
        drawn: dict[str, list[float]] = {name: [] for name in self._names}
        for calibrated in self._curves:
            truth = _labels(calibrated(given), chance)
            for name in self._names:
                drawn[name].append(SCORES[name](truth, predicted)[0])
        return {name: _measured(found, len(rows)) for name, found in drawn.items()}


class ErrorModels:
    """Models of the error, each of a resample of the reference."""

    def __init__(self, reference: Reference, names: Mapping[str, float]) -> None:
        self._signature = reference.signature
        chance = np.random.default_rng(0)
        errors = np.abs(reference.truth - reference.predicted)
        is_usable = np.isfinite(errors)
        X = self._features(reference.inputs, reference.predicted)[is_usable]
        errors = errors[is_usable]
        self._spread = {name: float(np.std(_power(name, errors))) for name in names}
        self._models: dict[str, list[HistGradientBoostingRegressor]] = {name: [] for name in names}
        for number in range(ERROR_MODELS if len(errors) >= FEWEST_ROWS else 0):
            drawn = chance.integers(len(errors), size=min(len(errors), MOST_LEARNT))
            for name, models in self._models.items():
                models.append(_fitted(X[drawn], errors[drawn], name, number))

    def estimate(self, rows: Observations) -> dict[str, Measured]:
        """The mean over the models; its interval has the rows' own noise too."""
        if not len(rows) or not all(self._models.values()):
            return {}
        X = self._features(rows.inputs, rows.predicted)
        found = {}
        for name, models in self._models.items():
            means = np.array([model.predict(X).mean() for model in models])
            noise = self._spread[name] / np.sqrt(len(rows))
            half = WIDTH * float(np.hypot(means.std(ddof=1), noise))
            ends = means.mean() + np.array([-half, 0, half])
            low, middle, high = _root(name, np.maximum(ends, 0)).round(DIGITS).tolist()
            interval = Interval(low=low, high=high)
            found[name] = Measured(score=middle, interval=interval, rows=len(rows))
        return found

    def _features(self, inputs: pa.Table, predicted: np.ndarray) -> np.ndarray:
        return np.column_stack([features(inputs, self._signature), predicted])


def _calibration(given: np.ndarray, truth: np.ndarray) -> "_Curve":
    """What makes probabilities (n, classes) agree with the truth (n,)."""
    if len(truth) < MANY_ROWS:
        return _Temperature(given, truth)
    return _Isotonic(given, truth)


class _Curve(Protocol):
    def __call__(self, given: np.ndarray) -> np.ndarray: ...


class _Temperature:
    """One number by which all log-probabilities are divided (Guo et al., ICML 2017)."""

    def __init__(self, given: np.ndarray, truth: np.ndarray) -> None:
        logs = np.log(np.clip(given, SMALLEST, 1))
        rows = np.arange(len(truth))

        def loss(log_temperature: float) -> float:
            scaled = _softmax(logs / np.exp(log_temperature))
            return float(-np.mean(np.log(np.clip(scaled[rows, truth], SMALLEST, 1))))

        self.temperature = float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))

    def __call__(self, given: np.ndarray) -> np.ndarray:
        return _softmax(np.log(np.clip(given, SMALLEST, 1)) / self.temperature)


class _Isotonic:
    """A rising curve for each class against the others (Zadrozny and Elkan, KDD 2002)."""

    def __init__(self, given: np.ndarray, truth: np.ndarray) -> None:
        self.curves = []
        for place in range(given.shape[1]):
            curve = IsotonicRegression(y_min=SMALLEST, y_max=1, out_of_bounds="clip")
            curve.fit(given[:, place], truth == place)
            self.curves.append((curve.X_thresholds_, curve.y_thresholds_))

    def __call__(self, given: np.ndarray) -> np.ndarray:
        columns = [np.interp(given[:, place], *curve) for place, curve in enumerate(self.curves)]
        found = np.column_stack(columns)
        return np.asarray(found / found.sum(axis=1, keepdims=True))


def _softmax(logs: np.ndarray) -> np.ndarray:
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _labels(probabilities: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """A class (n,) for each row, drawn by its probabilities."""
    cumulated = probabilities.cumsum(axis=1)
    drawn = chance.random((len(probabilities), 1)) * cumulated[:, -1:]
    return np.minimum((drawn > cumulated).sum(axis=1), probabilities.shape[1] - 1)


def _measured(drawn: list[float], rows: int) -> Measured:
    low, middle, high = (round(float(one), DIGITS) for one in np.quantile(drawn, BOUNDS))
    return Measured(score=middle, interval=Interval(low=low, high=high), rows=rows)


def _power(name: str, errors: np.ndarray) -> np.ndarray:
    """What the score is the mean of: absolute or squared errors."""
    return errors**2 if name == "rmse" else errors


def _root(name: str, means: np.ndarray) -> np.ndarray:
    return np.sqrt(means) if name == "rmse" else means


def _fitted(
    X: np.ndarray, errors: np.ndarray, name: str, random_state: int
) -> HistGradientBoostingRegressor:
    model = HistGradientBoostingRegressor(max_iter=MOST_TREES, random_state=random_state)
    return model.fit(X, _power(name, errors))
