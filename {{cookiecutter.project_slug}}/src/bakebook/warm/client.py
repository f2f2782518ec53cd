"""Asks the fork server for processes.

A caller that does not get one starts the process itself: whatever is wrong with the server costs
time, never a result.
"""

import os
import resource
import select
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from bakebook.warm import place
from bakebook.warm.launch import ColdStart, connected, started
from bakebook.warm.protocol import GREETING, STATUS, Message, peer, receive, send

ANSWER_TIMEOUT_S = 60.0  # in which the server imports what a child needs
POLL_S = 0.2
STATUS_TIMEOUT_S = 5.0
UNKNOWN_STATUS = 1  # of a child whose server has ended


class Process(NamedTuple):
    """The process that a caller asks for: a module to run, and what else differs from a cold
    start.
    """

    module: str
    argv: list[str]
    variables: dict[str, str]
    folder: str
    path: list[str]  # the first entries of sys.path
    streams: tuple[int, int, int] = (0, 1, 2)
    needs: tuple[str, ...] = ()  # what must be imported first
    keep_s: float | None = None  # that the server waits for the next request
    is_runner: bool = False
    may_have_spare: bool = False  # whether the module has a function `prepare`


class ForkedProcess:
    """A child of the fork server, with the methods of subprocess.Popen that a caller needs."""

    stdin = stdout = stderr = None

    def __init__(
        self, answer: Message, pidfd: int, alive: socket.socket, server: socket.socket
    ) -> None:
        self.pid: int = answer["pid"]
        self.is_planned: bool = answer["is_planned"]  # whether the server knows what comes later
        self.told: Message | None = answer["told"]  # by a spare that was prepared
        self.returncode: int | None = None
        self._pidfd = pidfd
        self._alive = alive  # the child is killed when this end is closed
        self._server = server

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None while the process runs. One that has said
        how it ends has nothing left to do but to free its memory.
        """
        return self.wait(0)

    def wait(self, timeout: float | None = None) -> int | None:
        """As poll, after the process has ended or the time (s) is over."""
        if self.returncode is None and self._has_ended(timeout):
            self.returncode = self._status()
            self._server.close()
            self._alive.close()
            os.close(self._pidfd)
        return self.returncode

    def _has_ended(self, timeout: float | None) -> bool:
        return bool(select.select([self._pidfd, self._alive.fileno()], [], [], timeout)[0])

    def send_signal(self, number: int) -> None:
        """Sends a signal unless the process has ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def terminate(self) -> None:
        """Asks the process to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends the process."""
        self.send_signal(signal.SIGKILL)

    def _status(self) -> int:
        """What the child said at its end; of one that was killed, what the server says."""
        self._alive.setblocking(False)
        self._server.settimeout(STATUS_TIMEOUT_S)
        for connection in (self._alive, self._server):
            with suppress(OSError):
                message = connection.recv(STATUS.size)
                if len(message) == STATUS.size:
                    return int(STATUS.unpack(message)[0])
        return UNKNOWN_STATUS


