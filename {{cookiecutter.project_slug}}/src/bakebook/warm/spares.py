"""Spare processes: forked while nobody waits for them, and prepared for the next request like the
last one. What they do is in `standby.py`.
"""

import os
import signal
import socket

from bakebook.warm.children import Children
from bakebook.warm.protocol import GREETING, Message, receive, send

TALK_TIMEOUT_S = 1.0  # that the server waits for a spare
ALIKE = ("module", "path", "folder", "ignored")  # what a request and its spare have in common


class Spare:
    """A process that waits for its request."""

    def __init__(self, pid: int, talk: socket.socket, model: Message, loaded: int) -> None:
        self.pid = pid
        self.talk = talk
        self.talk.settimeout(TALK_TIMEOUT_S)
        self.is_prepared = False
        self.is_stuck = False
        self.is_copied = False  # for each request, and not used itself
        self.told: Message = {}
        self._model = model
        self._loaded = loaded  # libraries of the server when it was forked

    def take(self, request: Message, fds: list[int], loaded: int) -> bool:
        """Whether the spare, or a copy, becomes what the request asks for."""
        if loaded != self._loaded or any(request[name] != self._model[name] for name in ALIKE):
            return False
        try:
            self.hear()
            send(self.talk, request, tuple(fds))
            is_right = self.talk.recv(len(GREETING)) == GREETING
            if is_right:
                self.talk.sendall(GREETING)
            return is_right
        except TimeoutError:
            self.is_stuck = True
        except (OSError, ValueError):
            pass  # it has ended
        return False

    def hear(self) -> None:
        """Waits until the spare is prepared. Raises OSError or ValueError when it is not."""
        if not self.is_prepared:
            said, _ = receive(self.talk)
            self.is_copied, self.told = said["is_copied"], said["told"]
            self.is_prepared = True

    def end(self, children: Children) -> None:
        """Ends the process; one that was copied, after its copies."""
        self.talk.close()
        if self.is_stuck or not self.is_copied:
            os.kill(self.pid, signal.SIGKILL)
        children.watch(self.pid)


class Spares:
    """One spare for each module of which the last request said that there may be one."""

    def __init__(self, children: Children) -> None:
        self._children = children
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
        return {spare.talk.fileno(): name for name, spare in found if not spare.is_prepared}

    def hear(self, module: str) -> None:
        """Notes that a spare is prepared, or ends it."""
        try:
            self._spares[module].hear()
        except (OSError, ValueError):
            self.end(module)

    def take(self, request: Message, fds: list[int], loaded: int) -> Spare | None:
        """The spare that does what the request asks for, if one is right for it."""
        spare = self._spares.get(request["module"])
        if spare is None:
            return None
        if not spare.take(request, fds, loaded):
            self.end(request["module"])
            return None
        if not spare.is_copied:
            self._spares.pop(request["module"]).talk.close()
        return spare

    def end(self, module: str) -> None:
        spare = self._spares.pop(module, None)
        if spare:
            spare.end(self._children)

    def let_go(self) -> None:
        """Closes in a child what belongs to the server."""
        for spare in self._spares.values():
            spare.talk.close()
