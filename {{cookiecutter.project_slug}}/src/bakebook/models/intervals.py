"""How far a score can be trusted on so few test rows: percentile bootstrap (Efron, 1979)."""

from collections.abc import Callable, Mapping

import numpy as np

from bakebook.contracts import Interval

RESAMPLES = 500
FEWEST_RESAMPLES = 100
MOST_DRAWN = 2_000_000  # rows in all resamples together, which bounds the time for a large table
BOUNDS = (0.025, 0.975)
DIGITS = 6

Compute = Callable[[np.ndarray, np.ndarray, np.ndarray | None], float]


def bootstrap(
    scores: Mapping[str, Compute],
    y: np.ndarray,
    y_pred: np.ndarray,
    y_score: np.ndarray | None,
    random_state: int,
) -> dict[str, Interval]:
    """The 95 % interval of each score over resamples of the test rows.

    y and y_pred are (n,), y_score is (n, classes) or None for a number. A score that no resample
    has, such as the ROC area of a single class, gets no interval.
    """
    values: dict[str, list[float]] = {name: [] for name in scores}
    chance = np.random.default_rng(random_state)
    for _ in range(_resamples(len(y))):
        rows = chance.integers(len(y), size=len(y))
        drawn = None if y_score is None else y_score[rows]
        for name, compute in scores.items():
            values[name].append(compute(y[rows], y_pred[rows], drawn))
    return {name: _interval(found) for name, found in values.items() if np.isfinite(found).any()}


def _resamples(rows: int) -> int:
    return min(RESAMPLES, max(FEWEST_RESAMPLES, MOST_DRAWN // max(rows, 1)))


def _interval(values: list[float]) -> Interval:
    low, high = np.nanquantile(values, BOUNDS)
    return Interval(low=round(float(low), DIGITS), high=round(float(high), DIGITS))
