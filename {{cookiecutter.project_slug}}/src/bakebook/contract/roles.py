"""Whether target, roles and split fit the columns of the table, by their dtypes."""

from typing import Any

from bakebook.contract.own_columns import dtype_of, own_columns
from bakebook.contract.parameters import Fault, Faults, place
from bakebook.contract.project import Project
from bakebook.errors import did_you_mean
from bakebook.params import DTYPES, IGNORE

STAGE = "prepare"
NUMBERS = ("number", "integer", "amount")
# The dtypes that a role allows; `categorical` allows every dtype but datetime, others allow all
FITTING = {
    "numeric": (*NUMBERS, "boolean"),
    "datetime": ("datetime",),
    "boolean": ("boolean", *NUMBERS),
}
ORDERED = (*NUMBERS, "datetime")
USE = "nb data use"


def check_roles(project: Project) -> Faults:
    """Every fault of section `prepare` that the dtypes in section `ingest` show."""
    settings = project.params.get(STAGE)
    table = (project.params.get("ingest") or {}).get("columns")
    if not isinstance(settings, dict) or not isinstance(table, dict) or not table:
        return
    dtypes = {str(name): str(dtype).partition(" ")[0] for name, dtype in table.items()}
    own = {column.name: dtype_of(column.returns) for column in own_columns(project)}
    unknown = [name for name, dtype in dtypes.items() if dtype not in DTYPES]
    for name in unknown:
        remedy = did_you_mean(dtypes[name], DTYPES) or f"choose from {', '.join(DTYPES)}"
        what = f"ingest.columns.{name} is '{dtypes[name]}', which is not a dtype"
        yield Fault(place(table, name), what, remedy)
    if unknown:
        return
    dtypes = {name: dtype for name, dtype in dtypes.items() if dtype != IGNORE}
    yield from _target(settings, dtypes)
    roles = settings.get("roles")
    if isinstance(roles, dict):
        yield from _roles(settings, roles, dtypes, own)
        yield from _orders(settings, roles, own)
    yield from _split(settings, dtypes | own)


def fits(role: str, dtype: str) -> bool:
    """Whether a column of the dtype can have the role."""
    name = dtype.partition(" ")[0]
    if role in FITTING:
        return name in FITTING[role]
    return role != "categorical" or name != "datetime"


def _target(settings: Any, dtypes: dict[str, str]) -> Faults:
    target = settings.get("target")
    if not target:
        return  # its type is checked elsewhere
    where = place(settings, "target")
    if target not in dtypes:
        remedy = did_you_mean(target, dtypes) or f"{USE} --target COLUMN"
        yield Fault(where, f"prepare.target is '{target}', which is not a column", remedy)
    elif settings.get("task") == "regression" and dtypes[target] not in NUMBERS:
        what = f"prepare.task is regression, and column '{target}' is {dtypes[target]}"
        yield Fault(place(settings, "task"), what, "classification, or another dtype")


def _roles(settings: Any, roles: Any, dtypes: dict[str, str], own: dict[str, str]) -> Faults:
    target = settings.get("target")
    known = dtypes | own
    for name, role in roles.items():
        where = place(roles, name)
        if name == target:
            yield Fault(where, f"prepare.roles has '{name}', which is the target", "remove it")
        elif name not in known:
            remedy = did_you_mean(name, set(known) - set(roles)) or f"{USE}, or remove it"
            yield Fault(where, f"prepare.roles has '{name}', which is not a column", remedy)
        elif not fits(str(role), known[name]):
            what = f"prepare.roles.{name} is {role}, and the column's dtype is {known[name]}"
            yield Fault(where, what, _other_roles(known[name]))
    for name in dtypes:
        if target in dtypes and name != target and name not in roles:
            what = f"prepare.roles has no role for column '{name}'"
            yield Fault(place(settings, "roles"), what, f"{USE}, or add its role")


def _orders(settings: Any, roles: Any, own: dict[str, str]) -> Faults:
    orders = settings.get("orders")
    if not isinstance(orders, dict):
        return  # its type is checked elsewhere
    of_texts = [name for name, dtype in own.items() if dtype == "text" and name not in roles]
    categories = [name for name, role in roles.items() if role == "categorical"] + of_texts
    for name, order in orders.items():
        where = place(orders, name)
        if name not in categories:
            what = f"prepare.orders has '{name}', whose role is not categorical"
            yield Fault(where, what, did_you_mean(name, categories) or "remove it, or fix its role")
        elif isinstance(order, list) and (len(order) < 2 or len({*map(str, order)}) < len(order)):
            what = f"prepare.orders.{name} needs two or more different categories"
            yield Fault(where, what, "list each of them once, the least first")


def _other_roles(dtype: str) -> str:
    if dtype == "datetime":
        fitting = "datetime"
    elif dtype in NUMBERS:
        fitting = "numeric or categorical"
    else:
        fitting = "categorical or text"
    return f"{fitting}, or another dtype in ingest.columns"


def _split(settings: Any, dtypes: dict[str, str]) -> Faults:
    method = settings.get("split")
    by = settings.get("split_by")
    if method not in ("group", "time"):
        return
    where = place(settings, "split_by")
    if by not in dtypes:
        remedy = did_you_mean(by, dtypes) if by else ""
        what = f"prepare.split is {method}, and split_by '{by}' is not a column"
        yield Fault(where, what, remedy or "name the column of the groups or of the times")
    elif method == "time" and dtypes[by] not in ORDERED:
        what = f"prepare.split is time, and column '{by}' is {dtypes[by]}"
        yield Fault(where, what, "name a column of times or numbers")
