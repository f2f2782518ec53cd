"""Takes a table into the project and writes down how it is read and what its columns are: `nb data
use`.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd
import pyarrow as pa

from bakebook.artifacts import write_json
from bakebook.contract.project import Project, load, load_package, write_params, write_pipeline
from bakebook.contracts import ReadOptions
from bakebook.datasets import settings_writer
from bakebook.datasets.feedback import forget_feedback
from bakebook.datasets.fetch import fetched, moved_in, track
from bakebook.errors import BadInput, did_you_mean
from bakebook.params import Task
from bakebook.tables.detection import detect
from bakebook.tables.dtype_inference import infer_dtypes
from bakebook.tables.readers import read_untyped, typed
from bakebook.tables.roles import Proposal, propose_roles, propose_task
from bakebook.validation.draft import draft

MOST_NAMED = 20  # columns in a message


# What this module reads of params.yaml, beside what it writes
READ = {
    "ingest": ("source", "missing", "columns", "feedback"),
    "prepare": ("target", "task", "roles"),
    "train": ("hyperparameters",),
    "evaluate": ("criteria",),
    "describe": ("intended_use", "not_for", "limits", "data_name", "data_source", "data_license"),
}


@dataclass(frozen=True)
class Request:
    """What a person says about the table; what is empty is guessed,
    or stays as params.yaml has it.
    """

    source: str = ""
    target: str = ""
    task: Task | None = None
    query: str = ""
    encoding: str = ""
    missing: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()  # COLUMN=DTYPE
    license: str = ""
    reset: bool = False  # as if nothing were known about the columns


@dataclass(frozen=True)
class Understood:
    """A table and what was found out about it. `is_known` when params.yaml already describes its
    columns.
    """

    table: pd.DataFrame
    options: ReadOptions
    target: str
    task: Proposal
    roles: Mapping[str, Proposal]
    is_known: bool


def use(root: Path, request: Request) -> list[str]:
    """Takes the table into the project and returns lines for the user. Raises BadInput before
    anything is changed.

    For columns that the project knows, params.yaml keeps its roles, contract, estimator and
    description.
    """
    project = load(root)
    for name, keys in READ.items():
        project.section(name, *keys)
    source = request.source or str(project.params["ingest"]["source"])
    with fetched(root, source, request.query) as found:
        with ThreadPoolExecutor(1) as thread:  # this import takes as long as a small table
            scores = thread.submit(load_package, root, "evaluation.scores")
            understood = _understand(project, request, found.place)
            defaults = scores.result().task_of(understood.task.choice)
        if understood.is_known:
            settings_writer.correct_roles(project, understood.options, understood.roles)
        identifiers = [
            name for name, role in understood.roles.items() if role.choice == "identifier"
        ]
        suite = draft(understood.table, understood.target, identifiers)
        with moved_in(root, found):
            track(root, found.final, source)
    settings_writer.write_reading(project, found.final, understood.options)
    if not understood.is_known:
        settings_writer.write_description(
            project, source, understood.target, understood.roles, understood.table
        )
        settings_writer.write_training(project, defaults)
        settings_writer.write_roles(
            project, understood.target, understood.task.choice, understood.roles
        )
        forget_feedback(project)
        write_json(suite, root / "expectations" / "suite.json")
    if request.license:
        project.params["describe"]["data_license"] = settings_writer.one_line(request.license)
    write_params(project)
    write_pipeline(project)
    settings_writer.write_readme(root, project.params, understood.table)
    return _summary(found.final, understood)


def _understand(project: Project, request: Request, place: Path) -> Understood:
    """Reads the source once and infers everything from that table."""
    ingest = project.params["ingest"]
    prepare = project.params["prepare"]
    target = request.target or str(prepare["target"])
    detected = detect(place, request.encoding)
    written = read_untyped(place, detected)
    _check_target(place.name, target, written)
    is_known = (
        not request.reset
        and set(written.column_names) == set(ingest["columns"])
        and target == prepare["target"]
        and request.task in (None, prepare["task"])
    )
    dtypes = dict(ingest["columns"]) if is_known else {}
    for assignment in request.dtypes:
        name, _, dtype = assignment.rpartition("=")
        dtypes[name] = dtype
    markers = [*(ingest["missing"] if is_known else ()), *request.missing]
    options = infer_dtypes(written, detected, target, markers, dtypes)
    table = typed(written, options, place.name)
    task = propose_task(
        table[target], options.columns[target], prepare["task"] if is_known else request.task
    )
    roles = propose_roles(table, target, options.columns)
    return Understood(table, options, target, task, roles, is_known)


def _check_target(name: str, target: str, table: pa.Table) -> None:
    """Raises BadInput when the untyped table cannot be learned from with this target."""
    columns = table.column_names
    if target not in columns:
        remedy = did_you_mean(target, columns) or f"choose one of {', '.join(columns[:MOST_NAMED])}"
        raise BadInput(f"{name} has no column '{target}' to predict", remedy)
    if f"{target} (2)" in columns:
        raise BadInput(
            f"{name} has two columns '{target}'", "rename one of them, so that the target is clear"
        )
    if table.num_rows == 1:
        raise BadInput(
            f"{name} has only one row", "add rows: a model needs some to train and some to test"
        )


def _summary(final: PurePosixPath, understood: Understood) -> list[str]:
    options = understood.options
    table = understood.table
    format_ = options.file_format
    if format_ == "csv":
        format_ = (
            f"csv, {options.encoding}, delimiter {options.delimiter!r}, decimal {options.decimal!r}"
        )
    markers = ", ".join(map(repr, options.missing))
    lines = [
        f"{final}: {len(table)} rows × {len(table.columns)} columns",
        f"read as {format_}; missing: {markers}",
    ]
    if understood.is_known:
        return [
            *lines,
            "The project knows these columns: roles, contract and estimator stay as they are.",
        ]
    width = max(len(name) for name in table.columns)
    lines.append(
        f"predict {understood.target}: {understood.task.choice} ({understood.task.reason})"
    )
    for name, role in understood.roles.items():
        lines.append(f"  {name:<{width}}  {role.choice:<12} {role.reason}")
    lines.append(
        "params.yaml describes the table, expectations/suite.json has a draft of its contract."
    )
    lines.append("Next: review both, then dvc repro")
    return lines
