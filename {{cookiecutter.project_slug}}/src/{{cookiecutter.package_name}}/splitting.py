"""Which rows train and which rows test the model, and what would make the test too easy."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from bakebook.contracts import FeedbackRows, Schema, SplitReport
from bakebook.errors import BadInput
from bakebook.models import held_out
from bakebook.models.intervals import FEWEST_BLOCKS
from bakebook.models.leaks import leaks
from bakebook.models.related import flatteries
from bakebook.models.rows import digest, distinguishing, groups_of
from bakebook.models.targets import TARGETS

FEWEST_ROWS = 4
NO_LABELS = FeedbackRows()


def split(
    table: pd.DataFrame,
    schema: Schema,
    *,
    test_size: float,
    random_state: int,
    labelled: FeedbackRows = NO_LABELS,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and test rows in their old order.

    `schema.split` is random; stratified (every class is tested by its share); group (all rows that
    share a value of `split_by` stay together); time (the last rows by `split_by` test). Copies of a
    row stay together too. Which rows test follows from what they are, so that the same ones test in
    the next version of the table. Rows without a target are excluded, and so are test rows of a
    class that no training row has.

    Of equal rows of which one is a labelled prediction, the last stays. Those that people labelled
    because the model found them difficult are no fair sample: they never test, and one that equals
    a test row, is of its group or, in a time split, not earlier is left out. Raises BadInput when a
    part would be empty.
    """
    known = table[schema.target].notna()
    rows = table if known.all() else table[known]
    is_labelled = rows.index.isin(table.index[list(labelled.rows)])
    is_teaching = is_labelled & ~rows.index.isin(table.index[list(labelled.sample)])
    if np.sum(~is_teaching) < FEWEST_ROWS:
        what = f"only {np.sum(~is_teaching)} rows that may test have a target"
        raise BadInput(what, "add rows with a target, or choose another target")
    copies = pd.Series(np.arange(len(rows)), index=rows.index)
    if labelled.rows:
        copies = held_out.copies_of(rows, schema, random_state)
    is_old = _is_repeated(copies, is_labelled, ~is_teaching)
    is_test, is_related = _test_rows(rows, schema, ~is_teaching & ~is_old, test_size, random_state)
    is_known = is_related | copies.isin(copies[is_test]).to_numpy()
    is_left_out = is_old | (is_teaching & is_known)
    is_left_out |= _is_repeated(copies, is_labelled, ~is_test & ~is_left_out)
    train = rows[~is_test & ~is_left_out]
    test = rows[is_test]
    is_testable = TARGETS[schema.task].is_testable(test[schema.target], train[schema.target])
    test = test[is_testable]
    if train.empty or test.empty:
        what = f"prepare.split: {schema.split} gives no test rows whose class occurs in training"
        raise BadInput(what, "choose another prepare.split")
    return train.reset_index(drop=True), test.reset_index(drop=True)


