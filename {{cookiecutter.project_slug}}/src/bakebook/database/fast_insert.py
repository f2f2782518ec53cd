"""The fast way to store predictions in SQLite: its own driver, without SQLAlchemy, takes half the
time of a commit.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from pydantic_core import to_json
from sqlalchemy.dialects import sqlite

from bakebook.database.schema import predictions

INSERT = str(predictions.insert().compile(dialect=sqlite.dialect()))


def connect(engine: sa.Engine) -> sqlite3.Connection:
    """A connection that waits for no lock and leaves checkpoints to others."""
    (file,), options = engine.dialect.create_connect_args(engine.url)
    arguments: dict[str, Any] = {**options, "timeout": 0}
    connection: sqlite3.Connection = sqlite3.connect(file, **arguments)
    for pragma in ("synchronous=NORMAL", "wal_autocheckpoint=0"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def as_sqlite(rows: Sequence[Mapping[str, object]]) -> list[tuple[object, ...]]:
    """Predictions as the driver takes them: the values of the table's columns, in their order."""
    return [_as_sqlite(row) for row in rows]


def _as_sqlite(row: Mapping[str, Any]) -> tuple[Any, ...]:
    probabilities = row["probabilities"]
    return (
        row["id"],
        row["made_at"].replace(tzinfo=None).isoformat(" ", "microseconds"),
        row["request_id"],
        row["caller"],
        row["model_version"],
        to_json(row["inputs"]).decode(),
        row["predicted"],
        to_json(probabilities).decode() if probabilities else None,
        row["uncertainty"],
        row["latency_ms"],
        row["is_sample"],
        row["unfamiliar"],
    )
