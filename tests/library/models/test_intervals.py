"""Bootstrap intervals: they cover the truth as often as they say, and the same seed gives the same."""

import numpy as np

from bakebook.models.intervals import bootstrap


def accuracy(y, y_pred, y_score):
    return float(np.mean(y == y_pred))


def undefined(y, y_pred, y_score):
    return float("nan")


def drawn(seed: int, rows: int, truth: float):
    chance = np.random.default_rng(seed)
    y = np.ones(rows, dtype=int)
    return y, (chance.random(rows) < truth).astype(int)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    truth = 0.8
    covered = 0
    for seed in range(200):
        y, y_pred = drawn(seed, 120, truth)
        found = bootstrap({"accuracy": accuracy}, y, y_pred, None, seed)["accuracy"]
        covered += found.low <= truth <= found.high
    assert 0.88 <= covered / 200 <= 0.99


def test_the_same_seed_gives_the_same_interval() -> None:
    y, y_pred = drawn(0, 60, 0.7)
    first, again, other = (bootstrap({"a": accuracy}, y, y_pred, None, seed)["a"] for seed in (1, 1, 2))
    assert first == again != other


def test_more_rows_give_a_narrower_interval() -> None:
    widths = []
    for rows in (40, 4000):
        found = bootstrap({"a": accuracy}, *drawn(0, rows, 0.7), None, 0)["a"]
        widths.append(found.high - found.low)
    assert widths[1] < widths[0] / 5


def test_a_score_that_no_resample_has_gets_no_interval() -> None:
    assert bootstrap({"a": undefined}, *drawn(0, 10, 0.7), None, 0) == {}
