"""A new version of a known table: what a person wrote about its columns stays, what changes is
listed, and what would be lost is asked for.
"""

from collections.abc import Sequence
from pathlib import Path

from bakebook.artifacts import read_json
from bakebook.contract.own_columns import own_columns
from bakebook.contract.project import Project
from bakebook.contract.roles import fits
from bakebook.datasets import settings_writer
from bakebook.datasets.changes import Changes
from bakebook.datasets.understanding import Understood
from bakebook.files import write_text
from bakebook.models.task import Task
from bakebook.validation import suite_changes
from bakebook.validation.draft import draft
from bakebook.validation.suite import SUITE_FILE, JsonObject, expectations_of


def read_suite(root: Path) -> JsonObject:
    """The contract as it is; empty where there is none yet. Raises BadInput when it is broken."""
    path = root / SUITE_FILE
    if not path.is_file():
        return {"name": "table", "expectations": []}
    suite = read_json(path)
    expectations_of(suite)
    return dict(suite)  # type: ignore[call-overload, no-any-return]


def losses(project: Project, understood: Understood, suite: JsonObject) -> list[str]:
    """What a person may have written that the new table has no place for."""
    changes = understood.changes or Changes()
    prepare = project.params["prepare"]
    if is_other_table(project, understood):
        source = project.params["ingest"]["source"]
        return [f"everything about {source}: roles, contract, criteria, estimator and texts"]
    found = []
    for name in changes.dropped:
        parts = [f"its role {prepare['roles'][name]}"] if name in prepare["roles"] else []
        if name in prepare["orders"]:
            parts.append("the order of its categories")
        if count := len(suite_changes.about(suite, name)):
            parts.append(_counted(count, "expectation"))
        found.append(f"column '{name}' with {' and '.join(parts) or 'its dtype'}")
    if prepare["split_by"] in changes.dropped:
        found.append(f"split: {prepare['split']} by '{prepare['split_by']}'")
    if _is_other_task(project, understood):
        estimator = str(project.params["train"]["estimator"]).rpartition(".")[2]
        found.append(f"{estimator} and the criteria of {prepare['task']}")
    return found


def is_other_table(project: Project, understood: Understood) -> bool:
    """Whether no column is left of those that the project knew."""
    changes = understood.changes
    return changes is not None and len(changes.dropped) == len(project.params["ingest"]["columns"])


def follow(project: Project, understood: Understood, defaults: Task) -> None:
    """Changes the parameters to what the table is now."""
    if understood.changes is None:
        return
    settings_writer.follow_changes(project, understood.changes, understood)
    settings_writer.correct_roles(project, understood.options, understood.roles)
    if _is_other_task(project, understood):
        settings_writer.write_training(project, defaults, len(understood.table))
        project.params["prepare"]["task"] = understood.task.choice


def write_suite(root: Path, understood: Understood, suite: JsonObject) -> None:
    """Changes the contract to the names that the columns have now, and drafts it for new ones."""
    changes = understood.changes
    if not changes:
        return
    path = root / SUITE_FILE
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    drafted = draft(understood.table, understood.target)["expectations"]
    new = suite_changes.changed(
        suite,
        changes.renamed,
        changes.dropped,
        changes.added,
        drafted,  # type: ignore[arg-type]
    )
    write_text(suite_changes.dumped_like(text, suite, new), path)


def lines(project: Project, understood: Understood, suite: JsonObject) -> list[str]:
    """What changes, one line each, and that all else stays."""
    changes = understood.changes or Changes()
    found = []
    for old, new in changes.renamed.items():
        count = _counted(len(suite_changes.about(suite, old)), "expectation")
        found.append(f"  renamed  {old} → {new} ({changes.reasons[old]}): role and {count} follow")
    for name in changes.added:
        if name in understood.roles:
            role = understood.roles[name]
            found.append(f"  added    {name}: {role.choice} ({role.reason})")
    for name in changes.dropped:
        found.append(f"  dropped  {name}")
    found += _retyped(project, understood)
    found += _own(project, changes)
    found += _ordered(project, understood)
    rest = "Everything else stays" if found else "The project knows these columns, so all stays"
    return [*found, f"{rest}: roles, contract, criteria, estimator, texts, feedback."]


def _retyped(project: Project, understood: Understood) -> list[str]:
    """The columns that have another dtype now, and those whose role no longer fits it."""
    changes = understood.changes or Changes()
    roles = project.params["prepare"]["roles"]
    found = []
    for old, dtype in project.params["ingest"]["columns"].items():
        name = changes.now(old)
        new = understood.options.columns.get(name, dtype)
        if new == dtype:
            continue
        line = f"  retyped  {name}: {dtype} → {new}"
        role = roles.get(old)
        is_input = name in understood.roles  # and not the new target
        if role and is_input and not fits(role, new):
            line += f", role {role} → {understood.roles[name].choice}"
        found.append(line)
    return found


def _own(project: Project, changes: Changes) -> Sequence[str]:
    gone = {*changes.renamed, *changes.dropped}
    found = []
    for column in own_columns(project):
        for name in column.needs:
            if name in gone:
                found.append(f"  edit     columns.py: {column.name} reads '{name}'")
    return found


def _ordered(project: Project, understood: Understood) -> Sequence[str]:
    """The orders that the source declares and params.yaml does not have."""
    changes = understood.changes or Changes()
    orders = project.params["prepare"]["orders"]
    known = {changes.now(name): list(order) for name, order in orders.items()}
    found = []
    for name, order in understood.orders.items():
        if name not in changes.added and known.get(name) != list(order):
            said = " < ".join(order)
            found.append(f"  look at  {name}: the file orders it {said} (prepare: orders)")
    return found


def _is_other_task(project: Project, understood: Understood) -> bool:
    known = project.params["prepare"]["task"]
    return understood.changes is not None and understood.task.choice != known


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
