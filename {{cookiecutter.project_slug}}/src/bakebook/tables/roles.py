"""What each column is to a model: a number, a category, a text, or nothing to learn from."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from bakebook.errors import BadInput
from bakebook.params import Task
from bakebook.tables.dtypes import NUMERIC_DTYPES

KEY_NAME = re.compile(
    r"(^|[\W_])(id|uuid|guid|key|index|nr|no|number|code)$|^unnamed|^column \d+$",
    re.IGNORECASE,
)
# Distinct values up to which whole numbers may be classes, and sentences are categories
FEW_VALUES = 20
WORDS_OF_TEXT = 3  # on average, from which a column is text and not a category
LONGEST_SHOWN = 40  # characters of a value


@dataclass(frozen=True)
class Proposal:
    """A role or a task, and the reason for it."""

    choice: str
    reason: str


def propose_roles(
    table: pd.DataFrame, target: str, dtypes: Mapping[str, str]
) -> dict[str, Proposal]:
    """The role of each column except the target."""
    roles = {}
    for name in map(str, table.columns):
        if name != target:
            roles[name] = _role(name, table[name], dtypes[name])
    return roles


def propose_task(target: pd.Series, dtype: str, task: Task | None) -> Proposal:
    """The given task, or the one that fits the target.

    Raises BadInput when only a person can decide, or when there is nothing to learn.
    """
    values = target.dropna()
    name = target.name
    count = values.nunique()
    is_numeric = dtype in NUMERIC_DTYPES
    if not len(values):
        raise BadInput(f"column '{name}' has no values", "choose another target")
    if count < 2:
        raise BadInput(
            f"column '{name}' has only the value '{values.iloc[0]}'", "choose another target"
        )
    if task == "regression" and not is_numeric:
        what = f"column '{name}' contains no numbers, so it cannot be predicted by regression"
        raise BadInput(what, "--task classification")
    if task:
        return Proposal(task, "as requested")
    if not is_numeric:
        return Proposal("classification", f"{count} distinct words")
    if count == 2:
        return Proposal("classification", f"two values, {values.min():g} and {values.max():g}")
    if dtype == "integer" and count <= FEW_VALUES:
        what = f"column '{name}' has {count} distinct whole numbers: are they classes or amounts?"
        raise BadInput(what, "--task classification, or --task regression")
    return Proposal("regression", f"{count} distinct numbers")


def _role(name: str, column: pd.Series, dtype: str) -> Proposal:
    values = column.dropna()
    if not len(values):
        return Proposal("empty", "no values")
    if dtype == "number" and values.min() != values.max():
        return Proposal("numeric", f"{values.min():.4g} to {values.max():.4g}")
    count = values.nunique()
    if count == 1 and len(values) == len(column):
        return Proposal("constant", f"always {_shown(values.iloc[0])}")
    if dtype == "boolean":
        return Proposal("boolean", "true or false")
    if dtype.startswith("datetime"):
        return Proposal("datetime", f"{values.min():%Y-%m-%d} to {values.max():%Y-%m-%d}")
    if dtype in NUMERIC_DTYPES:
        return _role_of_numbers(name, values, dtype, count, rows=len(column))
    return _role_of_texts(values, count, rows=len(column))


def _role_of_numbers(name: str, values: pd.Series, dtype: str, count: int, rows: int) -> Proposal:
    if dtype == "integer" and count == rows and rows > FEW_VALUES:
        if values.max() - values.min() + 1 == rows:
            return Proposal("identifier", "counts the rows")
        if KEY_NAME.search(name):
            return Proposal(
                "identifier", "a different number in each row, and a name that suggests a key"
            )
    return Proposal("numeric", f"{count} distinct numbers")


def _role_of_texts(values: pd.Series, count: int, rows: int) -> Proposal:
    words = values.astype(str).str.count(r"\S+").mean()
    if count == rows and rows > FEW_VALUES and words < 1.5:
        return Proposal("identifier", "a different single word in each row")
    if words >= WORDS_OF_TEXT and count > FEW_VALUES and count > rows / 10:
        return Proposal("text", f"{words:.0f} words on average")
    if count > FEW_VALUES and count > rows / 4:
        return Proposal("text", f"{count} distinct texts in {rows} rows")
    if count > 1:
        return Proposal("categorical", f"{count} distinct texts")
    return Proposal("categorical", f"{_shown(values.iloc[0])}, or missing")


def _shown(value: object) -> str:
    return repr(str(value)[:LONGEST_SHOWN])
