"""How long a fork server is wanted."""

import os
import select
import time
from contextlib import suppress
from pathlib import Path

from bakebook.warm.place import distributions
from bakebook.warm.protocol import Message


class Lifetime:
    """Until the server is idle for too long, its session or its place ends, or the environment
    changes.
    """

    def __init__(self, options: Message) -> None:
        self.started = time.time()
        self.keep_s: float = options["keep_s"]
        self._socket = Path(options["socket"])
        self._inode = self._socket.stat().st_ino
        self._environment = Path(options["libraries"])
        self._distributions = distributions(self._environment)
        self._environment_time = self._environment.stat().st_mtime_ns
        self._owner = _pidfd(options["owner"])
        self._session = _pidfd(options["session"])
        self._last_use = time.monotonic()

    def extend(self, keep_s: float | None = None) -> None:
        """Counts from now, and for another time (s) if one is given."""
        self._last_use = time.monotonic()
        if keep_s is not None:
            self.keep_s = keep_s

    def is_over(self) -> bool:
        """Whether a server without children should end."""
        if not self._is_in_place() or _has_ended(self._session):
            return True
        if self._environment_has_changed():
            return True
        if self.keep_s == 0:
            return _has_ended(self._owner)
        return time.monotonic() - self._last_use >= self.keep_s

    def clear(self) -> None:
        """Removes the server's files, unless another has taken its place."""
        if self._is_in_place():
            self._socket.unlink()
            self._socket.with_suffix(".log").unlink(missing_ok=True)

    def let_go(self) -> None:
        """Closes in a child what belongs to the server."""
        for pidfd in filter(None, (self._owner, self._session)):
            os.close(pidfd)

    def _is_in_place(self) -> bool:
        """Whether callers still find this server: none has taken its place, nobody removed it."""
        with suppress(OSError):
            return self._socket.stat().st_ino == self._inode
        return False

    def _environment_has_changed(self) -> bool:
        """Whether a distribution was installed, updated or removed."""
        try:
            changed = self._environment.stat().st_mtime_ns
            if changed != self._environment_time:  # as it also does when byte code is written
                self._environment_time = changed
                return distributions(self._environment) != self._distributions
        except OSError:
            return True
        return False


def _pidfd(pid: int | None) -> int | None:
    with suppress(OSError):
        return os.pidfd_open(pid) if pid else None
    return None


def _has_ended(pidfd: int | None) -> bool:
    return pidfd is not None and bool(select.select([pidfd], [], [], 0)[0])
