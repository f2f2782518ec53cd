"""Scores of labelled predictions, and what each row does to them.

The influence of a row is the derivative of the score with respect to the row's weight; the mean of
all is zero, and their variance divided by the number of rows is that of the score (Hampel, JASA
1974). So one test serves every score.
"""

from collections.abc import Callable, Mapping

import numpy as np

Rows = tuple[np.ndarray, np.ndarray]  # the truth and what was predicted, (n,) each
OTHER = -1  # a truth that the model cannot predict: its answer is wrong
Scored = tuple[float, np.ndarray]  # a score, and the influence (n,) of each row


def f1_macro(truth: np.ndarray, predicted: np.ndarray) -> Scored:
    """The mean F1 of the classes that occur in either, except that of OTHER."""
    total = 0.0
    influence = np.zeros(len(truth))
    classes = _classes(truth, predicted)
    for name in classes:
        is_true = truth == name
        is_said = predicted == name
        hit = 2.0 * (is_true & is_said)
        counted = is_true.astype(float) + is_said
        score = hit.mean() / counted.mean()
        total += score
        influence += (hit - score * counted) / counted.mean()
    count = max(len(classes), 1)
    return float(total / count), influence / count


def accuracy(truth: np.ndarray, predicted: np.ndarray) -> Scored:
    """The share of the rows that are predicted rightly."""
    return _mean((truth == predicted).astype(float))


def mae(truth: np.ndarray, predicted: np.ndarray) -> Scored:
    """The mean absolute error."""
    return _mean(np.abs(truth - predicted))


def rmse(truth: np.ndarray, predicted: np.ndarray) -> Scored:
    """The root of the mean squared error."""
    squared, influence = _mean((truth - predicted) ** 2)
    root = float(np.sqrt(squared))
    return root, influence / (2 * root) if root else influence


def with_right_rows(rows: Rows) -> Rows:
    """The rows, and one more of each class that occurs, predicted rightly: of a rare class, few
    rows would else show less variance than there is.
    """
    right = _classes(*rows)
    return np.concatenate([rows[0], right]), np.concatenate([rows[1], right])


def _classes(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    found = np.union1d(truth, predicted)
    return np.asarray(found[found != OTHER])


def _mean(values: np.ndarray) -> Scored:
    mean = float(values.mean())
    return mean, values - mean


SCORES: Mapping[str, Callable[[np.ndarray, np.ndarray], Scored]] = {
    "f1_macro": f1_macro,
    "accuracy": accuracy,
    "mae": mae,
    "rmse": rmse,
}
ERRORS = ("mae", "rmse")  # of which less is better
