"""What keeps a run from outliving its parent, from meeting another run, and from ending without a word."""

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

from ..errors import Busy
from ..paths import STATE

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PATIENCE = 3  # seconds: a run that was just told to stop closes its books in this time


class Interrupted(KeyboardInterrupt):  # which asyncio lets through, unlike others
    """The run was told to stop by a signal; the exit code says which, as shells do."""

    def __init__(self, number: int) -> None:
        name = signal.Signals(number).name
        super().__init__(f"interrupted by {name} → dvc repro goes on after the last finished stage")
        self.exit_code = 128 + number


def die_with_parent(parent: int, number: int) -> None:
    """Has this process get the signal `number` when its parent ends, however that ends.

    On Linux the kernel sends it; on macOS a thread looks twice a second; on Windows a stage's parent is a shell that
    nobody can wait for, and nothing is done.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            os.kill(os.getpid(), number)
    elif os.name == "posix":
        threading.Thread(target=_watch, args=(parent, number), daemon=True).start()


def _watch(parent: int, number: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), number)


@contextmanager
def stoppable() -> Iterator[None]:
    """Turns the first signal to stop into Interrupted; later ones do not disturb the closing of the books."""

    def stop(number: int, frame: FrameType | None) -> None:
        for one in before:
            signal.signal(one, signal.SIG_IGN)
        raise Interrupted(number)

    wanted = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    heard = [number for number in wanted if signal.getsignal(number) != signal.SIG_IGN]  # nohup is respected
    before = {number: signal.signal(number, stop) for number in heard}
    if "DVC_STAGE" in os.environ:
        die_with_parent(os.getppid(), signal.SIGTERM)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def alone(root: Path, stage: str) -> Iterator[None]:
    """Holds the project's lock, which the system frees when this process ends. Raises Busy within seconds."""
    from filelock import FileLock, Timeout

    state = root / STATE
    state.mkdir(parents=True, exist_ok=True)
    holder = state / "holder.json"
    try:
        with FileLock(state / "lock", timeout=PATIENCE):
            holder.write_text(json.dumps({"stage": stage, "pid": os.getpid()}), encoding="utf-8")
            try:
                yield
            finally:
                holder.unlink(missing_ok=True)
    except Timeout:
        raise Busy(f"{_described(holder)} is running in this project → wait until it has finished") from None


def _described(holder: Path) -> str:
    with suppress(OSError, ValueError, KeyError, TypeError):
        content = json.loads(holder.read_text(encoding="utf-8"))
        return f"stage '{content['stage']}' (process {content['pid']})"
    return "another stage"
