"""Which rows train and which rows test the model, and what would make the test too easy."""

from collections.abc import Iterator

import pandas as pd
from sklearn.model_selection import train_test_split

from bakebook.contracts import Schema, SplitReport
from bakebook.errors import BadInput
from bakebook.models.group_split import whole_groups
from bakebook.models.intervals import FEWEST_BLOCKS
from bakebook.models.leaks import leaks
from bakebook.models.related import flatteries
from bakebook.models.rows import digest, distinguishing, groups_of
from bakebook.models.targets import TARGETS

FEWEST_ROWS = 4
FEW_ROWS = 20  # with which a test set cannot have just any size
FAR_FROM_SIZE = 0.2  # the share of the wanted size of the test set by which it may be missed
MOST_COPIES = 0.5  # of a row, as a share of the test set, with which it can still test


def split(
    table: pd.DataFrame, schema: Schema, *, test_size: float, random_state: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and test rows in their old order.

    `schema.split` is random; stratified (classes, or deciles of a number, in the same proportions,
    unless there are too few rows); group (all rows that share a value of `split_by` stay together);
    time (the last rows by `split_by` test). Copies of a row stay together too. Rows without a
    target are excluded, and so are test rows of a class that no training row has. Raises BadInput
    when a part would be empty.
    """
    known = table[schema.target].notna()
    rows = table if known.all() else table[known]
    if len(rows) < FEWEST_ROWS:
        what = f"only {len(rows)} rows have a target"
        raise BadInput(what, "add rows with a target, or choose another target")
    test_index = _test_index(rows, schema, test_size, random_state)
    is_test = rows.index.isin(test_index)
    train = rows[~is_test]
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
) -> SplitReport:
    """How many rows are in each part, and what a reader of the scores must know."""
    without_target = int(table[schema.target].isna().sum())
    warnings = [
        *_leak_warnings(train, schema),
        *_relation_warnings(train, test, schema),
        *_row_warnings(table, train, test, without_target, test_size),
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
) -> Iterator[str]:
    if without_target:
        yield f"{without_target} of {len(table)} rows have no target and are excluded."
    unseen = len(table) - without_target - len(train) - len(test)
    if unseen:
        yield f"{unseen} rows are of classes that no training row has, and are excluded."
    share = len(test) / (len(train) + len(test))
    is_far = abs(share - test_size) > FAR_FROM_SIZE * test_size
    if is_far and len(train) + len(test) > FEW_ROWS:
        yield (
            f"The test rows are {share:.0%} of the rows, not {test_size:.0%}: groups, moments or"
            " copies that stay together do not divide otherwise."
        )


def _test_index(
    rows: pd.DataFrame, schema: Schema, test_size: float, random_state: int
) -> pd.Index:
    if schema.split == "time":
        return _latest(rows[schema.split_by], test_size)
    groups = groups_of(rows, schema)
    if schema.split == "group" and groups is not None:
        return _whole_groups(groups, rows, schema, test_size, random_state)
    strata = None
    if schema.split == "stratified":
        strata = TARGETS[schema.task].strata(rows[schema.target])
    if groups is None:
        return _random(rows.index, strata, test_size, random_state)
    return _whole_copies(groups, strata, test_size, random_state)


def _random(
    index: pd.Index, strata: pd.Series | None, test_size: float, random_state: int
) -> pd.Index:
    rows = index
    if strata is not None and strata.notna().any():
        rows = index[strata.notna()]
        strata = strata.dropna()
    try:
        return train_test_split(
            rows, test_size=test_size, random_state=random_state, stratify=strata
        )[1]
    except ValueError:  # fewer rows than classes in one part
        return train_test_split(index, test_size=test_size, random_state=random_state)[1]


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


def _whole_groups(
    groups: pd.Series, rows: pd.DataFrame, schema: Schema, test_size: float, random_state: int
) -> pd.Index:
    """Whole groups, near the size of the test set and near the same classes, or deciles."""
    if groups.nunique() < 2:
        raise BadInput(
            f"column '{schema.split_by}' has only one value", "name another as prepare.split_by"
        )
    strata = pd.factorize(TARGETS[schema.task].strata(rows[schema.target]))[0] + 1
    return groups.index[whole_groups(groups.to_numpy(), strata, test_size, random_state)]


def _whole_copies(
    groups: pd.Series, strata: pd.Series | None, test_size: float, random_state: int
) -> pd.Index:
    """Draws one row for all its copies; what has very many copies trains."""
    sizes = groups.map(groups.value_counts())
    drawn = groups.index[~groups.duplicated() & (sizes <= MOST_COPIES * test_size * len(groups))]
    if len(drawn) < FEWEST_ROWS:
        drawn = groups.index[~groups.duplicated()]
    of_drawn = None if strata is None else strata.loc[drawn]
    chosen = groups.loc[_random(drawn, of_drawn, test_size, random_state)]
    return groups.index[groups.isin(chosen)]
