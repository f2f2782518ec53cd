"""Connections to SQLite or PostgreSQL, and their errors in one sentence."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from pydantic_core import from_json, to_json
from sqlalchemy.exc import DBAPIError, IntegrityError, TimeoutError as PoolTimeout

from bakebook.errors import NoSpace, Unreachable, first_line, out_of_space

OWNER_ONLY = 0o600
TIMEOUT_S = 2.0  # for a database that is locked or does not answer


def is_sqlite(url: str) -> bool:
    """Whether the address is that of an embedded database."""
    return url.startswith("sqlite")


def connect(url: str, synchronous: str) -> sa.Engine:
    """An engine; `synchronous` is SQLite's: NORMAL survives a killed process, FULL also a power
    failure.
    """
    if is_sqlite(url):
        return _sqlite_engine(url, synchronous)
    arguments = {
        "connect_timeout": round(TIMEOUT_S),
        "options": f"-c statement_timeout={TIMEOUT_S * 1000:.0f}",
        "client_encoding": "utf8",
    }
    return sa.create_engine(
        url,
        connect_args=arguments,
        pool_timeout=TIMEOUT_S,
        pool_use_lifo=True,
        json_serializer=_to_json,
        json_deserializer=from_json,
    )


@contextmanager
def answering() -> Iterator[None]:
    """Turns an error of the database into Unreachable or NoSpace; a violated constraint stays as it
    is.
    """
    try:
        yield
    except IntegrityError:
        raise
    except (DBAPIError, PoolTimeout) as error:
        reason = first_line(getattr(error, "orig", None) or error)
        if out_of_space(error):
            raise NoSpace(f"the database has no room: {reason}", "free some space") from error
        raise Unreachable(
            f"the database does not answer: {reason}", "start it, or fix DATABASE_URL"
        ) from error


def _sqlite_engine(url: str, synchronous: str) -> sa.Engine:
    engine = sa.create_engine(
        url,
        connect_args={"timeout": TIMEOUT_S},
        json_serializer=_to_json,
        json_deserializer=from_json,
    )

    @sa.event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _: object) -> None:
        file = Path(engine.url.database or "")
        if file.is_file() and not file.stat().st_size:  # new: nobody else reads inputs and tokens
            file.chmod(OWNER_ONLY)
        for pragma in ("journal_mode=WAL", f"synchronous={synchronous}", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _to_json(value: object) -> str:
    return to_json(value).decode()
