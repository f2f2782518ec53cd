"""The scores of a classifier: y (n,) contains the place of each row's class, y_pred (n,) that of
the predicted one, y_score (n, classes) the probabilities.

Scores are computed some thousand times for their intervals, so they are written in NumPy;
scikit-learn's spend most of their time on checking its arguments. Tests compare both.
"""

import numpy as np
from scipy.stats import rankdata

BINS = 10  # of confidences
SAMPLES = 200  # of classes, to see how far chance moves the calibration error


def accuracy(y: np.ndarray, y_pred: np.ndarray, y_score: np.ndarray) -> float:
    """The share of rows whose class was predicted."""
    return float(np.mean(y == y_pred))


def balanced_accuracy(y: np.ndarray, y_pred: np.ndarray, y_score: np.ndarray) -> float:
    """The mean recall of the classes that occur among the rows."""
    counts = confusion(y, y_pred, y_score.shape[1])
    actual = counts.sum(axis=1)
    is_present = actual > 0
    return float(np.mean(counts.diagonal()[is_present] / actual[is_present]))


def f1_macro(y: np.ndarray, y_pred: np.ndarray, y_score: np.ndarray) -> float:
    """The mean F1 of the classes that occur or are predicted."""
    return mean_f1(confusion(y, y_pred, y_score.shape[1]))


def roc_auc(y: np.ndarray, y_pred: np.ndarray, y_score: np.ndarray) -> float:
    """The mean over the classes of each against the rest; NaN when all rows are of one class."""
    present = np.unique(y)
    if len(present) < 2:
        return float("nan")
    if y_score.shape[1] == 2:
        return _area(y == 1, y_score[:, 1])
    return float(np.mean([_area(y == place, y_score[:, place]) for place in present]))


def log_loss(y: np.ndarray, y_pred: np.ndarray, y_score: np.ndarray) -> float:
    """The mean negative logarithm of the probability that the actual class was given."""
    given = y_score[np.arange(len(y)), y]
    smallest = np.finfo(given.dtype).eps
    return float(-np.mean(np.log(np.clip(given, smallest, 1 - smallest))))


def precision(
    y: np.ndarray, y_pred: np.ndarray, y_score: np.ndarray, rarer: int | None = None
) -> float:
    """Of two classes: the share of the rows predicted as the rarer one that are of it."""
    if y_score.shape[1] != 2:
        return float("nan")
    is_predicted = y_pred == rarer_of(y, rarer)
    if not is_predicted.any():
        return 0.0
    return float(np.mean(y[is_predicted] == rarer_of(y, rarer)))


def recall(
    y: np.ndarray, y_pred: np.ndarray, y_score: np.ndarray, rarer: int | None = None
) -> float:
    """Of two classes: the share of the rows of the rarer one that were predicted as it."""
    is_rarer = y == rarer_of(y, rarer)
    if y_score.shape[1] != 2 or not is_rarer.any():
        return float("nan")
    return float(np.mean(y_pred[is_rarer] == rarer_of(y, rarer)))


def average_precision(
    y: np.ndarray, y_pred: np.ndarray, y_score: np.ndarray, rarer: int | None = None
) -> float:
    """Of two classes: the mean precision over the recalls that thresholds give the rarer one."""
    is_rarer = y == rarer_of(y, rarer)
    if y_score.shape[1] != 2 or not is_rarer.any():
        return float("nan")
    given = y_score[:, rarer_of(y, rarer)]
    order = np.argsort(-given, kind="stable")
    hits = np.cumsum(is_rarer[order])
    is_last = np.append(np.diff(given[order]) != 0, True)  # of equal probabilities
    precisions = hits[is_last] / (np.flatnonzero(is_last) + 1)
    recalls = np.diff(np.insert(hits[is_last], 0, 0)) / hits[-1]
    return float(np.sum(precisions * recalls))


def rarer_of(y: np.ndarray, known: int | None = None) -> int:
    """The class with fewer rows; of as many, the second."""
    if known is not None:
        return known
    return int(2 * np.sum(y == 1) <= len(y))


def confusion(y: np.ndarray, y_pred: np.ndarray, classes: int) -> np.ndarray:
    """How many rows of each class (n) were predicted as each class: (classes, classes)."""
    cells = y * classes + y_pred
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def mean_f1(counts: np.ndarray) -> float:
    """The mean F1 of the classes that occur in a confusion matrix (classes, classes)."""
    both = counts.sum(axis=0) + counts.sum(axis=1)
    is_present = both > 0
    return float(np.mean(2 * counts.diagonal()[is_present] / both[is_present]))


def _area(is_class: np.ndarray, y_score: np.ndarray) -> float:
    """The share of pairs that are in the right order, ties as one half (Mann and Whitney, 1947)."""
    ranks = rankdata(y_score)
    positives = int(is_class.sum())
    pairs = positives * (len(y_score) - positives)
    return float((ranks[is_class].sum() - positives * (positives + 1) / 2) / pairs)


def calibration_error(y: np.ndarray, y_pred: np.ndarray, y_score: np.ndarray) -> float:
    """The mean distance of confidence from accuracy over bins, weighted by rows (Naeini et al.,
    AAAI 2015).
    """
    confidence = y_score.max(axis=1)
    is_correct = y_score.argmax(axis=1) == y
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    error = 0.0
    for number in set(bins):
        in_bin = bins == number
        distance = abs(confidence[in_bin].mean() - is_correct[in_bin].mean())
        error += distance * in_bin.mean()
    return float(error)


def error_of_perfection(y_score: np.ndarray) -> float:
    """The calibration error that a perfectly calibrated model with these probabilities stays below
    in 95 of 100 samples: on few rows it is not 0.
    """
    chance = np.random.default_rng(0)
    cumulated = y_score.cumsum(axis=1)
    errors = []
    for _ in range(SAMPLES):
        drawn = chance.random((len(y_score), 1)) * cumulated[:, -1:]
        y = np.minimum((drawn > cumulated).sum(axis=1), y_score.shape[1] - 1)
        errors.append(calibration_error(y, y, y_score))
    return float(np.quantile(errors, 0.95))


OF_RARER = (precision, recall, average_precision)
