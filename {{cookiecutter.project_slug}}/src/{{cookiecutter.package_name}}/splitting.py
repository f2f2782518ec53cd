"""Which rows teach and which test, and what would make the test too easy."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from . import encoding
from .errors import BadInput
from .features import Schema

RARE = 2  # rows of a class below which it cannot be in both parts
BINS = 10  # of equal size, by which a number to predict is spread evenly over both parts
LEAK = 0.99  # the score of a column alone from which it is suspected to be the target in disguise
LOOKED_AT = 10_000  # rows, in search of a leak


def split(
    table: pd.DataFrame, schema: Schema, *, method: str, by: str, test_size: float, random_state: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train and test rows in their old order. Rows without a target are left out; a class of one row only teaches.

    `method` is random; stratified (classes, or tenths of a number, in the same proportions); group (all rows that
    share a value of column `by` stay together); time (the last rows by column `by` test).
    """
    known = table[str(schema["target"])].notna()
    rows = table if known.all() else table[known]
    if len(rows) < 4:
        raise BadInput(f"{len(rows)} rows have a target → a model needs rows to learn from and rows to be tested on")
    if method in {"group", "time"} and by not in rows.columns:
        raise BadInput(f"prepare.split_by '{by}' is no column → name the column by which prepare.split: {method} goes")
    test = _tested(rows, schema, method, by, test_size, random_state)
    train = rows[~rows.index.isin(test)]
    test_rows = rows[rows.index.isin(test)]
    if schema["task"] == "classification":
        test_rows = test_rows[test_rows[schema["target"]].isin(train[schema["target"]])]
    if train.empty or test_rows.empty:
        raise BadInput(
            f"prepare.split: {method} leaves no rows to test on that the train rows tell of → choose another"
        )
    return train.reset_index(drop=True), test_rows.reset_index(drop=True)


def dropped(table: pd.DataFrame, schema: Schema) -> int:
    """The rows that have no target: they neither teach nor test."""
    return int(table[str(schema["target"])].isna().sum())


