"""From a table to X and y: which columns a model learns from, and what the training rows show of
them.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from bakebook.contracts import Derived, Input, Schema
from bakebook.errors import BadInput
from bakebook.models.columns import Columns
from bakebook.models.encoding import encode, parts_of_time
from bakebook.models.schema_checks import (
    check_names,
    check_orders,
    check_role,
    check_tensor_names,
)
from bakebook.params import EXCLUDED_ROLES, InputRole, Orders, Split, Task
from bakebook.tables.values import as_text

FEW_LEVELS = 30  # up to these, a category is one-hot encoded; above, it is target encoded
MOST_LEVELS = 2000  # the most frequent are kept, the others are one
FEW_GAPS = 5  # fewer missing values teach nothing
WORDS_OF_LONG_TEXT = 6  # on average; of shorter texts, parts of the words matter
EXACT_IN_32_BITS = 2**24
# Of a column of `columns.py`, by its type; prepare.roles may give another
ROLES: Mapping[type, InputRole] = {
    int: "numeric",
    float: "numeric",
    bool: "boolean",
    str: "categorical",
    datetime: "datetime",
}


def describe_inputs(
    table: pd.DataFrame,
    target: str,
    task: Task,
    roles: Mapping[str, str],
    columns: Columns | None = None,
    *,
    orders: Orders | None = None,
    split: Split = "random",
    split_by: str = "",
) -> Schema:
    """The schema as far as names and roles go; a column of `columns.py` without a role has that of
    its type. `orders` has the categories of those that have an order, the least first. The key of a
    group split is no input: rows to predict are of groups that the model has not seen. Raises
    BadInput where table, roles, orders and split do not match.
    """
    own = columns.by_name if columns else {}
    names = [str(name) for name in table.columns if name not in own]
    check_names([*names, *own], target, roles, optional=own)
    inputs = []
    excluded = {}
    for name in [*(one for one in roles if one not in own), *own]:
        role = roles[name] if name in roles else ROLES[own[name].type]
        if split == "group" and name == split_by:
            excluded[name] = "identifier"
        elif role in EXCLUDED_ROLES:
            excluded[name] = role
        else:
            if name in table:  # else it is learned after the split
                check_role(name, role, table[name])
            order = (orders or {}).get(name)
            inputs.append(Input.model_validate({"name": name, "role": role, "order": order}))
    check_orders(orders or {}, inputs)
    if not inputs:
        raise BadInput("no column is left to learn from", "give one of prepare.roles another role")
    if split in ("group", "time") and split_by not in table.columns:
        raise BadInput(
            f"prepare.split_by '{split_by}' is not a column",
            f"name the column for prepare.split: {split}",
        )
    return Schema(
        target=target,
        task=task,
        split=split,
        split_by=split_by if split in ("group", "time") else "",
        inputs=tuple(inputs),
        excluded=excluded,
        derived=_derived(inputs, columns, {}) if columns else (),
    )


def learn_inputs(
    schema: Schema,
    train: pd.DataFrame,
    columns: Columns | None = None,
    learned: Mapping[str, object] | None = None,
) -> Schema:
    """The schema with what the training rows show: classes, categories, ranges, the parts of times
    that vary; and how the inputs of `columns.py` are computed, with what these `learned`.
    """
    classes = None
    if schema.task == "classification":
        classes = _classes(train[schema.target])
    inputs = []
    excluded = dict(schema.excluded)
    for column in schema.inputs:
        values = train[column.name]
        check_role(column.name, column.role, values)
        if _is_blank(values):
            excluded[column.name] = "empty"
        else:
            inputs.append(_learned(column, values))
    if not inputs:
        raise BadInput("no column has a value in the training rows", "choose another prepare.split")
    check_tensor_names(inputs)
    derived = _derived(inputs, columns, learned or {}) if columns else ()
    found = {
        "classes": classes,
        "inputs": tuple(inputs),
        "excluded": excluded,
        "derived": derived,
    }
    return schema.model_copy(update=found)


def to_X(table: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """The tensors of all inputs side by side (n, tensors), encoded as the served model encodes
    them.
    """
    columns: dict[str, np.ndarray] = {}
    for column in schema.inputs:
        columns |= encode(column, table[column.name].to_numpy())
    return pd.DataFrame(columns, index=table.index)


def to_y(table: pd.DataFrame, schema: Schema) -> pd.Series:
    """The place of each row's class in `schema.classes` as int64 (n,), or the number to predict as
    float64 (n,).
    """
    target = table[schema.target]
    if schema.classes is None:
        return target.astype("float64")
    places = {name: place for place, name in enumerate(schema.classes)}
    return target.map(lambda value: places[as_text(value)]).astype("int64")


def to_X_y(table: pd.DataFrame, schema: Schema) -> tuple[pd.DataFrame, pd.Series]:
    """X and y of all rows. A table that is read in the call itself does not stay in memory beside
    them.
    """
    return to_X(table, schema), to_y(table, schema)


def excluded_columns(schema: Schema) -> pd.DataFrame | str:
    """The columns that the model does not learn from and their roles, or a sentence that there are
    none.
    """
    if not schema.excluded:
        return "Every column except the target is an input."
    rows = list(schema.excluded.items())
    return pd.DataFrame(rows, columns=["column", "role"])


def input_table(schema: Schema) -> pd.DataFrame:
    """One row per input: its name and its role."""
    rows = [(column.name, column.role) for column in schema.inputs]
    return pd.DataFrame(rows, columns=["input", "role"])


def is_target_encoded(column: Input) -> bool:
    """Whether a category has too many levels for one-hot encoding."""
    return column.levels is not None and len(column.levels) > FEW_LEVELS


def _derived(
    inputs: Sequence[Input], columns: Columns, learned: Mapping[str, object]
) -> tuple[Derived, ...]:
    """The columns of `columns.py` that are inputs or that these read, in the order in which they
    can be computed.
    """
    needed = {column.name for column in inputs}
    found = []
    for one in reversed(columns.by_name.values()):
        if one.name in needed:
            needed |= set(one.reads)
            found.append(Derived(name=one.name, reads=one.reads, learned=learned.get(one.name)))
    return tuple(reversed(found))


def _classes(target: pd.Series) -> tuple[str, ...]:
    names = {as_text(value) for value in target}
    if len(names) < 2:
        raise BadInput(
            f"column '{target.name}' has fewer than two classes", "choose another prepare.target"
        )
    return tuple(sorted(names, key=_numbers_first))


def _numbers_first(name: str) -> tuple[float, str]:
    try:
        return float(name), name
    except ValueError:
        return float("inf"), name


def _is_blank(values: pd.Series) -> bool:
    """Whether nothing can be learned from a column: no value, or texts without a word."""
    present = values.dropna()
    if present.empty:
        return True
    return pd.api.types.is_string_dtype(present) and not present.astype(str).str.strip().any()


def _learned(column: Input, values: pd.Series) -> Input:
    found: dict[str, object] = {}
    if column.role == "categorical":
        found["levels"] = _levels(values, column.order or ())
    elif column.role == "text":
        found["is_short"] = _words(values) < WORDS_OF_LONG_TEXT or None
    else:
        gaps = int(values.isna().sum())
        found["has_gaps"] = FEW_GAPS <= gaps <= len(values) - FEW_GAPS or None
    if column.role == "datetime":
        found |= {"parts": _varying_parts(values), **_bounds(values)}
    elif column.role == "numeric":
        bounds = _bounds(values)
        found |= {**bounds, "offset": _offset(bounds)}
    return column.model_copy(update=found)


def _words(values: pd.Series) -> float:
    return float(values.dropna().astype(str).str.count(r"\S+").mean())


def _levels(values: pd.Series, order: Sequence[str]) -> tuple[str, ...]:
    """The most frequent categories, in their order and else sorted."""
    texts = [as_text(value) for value in values.to_numpy()]
    counts = pd.Series(texts).value_counts().reset_index()
    ranked = counts.sort_values(["count", "index"], ascending=[False, True])
    frequent = ranked.head(MOST_LEVELS)
    places = {name: place for place, name in enumerate(order)}
    return tuple(sorted(frequent["index"], key=lambda one: (places.get(one, len(places)), one)))


def _varying_parts(values: pd.Series) -> tuple[str, ...]:
    varying = []
    for part, found in parts_of_time(values.to_numpy()).items():
        present = found[~np.isnan(found)]
        if len(np.unique(present)) > 1:
            varying.append(part)
    return tuple(varying) or ("days",)


def _bounds(values: pd.Series) -> dict[str, object]:
    """The smallest and the greatest training value: a number, or a time in ISO 8601."""
    present = values.dropna()
    if present.empty:
        return {}
    return {"minimum": _plain(present.min()), "maximum": _plain(present.max())}


def _offset(bounds: Mapping[str, object]) -> int | None:
    """The smallest value, where 32 bits cannot tell the greatest one from its neighbours."""
    least = bounds.get("minimum")
    greatest = bounds.get("maximum")
    if not isinstance(least, int | float) or not isinstance(greatest, int | float):
        return None
    is_exact = max(abs(least), abs(greatest)) < EXACT_IN_32_BITS
    return None if is_exact else math.floor(least)


def _plain(value: Any) -> int | float | str:
    return value.isoformat() if isinstance(value, pd.Timestamp) else value.item()
