"""What one would notice in a notebook of the import of a library."""

import importlib
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

TASKS = Path("/proc/self/task")
# Reads of the whole environment, which say nothing about a single variable
ALL_VARIABLES = ("__iter__", "copy")
# Whose values may differ between terminals, and at most tell a library where programs are
INSIGNIFICANT = {"PATH", "PWD", "OLDPWD", "SHLVL", "_", "TERM", "TERM_PROGRAM", "PYTHONPATH"}
# What they may know of the shell of a notebook
SHELL_ATTRIBUTES = {"kernel", "config"}
EXPECTED_WARNING = "TqdmWarning"  # that ipywidgets are missing; the kernel of a stage ignores it


def visible_effects(name: str, variables: dict[str, str | None]) -> str:
    """Imports a module and says what one would notice of that in a notebook."""
    found: list[str] = []
    with tempfile.TemporaryFile() as printed, variables_read(variables):
        with _output_to(printed.fileno()), _warnings_to(found), _as_in_notebook(found):
            try:
                _import(name)
            except BaseException as error:
                found.append(f"fails ({type(error).__name__})")
        if printed.seek(0, os.SEEK_END):
            found.append("prints")
    if threading.active_count() > 1 or len(list(TASKS.iterdir())) > 1:
        found.append("starts a thread")
    return found[0] if found else ""


def _import(name: str) -> None:
    """Imports `a.b.c`, which may be a module or an attribute of the module `a.b`, or calls
    `a.b.c()`.
    """
    first, *rest = name.removesuffix("()").split(".")
    found: Any = importlib.import_module(first)
    for part in rest:
        if isinstance(found, ModuleType) and not hasattr(found, part):
            full = f"{found.__name__}.{part}"
            if hasattr(found, "__path__") and find_spec(full):
                importlib.import_module(full)
        if not hasattr(found, part):
            return  # the child says what is wrong
        found = getattr(found, part)
    if name.endswith("()"):
        found()


@contextmanager
def variables_read(found: dict[str, str | None]) -> Iterator[None]:
    """Notes the environment variables that are read, with their values."""
    environ: Any = type(os.environ)
    original = environ.__getitem__
    values = dict(os.environ)

    def noting(self: Any, key: str) -> str:
        code: CodeType = sys._getframe(1).f_code
        if code.co_name not in ALL_VARIABLES and key not in INSIGNIFICANT and type(key) is str:
            found.setdefault(key, values.get(key))
        return str(original(self, key))

    environ.__getitem__ = noting
    try:
        yield
    finally:
        environ.__getitem__ = original


@contextmanager
def _output_to(fd: int) -> Iterator[None]:
    """Sends what is printed to a file, also by C code."""
    saved = [os.dup(1), os.dup(2)]
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for target, copy in enumerate(saved, start=1):
            os.dup2(copy, target)
            os.close(copy)


@contextmanager
def _warnings_to(found: list[str]) -> Iterator[None]:
    """Notes warnings that would be shown; warnings.catch_warnings would also reset filters that a
    library adds.
    """
    original = warnings.showwarning

    def note(message: Warning | str, *details: object, **more: object) -> None:
        if type(message).__name__ != EXPECTED_WARNING:
            found.append("warns")

    warnings.showwarning = note
    try:
        yield
    finally:
        if warnings.showwarning is note:
            warnings.showwarning = original


@contextmanager
def _as_in_notebook(found: list[str]) -> Iterator[None]:
    """Lets libraries that ask whether they run in a notebook find that they do; notes one that asks
    for more than that.
    """
    shells: Any = sys.modules.get("ipykernel.zmqshell")
    if shells is None:
        yield
        return
    base: Any = shells.ZMQInteractiveShell

    class ZMQInteractiveShell(base):  # libraries compare the name
        _is_watched = False

        def __getattribute__(self, name: str) -> Any:
            is_public = not name.startswith("_") and name not in SHELL_ATTRIBUTES
            if is_public and self._is_watched:
                found.append(f"uses {name} of the notebook's shell")
            return super().__getattribute__(name)

    shell = ZMQInteractiveShell.__new__(ZMQInteractiveShell)
    shell.config["IPKernelApp"] = type(shell.config)()
    ZMQInteractiveShell._is_watched = True
    classes = base.__mro__[: base.__mro__.index(sys.modules["IPython"].InteractiveShell) + 1]
    builtins: Any = sys.modules["builtins"]
    for one in classes:
        one._instance = shell
    builtins.get_ipython = sys.modules["IPython"].get_ipython
    try:
        yield
    finally:
        del builtins.get_ipython
        for one in classes:
            one._instance = None
