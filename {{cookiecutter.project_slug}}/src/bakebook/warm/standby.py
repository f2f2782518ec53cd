"""What a spare does: it prepares for requests like one that there was, and waits for them.

A module that can be prepared has a function `prepare`, which returns `protocol.Prepared`.
"""

import ctypes
import gc
import importlib
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from bakebook.warm.child import (
    end_with,
    finish,
    reopen_streams,
    set_up,
    take_arguments,
    take_streams,
    take_surroundings,
)
from bakebook.warm.children import Children
from bakebook.warm.effects import variables_read
from bakebook.warm.protocol import GREETING, Message, Prepared, close, receive, send

SET_DEATH_SIGNAL = 1  # linux/prctl.h
CLOCK_S = 0.02  # the clock of a file system is coarse


def stand_by(model: Message, server: socket.socket, path: list[str], blas: list[Any]) -> NoReturn:
    """Waits for requests until what was prepared is not what a new process would be, or the server
    ends.
    """
    try:
        Standby(model, server, path, blas).serve()
    finally:
        os._exit(1)


class Standby:
    """A prepared process. With threads, it does itself what the first request asks for; otherwise
    each request gets a copy, made before it comes where there is time.
    """

    def __init__(
        self, model: Message, server: socket.socket, path: list[str], blas: list[Any]
    ) -> None:
        self.server = server
        self.blas = blas
        self.children = Children()
        self.copy: Copy | None = None  # for the next request
        self.variables: dict[str, str | None] = {}  # that were read
        self.written: dict[str, str] = {}
        began = time.time()
        _end_with_server(signal.SIGKILL)
        os.setsid()
        self.streams = Placeholders()
        take_surroundings(model)
        set_up(model, path)
        before = set(sys.modules)
        with variables_read(self.variables):
            self.prepared: Prepared = importlib.import_module(model["module"]).prepare()
        modules = _files_of(set(sys.modules) - before)
        self.read = Read(modules, [str(path) for path in self.prepared.read], began)
        for name, value in os.environ.items():
            if model["variables"].get(name) != value:
                self.written[name] = value
        self.is_copied = len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208
        if self.is_copied:
            _end_with_server(0)  # but with the connection
        send(server, {"told": self.prepared.told, "is_copied": self.is_copied})

    def serve(self) -> None:
        """Returns after the last copy has ended."""
        if self.is_copied:
            self.copy = self._copy()
        while asked := self._next():
            request, fds = asked
            if not self._is_right_for(request) or not self._is_agreed():
                break
            connection = socket.socket(fileno=fds.pop())
            if not self.is_copied:
                connection.close()
                self._become(request, fds)
            copy = self._copy()
            copy.give(request, fds)
            answer = {"is_planned": True, "told": self.prepared.told}
            self.children.add(copy.pid, connection, answer)
            close(fds)
        self.server.close()
        while self.children:
            self._wait()

    def _next(self) -> tuple[Message, list[int]] | None:
        """The next request; None when the server has ended."""
        with suppress(OSError, ValueError):
            while self.server.fileno() not in self._wait(self.server.fileno()):
                if self.is_copied and not self.children:
                    self.copy = self._copy()
            return receive(self.server)
        return None

    def _wait(self, *more: int) -> set[int]:
        """Waits for the end of a copy or for other descriptors, and returns those that are
        ready.
        """
        ready = set(select.select([*more, *self.children.fds()], [], [])[0])
        for pidfd in ready & self.children.fds():
            self.children.report(pidfd)
        return ready

    def _is_right_for(self, request: Message) -> bool:
        variables = request["variables"]
        is_alike = all(variables.get(name) == value for name, value in self.variables.items())
        return is_alike and self.streams.are_empty() and self.read.is_unchanged()

    def _is_agreed(self) -> bool:
        """Whether the server still waits; otherwise it has forked another process."""
        with suppress(OSError):
            self.server.sendall(GREETING)
            return self.server.recv(len(GREETING)) == GREETING
        return False

    def _copy(self) -> "Copy":
        """The copy that waits, or a new one."""
        copy, self.copy = self.copy, None
        if copy and copy.waits():
            return copy
        gc.freeze()
        return Copy(self._wait_and_become)

    def _wait_and_become(self, standby: socket.socket) -> None:
        """What a copy does."""
        self.server.close()
        self.children.let_go()
        os.setsid()
        request, fds = receive(standby)
        standby.close()
        self._become(request, fds)

    def _become(self, request: Message, fds: list[int]) -> NoReturn:
        if not self.is_copied:
            _end_with_server(0)
            self.server.close()
        alive = fds.pop()
        end_with(alive)
        self.streams.replace(fds)
        request["variables"] |= self.written
        take_surroundings(request)
        take_arguments(request, self.blas)
        finish(alive, self.prepared.start)


