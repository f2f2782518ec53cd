"""A lock for what only one process may do at a time; the system frees it when the process ends,
however it ends.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from bakebook.database.engine import answering
from bakebook.database.store import Store
from bakebook.errors import Busy, Unreachable

PROMOTION = "promotion"  # the lock of what moves the champion
MONITORING = "monitor"
RETRAINING = "retraining"
WAIT = "wait until it has finished"


@contextmanager
def alone(store: Store, what: str) -> Iterator[None]:
    """Holds the lock `what` of a database: beside an embedded one as a file, else in the server.
    Raises Busy where another process holds it.
    """
    holding = _file(store, what) if store.is_embedded else _advisory(store, what)
    with holding:
        yield


@contextmanager
def _file(store: Store, what: str) -> Iterator[None]:
    from filelock import FileLock, Timeout

    database = Path(store.engine.url.database or "")
    lock = FileLock(database.with_name(f"{database.name}.{what}.lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise Busy(f"another {what} is running", WAIT) from None
    except OSError as error:
        raise Unreachable(f"the lock beside {database.name} cannot be taken ({error})") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _advisory(store: Store, what: str) -> Iterator[None]:
    key = sa.func.hashtext(f"bakebook {what}")
    with answering():
        connection = store.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    with connection:
        with answering():
            is_free = connection.scalar(sa.select(sa.func.pg_try_advisory_lock(key)))
        if not is_free:
            raise Busy(f"another {what} is running", WAIT)
        try:
            yield
        finally:
            connection.invalidate()  # closed, not returned to the pool: the server frees the lock
