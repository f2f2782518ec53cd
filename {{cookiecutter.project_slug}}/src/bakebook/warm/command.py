"""`nb run` in a process that the fork server forks; this one waits, passes signals on, and imports
next to nothing.
"""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from bakebook.warm.client import (
    ColdStart,
    ForkedProcess,
    Process,
    ask,
    own_variables,
    python_path,
)
from bakebook.warm.protocol import CALLER, COLD, KEEP_KERNEL, SWITCH

PATIENCE_S = 0.4  # about what it takes to import what the server has imported
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def run_warm() -> None:
    """Runs this command in a warm process and ends with its exit status. Returns when there is
    none, after a note; or, without a note, when the server is still importing: this process then
    does the same meanwhile, and only its kernel is warm.
    """
    stage, *options = sys.argv[2:] or [""]
    is_plain = stage[:1].isalnum() and set(options) <= {KEEP_KERNEL}
    if os.environ.get(SWITCH) == COLD or not is_plain:  # Typer explains what is wrong
        return
    heard = [number for number in PASSED_ON if signal.getsignal(number) != signal.SIG_IGN]
    handlers = [signal.signal(number, signal.SIG_DFL) for number in heard]
    process = _asked()
    if process is None:
        for number, handler in zip(heard, handlers, strict=True):
            signal.signal(number, handler)
        return
    for number in heard:
        signal.signal(number, lambda number, frame: process.send_signal(number))
    _end_like(process)


def _asked() -> ForkedProcess | None:
    try:
        asked = ask(_runner())
        if asked.is_new or not asked.is_heard(PATIENCE_S):
            asked.withdraw()
            return None
        return asked.wait()
    except ColdStart as reason:
        print(f"note: cold start: {reason}", file=sys.stderr, flush=True)
        os.environ[SWITCH] = COLD
        return None


def _runner() -> Process:
    variables = own_variables(dict(os.environ)) | {CALLER: str(os.getpid())}
    folder = str(Path.cwd())
    return Process(
        module="bakebook.cli.stages",
        argv=sys.argv,
        variables=variables,
        folder=folder,
        path=[sys.path[0], *python_path(variables, folder)],
        is_runner=True,
        may_have_spare=True,
    )


def _end_like(process: ForkedProcess) -> NoReturn:
    """Waits for a process and ends with its exit status, or by the same signal."""
    status = process.wait() or 0
    if status < 0:
        with suppress(OSError):  # SIGKILL has no other
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)  # nothing is left to flush
