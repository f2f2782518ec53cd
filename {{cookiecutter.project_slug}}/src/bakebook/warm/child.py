"""What a forked child does to become the process that was asked for."""

import atexit
import fcntl
import gc
import importlib
import locale
import os
import random
import resource
import runpy
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper
from types import FrameType
from typing import Any, NoReturn, TextIO, cast

from bakebook.warm.protocol import STATUS, Message

NOTEBOOK = "ipykernel.zmqshell"  # by which tqdm knows a notebook
F_SETSIG = 10  # linux/fcntl.h
# Python itself ignores these, which no program that it starts should inherit
IGNORED_BY_PYTHON = {signal.SIGPIPE, signal.SIGXFSZ}
THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS")


def become(request: Message, fds: list[int], path: list[str], blas: list[Any]) -> NoReturn:
    """Runs the module that the request names as `__main__`, in the caller's surroundings, and
    ends this process. `path` is what `sys.path` has in any case, `blas` are libraries that
    threadpoolctl controls.
    """
    alive = fds[3]
    _end_with_caller(alive)
    os.setsid()
    _take_streams(fds[:3])
    _take_surroundings(request)
    sys.path[:] = [*request["path"], *path]
    sys.argv = list(request["argv"])
    sys.orig_argv = [sys.executable, *sys.argv]
    importlib.invalidate_caches()
    if request["is_runner"]:
        sys.modules.pop(NOTEBOOK, None)
    _reset_random_numbers()
    for library in blas:
        library.set_num_threads(_blas_threads())
    gc.enable()
    status = _run(request["module"])
    with suppress(OSError):
        os.write(alive, STATUS.pack(status))
    os._exit(status)


def _end_with_caller(alive: int) -> None:
    """Lets the system kill this process as soon as the other end of the socket is closed, even
    while it holds Python's lock.
    """
    fcntl.fcntl(alive, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(alive, F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(alive, fcntl.F_SETFL, fcntl.fcntl(alive, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([alive], [], [], 0)[0]:
        os._exit(1)


def _take_streams(fds: list[int]) -> None:
    for target, fd in enumerate(fds):
        os.dup2(fd, target)
        os.close(fd)
    sys.stdin = sys.__stdin__ = _reopened(0, "r", sys.stdin)  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = _reopened(1, "w", sys.stdout)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _reopened(2, "w", sys.stderr, buffering=1)  # type: ignore[misc]


def _reopened(fd: int, mode: str, before: TextIO, buffering: int = -1) -> TextIOWrapper:
    """A stream of what is behind a descriptor now. Encoding and errors follow from variables that
    server and caller share.
    """
    stream = open(fd, mode, buffering, before.encoding, before.errors, closefd=False)  # noqa: SIM115
    return cast(TextIOWrapper, stream)


def _take_surroundings(request: Message) -> None:
    os.environ.clear()
    os.environ.update(request["variables"])
    os.chdir(request["folder"])
    os.umask(request["umask"])
    for number, limits in request["limits"]:
        resource.setrlimit(number, limits)
    ignored = set(request["ignored"])
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, _disposition(number, ignored))
    time.tzset()
    with suppress(locale.Error):
        locale.setlocale(locale.LC_CTYPE, "")


Disposition = Callable[[int, FrameType | None], Any] | signal.Handlers


def _disposition(number: int, ignored: set[int]) -> Disposition:
    if number in ignored or number in IGNORED_BY_PYTHON:
        return signal.SIG_IGN
    return signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL


def _reset_random_numbers() -> None:
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()


def _blas_threads() -> int:
    """As OpenBLAS chooses when it is loaded."""
    processors = len(os.sched_getaffinity(0))
    for name in THREAD_VARIABLES:
        value = os.environ.get(name, "")
        if value.isdecimal() and int(value) > 0:
            return min(int(value), processors)
    return processors


def _run(module: str) -> int:
    """The exit status of a module, with all that Python does before a process ends except freeing
    memory, which would copy what is shared with the server.
    """
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as ended:
        status = _status(ended.code)
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    return status


def _status(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1
