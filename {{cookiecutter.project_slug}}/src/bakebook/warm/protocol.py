"""What the fork server and its callers agree on: messages in JSON with file descriptors, names."""

import json
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

CALLER = "NB_CALLER"  # variable of a runner: the process that waits for it
KEEP_KERNEL = "--keep-kernel"  # the option of `nb run`
SWITCH = "NB_WARM"  # variable: whether kernels and runners may be forked
COLD = "0"  # its value if they may not
KEEP_S = 300.0  # that the server waits for the next request, unless params.yaml says otherwise
EXCLUDED = ".excluded"  # of the file that names libraries which the server must not import
MOST_FDS = 5
BACKLOG = 64  # callers that wait for the server
GREETING = b"!"  # of the server, before it takes a request
LENGTH = struct.Struct("!I")
STATUS = struct.Struct("!i")  # an exit status; negative: the signal that ended the process
PEER = struct.Struct("3i")  # pid, uid, gid

# What the server imports first, since other libraries look at it: what every kernel needs.
# ipykernel.kernelapp itself reads variables of the process when it is imported.
KERNEL = (
    "ipykernel.control",
    "ipykernel.debugger",
    "ipykernel.heartbeat",
    "ipykernel.ipkernel",
    "ipykernel.parentpoller",
    "ipykernel.shellchannel",
    "ipykernel.zmqshell",
    "IPython.core.application",
    "IPython.core.completerlib",
    "IPython.core.logger",
    "IPython.core.oinspect",
    "IPython.core.profiledir",
    "IPython.core.shellapp",
    "IPython.extensions.storemagic",
)

Message = dict[str, Any]  # as JSON has it


class Prepared(NamedTuple):
    """What the function `prepare` of a module returns, which does ahead what is the same for every
    request.
    """

    start: Callable[[], object]  # does the rest
    told: Message  # to the caller
    read: list[Path]  # files and folders; if one has changed, a new process takes over


def send(connection: socket.socket, message: Message, fds: tuple[int, ...] = ()) -> None:
    """Sends one message. Raises OSError."""
    body = json.dumps(message).encode()
    socket.send_fds(connection, [LENGTH.pack(len(body))], fds)
    connection.sendall(body)


def receive(connection: socket.socket) -> tuple[Message, list[int]]:
    """The next message and its file descriptors. Raises OSError or ValueError."""
    header, fds, _, _ = socket.recv_fds(connection, LENGTH.size, MOST_FDS)
    try:
        if len(header) < LENGTH.size:
            raise ValueError("the connection was closed")
        body = _exactly(connection, *LENGTH.unpack(header))
        return json.loads(body), fds
    except BaseException:
        close(fds)
        raise


def peer(connection: socket.socket) -> tuple[int, int]:
    """Process and user at the other end of a socket."""
    pid, uid, _ = PEER.unpack(
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size)
    )
    return pid, uid


def close(fds: list[int]) -> None:
    """Closes file descriptors."""
    for fd in fds:
        os.close(fd)


def _exactly(connection: socket.socket, length: int) -> bytes:
    body = bytearray()
    while len(body) < length:
        part = connection.recv(length - len(body))
        if not part:
            raise ValueError("the connection was closed")
        body += part
    return bytes(body)
