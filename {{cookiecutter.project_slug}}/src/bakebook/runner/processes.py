"""What keeps a run from outliving its parent, from meeting
another run, and from ending silently.
"""

import ctypes
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from bakebook.errors import Busy, Interrupted
from bakebook.paths import STATE
from bakebook.warm.protocol import CALLER

if TYPE_CHECKING:
    import psutil

PR_SET_PDEATHSIG = 1  # linux/prctl.h
LOCK_TIMEOUT_S = 3  # in which a run that was just interrupted closes its MLflow run
POLL_S = 0.2


def die_with_parent(parent: int) -> None:
    """Makes Linux kill this process when its parent ends, even while it holds Python's lock;
    elsewhere does nothing.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)


def end_with_dvc(stage: str, caller: int) -> None:
    """Sends SIGTERM to this process when the DVC that runs the stage ends, for whatever reason.

    `caller` is the process that DVC started: this one, or the one for which it was forked.

    A thread polls, because a shell in between may outlive DVC. What DVC starts has the stage's name
    in its environment, DVC itself does not.
    """
    import psutil

    for ancestor in psutil.Process(caller).parents():
        with suppress(psutil.Error):
            if ancestor.environ().get("DVC_STAGE") != stage:
                threading.Thread(target=_watch, args=(ancestor,), daemon=True).start()
                return


def _watch(process: "psutil.Process") -> None:
    import psutil

    with suppress(psutil.NoSuchProcess):
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(POLL_S)
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def stoppable() -> Iterator[None]:
    """Turns the first signal to stop into Interrupted; later ones do not disturb the clean-up."""
    before: dict[int, Any] = {}

    def stop(number: int, frame: FrameType | None) -> None:
        for one in before:
            signal.signal(one, signal.SIG_IGN)
        raise Interrupted(number)

    for number in _stop_signals():
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup is respected
            before[number] = signal.signal(number, stop)
    caller = int(os.environ.pop(CALLER, os.getpid()))
    if stage := os.environ.get("DVC_STAGE"):
        end_with_dvc(stage, caller)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _stop_signals() -> list[signal.Signals]:
    names = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


@contextmanager
def alone(root: Path, stage: str) -> Iterator[None]:
    """Holds the project's lock, which the system frees when this process ends. Raises Busy within
    seconds.
    """
    from filelock import FileLock, Timeout

    state = root / STATE
    state.mkdir(parents=True, exist_ok=True)
    holder = state / "holder.json"
    try:
        with FileLock(state / "lock", timeout=LOCK_TIMEOUT_S):
            holder.write_text(json.dumps({"stage": stage, "pid": os.getpid()}), encoding="utf-8")
            try:
                yield
            finally:
                holder.unlink(missing_ok=True)
    except Timeout:
        raise Busy(
            f"{_described(holder)} is running in this project", "wait until it has finished"
        ) from None


def _described(holder: Path) -> str:
    with suppress(OSError, ValueError, KeyError, TypeError):
        content = json.loads(holder.read_text(encoding="utf-8"))
        return f"stage '{content['stage']}' (process {content['pid']})"
    return "another stage"
