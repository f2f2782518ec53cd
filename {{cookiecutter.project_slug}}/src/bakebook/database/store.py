"""What the service stores: predictions, the labels that came later, and who may call."""

import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydantic_core import to_json
from sqlalchemy.exc import DBAPIError, IntegrityError

from bakebook.database import fast_insert
from bakebook.database.engine import answering, connect, is_sqlite
from bakebook.database.queries import WITH_LABEL, Filter, PredictionPage, Row, conditions
from bakebook.database.schema import decisions, labels, predictions, reports, tokens
from bakebook.errors import BadInput

VERSION = "0005"  # the newest migration
VERSION_TABLE = (
    "service_version"  # MLflow uses Alembic too, and may have its tables in the same database
)
MIGRATIONS = Path(__file__).with_name("migrations")
MOST_RACES = 20  # of labels for one prediction that are sent at once
SEARCHED_PER_SHOWN = (
    20  # predictions that the queue reads for each that it shows, to group equal ones
)


def new_id() -> str:
    """A UUID of version 7 (RFC 9562): 48 bits of milliseconds, 12 of their fraction, so that ids
    are in the order of their making, then random bits.
    """
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = (rest << 12) // 1_000_000
    random = int.from_bytes(os.urandom(8)) >> 2
    number = milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | random
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class Store:
    """A database, SQLite or PostgreSQL. Each method commits before it returns, or raises
    Unreachable or NoSpace.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = connect(url, "NORMAL")
        # A label is the work of a person: it survives a power failure too.
        self._careful = connect(url, "FULL") if self.is_embedded else self.engine

    @property
    def is_embedded(self) -> bool:
        return is_sqlite(self.url)

    @cached_property
    def _fast(self) -> sqlite3.Connection:
        return fast_insert.connect(self.engine)

    def close(self) -> None:
        if "_fast" in self.__dict__:
            self._fast.close()
        self.engine.dispose()
        self._careful.dispose()

    def version(self) -> str:
        """The migration that the database has; empty for an empty one."""
        with answering(), self.engine.connect() as connection:
            if not sa.inspect(connection).has_table(VERSION_TABLE):
                return ""
            query: sa.Select[object] = sa.select(sa.column("version_num")).select_from(
                sa.table(VERSION_TABLE)
            )
            return connection.scalar(query) or ""

    def add_predictions_now(self, rows: Sequence[Mapping[str, object]]) -> bool:
        """Stores predictions without waiting; False where that is impossible: a server, or a file
        that is locked.
        """
        if not self.is_embedded:
            return False
        try:
            with self._fast as connection:
                connection.executemany(fast_insert.INSERT, fast_insert.as_sqlite(rows))
        except sqlite3.Error:  # locked, or worse: add_predictions reports which
            return False
        return True

    def checkpoint(self) -> None:
        """Moves what was committed from SQLite's log to the database itself, so that no commit
        waits for it.
        """
        if self.is_embedded:
            with answering(), self.engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")

    def add_predictions(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Stores all predictions or none. A connection that was lost since the last call is opened
        again, once.
        """
        with answering():
            try:
                self._insert(rows)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                self._insert(rows)

    def _insert(self, rows: Sequence[Mapping[str, object]]) -> None:
        with self.engine.begin() as connection:
            if self.is_embedded:  # for many rows, SQLAlchemy's conversions take longer than SQLite
                connection.exec_driver_sql(fast_insert.INSERT, fast_insert.as_sqlite(rows))
            else:
                connection.execute(predictions.insert(), rows)

    def add_labels(self, given: Sequence[tuple[str, str]], labelled_by: str) -> list[bool]:
        """Whether each label (prediction id, label) was new. An unknown id raises KeyError, and
        stores none of them.
        """
        for _ in range(MOST_RACES):
            with suppress(IntegrityError):  # another label came between: look again
                return self._add_labels(given, labelled_by)
        return self._add_labels(given, labelled_by)

    def _add_labels(self, given: Sequence[tuple[str, str]], labelled_by: str) -> list[bool]:
        order = sorted(range(len(given)), key=lambda place: given[place][0])  # no deadlock
        with answering(), self._careful.begin() as connection:
            new = {place: _add_label(connection, *given[place], labelled_by) for place in order}
        return [new[place] for place in range(len(given))]

    def classes(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """The classes that each prediction chose from, none for a number. An unknown id raises
        KeyError.
        """
        query = sa.select(predictions.c.id, predictions.c.probabilities).where(
            predictions.c.id.in_(ids)
        )
        found = {row["id"]: sorted(row["probabilities"] or []) for row in self._all(query)}
        return {id_: found[id_] for id_ in ids}

    def list_predictions(self, limit: int, filter_: Filter) -> PredictionPage:
        """At most `limit` predictions."""
        query = WITH_LABEL.where(*conditions(filter_)).order_by(predictions.c.id.desc())
        found = self._all(query.limit(limit + 1))
        has_more = len(found) > limit
        return PredictionPage(found[:limit], found[limit - 1]["id"] if has_more else None)

    def prediction(self, id_: str) -> Row | None:
        """One prediction with its newest label."""
        found = self._all(WITH_LABEL.where(predictions.c.id == id_))
        return found[0] if found else None

    def sample(self, limit: int) -> list[Row]:
        """Predictions that were drawn at random and have no label, the newest first. See queue."""
        order = (predictions.c.id.desc(),)
        return self._waiting(limit, order, predictions.c.is_sample)

    def queue(self, limit: int) -> list[Row]:
        """The other predictions without a label: in turn the least certain, and the one that is
        most unlike the training.

        Predictions with equal inputs and classes are one row, which has the `ids` of all.
        """
        is_other = predictions.c.is_sample == sa.false()
        newest = predictions.c.id.desc()
        doubtful = self._waiting(limit, (predictions.c.uncertainty.desc(), newest), is_other)
        unlike = (predictions.c.unfamiliar.desc(), newest)
        strange = self._waiting(limit, unlike, is_other, predictions.c.unfamiliar > 0)
        both = [row for pair in zip_longest(doubtful, strange) for row in pair if row]
        return list({row["id"]: row for row in both}.values())[:limit]

    def _waiting(
        self,
        limit: int,
        order: Sequence[sa.ColumnElement[Any]],
        *conditions: sa.ColumnElement[bool],
    ) -> list[Row]:
        """Predictions without a label; those with equal inputs and classes are one row."""
        query = WITH_LABEL.where(labels.c.id.is_(None), *conditions).order_by(*order)
        found: dict[bytes, Row] = {}
        for row in self._all(query.limit(limit * SEARCHED_PER_SHOWN)):
            group = to_json([row["inputs"], sorted(row["probabilities"] or [])])
            if group not in found:
                found[group] = {**row, "ids": []}
            found[group]["ids"].append(row["id"])
        return list(found.values())[:limit]

    def labelled(self) -> list[Row]:
        """Every prediction that has a label, the oldest first."""
        return self._all(WITH_LABEL.where(labels.c.id.is_not(None)).order_by(predictions.c.id))

    def count(self) -> dict[str, int]:
        """How many predictions there are, and how many of them have a label."""
        labelled = sa.select(sa.func.count(labels.c.prediction_id.distinct())).scalar_subquery()
        query = sa.select(
            sa.func.count().label("predictions"), labelled.label("labelled")
        ).select_from(predictions)
        return {name: int(value) for name, value in self._all(query)[0].items()}

    def add_token(self, name: str, scopes: Sequence[str], sha256: str) -> None:
        row = {
            "name": name,
            "scopes": " ".join(scopes),
            "sha256": sha256,
            "made_at": datetime.now(UTC),
        }
        try:
            with answering(), self._careful.begin() as connection:
                connection.execute(tokens.insert(), row)
        except IntegrityError:
            raise BadInput(
                f"a token '{name}' exists already", f"nb token revoke {name}, or another name"
            ) from None

    def revoke_token(self, name: str) -> None:
        with answering(), self._careful.begin() as connection:
            if not connection.execute(tokens.delete().where(tokens.c.name == name)).rowcount:
                raise BadInput(f"there is no token '{name}'", "nb token list")

    def list_tokens(self) -> list[Row]:
        return self._all(sa.select(tokens).order_by(tokens.c.name))

    def add_decision(self, row: Mapping[str, object]) -> None:
        """Keeps what was decided about a model."""
        with answering(), self._careful.begin() as connection:
            connection.execute(decisions.insert(), row)

    def list_decisions(self, limit: int) -> list[Row]:
        """The last decisions, the newest first."""
        return self._all(sa.select(decisions).order_by(decisions.c.id.desc()).limit(limit))

    def add_report(self, row: Mapping[str, object]) -> None:
        """Keeps what the monitor found."""
        with answering(), self._careful.begin() as connection:
            connection.execute(reports.insert(), row)

    def last_report(self) -> Row | None:
        """What the monitor found last."""
        found = self._all(sa.select(reports).order_by(reports.c.id.desc()).limit(1))
        return found[0] if found else None

    def _all(self, query: sa.Select[object]) -> list[Row]:
        with answering(), self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]


def _add_label(connection: sa.Connection, id_: str, label: str, labelled_by: str) -> bool:
    """Whether the label was new. Raises KeyError for an unknown prediction."""
    newest = (
        sa.select(labels.c.label, labels.c.number)
        .where(labels.c.prediction_id == id_)
        .order_by(labels.c.number.desc())
        .limit(1)
    )
    current = connection.execute(newest).first()
    if current and current.label == label:
        return False
    exists = sa.select(predictions.c.id).where(predictions.c.id == id_)
    if not current and not connection.scalar(exists):
        raise KeyError(id_)
    row = {
        "prediction_id": id_,
        "label": label,
        "labelled_by": labelled_by,
        "labelled_at": datetime.now(UTC),
        "number": current.number + 1 if current else 1,
    }
    connection.execute(labels.insert(), row)
    return True
