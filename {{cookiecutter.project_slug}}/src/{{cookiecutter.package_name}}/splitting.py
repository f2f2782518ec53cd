"""Which rows train and which rows test the model, and what would make the test too easy."""

import pandas as pd
from sklearn.model_selection import train_test_split

from bakebook.contracts import Input, Schema, SplitReport
from bakebook.errors import BadInput
from bakebook.models.targets import TARGETS
from bakebook.params import Split
from bakebook.tables.values import as_text

FEWEST_ROWS = 4
LEAK_SCORE = 0.99  # of a single column, from which it is suspected to contain the target
LEAK_ROWS = 10_000  # that are searched for a leak
LEAK_FEWEST_ROWS = 10


def split(
    table: pd.DataFrame,
    schema: Schema,
    *,
    method: Split,
    by: str,
    test_size: float,
    random_state: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and test rows in their old order.

    `method` is random; stratified (classes, or deciles of a number, in the same proportions, unless
    there are too few rows); group (all rows that share a value of column `by` stay together); time
    (the last rows by column `by` test). Rows without a target are excluded, and so are test rows of
    a class that no training row has. Raises BadInput when a part would be empty.
    """
    known = table[schema.target].notna()
    rows = table if known.all() else table[known]
    if len(rows) < FEWEST_ROWS:
        what = f"only {len(rows)} rows have a target"
        raise BadInput(what, "add rows with a target, or choose another target")
    if method in ("group", "time") and by not in rows.columns:
        raise BadInput(
            f"prepare.split_by '{by}' is not a column",
            f"name the column for prepare.split: {method}",
        )
    if method == "time":
        test_index = _latest(rows[by], test_size)
    elif method == "group":
        test_index = _whole_groups(rows[by], test_size, random_state)
    else:
        strata = (
            TARGETS[schema.task].strata(rows[schema.target]) if method == "stratified" else None
        )
        test_index = _random(rows.index, strata, test_size, random_state)
    is_test = rows.index.isin(test_index)
    train = rows[~is_test]
    test = rows[is_test]
    is_testable = TARGETS[schema.task].is_testable(test[schema.target], train[schema.target])
    test = test[is_testable]
    if train.empty or test.empty:
        what = f"prepare.split: {method} gives no test rows whose class occurs in training"
        raise BadInput(what, "choose another prepare.split")
    return train.reset_index(drop=True), test.reset_index(drop=True)


def target_summary(train: pd.DataFrame, test: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """How the target is distributed in both parts."""
    parts = {"train": train[schema.target], "test": test[schema.target]}
    return TARGETS[schema.task].summary(parts, schema)


def report(
    table: pd.DataFrame, train: pd.DataFrame, test: pd.DataFrame, schema: Schema
) -> SplitReport:
    """How many rows are in each part, and what a reader of the scores must know."""
    without_target = int(table[schema.target].isna().sum())
    return SplitReport(
        train_rows=len(train),
        test_rows=len(test),
        rows_without_target=without_target,
        warnings=tuple(_warnings(table, train, test, schema, without_target)),
    )


def shown(report: SplitReport) -> pd.DataFrame | str:
    """The warnings as a table, or a sentence that there are none."""
    if not report.warnings:
        return "No warnings."
    return pd.DataFrame({"warning": report.warnings})


def duplicates(train: pd.DataFrame, test: pd.DataFrame, schema: Schema) -> int:
    """How many test rows have the same inputs as a training row."""
    names = [column.name for column in schema.inputs]
    train_hashes = pd.util.hash_pandas_object(train[names], index=False)
    test_hashes = pd.util.hash_pandas_object(test[names], index=False)
    return int(test_hashes.isin(train_hashes).sum())


def leaks(train: pd.DataFrame, schema: Schema) -> dict[str, float]:
    """The columns that alone almost determine the target, with the score of a small tree on rows it
    did not see.

    The score is balanced accuracy or R². Columns whose values hardly repeat, such as texts, are not
    examined.
    """
    rows = train.sample(min(len(train), LEAK_ROWS), random_state=0)
    halves = (rows.iloc[::2], rows.iloc[1::2])
    if len(halves[1]) < LEAK_FEWEST_ROWS:
        return {}
    scores = {column.name: _score_alone(halves, column, schema) for column in schema.inputs}
    return {name: score for name, score in scores.items() if score >= LEAK_SCORE}


def _warnings(
    table: pd.DataFrame,
    train: pd.DataFrame,
    test: pd.DataFrame,
    schema: Schema,
    without_target: int,
) -> list[str]:
    found = []
    noun = TARGETS[schema.task].noun
    for name, score in leaks(train, schema).items():
        what = f"Column '{name}' alone predicts the {noun} with a score of {score:.3f}"
        found.append(f"{what}. Is it known before the target?")
    repeated = duplicates(train, test, schema)
    if repeated:
        found.append(f"{repeated} of {len(test)} test rows duplicate training rows.")
    if without_target:
        found.append(f"{without_target} of {len(table)} rows have no target and are excluded.")
    unseen = len(table) - without_target - len(train) - len(test)
    if unseen:
        found.append(f"{unseen} rows are of classes that no training row has, and are excluded.")
    return found


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


def _whole_groups(groups: pd.Series, test_size: float, random_state: int) -> pd.Index:
    """Groups in random order, until they have the share of the rows; a row without a group is one
    of its own.
    """
    own = "row " + groups.index.astype(str)
    names = groups.map(as_text).where(groups.notna(), own)
    if names.nunique() < 2:
        raise BadInput(
            f"column '{groups.name}' has only one value", "name another as prepare.split_by"
        )
    sizes = names.value_counts().sort_index().sample(frac=1, random_state=random_state)
    fitting = int((sizes.cumsum() <= len(names) * test_size).sum())
    chosen = sizes.index[: max(1, fitting)]
    return names.index[names.isin(chosen)]


def _score_alone(halves: tuple[pd.DataFrame, pd.DataFrame], column: Input, schema: Schema) -> float:
    """The score on the second half of a small tree that learned one column of the first; 0 where it
    is not examined.
    """
    if column.role in ("text", "datetime"):
        return 0.0
    both = pd.concat(halves)
    codes = both[column.name]
    if column.role == "categorical":
        codes = pd.Series(pd.factorize(codes)[0], index=both.index)
        if codes.nunique() > len(both) / 5:
            return 0.0
    target = TARGETS[schema.task]
    X = codes.astype("float64").to_numpy().reshape(-1, 1)
    y = target.labels(both[schema.target])
    half = len(halves[0])
    tree = target.small_tree().fit(X[:half], y.iloc[:half])
    return target.score(y.iloc[half:].to_numpy(), tree.predict(X[half:]))
