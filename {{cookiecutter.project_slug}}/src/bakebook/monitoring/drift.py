"""What has changed between the reference and a window. It explains a fallen score: the
model's own outputs first, which detect best (Rabanser et al., "Failing Loudly", NeurIPS 2019), then
whether all inputs together tell the rows apart, then single inputs.
"""

from collections.abc import Callable
from datetime import datetime

import numpy as np
import pyarrow as pa
from scipy import stats
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.inspection import permutation_importance
from sklearn.model_selection import StratifiedKFold

from bakebook.contracts import Input, Signature
from bakebook.monitoring.features import features
from bakebook.monitoring.observations import Observations
from bakebook.monitoring.reference import Reference
from bakebook.monitoring.results import Change, Drift

FEWEST_ROWS = 30  # of a window
MOST_ROWS = 20_000  # of the reference that are compared
MOST_TOLD_APART = 5000  # of them by the classifier
NOTABLE = 0.1  # a smaller distance is no change, however many rows show it
FEWEST_VALUES = 5  # that are not missing, for a comparison
FOLDS = 3
TREES = 50
DIGITS = 6
TOGETHER = "all inputs together"
MOST_NAMED = 3  # inputs by which the classifier tells the rows apart


def drift(rows: Observations, since: datetime | None, reference: Reference, alpha: float) -> Drift:
    """The changes of a window's predictions, all of one model; the window begins at `since`."""
    if len(rows) < FEWEST_ROWS or len(reference.truth) < FEWEST_ROWS:
        return Drift(rows=len(rows), reference_rows=len(reference.truth))
    chance = np.random.default_rng(0)
    before = _some(len(reference.truth), MOST_ROWS, chance)
    pairs = {}
    kinds = {}
    for column in reference.signature.inputs:
        usual = reference.inputs[column.name].take(pa.array(before))
        pairs[column.name] = (usual, rows.inputs[column.name])
        kinds[column.name] = column
    inputs = _corrected([_input_change(kinds[name], *pair) for name, pair in pairs.items()], alpha)
    outputs = _outputs(rows, reference, alpha)
    together, told_by = _together(rows, reference, alpha, chance)
    is_named = any(one.is_changed for one in (*outputs, *inputs))
    return Drift(
        first=since,
        rows=len(rows),
        reference_rows=len(reference.truth),
        outputs=tuple(outputs),
        together=together,
        told_by=told_by() if together.is_changed and not is_named else (),
        inputs=tuple(sorted(inputs, key=lambda one: -one.distance)),
    )


def _outputs(rows: Observations, reference: Reference, alpha: float) -> list[Change]:
    if reference.probabilities is None or rows.probabilities is None:
        return _corrected([_numbers("prediction", reference.predicted, rows.predicted)], alpha)
    sure_before = reference.probabilities.max(axis=1)
    sure_now = rows.probabilities.max(axis=1)
    changes = [
        _categories("predicted class", reference.predicted, rows.predicted),
        _numbers("confidence", sure_before, sure_now),
    ]
    return _corrected(changes, alpha)


def _together(
    rows: Observations, reference: Reference, alpha: float, chance: np.random.Generator
) -> tuple[Change, Callable[[], tuple[str, ...]]]:
    """How well a classifier tells the window's rows from those of the reference, on rows that it
    was not trained on; and, if it is asked for, by which inputs.
    """
    before = _some(len(reference.truth), MOST_TOLD_APART, chance)
    signature = reference.signature
    usual = features(reference.inputs.take(pa.array(before)), signature)
    present = features(rows.inputs, signature)
    X = np.concatenate([usual, present])
    y = np.repeat([0, 1], [len(usual), len(present)])
    model = HistGradientBoostingClassifier(max_iter=TREES, random_state=0, early_stopping=False)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    told = np.empty(len(y))
    for train, unseen in folds.split(X, y):
        told[unseen] = model.fit(X[train], y[train]).predict_proba(X[unseen])[:, 1]

    def told_by() -> tuple[str, ...]:  # by the last of the models
        found = permutation_importance(
            model, X[unseen], y[unseen], scoring="roc_auc", random_state=0
        )
        worth = found.importances_mean
        best = [
            place for place in np.argsort(-worth)[:MOST_NAMED] if worth[place] > worth.max() / 2
        ]
        return tuple(signature.inputs[place].name for place in best)

    test = stats.mannwhitneyu(told[y == 1], told[y == 0], alternative="greater")
    area = test.statistic / (len(usual) * len(present))
    distance = max(0.0, 2 * area - 1)
    return _corrected([_change(TOGETHER, distance, test.pvalue)], alpha)[0], told_by


def _input_change(column: Input, before: pa.ChunkedArray, now: pa.ChunkedArray) -> Change:
    if column.role in ("numeric", "datetime", "text"):
        single = Signature.model_construct(inputs=(column,))
        tables = [pa.table({column.name: values}) for values in (before, now)]
        usual, present = (features(table, single)[:, 0] for table in tables)
        return _numbers(column.name, usual, present)
    usual_texts, present_texts = (
        np.array([str(value) for value in values.to_pylist()]) for values in (before, now)
    )
    return _categories(column.name, usual_texts, present_texts)


def _numbers(name: str, before: np.ndarray, now: np.ndarray) -> Change:
    """Kolmogorov and Smirnov's distance of the values that are not missing."""
    before = before[np.isfinite(before)]
    now = now[np.isfinite(now)]
    if min(len(before), len(now)) < FEWEST_VALUES:
        is_gone = max(len(before), len(now)) >= FEWEST_VALUES
        return _change(name, float(is_gone), 1.0)
    test = stats.ks_2samp(before, now, method="asymp")
    return _change(name, float(test.statistic), float(test.pvalue))


def _categories(name: str, before: np.ndarray, now: np.ndarray) -> Change:
    """The total variation, and the p of a chi-squared test of homogeneity."""
    levels = np.unique(np.concatenate([before, now]))
    usual, present = (
        np.bincount(np.searchsorted(levels, values), minlength=len(levels)).astype(float)
        for values in (before, now)
    )
    distance = float(np.abs(usual / usual.sum() - present / present.sum()).sum() / 2)
    if len(levels) < 2:
        return _change(name, distance, 1.0)
    test = stats.chi2_contingency(np.array([usual, present]), correction=False)
    return _change(name, distance, float(test.pvalue))


def _change(name: str, distance: float, p: float) -> Change:
    return Change(name=name, distance=round(distance, DIGITS), p=p, is_changed=False)


def _corrected(changes: list[Change], alpha: float) -> list[Change]:
    """The changes with p corrected for their number (Holm, 1979), and whether each is one."""
    order = np.argsort([one.p for one in changes])
    greatest = 0.0
    found = list(changes)
    for rank, place in enumerate(order):
        one = changes[place]
        greatest = max(greatest, min(1.0, one.p * (len(changes) - rank)))
        is_changed = greatest < alpha and one.distance >= NOTABLE
        found[place] = one.model_copy(update={"p": greatest, "is_changed": is_changed})
    return found


def _some(rows: int, most: int, chance: np.random.Generator) -> np.ndarray:
    """Places of at most so many rows."""
    if rows <= most:
        return np.arange(rows)
    return np.sort(chance.choice(rows, most, replace=False))
