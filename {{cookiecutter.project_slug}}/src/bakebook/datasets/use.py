"""Takes a table into the project and writes down how it is read and what its columns are: `nb data
use`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from bakebook.artifacts import write_json
from bakebook.contract.project import Project, load, load_package, write_params, write_pipeline
from bakebook.datasets import settings_writer, update
from bakebook.datasets.feedback import forget_feedback, rename_in_feedback
from bakebook.datasets.fetch import fetched, moved_in, track
from bakebook.datasets.understanding import Request, Understood, understand
from bakebook.errors import BadInput
from bakebook.models.task import Task
from bakebook.validation.draft import draft
from bakebook.validation.suite import SUITE_FILE

# What this module reads of params.yaml, beside what it writes
READ = {
    "ingest": ("source", "missing", "columns", "feedback", "decimal"),
    "prepare": ("target", "task", "roles", "orders", "split", "split_by"),
    "train": ("hyperparameters", "estimator", "search_space"),
    "evaluate": ("criteria",),
    "describe": ("intended_use", "not_for", "limits", "data_name", "data_source", "data_license"),
}
Agree = Callable[[Sequence[str]], bool]


def never(losses: Sequence[str]) -> bool:
    """Agrees to no loss."""
    return False


def use(root: Path, request: Request, agree: Agree = never) -> list[str]:
    """Takes the table into the project and returns lines for the user. Raises BadInput before
    anything is changed.

    What params.yaml, the contract and the feedback say of columns that are still there stays.
    Where something would be lost that a person may have written, `agree` decides.
    """
    project = load(root)
    for name, keys in READ.items():
        project.section(name, *keys)
    source = request.source or str(project.params["ingest"]["source"])
    with fetched(root, source, request.query) as found:
        understood = understand(project, request, found.place)
        defaults = load_package(root, "evaluation.scores").task_of(understood.task.choice)
        suite = update.read_suite(root)
        lost = update.losses(project, understood, suite)
        if lost and not agree(lost):
            what = f"with {found.place.name} the project would lose {'; '.join(lost)}"
            raise BadInput(what, "add --yes, or give the table these columns again")
        if update.is_other_table(project, understood):
            understood = replace(understood, changes=None)
        lines = [*_read(found.final, understood), *_found(project, understood, suite)]
        update.follow(project, understood, defaults)
        with moved_in(root, found):
            track(root, found.final, source)
    settings_writer.write_reading(project, found.final, understood.options)
    if understood.changes is None:
        lines += _start_over(project, source, understood, defaults)
    else:
        update.write_suite(root, understood, suite)
        rename_in_feedback(project, understood.changes.renamed)
    if request.license:
        project.params["describe"]["data_license"] = settings_writer.one_line(request.license)
    write_params(project)
    write_pipeline(project)
    settings_writer.write_readme(root, project.params, understood.table)
    return lines


def _start_over(project: Project, source: str, understood: Understood, defaults: Task) -> list[str]:
    """Writes everything that is known of a table that the project does not know yet."""
    table = understood.table
    target = understood.target
    roles = understood.roles
    settings_writer.write_description(project, source, target, roles, table)
    settings_writer.write_training(project, defaults, len(table))
    settings_writer.write_roles(project, understood)
    forget_feedback(project)
    identifiers = [name for name, role in roles.items() if role.choice == "identifier"]
    write_json(draft(table, target, identifiers), project.root / SUITE_FILE)
    return [
        f"model: {project.params['train']['estimator']} (nb estimators lists others)",
        "params.yaml describes the table, expectations/suite.json has a draft of its contract.",
        "Next: review both, then dvc repro",
    ]


def _read(final: PurePosixPath, understood: Understood) -> list[str]:
    options = understood.options
    table = understood.table
    format_ = options.file_format
    if format_ == "csv":
        format_ = (
            f"csv, {options.encoding}, delimiter {options.delimiter!r}, decimal {options.decimal!r}"
        )
    markers = ", ".join(map(repr, options.missing))
    return [
        f"{final}: {len(table)} rows × {len(table.columns)} columns",
        f"read as {format_}; missing: {markers}",
        *understood.notes,
    ]


def _found(project: Project, understood: Understood, suite: update.JsonObject) -> list[str]:
    """What was found out about a new table, or what changes for a known one."""
    if understood.changes is not None:
        return update.lines(project, understood, suite)
    task = understood.task
    width = max(len(name) for name in understood.table.columns)
    lines = [f"predict {understood.target}: {task.choice} ({task.reason})"]
    if understood.split:
        split = understood.split
        lines.append(f"test rows: {split.method} split by {split.by} ({split.reason})")
    for name, role in understood.roles.items():
        missing = understood.table[name].isna().mean()
        share = f", {missing:.0%} missing" if missing else ""
        order = " < ".join(understood.orders.get(name, ()))
        reason = f"in the order {order}" if order else role.reason
        lines.append(f"  {name:<{width}}  {role.choice:<12} {reason}{share}")
    return lines
