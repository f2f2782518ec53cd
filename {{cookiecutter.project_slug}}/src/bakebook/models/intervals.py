"""How far a score can be trusted on so few test rows: percentile bootstrap (Efron, 1979)."""

from collections.abc import Callable, Mapping

import numpy as np

from bakebook.contracts import Interval

RESAMPLES = 500
FEWEST_RESAMPLES = 100
FEWEST_BLOCKS = 5
MOST_DRAWN = 2_000_000  # rows in all resamples together, which bounds the time for a large table
BOUNDS = (0.025, 0.975)
DIGITS = 6

Draw = Callable[[np.random.Generator], np.ndarray]  # the places of a resample
Answers = tuple[np.ndarray, np.ndarray | None]  # what was predicted (n,), and (n, classes)
Compute = Callable[[np.ndarray, np.ndarray, np.ndarray | None], float]


def bootstrap(
    scores: Mapping[str, Compute],
    y: np.ndarray,
    y_pred: np.ndarray,
    y_score: np.ndarray | None,
    random_state: int,
    blocks: np.ndarray | None = None,
) -> dict[str, Interval]:
    """The 95 % interval of each score over resamples of the test rows.

    y and y_pred are (n,), y_score is (n, classes) or None for a number. With `blocks` (n,), whole
    blocks of related rows are drawn: their errors are not independent. A score that no resample
    has, such as the ROC area of a single class, gets no interval, and nothing does from fewer than
    five blocks.
    """
    if blocks is not None and len(np.unique(blocks)) < FEWEST_BLOCKS:
        return {}
    values: dict[str, list[float]] = {name: [] for name in scores}
    chance = np.random.default_rng(random_state)
    draw = drawing(len(y), blocks)
    for _ in range(_resamples(len(y))):
        rows = draw(chance)
        drawn = None if y_score is None else y_score[rows]
        for name, compute in scores.items():
            values[name].append(compute(y[rows], y_pred[rows], drawn))
    return {name: _interval(found) for name, found in values.items() if np.isfinite(found).any()}


def difference(
    compute: Compute,
    y: np.ndarray,
    one: Answers,
    other: Answers,
    random_state: int,
    blocks: np.ndarray | None = None,
) -> Interval:
    """The 95 % interval of a score of one model minus that of another on the same rows, which are
    drawn together: what is difficult is difficult for both.
    """
    chance = np.random.default_rng(random_state)
    draw = drawing(len(y), blocks)
    found = []
    for _ in range(_resamples(len(y))):
        rows = draw(chance)
        reached = []
        for predicted, score in (one, other):
            reached.append(
                compute(y[rows], predicted[rows], None if score is None else score[rows])
            )
        found.append(reached[0] - reached[1])
    return _interval(found)


def exact_share(successes: int, rows: int) -> Interval:
    """The 95 % interval of a share (Clopper and Pearson, Biometrika 1934): also of 45 out of 45 it
    has a width, which no resample shows.
    """
    from scipy.stats import beta  # of which the other stages have no use

    tail = BOUNDS[0]
    low = beta.ppf(tail, successes, rows - successes + 1) if successes else 0.0
    high = beta.ppf(1 - tail, successes + 1, rows - successes) if successes < rows else 1.0
    return Interval(low=round(float(low), DIGITS), high=round(float(high), DIGITS))


def drawing(rows: int, blocks: np.ndarray | None) -> Draw:
    """Draws the places of as many rows, or of the rows of as many blocks, with repetition."""
    if blocks is None:
        return lambda chance: chance.integers(rows, size=rows)
    members = np.split(np.argsort(blocks, kind="stable"), np.cumsum(np.bincount(blocks))[:-1])

    def draw(chance: np.random.Generator) -> np.ndarray:
        drawn = chance.integers(len(members), size=len(members))
        return np.concatenate([members[block] for block in drawn])

    return draw


def _resamples(rows: int) -> int:
    return min(RESAMPLES, max(FEWEST_RESAMPLES, MOST_DRAWN // max(rows, 1)))


def _interval(values: list[float]) -> Interval:
    low, high = np.nanquantile(values, BOUNDS)
    return Interval(low=round(float(low), DIGITS), high=round(float(high), DIGITS))
