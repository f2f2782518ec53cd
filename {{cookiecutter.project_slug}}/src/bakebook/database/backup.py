"""The database as a whole: its migrations and its copies."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from bakebook.database.engine import answering
from bakebook.database.schema import decisions, labels, metadata, reports
from bakebook.database.store import MIGRATIONS, VERSION, VERSION_TABLE, Store
from bakebook.errors import BadInput, Unreachable
from bakebook.files import PART

CHUNK_ROWS = 10_000  # that are copied at a time
SQLITE_HEADER = b"SQLite format 3\0"
MIGRATION_LOCK = 20_261_121  # of PostgreSQL: one migration at a time
NEXT_ID = (
    "SELECT setval(pg_get_serial_sequence('{table}', 'id'),"
    " greatest(1, (SELECT max(id) FROM {table})))"
)
COUNTED = (labels, decisions, reports)  # tables whose ids are counted
NAME_BACKUP = "name a file that nb db backup made"


def upgrade(store: Store) -> bool:
    """Brings the schema up to date; whether there was something to do. Raises Unreachable, and
    BadInput for a newer schema.
    """
    found = store.version()
    if found == VERSION:
        return False
    if found > VERSION:
        raise BadInput(
            f"the database has schema {found}, newer than this code's {VERSION}", "update the code"
        )
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    lock = (
        "BEGIN IMMEDIATE"
        if store.is_embedded
        else f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"
    )
    with answering(), store.engine.begin() as connection:
        connection.exec_driver_sql(lock)
        if not store.is_embedded:  # an index of many rows takes longer than a request may
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        config.attributes["connection"] = connection
        config.attributes["version_table"] = VERSION_TABLE
        command.upgrade(config, "head")
    return True


def back_up(store: Store, target: Path) -> dict[str, int]:
    """Copies all rows, as they were at one moment, to a new SQLite file; how many of each table."""
    refuse_unless_new(target)
    if store.version() != VERSION:
        raise BadInput("the tables of the database are not up to date", "nb db upgrade")
    part = target.with_name(f".{target.name}{PART}")
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


def restore(store: Store, source: Path) -> dict[str, int]:
    """Copies a backup to an empty database of either kind; how many rows of each table."""
    _refuse_unless_backup(source)
    upgrade(store)
    for table in metadata.sorted_tables:
        with answering(), store.engine.connect() as connection:
            if connection.scalar(sa.select(sa.func.count()).select_from(table)):
                raise BadInput(
                    f"the database already has rows in '{table.name}'", "restore to an empty one"
                )
    with tempfile.TemporaryDirectory() as folder:
        copied = shutil.copyfile(source, Path(folder, "backup.db"))  # an old one is upgraded
        with closing(Store(f"sqlite:///{copied}")) as copy:
            try:
                is_backup = bool(copy.version())
            except Unreachable:
                is_backup = False
            if not is_backup:
                raise BadInput(f"{source} is not a backup", NAME_BACKUP)
            upgrade(copy)
            return _copy(copy, store)


def refuse_unless_new(target: Path) -> None:
    """Raises BadInput when a file exists already, or its folder does not."""
    if target.exists():
        raise BadInput(f"{target} exists", "name a new file")
    if not target.parent.is_dir():
        raise BadInput(f"there is no folder {target.parent}", "create it, or name another")


def _refuse_unless_backup(source: Path) -> None:
    if not source.is_file():
        raise BadInput(f"there is no file {source}", NAME_BACKUP)
    with source.open("rb") as file:
        if file.read(len(SQLITE_HEADER)) != SQLITE_HEADER:
            raise BadInput(f"{source} is not a backup", NAME_BACKUP)


def _copy(source: Store, target: Store) -> dict[str, int]:
    counts = {table.name: 0 for table in metadata.sorted_tables}
    isolation = "SERIALIZABLE" if source.is_embedded else "REPEATABLE READ"
    reading = source.engine.connect().execution_options(isolation_level=isolation)
    with answering(), reading as read, target.engine.begin() as written:
        for table in metadata.sorted_tables:
            for rows in _chunks(read, table):
                written.execute(table.insert(), rows)
                counts[table.name] += len(rows)
        if not target.is_embedded:
            for table in COUNTED:
                written.execute(sa.text(NEXT_ID.format(table=table.name)))
    return counts


def _chunks(connection: sa.Connection, table: sa.Table) -> Iterator[list[dict[str, object]]]:
    found = connection.execution_options(stream_results=True).execute(sa.select(table))
    for rows in found.mappings().partitions(CHUNK_ROWS):
        yield [dict(row) for row in rows]
