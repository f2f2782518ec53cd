"""Writes labelled predictions as rows of the table: `nb db export`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bakebook.contracts import Input, Signature
from bakebook.database.backup import refuse_unless_new
from bakebook.database.queries import Row
from bakebook.database.store import Store
from bakebook.errors import BadInput
from bakebook.files import atomic
from bakebook.tables.labelled import ID, IS_SAMPLE
from bakebook.tables.values import as_text

# Columns of the file beside inputs and target, and the columns of the database that they come from
DETAILS = {
    ID: "id",
    "predicted": "predicted",
    "model_version": "model_version",
    "labelled_by": "labelled_by",
    "labelled_at": "labelled_at",
    IS_SAMPLE: "is_sample",
}


@dataclass(frozen=True)
class Exported:
    """How many labelled predictions were written, and how many
    belong to a model of another table.
    """

    rows: int
    of_another_table: int


def export(store: Store, signature: Signature, target: Path) -> Exported:
    """Writes every labelled prediction as a row of the table to a new Parquet file, its label as
    the target.
    """
    refuse_unless_new(target)
    if target.suffix != ".parquet":
        raise BadInput(f"{target.name} would contain Parquet", f"name it {target.stem}.parquet")
    found = store.labelled()
    rows = [row for row in found if belongs(row, signature)]
    if not rows:
        others = f" for this model ({len(found)} for that of another table)" if found else ""
        remedy = "label some on the service's pages, or by POST /feedback"
        raise BadInput(f"no prediction has a label yet{others}", remedy)
    write(rows, signature, target)
    return Exported(len(rows), len(found) - len(rows))


def write(rows: list[Row], signature: Signature, target: Path) -> None:
    """Writes labelled predictions that belong to the table to a Parquet file."""
    import pyarrow as pa
    from pyarrow import parquet

    with atomic(target) as part:
        parquet.write_table(pa.table(_columns(rows, signature)), part)


def belongs(row: Mapping[str, Any], signature: Signature) -> bool:
    """Whether a prediction can be a row of the model's table: it has one of its inputs and one of
    its classes.
    """
    names = {column.name for column in signature.inputs}
    has_input = not names.isdisjoint(row["inputs"])
    return has_input and (signature.classes is None or row["label"] in signature.classes)


def _columns(rows: list[Row], signature: Signature) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {}
    for column in signature.inputs:
        columns[column.name] = [_value(row["inputs"].get(column.name), column) for row in rows]
    is_number = signature.classes is None
    columns[signature.target] = [float(row["label"]) if is_number else row["label"] for row in rows]
    for name, source in DETAILS.items():
        columns.setdefault(name, [row[source] for row in rows])
    return columns


def _value(value: Any, column: Input) -> Any:
    """A stored input as a value of its column: the database has times as text, and a category may
    be a number.
    """
    if value is None:
        return None
    if column.role == "datetime":
        return datetime.fromisoformat(value).astimezone(UTC)
    if column.role == "boolean":
        return bool(value)
    return float(value) if column.role == "numeric" else as_text(value)
