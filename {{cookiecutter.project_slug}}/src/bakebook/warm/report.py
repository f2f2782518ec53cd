"""The fork servers of this user, as `nb doctor` shows and ends them."""

import os
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from bakebook.warm import place
from bakebook.warm.launch import ColdStart, connected
from bakebook.warm.protocol import EXCLUDED, GREETING, Message, peer, receive, send

UNKNOWN: Message = {"started": 0.0, "seconds": {}, "children": [], "spares": 0}


class Status(NamedTuple):
    """A server as `nb doctor` shows it; without `state` it does not answer."""

    path: Path
    pid: int
    state: Message | None


def servers() -> list[Status]:
    """All servers of this user that run."""
    found = []
    with suppress(OSError):
        for path in place.sockets():
            with suppress(ColdStart):
                server = connected(path)
                if server:
                    with server:
                        found.append(Status(path, peer(server)[0], _state(server)))
    return found


def end(status: Status) -> None:
    """Ends a server, after its children; one that does not answer at once. The next one tries
    every library again.
    """
    status.path.unlink(missing_ok=True)
    status.path.with_suffix(EXCLUDED).unlink(missing_ok=True)
    if status.state is None or not status.state["children"]:
        with suppress(ProcessLookupError):
            os.kill(status.pid, signal.SIGKILL)


def _state(server: socket.socket) -> Message | None:
    """What the server says; one of another version may say less."""
    with suppress(OSError, ValueError):
        send(server, {"kind": "status"})
        server.recv(len(GREETING))
        return {**UNKNOWN, **receive(server)[0]}
    return None
