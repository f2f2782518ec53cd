"""The service's database, opened for one command."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bakebook.database.store import Store


@contextmanager
def opened_store() -> "Iterator[Store]":
    """The database that the settings name."""
    from bakebook import settings
    from bakebook.database.store import Store

    found = settings.read()
    if not found.database_url:
        found.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = Store(found.database)
    try:
        yield store
    finally:
        store.close()
