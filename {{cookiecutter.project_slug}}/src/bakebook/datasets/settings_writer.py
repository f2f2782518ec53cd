"""Writes what is known about a table to params.yaml, dvc.yaml and README.md."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from bakebook.contract.own_columns import own_columns
from bakebook.contract.project import Project
from bakebook.contract.roles import fits
from bakebook.contract.yaml_files import append, remove, rename, set_all
from bakebook.contracts import ReadOptions
from bakebook.datasets.changes import Changes
from bakebook.datasets.fetch import without_secrets
from bakebook.datasets.understanding import Understood
from bakebook.errors import BadInput, did_you_mean
from bakebook.files import write_text
from bakebook.models.task import Task, first_model
from bakebook.params import EXCLUDED_ROLES, IGNORE
from bakebook.tables.roles import Proposal

MONITOR = "monitor"
OBVIOUS_ROLES = ("numeric", "boolean", "datetime")  # which need no reason


def write_reading(project: Project, final: PurePosixPath, options: ReadOptions) -> None:
    """The section `ingest`: where the source is and how it is read."""
    section = project.params["ingest"]
    section["source"] = str(final)
    section["file_format"] = options.file_format
    section["encoding"] = options.encoding
    section["delimiter"] = options.delimiter
    section["decimal"] = options.decimal
    for name in ("sheet", "skip_rows", "header_rows", "footer_rows"):
        if name in section or getattr(options, name) != getattr(ReadOptions(), name):
            section[name] = getattr(options, name)
    if list(section["missing"]) != list(options.missing):
        _refill_list(section["missing"], options.missing)
    set_all(section["columns"], options.columns)


def follow_changes(project: Project, changes: Changes, understood: Understood) -> None:
    """Renames, adds and drops columns in the sections `ingest` and `prepare`; all else stays."""
    roles = understood.roles
    orders = understood.orders
    prepare = project.params["prepare"]
    known = prepare["roles"]
    for mapping in (project.params["ingest"]["columns"], known, prepare["orders"]):
        for old, new in changes.renamed.items():
            rename(mapping, old, new)
        for name in changes.dropped:
            remove(mapping, name)
    prepare["target"] = understood.target
    for mapping in (known, prepare["orders"]):
        remove(mapping, understood.target)
    if prepare["split_by"] in changes.dropped:
        prepare["split"] = "stratified"
        prepare["split_by"] = ""
    else:
        prepare["split_by"] = changes.now(prepare["split_by"])
    added = {name: role.choice for name, role in roles.items() if name not in known}
    append(known, added)
    append(prepare["orders"], {name: list(orders[name]) for name in added if name in orders})
    _give_reasons(known, {name: roles[name] for name in added})


def correct_roles(project: Project, options: ReadOptions, roles: Mapping[str, Proposal]) -> None:
    """Replaces, among known columns, the roles that a changed dtype no longer allows."""
    known = project.params["prepare"]["roles"]
    for name, dtype in options.columns.items():
        if dtype == IGNORE:
            remove(known, name)
    own = {column.name for column in own_columns(project)}
    unknown = [name for name in known if name not in roles and name not in own]
    if unknown:
        what = f"prepare.roles has '{unknown[0]}', which is not an input column"
        raise BadInput(what, did_you_mean(unknown[0], roles) or "remove it from params.yaml")
    for name, role in known.items():
        if name not in own and not fits(role, options.columns[name]):
            known[name] = roles[name].choice
    orders = project.params["prepare"]["orders"]
    for name in [one for one in orders if one not in own and known.get(one) != "categorical"]:
        remove(orders, name)


def write_roles(project: Project, understood: Understood) -> None:
    """The section `prepare`: the target, the split, and each column's role, with a reason where it
    is not obvious. Roles of the project's own columns are kept.
    """
    section = project.params["prepare"]
    roles = understood.roles
    section["target"] = understood.target
    section["task"] = understood.task.choice
    section["split"] = understood.split.method if understood.split else "stratified"
    section["split_by"] = understood.split.by if understood.split else ""
    own = {column.name for column in own_columns(project)}
    kept = {name: role for name, role in section["roles"].items() if name in own}
    orders = {name: list(order) for name, order in understood.orders.items()}
    kept_orders = {name: order for name, order in section["orders"].items() if name in own}
    _refill(section["orders"], orders | kept_orders)
    _refill(section["roles"], {name: role.choice for name, role in roles.items()} | kept)
    _give_reasons(section["roles"], roles)


def write_training(project: Project, defaults: Task, rows: int) -> None:
    """A first success criterion, and an estimator for so many rows, unless a person has chosen one;
    where the task changes, also search and plots.
    """
    _refill(project.params["evaluate"]["criteria"], defaults.first_criteria)
    if MONITOR in project.params:
        _refill(project.params[MONITOR]["criteria"], defaults.first_watched)
    train = project.params["train"]
    first = first_model(defaults, rows)
    is_other_task = project.params["prepare"]["task"] != defaults.name
    is_chosen = train["estimator"] not in {one.estimator for one in defaults.first_models}
    if is_other_task or (not is_chosen and train["estimator"] != first.estimator):
        train["estimator"] = first.estimator
        _refill(train["hyperparameters"], first.hyperparameters)
        _refill(train["search_space"], first.search_space)
    if not is_other_task:
        return
    train["scoring"] = defaults.scoring
    train["search"] = "none"
    charts = [plot.for_dvc() for plot in defaults.plots]
    figures = [f"reports/plots/{plot.png}" for plot in defaults.plots]  # shown without a network
    project.pipeline["plots"] = [*charts, *figures]


def write_description(
    project: Project,
    source: str,
    target: str,
    roles: Mapping[str, Proposal],
    table: pd.DataFrame,
) -> None:
    """The section `describe`, with what is true for any table; a person has to write the rest."""
    describe = project.params["describe"]
    inputs = [name for name, role in roles.items() if role.choice not in EXCLUDED_ROLES]
    if target != project.params["prepare"]["target"]:
        describe["summary"] = f"Predicts {one_line(target)}"
    describe["data_name"] = one_line(PurePosixPath(project.params["ingest"]["source"]).stem)
    describe["data_source"] = one_line(_origin(source))
    describe["data_license"] = "unknown"
    noun = "column" if len(inputs) == 1 else "columns"
    use = f"To predict {target} from {len(inputs)} {noun} of the table."
    _refill_list(describe["intended_use"], [use])
    _refill_list(
        describe["not_for"],
        ["Rows unlike those in the table, until the model has been tested on such rows."],
    )
    _refill_list(
        describe["limits"],
        [f"It was trained on {len(table)} rows. Nobody has described its weaknesses yet."],
    )


def write_readme(root: Path, params: Any, table: pd.DataFrame) -> None:
    """The section *The table* of README.md, where the README still has it."""
    path = root / "README.md"
    prepare = params["prepare"]
    describe = params["describe"]
    roles = prepare["roles"]
    size = f"{len(table)} rows × {len(table.columns)} columns"
    lines = [
        f"`{params['ingest']['source']}`: {size}; "
        f"`{prepare['target']}` is predicted ({prepare['task']}).",
        "",
        f"- {describe['data_name']}, from {describe['data_source']}; "
        f"licence: {describe['data_license']}",
    ]
    for role in dict.fromkeys(roles.values()):
        names = ", ".join(name for name, one in roles.items() if one == role)
        note = " (not an input)" if role in EXCLUDED_ROLES else ""
        lines.append(f"- {role}{note}: {one_line(names)}")
    section = "\n".join(["## The table", "", *lines, "", ""])
    with suppress(FileNotFoundError):
        text = path.read_text(encoding="utf-8")
        write_text(re.sub(r"(?ms)^## The table\n.*?(?=^## )", lambda match: section, text), path)


def _give_reasons(known: CommentedMap, roles: Mapping[str, Proposal]) -> None:
    for name, role in roles.items():
        # The last key may have a comment: the empty lines below it
        if role.choice not in OBVIOUS_ROLES and name not in known.ca.items:
            column = len(f"    {name}: {role.choice}  ")
            known.yaml_add_eol_comment(one_line(role.reason), name, column=column)


def one_line(text: object) -> str:
    """The text with single blanks and no line breaks."""
    return " ".join(str(text).split())


def _origin(source: str) -> str:
    return without_secrets(source) if "://" in source else Path(source).name


def _refill(old: CommentedMap, new: Mapping[str, object]) -> None:
    """Replaces the content of a mapping of params.yaml, and keeps its own comment."""
    if not old:
        old.fa.set_block_style()
    for name in list(old):
        del old[name]
    old.ca.items.clear()
    old.update(CommentedMap(new))


def _refill_list(old: CommentedSeq, new: Sequence[object]) -> None:
    """Replaces the content of a list of params.yaml, and keeps its own comment."""
    if not old:
        old.fa.set_block_style()
    del old[:]
    old.extend(new)
