"""Whether columns, roles and orders fit the table: one sentence where they do not."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

import pandas as pd

from bakebook.contracts import Input
from bakebook.errors import BadInput, did_you_mean
from bakebook.models.encoding import tensor_types
from bakebook.params import EXCLUDED_ROLES, InputRole, Orders


def check_names(
    columns: Sequence[str], target: str, roles: Mapping[str, str], optional: Iterable[str]
) -> None:
    """Raises BadInput where target and roles are not those of the columns."""
    if target not in columns:
        listed = ", ".join(columns)
        raise BadInput(
            f"the table has no column '{target}'", f"set prepare.target to one of {listed}"
        )
    if target in roles:
        raise BadInput(
            f"prepare.roles has '{target}', which is the target", "nb data use, or remove it"
        )
    for name in roles:
        if name not in columns:
            remedy = did_you_mean(name, columns) or "nb data use, or remove it"
            raise BadInput(f"prepare.roles has '{name}', which is not a column", remedy)
    for name in columns:
        if name not in roles and name not in optional and name != target:
            raise BadInput(
                f"prepare.roles has no role for column '{name}'", "nb data use, or add its role"
            )


def check_role(name: str, role: str, column: pd.Series) -> None:
    """Raises BadInput where a column's values do not have its role."""
    if role not in get_args(InputRole):
        choices = ", ".join((*get_args(InputRole), *EXCLUDED_ROLES))
        raise BadInput(f"prepare.roles.{name} is '{role}'", f"choose from {choices}")
    is_time = pd.api.types.is_datetime64_any_dtype(column)
    fits = True
    if role == "numeric":
        fits = pd.api.types.is_numeric_dtype(column)
    elif role == "datetime":
        fits = is_time
    elif role == "categorical":
        fits = not is_time
    elif role == "boolean":
        fits = bool(column.dropna().isin([True, False, 0, 1]).all())
    if not fits:
        what = f"column '{name}' is not {role}: it holds {column.dtype}"
        raise BadInput(what, "set its dtype in ingest.columns")


def check_orders(orders: Orders, inputs: Iterable[Input]) -> None:
    """Raises BadInput for an order of what is no category, or of fewer than two."""
    categories = [column.name for column in inputs if column.role == "categorical"]
    for name, order in orders.items():
        if name not in categories:
            what = f"prepare.orders has '{name}', which is not a categorical input"
            raise BadInput(what, did_you_mean(name, categories) or "remove it, or fix its role")
        if len(set(order)) != len(order) or len(order) < 2:
            what = f"prepare.orders.{name} needs two or more different categories"
            raise BadInput(what, "list each of them once, the least first")


def check_tensor_names(inputs: Sequence[Input]) -> None:
    """Raises BadInput where two inputs would get the same name in the model."""
    counts = Counter(name for column in inputs for name in tensor_types(column))
    for name, count in counts.items():
        if count > 1:
            raise BadInput(
                f"two inputs of the model would be called '{name}'", "rename a column of the table"
            )
