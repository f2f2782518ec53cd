"""Cross-validation: what a model scores on rows that it was not fitted on."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from sklearn.metrics import get_scorer
from sklearn.pipeline import Pipeline

from bakebook.contracts import CrossValidation
from bakebook.errors import BadInput, first_line
from bakebook.models.deciding import HALF, best_threshold, choose, score_at
from bakebook.models.fitting import fit
from bakebook.models.rows import Rows, blocks_of, folds
from bakebook.params import Decision
from bakebook.search.plan import Plan

DIGITS = 6


@dataclass(frozen=True)
class Measured:
    """What cross-validation found: the score, and the threshold at which it was measured."""

    scores: CrossValidation
    threshold: float


def cross_validate(
    model: Pipeline,
    rows: Rows,
    plan: Plan,
    decision: Decision = HALF,
    classes: Sequence[str] = (),
) -> Measured:
    """The score of the model in each fold, in other folds than those in which a search chose it:
    the best of many trials is partly the luckiest. Rare classes are excluded.

    Of two classes, the threshold is chosen by `decision` on the probabilities of the rows that were
    held out; the score of a fold is that with the threshold of the other folds.
    """
    frequent, plan = frequent_classes(rows, plan)
    held_out = list(_held_out(model, frequent, plan.in_other_folds()))
    found = [fold.score for fold in held_out]
    threshold = HALF
    pairs = [(fold.y, fold.y_score) for fold in held_out if fold.y_score is not None]
    if len(classes) == 2 and len(pairs) == len(found):
        y, y_score = _together(pairs)
        blocks = _blocks_together(held_out)
        threshold = choose(decision, y, y_score, plan.scoring, classes, blocks)
        if threshold != HALF:
            found = []
            for place, (y, y_score) in enumerate(pairs):
                others = _together(pairs[:place] + pairs[place + 1 :] or pairs)
                of_others = best_threshold(decision, *others, plan.scoring, classes)
                found.append(score_at(y, y_score, of_others, plan.scoring))
    measured = CrossValidation(
        scoring=plan.scoring,
        mean=round(float(np.mean(found)), DIGITS),
        spread=round(float(np.std(found)), DIGITS),
        folds=tuple(round(score, DIGITS) for score in found),
    )
    return Measured(measured, round(threshold, DIGITS))


def _together(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Classes and probabilities of several folds as those of one."""
    y = np.concatenate([actual for actual, _ in pairs])
    y_score = np.concatenate([given for _, given in pairs])
    return y, y_score


def _blocks_together(folds: Sequence["_Fold"]) -> np.ndarray | None:
    """The blocks of several folds, each with a number of its own."""
    found: list[np.ndarray] = []
    for fold in folds:
        if fold.blocks is None:
            return None
        first = found[-1].max() + 1 if found else 0
        found.append(fold.blocks + first)
    return np.concatenate(found)


def shown(measured: Measured) -> pd.DataFrame:
    """One row per fold: its score."""
    found = measured.scores
    folds = pd.RangeIndex(1, len(found.folds) + 1, name="fold")
    return pd.DataFrame({found.scoring: found.folds}, index=folds)


def scores(model: Pipeline, rows: Rows, plan: Plan) -> Iterator[float]:
    """The score on each fold of the model fitted on the others. Raises BadInput where it is not
    defined.
    """
    for fold in _held_out(model, rows, plan):
        yield fold.score


@dataclass(frozen=True)
class _Fold:
    """The score of the rows held out, and of two classes their probabilities (n, 2)."""

    score: float
    y: np.ndarray
    y_score: np.ndarray | None
    blocks: np.ndarray | None


def _held_out(model: Pipeline, rows: Rows, plan: Plan) -> Iterator[_Fold]:
    scorer = get_scorer(plan.scoring)
    is_measured = False
    for train, test in folds(rows, plan.cv, plan.random_state):
        train_rows, test_rows = _same_classes(rows.take(train), rows.take(test))
        if train_rows is None or test_rows is None:
            continue
        is_measured = True
        fitted = fit(model, train_rows)
        try:
            score = float(scorer(fitted, test_rows.X, test_rows.y))
        except ValueError as error:
            what = f"train.scoring {plan.scoring} does not fit the target ({first_line(error)})"
            raise BadInput(what, "set another train.scoring") from None
        if not math.isfinite(score):
            raise BadInput(
                f"train.scoring {plan.scoring} is not defined on every fold",
                "set another train.scoring",
            )
        is_of_two = _is_classes(train_rows.y) and train_rows.y.max() == 1
        y_score = fitted.predict_proba(test_rows.X) if is_of_two else None
        yield _Fold(score, test_rows.y.to_numpy(), y_score, blocks_of(test_rows))
    if not is_measured:
        what = "no fold has two classes to learn and one of them to predict"
        raise BadInput(what, "choose another prepare.split, or fewer folds (train.cv)")


def frequent_classes(rows: Rows, plan: Plan) -> tuple[Rows, Plan]:
    """The rows of classes that have a row, or a group, for every fold, with the classes numbered
    from 0 again.

    Where only one class has that many, there are fewer folds. A number to predict keeps all rows.
    Raises BadInput when no two classes have two rows each.
    """
    if not _is_classes(rows.y):
        return rows, plan
    counts = rows.y.value_counts()
    if rows.groups is not None:
        counts = rows.groups.groupby(rows.y).nunique()
    second_largest = int(counts.nlargest(2).iloc[-1])
    cv = min(plan.cv, second_largest)
    if cv < 2 or len(counts) < 2:
        what = "no two classes have two training rows each"
        if rows.groups is not None:
            what = "no two classes are in two groups of training rows each"
        raise BadInput(what, "choose another prepare.target or prepare.split")
    is_frequent = rows.y.map(counts) >= cv
    kept = rows.take(np.flatnonzero(is_frequent))
    return _renumbered(kept, kept.y), replace(plan, cv=cv)


def _same_classes(train: Rows, test: Rows) -> tuple[Rows | None, Rows | None]:
    """The rows of a fold: those to predict are of classes that were learned, which are numbered
    from 0. None where nothing can be measured.
    """
    if not _is_classes(train.y):
        return train, test
    learned = np.unique(train.y)
    known = test.take(np.flatnonzero(test.y.isin(learned)))
    if len(learned) < 2 or known.y.empty:
        return None, None
    return _renumbered(train, train.y), _renumbered(known, train.y)


def _renumbered(rows: Rows, learned: pd.Series) -> Rows:
    """The same rows, with the classes of `learned` numbered from 0."""
    codes = np.searchsorted(np.unique(learned), rows.y)
    return replace(rows, y=pd.Series(codes, index=rows.y.index, dtype="int64"))


def _is_classes(y: pd.Series) -> bool:
    return pd.api.types.is_integer_dtype(y)