def target_summary(train: pd.DataFrame, test: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """How the target is distributed in both parts."""
    parts = {"train": train[schema.target], "test": test[schema.target]}
    return TARGETS[schema.task].summary(parts, schema)


def report(
    table: pd.DataFrame,
    train: pd.DataFrame,
    test: pd.DataFrame,
    schema: Schema,
    test_size: float,
    labelled: FeedbackRows = NO_LABELS,
) -> SplitReport:
    """How many rows are in each part, and what a reader of the scores must know."""
    without_target = int(table[schema.target].isna().sum())
    warnings = [
        *_leak_warnings(train, schema),
        *_relation_warnings(train, test, schema),
        *_row_warnings(table, train, test, without_target, test_size, labelled),
    ]
    return SplitReport(
        train_rows=len(train),
        test_rows=len(test),
        test_sha256=digest(test, schema),
        rows_without_target=without_target,
        warnings=tuple(warnings),
    )


def shown(report: SplitReport) -> pd.DataFrame | str:
    """The warnings as a table, or a sentence that there are none."""
    if not report.warnings:
        return "No warnings."
    return pd.DataFrame({"warning": report.warnings})


def duplicates(train: pd.DataFrame, test: pd.DataFrame, schema: Schema) -> int:
    """How many test rows have the same inputs as a training row, apart from times and keys."""
    names = distinguishing(schema) or [column.name for column in schema.inputs]
    train_hashes = pd.util.hash_pandas_object(train[names], index=False)
    test_hashes = pd.util.hash_pandas_object(test[names], index=False)
    return int(test_hashes.isin(train_hashes).sum())


def _leak_warnings(train: pd.DataFrame, schema: Schema) -> Iterator[str]:
    noun = TARGETS[schema.task].noun
    for name, score in leaks(train, schema).items():
        what = f"Column '{name}' alone predicts the {noun} with a score of {score:.3f}"
        yield f"{what}. Is it known before the target?"


def _relation_warnings(train: pd.DataFrame, test: pd.DataFrame, schema: Schema) -> Iterator[str]:
    """What a random split makes look better than it is."""
    for found in flatteries(train, schema):
        if found.matters:
            by = found.relation.by
            held_out = "later rows" if found.relation.method == "time" else f"new values of '{by}'"
            yield (
                f"Rows that share or follow '{by}' are alike: a small forest has a"
                f" {TARGETS[schema.task].score_name} of {found.random:.3f} on random test rows, and"
                f" {found.related:.3f} on {held_out}. If the model will meet {held_out}, set"
                f" prepare.split: {found.relation.method} and split_by: {by}."
            )
    repeated = duplicates(train, test, schema)
    if repeated:
        yield f"{repeated} of {len(test)} test rows duplicate training rows."
    elif schema.split == "group" and test[schema.split_by].nunique() < FEWEST_BLOCKS:
        yield (
            f"The test rows have only {test[schema.split_by].nunique()} values of"
            f" '{schema.split_by}': too few to say how far a score can be trusted."
        )
    elif schema.split in ("random", "stratified"):
        together = groups_of(pd.concat([train, test], ignore_index=True), schema)
        if together is not None:
            copied = int(together.duplicated(keep=False).sum())
            yield (
                f"{copied} of {len(together)} rows have duplicates, apart from times and keys; each"
                " is on the same side of the split as its duplicates."
            )


def _row_warnings(
    table: pd.DataFrame,
    train: pd.DataFrame,
    test: pd.DataFrame,
    without_target: int,
    test_size: float,
    labelled: FeedbackRows,
) -> Iterator[str]:
    if without_target:
        yield f"{without_target} of {len(table)} rows have no target and are excluded."
    known = len(table) - without_target
    left_out = known - len(train) - len(test)
    if left_out and labelled.rows:
        yield (
            f"{left_out} rows are excluded: they repeat a labelled prediction, are one that equals"
            " a test row or is of its group, or are of a class that no training row has."
        )
    elif left_out:
        yield f"{left_out} rows are of classes that no training row has, and are excluded."
    drawn = known - (len(labelled.rows) - len(labelled.sample))
    share = len(test) / drawn
    if abs(len(test) - test_size * drawn) > held_out.tolerated(drawn, test_size):
        yield (
            f"The test rows are {share:.0%} of the rows, not {test_size:.0%}: groups, moments or"
            " copies that stay together do not divide otherwise."
        )


def _test_rows(
    rows: pd.DataFrame, schema: Schema, is_drawn: np.ndarray, test_size: float, random_state: int
) -> tuple[np.ndarray, np.ndarray]:
    """Masks (n,) of the rows that test, which are some of those that are drawn, and of those that
    are related to them: of their groups, or not earlier than they are.
    """
    if schema.split == "time":
        times = rows[schema.split_by]
        is_test = rows.index.isin(_latest(times[is_drawn], test_size))
        return is_test, ~(times < times[is_test].min()).to_numpy()
    places = held_out.places(rows, schema, random_state)
    strata = None
    if schema.split == "stratified" and schema.task == "classification":
        strata = TARGETS[schema.task].strata(rows.loc[is_drawn, schema.target])
    chosen = held_out.held_out(places[is_drawn], strata, test_size)
    is_test = rows.index.isin(rows.index[is_drawn][chosen])
    return is_test, places.isin(places[is_test]).to_numpy()


def _is_repeated(copies: pd.Series, is_labelled: np.ndarray, is_kept: np.ndarray) -> np.ndarray:
    """A mask (n,) of the rows that an equal one follows, among those that are kept, if one of them
    is a labelled prediction.
    """
    kept = copies[is_kept]
    of_labelled = kept[kept.isin(copies[is_labelled & is_kept])]
    return np.asarray(copies.index.isin(of_labelled.index[of_labelled.duplicated(keep="last")]))


def _latest(times: pd.Series, test_size: float) -> pd.Index:
    """The last rows, with all rows of the moment at which they begin; rows without a time train."""
    if not (pd.api.types.is_datetime64_any_dtype(times) or pd.api.types.is_numeric_dtype(times)):
        raise BadInput(
            f"column '{times.name}' holds neither times nor numbers",
            "set its dtype in ingest.columns",
        )
    order = times.dropna().sort_values(kind="stable")
    if order.nunique() < 2:
        raise BadInput(
            f"column '{times.name}' has fewer than two moments", "name another as prepare.split_by"
        )
    wanted = max(1, round(len(times) * test_size))
    first = order.iloc[-wanted:].iloc[0]
    if first > order.iloc[0]:
        return order[order >= first].index
    return order[order > first].index
