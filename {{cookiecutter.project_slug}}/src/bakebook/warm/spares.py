"""Spare processes: forked while nobody waits for them, and prepared for the next request like the
last one.

A module that can be prepared has a function `prepare`, which returns `protocol.Prepared`.
"""

import importlib
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

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
CLOCK_S = 0.1  # clocks of file systems are coarse
ALIKE = ("module", "path", "folder", "ignored")  # what a request and its spare have in common


class Ends(NamedTuple):
    """Of the server's or of a spare's two connections to the other."""

    talk: socket.socket
    alive: socket.socket  # the spare is killed when the server closes its end

    def close(self) -> None:
        self.talk.close()
        self.alive.close()


def connections() -> tuple[Ends, Ends]:
    """Of the server and of its next spare."""
    talk, alive = socket.socketpair(), socket.socketpair()
    talk[0].settimeout(TALK_TIMEOUT_S)
    return Ends(talk[0], alive[0]), Ends(talk[1], alive[1])


class Spare:
    """A process that waits for its request."""

    def __init__(self, pid: int, ends: "Ends", model: Message, loaded: int) -> None:
        self.pid = pid
        self.ends = ends
        self.told: Message | None = None  # None while it prepares
        self._model = model
        self._loaded = loaded  # libraries of the server when it was forked

    def take(self, request: Message, fds: list[int], loaded: int) -> bool:
        """Whether the spare has become what the request asks for."""
        if loaded != self._loaded or any(request[name] != self._model[name] for name in ALIKE):
            return False
        with suppress(OSError, ValueError):
            self.hear()
            send(self.ends.talk, request, tuple(fds))
            return self.ends.talk.recv(len(GREETING)) == GREETING
        return False

    def hear(self) -> None:
        """Waits until the spare is prepared. Raises OSError or ValueError when it is not."""
        if self.told is None:
            self.told = receive(self.ends.talk)[0]

    def end(self) -> None:
        """Ends the process."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.ends.close()


class Spares:
    """One spare for each module of which the last request said that there may be one."""

    def __init__(self) -> None:
        self._models: dict[str, Message] = {}  # of those that are to be made
        self._spares: dict[str, Spare] = {}

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
        return {spare.ends.talk.fileno(): name for name, spare in found if spare.told is None}

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
            spare.ends.close()
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
            spare.ends.close()


def stand_by(model: Message, ends: Ends, path: list[str], blas: list[Any]) -> NoReturn:
    """Prepares for a request like `model`, waits for it, and does what it asks for. Ends when
    what was prepared is not what a new process would be.
    """
    try:
        began = time.time()
        end_with(ends.alive.fileno())
        streams = [os.memfd_create(f"stream {number}") for number in range(3)]
        placeholders = [_identity(fd) for fd in streams]
        take_streams(streams)
        take_surroundings(model)
        set_up(model, path, blas)
        before = set(sys.modules)
        read: dict[str, str | None] = {}
        with variables_read(read):
            prepared: Prepared = importlib.import_module(model["module"]).prepare()
        files = [*map(str, prepared.read), *_files(set(sys.modules) - before)]
        before_it = model["variables"]
        written = {n: value for n, value in os.environ.items() if before_it.get(n) != value}
        send(ends.talk, prepared.told)
        request, fds = receive(ends.talk)
        variables = request["variables"]
        is_as_new = all(variables.get(name) == value for name, value in read.items())
        if is_as_new and _latest_change(files) < began - CLOCK_S and _replace(placeholders, fds):
            end_with(fds[3])
            reopen_streams()
            request["variables"] = variables | written
            take_surroundings(request)
            take_arguments(request)
            ends.alive.close()
            ends.talk.sendall(GREETING)
            ends.talk.close()
            finish(fds[3], prepared.start)
    finally:
        os._exit(1)


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def _files(modules: set[str]) -> list[str]:
    """The files of modules, and the folders in which others could hide them."""
    found = {getattr(sys.modules[name], "__file__", None) for name in modules}
    files = {str(file) for file in found if file}
    return [*files, *{str(Path(file).parent) for file in files}]


def _latest_change(files: list[str]) -> float:
    """When one of the files was changed, in s since the epoch; now if one is missing. A program
    can set the time of modification, but not this.
    """
    try:
        return max((os.stat(file).st_ctime for file in files), default=0.0)  # noqa: PTH116
    except OSError:
        return time.time()


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
