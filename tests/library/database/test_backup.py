"""What a backup is, and what it is not."""

import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from conftest import stored

from bakebook.database.backup import back_up, restore, upgrade
from bakebook.database.queries import Filter
from bakebook.database.store import Store
from bakebook.errors import BadInput


def store_at(path: Path) -> Store:
    return Store(f"sqlite:///{path}")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_nobody_else_reads_a_database_or_its_backup(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with closing(store_at(tmp_path / "service.db")) as store:
            upgrade(store)
            back_up(store, tmp_path / "copy.db")
            modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert {"service.db", "copy.db"} <= set(modes) and set(modes.values()) == {0o600}


def test_another_sqlite_file_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("create table mine (a)")
    before = other.read_bytes()
    with closing(store_at(tmp_path / "service.db")) as store, pytest.raises(BadInput, match="is not a backup"):
        restore(store, other)
    assert other.read_bytes() == before


def test_a_damaged_backup_is_refused(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    with closing(store_at(tmp_path / "service.db")) as store, pytest.raises(BadInput, match="is not a backup"):
        restore(store, damaged)


def test_a_database_without_tables_cannot_be_backed_up(tmp_path: Path) -> None:
    with closing(store_at(tmp_path / "service.db")) as store, pytest.raises(BadInput, match="nb db upgrade"):
        back_up(store, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


def test_times_are_compared_in_utc_whatever_their_zone(tmp_path: Path) -> None:
    made_at = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
    row = stored(made_at=made_at)
    with closing(store_at(tmp_path / "service.db")) as store:
        upgrade(store)
        store.add_predictions([row])
        berlin = datetime(2026, 11, 21, 10, 30, tzinfo=timezone(timedelta(hours=2)))  # 8:30 in UTC
        assert len(store.list_predictions(10, Filter(since=berlin)).rows) == 1
        assert store.list_predictions(10, Filter(until=berlin)).rows == []
