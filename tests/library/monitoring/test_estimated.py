"""The estimated score is near the true one while the relation holds, and its interval covers it."""

from dataclasses import replace

import numpy as np
import pytest
from monitoring.conftest import CLASSES, drawn, inputs_of, metrics_of, probabilities_of, signature_of

from bakebook.monitoring.estimated import estimator
from bakebook.monitoring.influence import SCORES
from bakebook.monitoring.observations import Observations
from bakebook.monitoring.reference import Reference


def observed(size: np.ndarray, predicted: np.ndarray, given: np.ndarray | None) -> Observations:
    return Observations(predicted, given, inputs_of(size, np.full(len(size), "red")), np.ones(len(size)))


def window(
    random: np.random.Generator, shift: float, sharpness: float = 1.0, rows: int = 500
) -> tuple[Observations, np.ndarray]:
    """Inputs that moved by `shift`, and the truth; the model's probabilities are too sure where `sharpness` exceeds
    1.
    """
    size = random.normal(size=rows) * (1 - shift / 3) + shift / 3
    true = probabilities_of(size)
    given = true**sharpness / (true**sharpness).sum(axis=1, keepdims=True)
    return observed(size, given.argmax(axis=1), given), drawn(true, random)


@pytest.mark.parametrize("reference_rows", [300, 1500])
def test_estimates_of_classes_follow_the_inputs(reference_rows: int) -> None:
    """Windows whose inputs move, of a model that is too sure, for six samples of test rows."""
    distances: list[float] = []
    naive: list[float] = []
    covered: list[bool] = []
    for seed in range(6):
        random = np.random.default_rng(seed)
        test, truth = window(random, 0, 2, reference_rows)
        known = Reference(signature_of(CLASSES), metrics_of(), test.inputs, truth, test.predicted, test.probabilities)
        model = estimator(known, {"accuracy": 0.5})
        trained = SCORES["accuracy"](truth, test.predicted)[0]
        for shift in np.linspace(0, 2.4, 8):
            rows, truth = window(random, shift, 2)
            true = SCORES["accuracy"](truth, rows.predicted)[0]
            found = model.estimate(rows)["accuracy"]
            assert found.interval
            distances.append(abs(found.score - true))
            naive.append(abs(trained - true))
            covered.append(found.interval.low <= true <= found.interval.high)
    assert np.mean(distances) < 0.75 * np.mean(naive)
    assert np.mean(covered) >= 0.8


def test_estimates_of_errors_follow_the_inputs() -> None:
    random = np.random.default_rng(0)

    def some(center: float, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        size = random.normal(center, 0.5, rows)
        return size, size + random.normal(size=rows) * (0.2 + np.abs(size)), size  # the error grows with the size

    size, truth, predicted = some(0.8, 2000)
    known = Reference(signature_of(None), metrics_of(), inputs_of(size, np.full(2000, "red")), truth, predicted, None)
    estimate = estimator(known, {"mae": 1.0, "rmse": 1.0}).estimate
    for center in (0.2, 0.8, 1.4):
        size, truth, predicted = some(center, 1500)
        found = estimate(observed(size, predicted, None))
        for name in ("mae", "rmse"):
            true = SCORES[name](truth, predicted)[0]
            assert found[name].score == pytest.approx(true, rel=0.15), (center, name)


def test_without_rows_or_with_a_tiny_reference_nothing_is_estimated(reference: Reference) -> None:
    random = np.random.default_rng(0)
    rows, _ = window(random, 0)
    nothing, _ = window(random, 0, rows=0)
    assert estimator(reference, {"accuracy": 0.5}).estimate(nothing) == {}
    few = np.arange(10)
    assert reference.probabilities is not None
    tiny = replace(reference, truth=reference.truth[few], probabilities=reference.probabilities[few])
    assert estimator(tiny, {"accuracy": 0.5}).estimate(rows) == {}


def test_estimates_are_the_same_whenever_one_looks(reference: Reference) -> None:
    rows, _ = window(np.random.default_rng(1), 1)
    found = [estimator(reference, {"f1_macro": 0.5}).estimate(rows) for _ in range(2)]
    assert found[0] == found[1]
