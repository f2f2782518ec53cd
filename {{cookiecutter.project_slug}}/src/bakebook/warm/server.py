"""The fork server: a process that has imported libraries, and forks for each kernel and runner.

`client.py` starts it. Nothing of the project or of `bakebook` stays imported here, so that a child
reads an edited module afresh.
"""

import gc
import json
import os
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from bakebook.warm.child import become
from bakebook.warm.children import Children
from bakebook.warm.lifetime import Lifetime
from bakebook.warm.preload import Libraries
from bakebook.warm.protocol import (
    BACKLOG,
    EXCLUDED,
    GREETING,
    KERNEL,
    Message,
    close,
    peer,
    receive,
    send,
)
from bakebook.warm.spares import Spare, Spares
from bakebook.warm.standby import stand_by

LOOK_S = 2.0  # between two looks whether the server is still wanted
REQUEST_TIMEOUT_S = 5.0
KERNEL_TIMEOUT_S = 3.0  # that a runner may take until it asks for its kernel
START_S = 0.15  # that a kernel takes to start, before the next one is prepared beside it
Child = Callable[[list[str], list[Any]], NoReturn]  # what a child does with `sys.path` and BLAS


class Server:
    """Answers requests, and imports libraries while nobody asks."""

    def __init__(self, listener: socket.socket, options: Message) -> None:
        self.listener = listener
        self.listener.listen(BACKLOG)  # again, so that callers see this process at the other end
        self.lifetime = Lifetime(options)
        excluded = Path(options["socket"]).with_suffix(EXCLUDED)
        self.libraries = Libraries(Path(options["libraries"]), excluded)
        self._waiting: deque[str] = deque()
        self._is_planned = False
        self._children = Children()
        self._spares = Spares(self._children)
        self._kernel_expected_until = 0.0
        self._starts_until = 0.0  # a kernel

    def serve(self) -> Child | None:
        """Returns in a child what it has to do, and None when the server ends."""
        self._load(KERNEL)
        while True:
            is_preparing = self._may_prepare()
            is_importing = self._waiting and not self._expects_kernel()
            ready = self._ready(0 if is_importing or is_preparing else LOOK_S)
            for pidfd in self._children.fds() & ready:
                self._children.report(pidfd)
                self.lifetime.extend()
            for fd, module in self._spares.preparing().items():
                if fd in ready:
                    self._spares.hear(module)
            child = None
            if self.listener.fileno() in ready:
                child = self._answer()
            elif not self._is_wanted():
                self.lifetime.clear()
                return None
            elif is_importing and not ready:
                self.libraries.load(self._waiting.popleft())
            elif is_preparing:
                child = self._spare()
            if child:
                return child

    def _is_wanted(self) -> bool:
        if self._children:
            return True
        return not self.libraries.spoiled and not self.lifetime.is_over()

    def _load(self, names: Iterable[str]) -> None:
        for name in names:
            self.libraries.load(name)

    def _expect_kernel(self) -> None:
        self._kernel_expected_until = time.monotonic() + KERNEL_TIMEOUT_S

    def _expects_kernel(self) -> bool:
        return time.monotonic() < self._kernel_expected_until

    def _is_starting(self) -> bool:
        """Whether a kernel was asked for a moment ago."""
        return time.monotonic() < self._starts_until

    def _may_prepare(self) -> bool:
        """Whether a spare is to be made now."""
        has_all = self._is_planned and not self._waiting and not self.libraries.spoiled
        is_quiet = not self._expects_kernel() and not self._is_starting()
        return has_all and is_quiet and self._spares.is_one_missing()

    def _ready(self, timeout: float) -> set[int]:
        if self._waiting or self._expects_kernel():
            timeout = min(timeout, KERNEL_TIMEOUT_S / 10)
        if self._is_starting():
            timeout = min(timeout, START_S)
        if self.libraries.spoiled and not self._children:
            timeout = 0
        watched = [self.listener.fileno(), *self._children.fds(), *self._spares.preparing()]
        return set(select.select(watched, [], [], timeout)[0])

    def _answer(self) -> Child | None:
        """Answers one caller, or closes the connection; returns its request in the child."""
        connection, _ = self.listener.accept()
        connection.settimeout(REQUEST_TIMEOUT_S)
        fds: list[int] = []
        try:
            _, uid = peer(connection)
            if uid != os.getuid():
                raise ValueError("another user")
            with suppress(BrokenPipeError):  # who brings a plan does not wait
                connection.sendall(GREETING)
            request, fds = receive(connection)
            if request["kind"] == "fork":
                return self._fork(connection, request, fds)
            if request["kind"] == "plan":
                self._waiting = deque(request["later"])
                self._is_planned = True
            elif request["kind"] == "expect":
                self._expect_kernel()
                self._load(request["needs"])
            else:
                send(connection, self._status())
        except (OSError, ValueError, KeyError):
            pass  # a caller that has gone, or is none of ours
        close(fds)
        connection.close()
        return None

    def _fork(self, connection: socket.socket, request: Message, fds: list[int]) -> Child | None:
        self.lifetime.extend(request["keep_s"])
        self._kernel_expected_until = 0.0
        self._load(request["needs"])
        problem = self.libraries.problem(request["variables"], request["path"])
        request["variables"] |= self.libraries.written_variables()
        spare = None
        if not problem:
            spare = self._spares.take(request, [*fds, connection.fileno()], self.libraries.loaded)
        if request["is_runner"]:
            self._expect_kernel()
        else:
            self._starts_until = time.monotonic() + START_S
        if request["may_have_spare"] and not (spare and spare.is_copied):
            self._spares.expect(request)
        if spare and spare.is_copied:  # which answers for itself
            connection.close()
        else:
            pid = spare.pid if spare else None if problem else self._child()
            if pid == 0:
                self._let_go()
                connection.close()
                return partial(become, request, fds)
            if pid:
                told = spare.told if spare else None
                answer = {"is_planned": self._is_planned, "told": told}
                self._children.add(pid, connection, answer)
            else:
                send(connection, {"refused": problem or "the system refuses another process"})
                connection.close()
        close(fds)
        return None

    def _spare(self) -> Child | None:
        """Forks the next spare."""
        model = self._spares.next_model()
        own, of_spare = socket.socketpair()
        pid = self._child()
        if pid == 0:
            self._let_go()
            own.close()
            return partial(stand_by, model, of_spare)
        of_spare.close()
        if pid:
            self._spares.add(Spare(pid, own, model, self.libraries.loaded), model["module"])
        else:
            own.close()
        return None

    def _child(self) -> int | None:
        """Forks: the child's process, 0 in the child, None where the system refuses."""
        self.libraries.blas()  # the child finds them without looking again
        gc.freeze()  # so that collecting garbage does not copy what is shared
        try:
            return os.fork()
        except OSError:
            return None

    def _status(self) -> Message:
        return {
            "started": self.lifetime.started,
            "keep_s": self.lifetime.keep_s,
            "seconds": self.libraries.seconds,
            "children": self._children.pids(),
            "spares": len(self._spares),
        }

    def _let_go(self) -> None:
        """Closes in a child what belongs to the server."""
        self.listener.close()
        self.libraries.let_go()
        self._spares.let_go()
        self._children.let_go()
        self.lifetime.let_go()


def main() -> None:
    """Serves; the arguments are this library's folder, a listening socket and options in JSON."""
    source, listener, options = sys.argv[1:]
    sys.path.remove(source)  # the entry that made this module importable
    sys.path[:] = path = [entry for entry in sys.path if entry]
    for name in [name for name in sys.modules if name.partition(".")[0] == "bakebook"]:
        del sys.modules[name]
    gc.disable()  # nearly nothing that imports make is garbage
    server = Server(socket.socket(fileno=int(listener)), json.loads(options))
    child = server.serve()
    if child:
        child(path, server.libraries.blas())
