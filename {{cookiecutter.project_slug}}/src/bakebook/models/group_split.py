"""Whole groups for a test set of a given size: the best of several random choices."""

import numpy as np
import pandas as pd

ORDERS = 50
ORDERS_OF_MANY = 5  # any order comes near the size
MANY_GROUPS = 2_000


def whole_groups(
    groups: np.ndarray, strata: np.ndarray, test_size: float, random_state: int
) -> np.ndarray:
    """A mask (n,) of the rows to test with: whole groups, near `test_size` of the rows and near the
    same strata as the whole table. At least one group is left out.

    `groups` (n,) and `strata` (n,) are numbers from 0.
    """
    counts = pd.crosstab(groups, strata).to_numpy()
    sizes = counts.sum(axis=1)
    chance = np.random.default_rng(random_state)
    orders = ORDERS_OF_MANY if len(sizes) > MANY_GROUPS else ORDERS
    choices = [_choice(sizes, chance.permutation(len(sizes)), test_size) for _ in range(orders)]
    best = min(choices, key=lambda chosen: _distance(counts, chosen, test_size))
    return np.asarray(best[groups])


def _choice(sizes: np.ndarray, order: np.ndarray, test_size: float) -> np.ndarray:
    """Takes group after group as long as each brings the size nearer to the goal; at least one, and
    never all.
    """
    goal = test_size * sizes.sum()
    chosen = np.zeros(len(sizes), dtype=bool)
    total = 0
    for group in order:
        size = sizes[group]
        if abs(total + size - goal) < abs(total - goal):
            chosen[group] = True
            total += size
    if not chosen.any():
        chosen[np.argmin(sizes)] = True
    if chosen.all():
        chosen[np.argmax(sizes)] = False
    return chosen


def _distance(counts: np.ndarray, chosen: np.ndarray, test_size: float) -> float:
    """How far a choice is from the size, and its strata from those of all rows: each 0 to 1."""
    inside = counts[chosen].sum(axis=0)
    total = counts.sum(axis=0)
    size = abs(inside.sum() / total.sum() - test_size)
    strata = np.abs(inside / inside.sum() - total / total.sum()).sum() / 2
    return float(size + strata)
