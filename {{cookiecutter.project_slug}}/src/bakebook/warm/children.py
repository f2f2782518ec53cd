"""The processes that one process has forked for its callers."""

import os
import socket
from contextlib import suppress

from bakebook.warm.protocol import STATUS, Message, send


class Children:
    """Tells each caller which process it got, and how that ended."""

    def __init__(self) -> None:
        self._callers: dict[int, tuple[int, socket.socket | None]] = {}  # by pidfd

    def __len__(self) -> int:
        return len(self._callers)

    def fds(self) -> set[int]:
        """Descriptors that become readable when a process ends."""
        return set(self._callers)

    def pids(self) -> list[int]:
        """The processes that callers got."""
        return [pid for pid, connection in self._callers.values() if connection]

    def add(self, pid: int, connection: socket.socket, answer: Message) -> None:
        """Answers a caller, and waits for the end of its process."""
        pidfd = os.pidfd_open(pid)
        self._callers[pidfd] = pid, connection
        with suppress(OSError):  # a caller that has gone takes the process with it
            send(connection, {**answer, "pid": pid}, (pidfd,))

    def watch(self, pid: int) -> None:
        """Waits for the end of a process that nobody asked for."""
        self._callers[os.pidfd_open(pid)] = pid, None

    def report(self, pidfd: int) -> None:
        """Tells a caller how its process ended."""
        pid, connection = self._callers.pop(pidfd)
        _, status = os.waitpid(pid, 0)
        os.close(pidfd)
        if connection:
            with suppress(OSError):
                connection.sendall(STATUS.pack(os.waitstatus_to_exitcode(status)))
            connection.close()

    def let_go(self) -> None:
        """Closes in a child what belongs to its parent."""
        for pidfd, (_, connection) in self._callers.items():
            os.close(pidfd)
            if connection:
                connection.close()
