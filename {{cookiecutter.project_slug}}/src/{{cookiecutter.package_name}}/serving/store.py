"""What the service remembers: predictions, the labels that came later, and who may call."""

import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydantic_core import from_json, to_json
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ..errors import BadInput, NoSpace, Unreachable, first_line, out_of_space

PATIENCE = 2.0  # seconds that a locked or silent database is waited for
VERSION = "0001"  # the newest migration
VERSION_TABLE = "service_version"  # MLflow, which uses Alembic too, may have its tables beside these
ALIKE = 20  # equal predictions that a queue looks through for each that it shows
EVER = datetime.min.replace(tzinfo=UTC)
MIGRATIONS = Path(__file__).with_name("migrations")


class Utc(sa.TypeDecorator[datetime]):
    """A time with its zone, which SQLite would forget."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return value.astimezone(UTC) if value and value.tzinfo else value and value.replace(tzinfo=UTC)


Json = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
metadata = sa.MetaData()
predictions = sa.Table(
    "predictions",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),  # UUIDs of version 7: in the order of their time
    sa.Column("made_at", Utc, nullable=False),
    sa.Column("request_id", sa.String(64), nullable=False),
    sa.Column("caller", sa.String(64), nullable=False),
    sa.Column("model_version", sa.String(12), nullable=False),
    sa.Column("inputs", Json, nullable=False),
    sa.Column("predicted", sa.Text, nullable=False),  # a class, or a number as text
    sa.Column("probabilities", Json),  # of each class; null for a number
    sa.Column("uncertainty", sa.Float),  # 1 - the greatest probability; null for a number
    sa.Column("latency_ms", sa.Float, nullable=False),  # from the request's arrival to just before this row
    sa.Index("predictions_by_uncertainty", "uncertainty"),
)
labels = sa.Table(  # nothing is overwritten: the newest label of a prediction counts
    "labels",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("prediction_id", sa.String(36), sa.ForeignKey("predictions.id"), nullable=False),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("labelled_by", sa.String(64), nullable=False),
    sa.Column("labelled_at", Utc, nullable=False),
    sa.Index("labels_by_prediction", "prediction_id", "id"),
)
tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("scopes", sa.Text, nullable=False),  # with blanks between them
    sa.Column("sha256", sa.String(64), nullable=False, unique=True),
    sa.Column("made_at", Utc, nullable=False),
)
_later = labels.alias("later")
_newest = ~sa.exists().where(_later.c.prediction_id == labels.c.prediction_id, _later.c.id > labels.c.id)
_labelled = predictions.outerjoin(labels, sa.and_(labels.c.prediction_id == predictions.c.id, _newest))
_columns = (*predictions.c, labels.c.label, labels.c.labelled_by, labels.c.labelled_at)


def new_id() -> str:
    """A UUID of version 7 (RFC 9562): 48 bits of milliseconds, then chance."""
    chance = int.from_bytes(os.urandom(10))
    fixed = 0xF << 76 | 0x3 << 62  # the places of version and variant
    text = f"{(time.time_ns() // 1_000_000) << 80 | chance & ~fixed | 7 << 76 | 2 << 62:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class Store:
    """A database, SQLite or PostgreSQL. Each method commits before it returns, or raises Unreachable or NoSpace."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = _engine(url, "NORMAL")  # a killed process loses nothing; a power cut the last moments
        self._careful = _engine(url, "FULL") if self.is_embedded else self.engine  # a label is work of a person

    @property
    def is_embedded(self) -> bool:
        return self.url.startswith("sqlite")

    @cached_property
    def _at_once(self) -> sqlite3.Connection:
        """SQLite itself, half the time of a commit; it waits for no lock, and leaves the log to `tidy`."""
        (file,), told = self.engine.dialect.create_connect_args(self.engine.url)
        how: dict[str, Any] = {**told, "timeout": 0}
        connection: sqlite3.Connection = sqlite3.connect(file, **how)
        for pragma in ("synchronous=NORMAL", "wal_autocheckpoint=0"):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def close(self) -> None:
        if "_at_once" in self.__dict__:
            self._at_once.close()
        self.engine.dispose()
        self._careful.dispose()

    def version(self) -> str:
        """The migration that the database has; nothing for an empty one."""
        with _answering(), self.engine.connect() as connection:
            if not sa.inspect(connection).has_table(VERSION_TABLE):
                return ""
            return connection.scalar(sa.select(sa.column("version_num")).select_from(sa.table(VERSION_TABLE))) or ""

    def add_at_once(self, rows: Sequence[Mapping[str, Any]]) -> bool:
        """The same without waiting for anything; False where that cannot be: a server, or a file that is locked."""
        if not self.is_embedded:
            return False
        try:
            with self._at_once as connection:
                connection.executemany(_INSERT_TEXT, [_as_sqlite(row) for row in rows])
        except sqlite3.Error:  # locked, or worse: the patient way says which
            return False
        return True

    def tidy(self) -> None:
        """Moves what was committed from SQLite's log to the database itself, which a commit does not wait for."""
        if self.is_embedded:
            with _answering(), self.engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")

    def add_predictions(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """All or none. A connection that was lost since the last call is made anew, once."""
        with _answering():
            try:
                self._commit(rows)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                self._commit(rows)

    def _commit(self, rows: Sequence[Mapping[str, Any]]) -> None:
        with self.engine.begin() as connection:
            _insert(connection, rows)

    def add_labels(self, given: Sequence[tuple[str, str]], labelled_by: str) -> list[bool]:
        """Whether each (prediction's id, label) was new; raises KeyError with an id that is not known: then none is."""
        with _answering(), self._careful.begin() as connection:
            return [_label(connection, id_, label, labelled_by) for id_, label in given]

    def classes(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """The classes among which each prediction chose, none for a number; raises KeyError with an unknown id."""
        query = sa.select(predictions.c.id, predictions.c.probabilities).where(predictions.c.id.in_(ids))
        found = {row["id"]: sorted(row["probabilities"] or []) for row in self._all(query)}
        return {id_: found[id_] for id_ in ids}

    def list_predictions(
        self,
        *,
        limit: int,
        before: str = "",
        model_version: str = "",
        predicted: str = "",
        labelled: bool | None = None,
        wrong: bool = False,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Predictions with their newest label, the newest first, and the `before` of the next page if there is one."""
        query = sa.select(*_columns).select_from(_labelled).order_by(predictions.c.id.desc()).limit(limit + 1)
        wanted = (
            (before, predictions.c.id < before),
            (model_version, predictions.c.model_version == model_version),
            (predicted, predictions.c.predicted == predicted),
            (labelled is True, labels.c.id.is_not(None)),
            (labelled is False, labels.c.id.is_(None)),
            (wrong, labels.c.label != predictions.c.predicted),
            (since, predictions.c.made_at >= (since or EVER)),
            (until, predictions.c.made_at < (until or EVER)),
        )
        found = self._all(query.where(*(condition for asked, condition in wanted if asked)))
        return found[:limit], found[limit - 1]["id"] if len(found) > limit else None

    def prediction(self, id_: str) -> dict[str, Any] | None:
        """One prediction with its newest label."""
        return next(iter(self._all(sa.select(*_columns).select_from(_labelled).where(predictions.c.id == id_))), None)

    def queue(self, limit: int) -> list[dict[str, Any]]:
        """Predictions without a label, the least certain first, then the newest.

        Those of equal inputs and classes are one, which has the `ids` of all.
        """
        query = sa.select(*_columns).select_from(_labelled).where(labels.c.id.is_(None)).limit(limit * ALIKE)
        found: dict[bytes, dict[str, Any]] = {}
        for row in self._all(query.order_by(predictions.c.uncertainty.desc(), predictions.c.id.desc())):
            alike = to_json([row["inputs"], sorted(row["probabilities"] or [])])
            found.setdefault(alike, row | {"ids": []})["ids"].append(row["id"])
        return list(found.values())[:limit]

    def labelled(self) -> list[dict[str, Any]]:
        """Every prediction that has a label, the oldest first."""
        query = sa.select(*_columns).select_from(_labelled).where(labels.c.id.is_not(None))
        return self._all(query.order_by(predictions.c.id))

    def count(self) -> dict[str, int]:
        """How many predictions there are, and how many of them have a label."""
        labelled = sa.select(sa.func.count(labels.c.prediction_id.distinct())).scalar_subquery()
        query = sa.select(sa.func.count().label("predictions"), labelled.label("labelled")).select_from(predictions)
        return {name: int(value) for name, value in self._all(query)[0].items()}

    def add_token(self, name: str, scopes: Sequence[str], sha256: str) -> None:
        row = {"name": name, "scopes": " ".join(scopes), "sha256": sha256, "made_at": datetime.now(UTC)}
        try:
            with _answering(), self._careful.begin() as connection:
                connection.execute(tokens.insert(), row)
        except IntegrityError:
            raise BadInput(f"there is a token '{name}' already → nb token revoke {name}, or another name") from None

    def revoke_token(self, name: str) -> None:
        with _answering(), self._careful.begin() as connection:
            if not connection.execute(tokens.delete().where(tokens.c.name == name)).rowcount:
                raise BadInput(f"there is no token '{name}' → nb token list")

    def list_tokens(self) -> list[dict[str, Any]]:
        return self._all(sa.select(tokens).order_by(tokens.c.name))

    def _all(self, query: sa.Select[Any]) -> list[dict[str, Any]]:
        with _answering(), self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]


_INSERT = predictions.insert()
_INSERT_TEXT = str(_INSERT.compile(dialect=sqlite.dialect()))


def _insert(connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Of many rows, SQLAlchemy's own conversions cost more than SQLite."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_INSERT_TEXT, [_as_sqlite(row) for row in rows])
    else:
        connection.execute(_INSERT, rows)


def _as_sqlite(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """The values of a row, which has the table's columns in their order, as the driver takes them."""
    id_, made_at, request_id, caller, version, inputs, predicted, probabilities, uncertainty, latency = row.values()
    likely = to_json(probabilities).decode() if probabilities else None
    asked, when = to_json(inputs).decode(), made_at.replace(tzinfo=None).isoformat(" ", "microseconds")
    return (id_, when, request_id, caller, version, asked, predicted, likely, uncertainty, latency)


def _label(connection: sa.Connection, id_: str, label: str, labelled_by: str) -> bool:
    newest = sa.select(labels.c.label).where(labels.c.prediction_id == id_).order_by(labels.c.id.desc()).limit(1)
    now = connection.scalar(newest)
    if now == label:
        return False
    if now is None and not connection.scalar(sa.select(predictions.c.id).where(predictions.c.id == id_)):
        raise KeyError(id_)
    row = {"prediction_id": id_, "label": label, "labelled_by": labelled_by, "labelled_at": datetime.now(UTC)}
    connection.execute(labels.insert(), row)
    return True


def _engine(url: str, synchronous: str) -> sa.Engine:
    how: dict[str, Any] = {"json_serializer": lambda value: to_json(value).decode(), "json_deserializer": from_json}
    if url.startswith("sqlite"):
        engine = sa.create_engine(url, connect_args={"timeout": PATIENCE}, **how)

        @sa.event.listens_for(engine, "connect")
        def prepare(connection: sqlite3.Connection, _: Any) -> None:
            for pragma in ("journal_mode=WAL", f"synchronous={synchronous}", "foreign_keys=ON"):
                connection.execute(f"PRAGMA {pragma}")

        return engine
    limits = f"-c statement_timeout={PATIENCE * 1000:.0f}"
    there = {"connect_timeout": round(PATIENCE), "options": limits, "client_encoding": "utf8"}
    return sa.create_engine(url, connect_args=there, pool_timeout=PATIENCE, pool_use_lifo=True, **how)


@contextmanager
def _answering() -> Iterator[None]:
    """Says in one sentence that the database is away, or its disk full."""
    try:
        yield
    except IntegrityError:
        raise
    except (DBAPIError, PoolTimeout) as error:
        reason = first_line(getattr(error, "orig", None) or error)
        if out_of_space(error):
            raise NoSpace(f"the database has no room: {reason} → free some space") from error
        raise Unreachable(f"the database does not answer: {reason} → start it, or mend DATABASE_URL") from error
