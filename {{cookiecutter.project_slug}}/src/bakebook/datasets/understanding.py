"""What a table is: how it is read, what is predicted, what each column is, and what changed since
params.yaml described it.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from bakebook.artifacts import read_table
from bakebook.contract.project import Project
from bakebook.contracts import ReadOptions
from bakebook.datasets.changes import Changes, compare
from bakebook.errors import BadInput, did_you_mean
from bakebook.files import read_pyproject
from bakebook.params import IGNORE, Orders, Task
from bakebook.paths import ROOT, TABLE
from bakebook.tables.detection import detect
from bakebook.tables.dtype_inference import infer_dtypes, notes_on, unread_numbers
from bakebook.tables.layout import layout_of, notes as layout_notes
from bakebook.tables.oddities import oddities
from bakebook.tables.orders import declared_orders
from bakebook.tables.readers import read_untyped, typed
from bakebook.tables.relations import Relation, relations
from bakebook.tables.roles import Proposal, propose_roles, propose_task

MOST_NAMED = 20  # columns in a message
LAYOUT = ("skip_rows", "header_rows", "footer_rows")


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
    sheet: str = ""
    skip_rows: int | None = None
    header_rows: int | None = None
    footer_rows: int | None = None
    decimal: str = ""
    missing: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()  # COLUMN=DTYPE
    license: str = ""
    reset: bool = False  # as if nothing were known about the columns


@dataclass(frozen=True)
class Understood:
    """A table and what was found out about it. `changes` are those from the columns that
    params.yaml describes; None when nothing that it says is about this table.
    """

    table: pd.DataFrame
    options: ReadOptions
    target: str
    task: Proposal
    split: Relation | None  # by which test rows are best held out; None: at random
    roles: Mapping[str, Proposal]
    orders: Orders  # of categories, as the source declares them
    changes: Changes | None
    notes: Sequence[str] = ()  # on how the table is read


def understand(project: Project, request: Request, place: Path) -> Understood:
    """Reads the source once and infers everything from that table."""
    ingest = project.params["ingest"]
    prepare = project.params["prepare"]
    detected, notes = _detected(place, request, request.target or str(prepare["target"]))
    written = read_untyped(place, detected)
    changes = _changes(project, request, detected, written)
    target = request.target or str(prepare["target"])
    if changes and not request.target:
        target = changes.now(target)
    _check_target(place.name, target, written)
    dtypes = {}
    if changes is not None:
        gone = set(changes.dropped)
        known = ingest["columns"].items()
        dtypes = {changes.now(name): str(dtype) for name, dtype in known if name not in gone}
    for assignment in request.dtypes:
        name, _, dtype = assignment.rpartition("=")
        dtypes[name] = dtype
    known = () if changes is None else ingest["missing"]
    markers = [*(_marker_now(str(one), changes) for one in known), *request.missing]
    options = infer_dtypes(written, detected, target, markers, dtypes, request.decimal)
    unread = unread_numbers(written, options)
    unread = {name: reason for name, reason in unread.items() if name not in dtypes}
    if target in unread and request.task != "classification":
        what = f"column '{target}' looks like numbers, but {unread[target]}"
        raise BadInput(what, "fix the values, or --missing, --dtype or --task classification")
    if options.columns[target] == IGNORE:
        raise BadInput(f"column '{target}' cannot be predicted", "choose another target")
    notes += notes_on(written, options)
    for name, reason in unread.items():
        notes.append(
            f"look at '{name}': most values are numbers, but {reason} (--missing, --dtype)"
        )
    table = typed(written, options, place.name)
    notes += oddities(table)
    is_same_target = changes is not None and target == changes.now(str(prepare["target"]))
    asked = request.task or (prepare["task"] if is_same_target else None)
    task = propose_task(table[target], options.columns[target], asked)
    roles = propose_roles(table, target, options.columns)
    split = _split(table, target, roles)
    if split is not None and split.method == "group":
        reason = "the key of the group split, which new rows do not share"
        roles[split.by] = Proposal("identifier", reason)
    orders = {
        name: order
        for name, order in declared_orders(place, options).items()
        if name in roles and roles[name].choice == "categorical"
    }
    return Understood(table, options, target, task, split, roles, orders, changes, notes)


def _marker_now(marker: str, changes: Changes | None) -> str:
    """A marker, under the new name of the one column that it is of."""
    name, is_own, value = marker.rpartition("=")
    return f"{changes.now(name)}={value}" if changes and is_own else marker


def _detected(place: Path, request: Request, target: str) -> tuple[ReadOptions, list[str]]:
    """How the source is to be read, with what a person says of it, and notes on that."""
    options, notes = detect(place, encoding=request.encoding, sheet=request.sheet, target=target)
    told = {name: value for name, value in asdict(request).items() if name in LAYOUT}
    said = {name: value for name, value in told.items() if value is not None}
    options = options.model_copy(update=said)
    return options, [*notes, *layout_notes(layout_of(options), place.name)]


def _split(table: pd.DataFrame, target: str, roles: Mapping[str, Proposal]) -> Relation | None:
    """The relation among the rows that is certain enough to propose a split by it."""
    is_known = table[target].notna()
    known = table if is_known.all() else table[is_known]
    found = relations(known, target, {name: role.choice for name, role in roles.items()})
    return next((one for one in found if one.is_certain), None)


def _changes(
    project: Project, request: Request, detected: ReadOptions, written: pa.Table
) -> Changes | None:
    """The changes from the known columns; None for the first table of the project's own, and where
    nothing is to be known.
    """
    ingest = project.params["ingest"]
    target = str(project.params["prepare"]["target"])
    known = {str(name): str(dtype) for name, dtype in ingest["columns"].items()}
    is_first = target not in known
    is_example = ingest["source"] == _example(project.root)
    if is_example and request.target not in ("", target):
        is_first = True
    if request.reset or is_first:
        return None
    read_as = {"missing": tuple(ingest["missing"]), "decimal": ingest["decimal"]}
    options = detected.model_copy(update=read_as)
    changes = compare(known, written, options, _earlier(project.root))
    is_other = len(changes.dropped) == len(known)
    return None if is_other and is_example else changes


def _example(root: Path) -> str:
    """The table that every project has at first; empty where it is not known."""
    with suppress(BadInput):
        return read_pyproject(root, "tool", "bakebook", "example")
    return ""


def _earlier(root: Path) -> pd.DataFrame | None:
    """The table as the pipeline read it last, where it still has it."""
    with suppress(BadInput):
        return read_table(root / TABLE.relative_to(ROOT))
    return None


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
