"""Spare processes: forked while nobody waits for them, and prepared for the next request like the
last one.

A module that can be prepared has a function `prepare`, which returns `protocol.Prepared`.
"""

import ctypes
import importlib
import os
import signal
import socket
import sys
import time
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
from bakebook.warm.effects import variables_read
from bakebook.warm.protocol import GREETING, Message, Prepared, close, receive, send

TALK_TIMEOUT_S = 1.0  # that the server waits for a spare
SET_DEATH_SIGNAL = 1  # linux/prctl.h
CLOCK_S = 0.02  # the clock of a file system is coarse
ALIKE = ("module", "path", "folder", "ignored")  # what a request and its spare have in common


class Spare:
    """A process that waits for its request."""

    def __init__(self, pid: int, talk: socket.socket, model: Message, loaded: int) -> None:
        self.pid = pid
        self.talk = talk
        self.talk.settimeout(TALK_TIMEOUT_S)
        self.told: Message | None = None  # None while it prepares
        self._model = model
        self._loaded = loaded  # libraries of the server when it was forked

    def take(self, request: Message, fds: list[int], loaded: int) -> bool:
        """Whether the spare has become what the request asks for."""
        if loaded != self._loaded or any(request[name] != self._model[name] for name in ALIKE):
            return False
        with suppress(OSError, ValueError):
            self.hear()
            send(self.talk, request, tuple(fds))
            return self.talk.recv(len(GREETING)) == GREETING
        return False

    def hear(self) -> None:
        """Waits until the spare is prepared. Raises OSError or ValueError when it is not."""
        if self.told is None:
            self.told = receive(self.talk)[0]

    def end(self) -> None:
        """Ends the process."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.talk.close()


class Spares:
    """One spare for each module of which the last request said that there may be one."""

    def __init__(self) -> None:
        self._models: dict[str, Message] = {}  # of those that are to be made
        self._spares: dict[str, Spare] = {}

    def __len__(self) -> int:
        return len(self._spares)

    def expect(self, request: Message) -> None:
        """Lets a spare be made for the next request like this."""
        self._models[request["module"]] = request

    def is_one_missing(self) -> bool:
        """Whether one can be made; only one prepares at a time."""
        return bool(self._models) and not self.preparing()

    def next_model(self) -> Message:
        """The request that the next spare prepares for."""
        return self._models.pop(next(iter(self._models)))

    def add(self, spare: Spare, module: str) -> None:
        self.end(module)
        self._spares[module] = spare

    def preparing(self) -> dict[int, str]:
        """The modules of spares that prepare, by the descriptor that says when they have."""
        found = self._spares.items()
        return {spare.talk.fileno(): name for name, spare in found if spare.told is None}

    def hear(self, module: str) -> None:
        """Notes that a spare is prepared, or ends it."""
        try:
            self._spares[module].hear()
        except (OSError, ValueError):
            self.end(module)

    def take(self, request: Message, fds: list[int], loaded: int) -> Spare | None:
        """The spare that has become what the request asks for, if there is one."""
        spare = self._spares.pop(request["module"], None)
        if spare is None:
            return None
        if spare.take(request, fds, loaded):
            spare.talk.close()
            return spare
        spare.end()
        return None

    def end(self, module: str) -> None:
        spare = self._spares.pop(module, None)
        if spare:
            spare.end()

    def let_go(self) -> None:
        """Closes in a child what belongs to the server."""
        for spare in self._spares.values():
            spare.talk.close()


def stand_by(model: Message, server: socket.socket, path: list[str], blas: list[Any]) -> NoReturn:
    """Prepares for a request like `model`, waits for it, and does what it asks for. Ends when
    what was prepared is not what a new process would be.
    """
    try:
        began = time.time()
        _end_with_server(signal.SIGKILL)
        streams = [os.memfd_create(f"stream {number}") for number in range(3)]
        placeholders = [_identity(fd) for fd in streams]
        take_streams(streams)
        take_surroundings(model)
        set_up(model, path, blas)
        before = set(sys.modules)
        variables_then: dict[str, str | None] = {}
        with variables_read(variables_then):
            prepared: Prepared = importlib.import_module(model["module"]).prepare()
        read = Read([*map(str, prepared.read), *_files_of(set(sys.modules) - before)], began)
        before_it = model["variables"]
        written = {n: value for n, value in os.environ.items() if before_it.get(n) != value}
        send(server, prepared.told)
        request, fds = receive(server)
        variables = request["variables"]
        is_alike = all(variables.get(name) == value for name, value in variables_then.items())
        if is_alike and read.is_unchanged() and _replace(placeholders, fds):
            _end_with_server(0)
            end_with(fds[3])
            reopen_streams()
            request["variables"] = variables | written
            take_surroundings(request)
            take_arguments(request)
            server.sendall(GREETING)
            server.close()
            finish(fds[3], prepared.start)
    finally:
        os._exit(1)


def _end_with_server(number: int) -> None:
    """Chooses the signal that this process gets when the server, its parent, ends; 0 for none."""
    ctypes.CDLL(None).prctl(SET_DEATH_SIGNAL, number)


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


class Read:
    """What was imported and read since a time (s since the epoch): files, and the folders in which
    a new file could hide them.
    """

    def __init__(self, places: list[str], began: float) -> None:
        self._files = {file: _version(file) for file in places}
        folders = {os.path.dirname(file) for file in places}  # noqa: PTH120
        self._names = {folder: _names(folder) for folder in folders}
        changed = max((version[0] for version in self._files.values()), default=0)
        self._is_settled = changed / 1e9 < began - CLOCK_S

    def is_unchanged(self) -> bool:
        """Whether reading everything again would give the same."""
        same_files = all(_version(file) == version for file, version in self._files.items())
        same_names = all(_names(folder) == names for folder, names in self._names.items())
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


def _replace(placeholders: list[tuple[int, int]], fds: list[int]) -> bool:
    """Puts the caller's streams in the place of the placeholders, unless something was written to
    them.
    """
    found = []
    for fd in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208
        with suppress(OSError):  # of the listing itself
            if _identity(fd) in placeholders:
                found.append(fd)
    if any(os.fstat(fd).st_size for fd in found):
        return False
    for fd in found:
        os.dup2(fds[placeholders.index(_identity(fd))], fd, inheritable=fd < len(placeholders))
    close(fds[: len(placeholders)])
    return True
