"""Finds the fork server, and starts it where there is none."""

import json
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

from bakebook.warm import place
from bakebook.warm.protocol import BACKLOG, KEEP_S, peer

CONNECT_TIMEOUT_S = 5.0
LEAST_MEMORY = 2**30  # bytes that must be available to start a server
LEAST_SPACE = 2**20  # bytes on the disk of the socket's folder
BOOTSTRAP = (
    "import sys; sys.path.insert(0, sys.argv[1]); from bakebook.warm.server import main; main()"
)


class ColdStart(Exception):
    """Why there is no warm process; one sentence without a full stop."""


def connected(path: Path) -> socket.socket | None:
    """A connection to the server; None without one. Raises ColdStart for another user's."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(CONNECT_TIMEOUT_S)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        return None
    if peer(connection)[1] != os.getuid():
        raise ColdStart("the fork server belongs to another user")
    return connection


def started(path: Path, variables: dict[str, str]) -> socket.socket:
    """A connection to a new server, which takes the place of any other at this path."""
    import subprocess  # only the first stage pays for it

    _require_room(path.parent)
    own = path.with_suffix(f".{os.getpid()}")
    with suppress(OSError):
        own.unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(own))
        listener.listen(BACKLOG)
        own.replace(path)
        options = {
            "socket": str(path),
            "libraries": str(place.libraries()),
            "keep_s": 0.0 if variables.get("CI") else KEEP_S,
            "owner": _pipeline(),
            "session": os.getsid(0),
        }
        source = str(Path(__file__).parents[2])
        fd = listener.fileno()
        with path.with_suffix(".log").open("w") as log:
            subprocess.Popen(
                [sys.executable, "-c", BOOTSTRAP, source, str(fd), json.dumps(options)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=_variables_of_server(variables),
                pass_fds=(fd,),
                start_new_session=True,
            )
    connection = connected(path)
    if connection is None:
        raise ColdStart("the fork server does not start")
    return connection


def _variables_of_server(variables: dict[str, str]) -> dict[str, str]:
    """Without threads of BLAS and Arrow it can fork; a child gets threads of its own."""
    own = {name: value for name, value in variables.items() if name != "PYTHONPATH"}
    return {
        **own,
        "OPENBLAS_NUM_THREADS": "1",
        "JE_ARROW_MALLOC_CONF": "background_thread:false",
    }


def _require_room(folder: Path) -> None:
    """Raises ColdStart where a server would do harm, or could not say why it ends."""
    for line in Path("/proc/meminfo").read_text("ascii").splitlines():
        name, _, amount = line.partition(":")
        if name == "MemAvailable" and int(amount.split()[0]) * 1024 < LEAST_MEMORY:
            raise ColdStart("less than 1 GB of memory is free")
    disk = os.statvfs(folder)
    if disk.f_bavail * disk.f_frsize < LEAST_SPACE:
        raise ColdStart(f"the disk of {folder} is full")


def _pipeline() -> int:
    """The DVC process that runs this stage, or this process itself; what DVC starts has the stage's
    name in its environment, DVC has not.
    """
    stage = os.environ.get("DVC_STAGE")
    pid = os.getpid()
    if not stage:
        return pid
    mark = f"DVC_STAGE={stage}".encode()
    with suppress(OSError):
        while mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            status = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
            pid = int(status.rpartition(")")[2].split()[1])
    return pid