def target_counts(train: pd.DataFrame, test: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Rows of each class in either part, or how the number to predict is spread in either."""
    parts = {"train": train[schema["target"]], "test": test[schema["target"]]}
    if schema["task"] == "regression":
        return pd.DataFrame({name: part.describe() for name, part in parts.items()}).round(6)
    counts = {name: part.map(encoding.as_text).value_counts() for name, part in parts.items()}
    return pd.DataFrame(counts).reindex(schema["classes"]).fillna(0).astype(int).rename_axis(schema["target"])


def warnings(table: pd.DataFrame, train: pd.DataFrame, test: pd.DataFrame, schema: Schema) -> list[str]:
    """What a reader of the scores must know: suspected leaks, rows in both parts, rows without a target."""
    found = [
        f"Column '{name}' alone gives {'the class' if schema['task'] == 'classification' else 'the number'}"
        f" with a score of {score:.3f}: is it known before the target is?"
        for name, score in leaks(train, schema).items()
    ]
    both = straddling(train, test, schema)
    if both:
        found.append(f"{both} of {len(test)} test rows have a train row with the same inputs, so they test memory.")
    gone = dropped(table, schema)
    if gone:
        found.append(f"{gone} of {len(table)} rows have no target and are left out.")
    unseen = len(table) - gone - len(train) - len(test)
    if unseen:
        found.append(f"{unseen} rows are of classes that no train row has, and are left out.")
    return found


def straddling(train: pd.DataFrame, test: pd.DataFrame, schema: Schema) -> int:
    """The test rows whose inputs are those of some train row."""
    names = [column["name"] for column in schema["inputs"]]
    hashes = [pd.util.hash_pandas_object(part[names], index=False) for part in (train, test)]
    return int(hashes[1].isin(hashes[0]).sum())


def leaks(train: pd.DataFrame, schema: Schema) -> dict[str, float]:
    """The columns that alone all but give the target, with their score on rows that a small tree did not learn from.

    The score is balanced accuracy or R². A column whose values hardly repeat, such as a text, is not looked at.
    """
    rows = train.sample(min(len(train), LOOKED_AT), random_state=0)
    halves = rows.iloc[::2], rows.iloc[1::2]
    found = {column["name"]: _score_alone(halves, column, schema) for column in schema["inputs"]}
    return {name: score for name, score in found.items() if score >= LEAK}


def _tested(rows: pd.DataFrame, schema: Schema, method: str, by: str, test_size: float, random_state: int) -> pd.Index:
    if method == "time":
        return _latest(rows[by], test_size)
    if method == "group":
        return _whole_groups(rows[by], test_size, random_state)
    target = rows[str(schema["target"])]
    strata = _strata(target, schema) if method == "stratified" else None
    index = rows.index
    if strata is not None and strata.notna().any():
        index, strata = index[strata.notna()], strata.dropna()
    try:
        return train_test_split(index, test_size=test_size, random_state=random_state, stratify=strata)[1]
    except ValueError:  # fewer rows than classes on one side
        return train_test_split(rows.index, test_size=test_size, random_state=random_state)[1]


def _latest(times: pd.Series, test_size: float) -> pd.Index:
    """The last rows, with all of the moment at which they begin; rows without a time teach."""
    if not (pd.api.types.is_datetime64_any_dtype(times) or pd.api.types.is_numeric_dtype(times)):
        raise BadInput(f"column '{times.name}' holds neither times nor numbers → set its kind in ingest.columns")
    order = times.dropna().sort_values(kind="stable")
    if order.nunique() < 2:
        raise BadInput(f"column '{times.name}' has fewer than two moments → name another as prepare.split_by")
    first = order.iloc[-max(1, round(len(times) * test_size)) :].iloc[0]
    return order[order >= first].index if first > order.iloc[0] else order[order > first].index


def _whole_groups(groups: pd.Series, test_size: float, random_state: int) -> pd.Index:
    """Groups in a random order, until they hold the share of the rows; a row without a group is one of its own."""
    names = groups.map(encoding.as_text).where(groups.notna(), "row " + groups.index.astype(str))
    if names.nunique() < 2:
        raise BadInput(f"column '{groups.name}' has one value only → name another as prepare.split_by")
    sizes = names.value_counts().sort_index().sample(frac=1, random_state=random_state)
    chosen = sizes.index[: max(1, int((sizes.cumsum() <= len(names) * test_size).sum()))]
    return names.index[names.isin(chosen)]


def _strata(target: pd.Series, schema: Schema) -> pd.Series:
    """The class of each row, missing where it is too rare to be split; of a number, its tenth."""
    if schema["task"] == "regression":
        return pd.qcut(target.rank(method="first"), min(BINS, len(target) // RARE), labels=False)
    names = target.map(encoding.as_text)
    return names.where(names.map(names.value_counts()) >= RARE)


def _score_alone(halves: tuple[pd.DataFrame, pd.DataFrame], column: dict[str, Any], schema: Schema) -> float:
    if column["type"] in {"text", "datetime"} or len(halves[1]) < 10:
        return 0.0
    both = pd.concat(halves)
    values = both[column["name"]]
    codes = values if column["type"] in {"number", "boolean"} else pd.Series(pd.factorize(values)[0], index=both.index)
    if column["type"] == "category" and codes.nunique() > len(both) / 5:
        return 0.0
    X = codes.astype("float64").to_numpy().reshape(-1, 1)
    y = both[schema["target"]]
    y = y.map(encoding.as_text) if schema["task"] == "classification" else y
    kind = DecisionTreeClassifier if schema["task"] == "classification" else DecisionTreeRegressor
    tree = kind(min_samples_leaf=5, random_state=0, max_leaf_nodes=200)
    half = len(halves[0])
    predicted = tree.fit(X[:half], y.iloc[:half]).predict(X[half:])
    return _score(y.iloc[half:].to_numpy(), predicted, schema)


def _score(y: np.ndarray, predicted: np.ndarray, schema: Schema) -> float:
    from sklearn.metrics import r2_score, recall_score

    if schema["task"] == "classification":
        return float(recall_score(y, predicted, average="macro", labels=np.unique(y), zero_division=0))
    return float(r2_score(y, predicted))
