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
from functools import partial
from types import FrameType
from typing import Any, NoReturn

from bakebook.warm.protocol import STATUS, Message

NOTEBOOK = "ipykernel.zmqshell"  # by which tqdm knows a notebook
F_SETSIG = 10  # linux/fcntl.h
# Python itself ignores these, which no program that it starts should inherit
IGNORED_BY_PYTHON = {signal.SIGPIPE, signal.SIGXFSZ}
STREAMS = (("stdin", "r", -1), ("stdout", "w", -1), ("stderr", "w", 1))
THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS")


def become(request: Message, fds: list[int], path: list[str], blas: list[Any]) -> NoReturn:
    """Runs the module that the request names as `__main__`, in the caller's surroundings, and
    ends this process. `path` is what `sys.path` has in any case, `blas` are libraries that
    threadpoolctl controls.
    """
    alive = fds[3]
    end_with(alive)
    take_streams(fds[:3])
    os.setsid()
    take_surroundings(request)
    set_up(request, path)
    take_arguments(request, blas)
    finish(alive, partial(runpy.run_module, request["module"], None, "__main__", alter_sys=True))


def finish(alive: int, work: Callable[[], object]) -> NoReturn:
    """Does the work and ends this process, whose caller learns its exit status from a socket."""
    status = _status_after(work)
    with suppress(OSError):
        os.write(alive, STATUS.pack(status))
    os._exit(status)


def end_with(alive: int) -> None:
    """Lets the system kill this process as soon as the other end of the socket is closed, even
    while it holds Python's lock.
    """
    fcntl.fcntl(alive, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(alive, F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(alive, fcntl.F_SETFL, fcntl.fcntl(alive, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([alive], [], [], 0)[0]:
        os._exit(1)


def take_streams(fds: list[int]) -> None:
    """Takes the three descriptors as standard input, output and error."""
    for target, fd in enumerate(fds):
        os.dup2(fd, target)
        os.close(fd)
    reopen_streams()


def reopen_streams() -> None:
    """Gives Python's streams what is behind their descriptors now."""
    for fd, (name, mode, buffering) in enumerate(STREAMS):
        # Encoding and errors follow from variables that server and caller share
        own = getattr(sys, f"__{name}__")
        stream = open(fd, mode, buffering, own.encoding, own.errors, closefd=False)  # noqa: SIM115
        if getattr(sys, name) is own:  # and not one that a kernel sends to its clients
            setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def take_surroundings(request: Message) -> None:
    """Takes the caller's variables, folder, umask and limits."""
    os.environ.clear()
    os.environ.update(request["variables"])
    os.chdir(request["folder"])
    os.umask(request["umask"])
    for number, limits in request["limits"]:
        resource.setrlimit(number, limits)
    time.tzset()
    with suppress(locale.Error):
        locale.setlocale(locale.LC_CTYPE, "")


def take_arguments(request: Message, blas: list[Any]) -> None:
    """Takes the command line, random numbers of its own, and the threads of a new process."""
    sys.argv = list(request["argv"])
    sys.orig_argv = [sys.executable, *sys.argv]
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    for library in blas:
        library.set_num_threads(_blas_threads())


def set_up(request: Message, path: list[str]) -> None:
    """Prepares signals and imports as a new process would have them."""
    ignored = set(request["ignored"])
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, _disposition(number, ignored))
    sys.path[:] = [*request["path"], *path]
    importlib.invalidate_caches()
    if request["is_runner"]:
        sys.modules.pop(NOTEBOOK, None)
    gc.enable()


Disposition = Callable[[int, FrameType | None], Any] | signal.Handlers


def _disposition(number: int, ignored: set[int]) -> Disposition:
    if number in ignored or number in IGNORED_BY_PYTHON:
        return signal.SIG_IGN
    return signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL


def _blas_threads() -> int:
    """As OpenBLAS chooses when it is loaded."""
    processors = len(os.sched_getaffinity(0))
    for name in THREAD_VARIABLES:
        value = os.environ.get(name, "")
        if value.isdecimal() and int(value) > 0:
            return min(int(value), processors)
    return processors


def _status_after(work: Callable[[], object]) -> int:
    """The exit status of a program, with all that Python does before a process ends except freeing
    memory, which would copy what is shared with the server.
    """
    try:
        work()
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