class Asked:
    """A request that the fork server has not answered yet.

    It is sent after the server has greeted: a stopped server would keep the caller's output open.
    """

    def __init__(self, process: Process, server: socket.socket, is_new: bool) -> None:
        self.is_new = is_new  # whether the server has just been started
        self._process = process
        self._server = server
        self._pid = peer(server)[0]
        self._ends = time.monotonic() + ANSWER_TIMEOUT_S
        self._alive: socket.socket | None = None

    def wait(self) -> ForkedProcess:
        """The process, when the server has imported what it needs. Raises ColdStart."""
        forked = None
        while forked is None:
            forked = self.poll(POLL_S)
        return forked

    def is_heard(self, timeout: float) -> bool:
        """Whether the server is ready to answer within the time (s), and imports nothing."""
        return bool(select.select([self._server], [], [], timeout)[0])

    def withdraw(self) -> None:
        """Goes without the process."""
        self._server.close()

    def poll(self, timeout: float = 0) -> ForkedProcess | None:
        """The process, if it is there within the time (s). Raises ColdStart when the server
        refuses, is stopped or takes too long.
        """
        with _as_cold_start():
            if select.select([self._server], [], [], timeout)[0]:
                if self._alive is None:
                    self._alive = self._sent()
                    return None
                answer, fds = receive(self._server)
                if "refused" in answer:
                    raise ColdStart(answer["refused"])
                return ForkedProcess(answer, fds[0], self._alive, self._server)
            if _is_stopped(self._pid):
                raise ColdStart("the fork server is stopped")
            if time.monotonic() > self._ends:
                raise ColdStart("the fork server does not answer")
            return None

    def _sent(self) -> socket.socket:
        """Sends the request; returns the socket that keeps the child alive."""
        if self._server.recv(len(GREETING)) != GREETING:
            raise ColdStart("the fork server has ended")
        alive, alive_of_child = socket.socketpair()
        with alive_of_child:
            fds = (*self._process.streams, alive_of_child.fileno())
            send(self._server, _request(self._process), fds)
        return alive


def ask(process: Process) -> Asked:
    """Asks for a process; without a server, one is started. Raises ColdStart when anything is
    wrong.
    """
    with _as_cold_start():
        path = place.socket_path(process.variables)
        server = connected(path)
        is_new = server is None
        return Asked(process, server or started(path, process.variables), is_new)


def begin(variables: dict[str, str]) -> None:
    """Starts a server, unless one runs. Raises ColdStart."""
    with _as_cold_start():
        path = place.socket_path(variables)
        server = connected(path) or started(path, variables)
        server.close()


def expect(variables: dict[str, str], needs: list[str]) -> None:
    """Tells the server what the kernel will need for which it is asked next."""
    _tell(variables, {"kind": "expect", "needs": needs})


def plan(variables: dict[str, str], later: list[str]) -> None:
    """Tells the server what the next processes will need."""
    _tell(variables, {"kind": "plan", "later": later})


def _tell(variables: dict[str, str], message: Message) -> None:
    with suppress(OSError, ValueError, ColdStart):
        server = connected(place.socket_path(variables))
        if server:
            with server:
                send(server, message)


def own_variables(variables: dict[str, str]) -> dict[str, str]:
    """The variables of a process, and those that the server has in any case: hashes as in a stage,
    matplotlib as in a notebook, and a debugger that does not warn.
    """
    settings = place.libraries() / "matplotlib" / "mpl-data" / "matplotlibrc"
    return {
        "PYTHONHASHSEED": "0",
        "PYTHONUTF8": "1",
        "MATPLOTLIBRC": str(settings),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        **variables,
    }


def python_path(variables: dict[str, str], folder: str) -> list[str]:
    """The entries of sys.path that the variable PYTHONPATH of a process makes."""
    entries = variables.get("PYTHONPATH", "").split(os.pathsep)
    return [os.path.join(folder, entry) for entry in entries if entry]  # noqa: PTH118


def _request(process: Process) -> Message:
    umask = os.umask(0o077)
    os.umask(umask)
    return {
        "kind": "fork",
        "module": process.module,
        "argv": process.argv,
        "variables": process.variables,
        "folder": process.folder,
        "path": process.path,
        "umask": umask,
        "limits": [(number, resource.getrlimit(number)) for number in place.LIMITS],
        "ignored": [n for n in signal.valid_signals() if signal.getsignal(n) == signal.SIG_IGN],
        "needs": process.needs,
        "keep_s": process.keep_s,
        "is_runner": process.is_runner,
        "may_have_spare": process.may_have_spare,
    }


def _is_stopped(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    return status.rpartition(")")[2].split()[0] == "T"


@contextmanager
def _as_cold_start() -> Iterator[None]:
    """Whatever is wrong with the server, the caller starts the process itself."""
    try:
        yield
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ColdStart(f"the fork server cannot be used ({reason})") from None