def _end_with_server(number: int) -> None:
    """Chooses the signal that this process gets when the server, its parent, ends; 0 for none."""
    ctypes.CDLL(None).prctl(SET_DEATH_SIGNAL, number)


class Copy:
    """A copy of this process that waits for one request, and ends when this process does."""

    def __init__(self, work: Callable[[socket.socket], object]) -> None:
        self._talk, of_copy = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self._talk.close()
                work(of_copy)
            finally:
                os._exit(1)
        of_copy.close()

    def waits(self) -> bool:
        """Whether it has not ended; one that has is forgotten."""
        if not select.select([self._talk], [], [], 0)[0]:
            return True
        os.waitpid(self.pid, 0)
        return False

    def give(self, request: Message, fds: list[int]) -> None:
        """Lets it do what the request asks for."""
        with suppress(OSError):  # its caller learns that it has ended
            send(self._talk, request, tuple(fds))
        self._talk.close()


class Placeholders:
    """Empty files in the place of the standard streams."""

    def __init__(self) -> None:
        streams = [os.memfd_create(f"stream {number}") for number in range(3)]
        self._identities = [_identity(fd) for fd in streams]
        take_streams(streams)

    def are_empty(self) -> bool:
        """Whether nothing was printed."""
        return not any(os.fstat(fd).st_size for fd in self._fds())

    def replace(self, streams: list[int]) -> None:
        """Puts a caller's streams where the files are, in copies of descriptors too."""
        for fd, number in self._fds().items():
            os.dup2(streams[number], fd, inheritable=fd < len(streams))
        close(streams)
        reopen_streams()

    def _fds(self) -> dict[int, int]:
        """The descriptors of the files, with the numbers of the streams."""
        found = {}
        for fd in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208
            with suppress(OSError, ValueError):  # the listing itself, and others
                found[fd] = self._identities.index(_identity(fd))
        return found


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


class Read:
    """What was imported and read since a time (s since the epoch), and the folders in which a new
    file would matter: it could hide a module.
    """

    def __init__(self, modules: list[str], others: list[str], began: float) -> None:
        listed = {path for path in others if os.path.isdir(path)}  # noqa: PTH112
        read = {*modules, *others} - listed
        self._files = {file: _version(file) for file in read}
        folders = listed | {os.path.dirname(file) for file in modules}  # noqa: PTH120
        self._names = {folder: _names(folder) for folder in folders}
        changed = max((version[0] for version in self._files.values()), default=0)
        self._is_settled = changed / 1e9 < began - CLOCK_S

    def is_unchanged(self) -> bool:
        """Whether reading everything again would give the same."""
        try:
            same_files = all(_version(file) == version for file, version in self._files.items())
            same_names = all(_names(folder) == names for folder, names in self._names.items())
        except OSError:  # one was removed
            return False
        return self._is_settled and same_files and same_names


def _version(file: str) -> tuple[int, int, int]:
    """The first of the times cannot be set by a program."""
    status = os.stat(file)  # noqa: PTH116 - must be fast
    return status.st_ctime_ns, status.st_mtime_ns, status.st_size


def _names(folder: str) -> set[str]:
    return {name for name in os.listdir(folder) if name != "__pycache__"}  # noqa: PTH208


def _files_of(modules: set[str]) -> list[str]:
    found = (getattr(sys.modules[name], "__file__", None) for name in modules)
    return [str(file) for file in found if file]
