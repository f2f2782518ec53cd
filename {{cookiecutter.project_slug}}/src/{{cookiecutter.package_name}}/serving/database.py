"""The database as a whole: its schema, its copies, and what it gives back to the pipeline."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ..encoding import as_text
from ..errors import BadInput
from .store import MIGRATIONS, VERSION, VERSION_TABLE, Store, metadata

TOGETHER = 10_000  # rows that are copied at once
SQLITE = b"SQLite format 3\0"  # how each of its files begins
LOCK = 20_261_121  # of PostgreSQL: one migration at a time


def upgrade(store: Store) -> bool:
    """Brings the schema up to date; whether there was something to do. Raises Unreachable."""
    found = store.version()
    if found == VERSION:
        return False
    if found > VERSION:
        raise BadInput(f"the database has schema {found}, newer than this code's {VERSION} → update the code")
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    alone = "BEGIN IMMEDIATE" if store.is_embedded else f"SELECT pg_advisory_xact_lock({LOCK})"
    with store.engine.begin() as connection:
        connection.exec_driver_sql(alone)
        config.attributes |= {"connection": connection, "version_table": VERSION_TABLE}
        command.upgrade(config, "head")
    return True


def back_up(store: Store, target: Path) -> dict[str, int]:
    """Copies all rows, as they were at one moment, into a new SQLite file; how many of each table."""
    _refuse_unless_new(target)
    part = target.with_name(f".part-{target.name}")
    part.unlink(missing_ok=True)
    try:
        with closing(Store(f"sqlite:///{part}")) as copy:
            upgrade(copy)
            counts = _copy(store, copy)
            with copy.engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA journal_mode=DELETE")  # one file, not three
        part.replace(target)
    finally:
        for left in target.parent.glob(f"{part.name}*"):
            left.unlink()
    return counts


def _refuse_unless_new(target: Path) -> None:
    if target.exists():
        raise BadInput(f"{target} exists → name a new file")
    if not target.parent.is_dir():
        raise BadInput(f"there is no folder {target.parent} → make it, or name another")


def restore(store: Store, source: Path) -> dict[str, int]:
    """Copies a backup into an empty database, of either kind; how many rows of each table."""
    if not source.is_file():
        raise BadInput(f"there is no file {source} → name one that nb db backup made")
    with source.open("rb") as file:
        if file.read(len(SQLITE)) != SQLITE:
            raise BadInput(f"{source} is no backup → name a file that nb db backup made")
    upgrade(store)
    for table in metadata.sorted_tables:
        with store.engine.connect() as connection:
            if connection.scalar(sa.select(sa.func.count()).select_from(table)):
                raise BadInput(f"the database has rows in '{table.name}' already → restore into an empty one")
    with closing(Store(f"sqlite:///{source}")) as copy:
        try:
            upgrade(copy)
        except sa.exc.DatabaseError:
            raise BadInput(f"{source} is no backup → name a file that nb db backup made") from None
        return _copy(copy, store)


def _copy(source: Store, target: Store) -> dict[str, int]:
    counts = dict.fromkeys((table.name for table in metadata.sorted_tables), 0)
    isolated = {"isolation_level": "SERIALIZABLE" if source.is_embedded else "REPEATABLE READ"}
    with source.engine.connect().execution_options(**isolated) as read, target.engine.begin() as written:
        for table in metadata.sorted_tables:
            for rows in _chunks(read, table):
                written.execute(table.insert(), rows)
                counts[table.name] += len(rows)
        if not target.is_embedded:
            newest = "SELECT setval(pg_get_serial_sequence('labels', 'id'), greatest(1, (SELECT max(id) FROM labels)))"
            written.execute(sa.text(newest))
    return counts


def _chunks(connection: sa.Connection, table: sa.Table) -> Iterator[list[dict[str, Any]]]:
    found = connection.execution_options(stream_results=True).execute(sa.select(table))
    for rows in found.mappings().partitions(TOGETHER):
        yield [dict(row) for row in rows]


def export(store: Store, signature: dict[str, Any], target: Path) -> tuple[int, int]:
    """Writes every prediction that has a label as a row of the table, with the label as its target.

    Returns how many, and how many were left out: those of a model of another table.
    """
    import pyarrow as pa
    from pyarrow import parquet

    _refuse_unless_new(target)
    if target.suffix != ".parquet":
        raise BadInput(f"{target.name} would hold Parquet → name it {target.stem}.parquet")
    found = store.labelled()
    rows = [row for row in found if _is_of(signature, row)]
    if not rows:
        told = f" for this model ({len(found)} for that of another table)" if found else ""
        raise BadInput(f"no prediction has a label yet{told} → label some on the service's pages, or by POST /feedback")
    columns: dict[str, list[Any]] = {
        column["name"]: [_value(row["inputs"].get(column["name"]), column["type"]) for row in rows]
        for column in signature["inputs"]
    }
    regression = signature["task"] == "regression"
    columns[signature["target"]] = [float(row["label"]) if regression else row["label"] for row in rows]
    kept = {"prediction_id": "id"} | {n: n for n in ("predicted", "model_version", "labelled_by", "labelled_at")}
    columns |= {name: [row[source] for row in rows] for name, source in kept.items() if name not in columns}
    part = target.with_name(f".part-{target.name}")
    try:
        parquet.write_table(pa.table(columns), part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return len(rows), len(found) - len(rows)


def _is_of(signature: dict[str, Any], row: dict[str, Any]) -> bool:
    """Whether a labelled prediction can be a row of the model's table: it has one of its inputs, one of its classes."""
    known = {column["name"] for column in signature["inputs"]}
    return not known.isdisjoint(row["inputs"]) and row["label"] in (signature["classes"] or [row["label"]])


def _value(value: Any, kind: str) -> Any:
    """A kept input as a value of its column: the database has times as text, and a category may be a number."""
    if value is None:
        return None
    if kind == "datetime":
        return datetime.fromisoformat(value).astimezone(UTC)
    return bool(value) if kind == "boolean" else as_text(value) if kind in {"category", "text"} else float(value)
