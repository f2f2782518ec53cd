"""How far labels are from what a model of other labels expects."""

import numpy as np
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.model_selection import KFold

MAD = 1.4826  # times the median distance is the standard deviation of a normal distribution
EXTREME = 10.0  # standard deviations, beyond which a number is like no other
FOLDS = 5
TREES = 50
MOST_LEARNT = 5000  # labels


def losses(X: np.ndarray, y: np.ndarray, new_X: np.ndarray, new_y: np.ndarray) -> np.ndarray:
    """The distance (m,) of new numbers from what a model of `y` (n,) expects; of classes, which are
    text, 1 - the probability.
    """
    some = np.random.default_rng(0).permutation(len(y))[:MOST_LEARNT]
    if y.dtype.kind == "f":
        model = RandomForestRegressor(TREES, min_samples_leaf=2, random_state=0)
        return np.abs(model.fit(X[some], _bounded(y[some])).predict(new_X) - new_y)
    classifier = RandomForestClassifier(TREES, min_samples_leaf=2, random_state=0)
    probabilities = classifier.fit(X[some], y[some]).predict_proba(new_X)
    is_own = new_y[:, None] == classifier.classes_
    return 1 - np.where(is_own, probabilities, 0).sum(axis=1)


def out_of_fold(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The same of each label (n,), by a model of the other folds."""
    found = np.zeros(len(y))
    for train, test in KFold(FOLDS, shuffle=True, random_state=0).split(X):
        found[test] = losses(X[train], y[train], X[test], y[test])
    return found


def _bounded(y: np.ndarray) -> np.ndarray:
    """Numbers of which none is so far from the others that a model would follow it alone."""
    middle = np.median(y)
    far = EXTREME * MAD * np.median(np.abs(y - middle))
    return np.clip(y, middle - far, middle + far) if far else y
