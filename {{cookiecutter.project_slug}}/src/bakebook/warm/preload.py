"""What the fork server imports: libraries of the environment whose import does nothing else."""

import importlib
import json
import os
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

CHECK_FILES_S = 1.0  # between two looks whether a library was edited
TASKS = Path("/proc/self/task")
# Reads of the whole environment, which say nothing about a single variable
ALL_VARIABLES = ("__iter__", "copy")
# Whose values may differ between terminals, and at most tell a library where programs are
INSIGNIFICANT = {"PATH", "PWD", "OLDPWD", "SHLVL", "_", "TERM", "TERM_PROGRAM", "PYTHONPATH"}

# What they may know of the shell of a notebook
SHELL_ATTRIBUTES = {"kernel", "config"}
MODULE_SUFFIXES = (".py", ".pyc", ".so")
EXPECTED_WARNING = "TqdmWarning"  # that ipywidgets are missing; the kernel of a stage ignores it


class Libraries:
    """The libraries that were imported, and what must be the same for a child that gets them.

    One whose import prints, warns, starts a thread, asks IPython or fails spoils the process: its
    name is noted in the file `excluded`, which the next server reads.
    """

    def __init__(self, folder: Path, excluded: Path) -> None:
        self.folder = folder  # only libraries that are installed here do not change under us
        self.seconds: dict[str, float] = {}
        self.spoiled = ""
        self._excluded = excluded
        self._skipped = _read(excluded)
        self._variables = dict(os.environ)
        self._read: dict[str, str | None] = {}  # variables, with their values before
        self._files: dict[str, tuple[int, int]] = {}
        self._files_checked = 0.0
        self._blas: list[Any] = []
        self._blas_of = 0  # modules that were loaded then

    def load(self, name: str) -> None:
        """Imports a module, or the module that has this attribute; a library that is missing or
        excluded is left to the child.
        """
        if self.spoiled or name in self._skipped or name in self.seconds:
            return
        if not self._is_installed(name.partition(".")[0]):
            return
        started = time.perf_counter()
        found = _visible_effects(name, self._read)
        if found:
            self.spoiled = f"importing {name} {found}, so the next fork server goes without it"
            print(self.spoiled, flush=True)
            self._skipped.add(name)
            self._excluded.write_text(json.dumps(sorted(self._skipped)), encoding="utf-8")
        self.seconds[name] = time.perf_counter() - started

    def problem(self, variables: dict[str, str], path: list[str]) -> str:
        """Why a child with this environment and these first entries of `sys.path` needs a cold
        start; empty if it does not.
        """
        if self.spoiled:
            return self.spoiled
        written = self.written_variables()
        for name, value in self._read.items():
            if variables.get(name) not in (value, written.get(name, value)):
                return f"the variable {name} differs from that of the fork server"
        tops = {name.partition(".")[0] for name in sys.modules}
        for folder in path:
            for name in tops & _names_in(folder):
                if _is_module(Path(folder, name)):
                    return f"{name} in {folder} comes before the installed library"
        return self._edited()

    def blas(self) -> list[Any]:
        """The loaded libraries of BLAS, as threadpoolctl controls them."""
        if "threadpoolctl" not in sys.modules:
            return []
        if self._blas_of != len(sys.modules):
            controller = sys.modules["threadpoolctl"].ThreadpoolController()
            self._blas = controller.select(internal_api="openblas").lib_controllers
            self._blas_of = len(sys.modules)
        return self._blas

    def written_variables(self) -> dict[str, str]:
        """The variables that imports have set."""
        now = os.environ.items()
        return {name: value for name, value in now if self._variables.get(name) != value}

    def _edited(self) -> str:
        """What is wrong when a file is no longer what was imported."""
        if time.monotonic() - self._files_checked < CHECK_FILES_S:
            return ""
        for module in list(sys.modules.values()):
            file = getattr(module, "__file__", None)
            if not file:
                continue
            try:
                version = _version(file)
            except OSError:
                version = (0, 0)
            if self._files.setdefault(file, version) != version:
                self.spoiled = f"{file} has changed"
                return self.spoiled
        self._files_checked = time.monotonic()
        return ""

    def _is_installed(self, top: str) -> bool:
        try:
            spec = find_spec(top)
        except (ImportError, ValueError):
            return False
        return spec is not None and any(
            self.folder in Path(place).parents for place in _places(spec)
        )


def _visible_effects(name: str, variables: dict[str, str | None]) -> str:
    """Imports a module and says what one would notice of that in a notebook."""
    found: list[str] = []
    with tempfile.TemporaryFile() as printed, _variables_read(variables):
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
def _variables_read(found: dict[str, str | None]) -> Iterator[None]:
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


def _places(spec: ModuleSpec) -> list[str]:
    return [*(spec.submodule_search_locations or ()), *([spec.origin] if spec.origin else [])]


def _names_in(folder: str) -> set[str]:
    with suppress(OSError):
        return {name.partition(".")[0] for name in os.listdir(folder)}  # noqa: PTH208
    return set()


def _is_module(place: Path) -> bool:
    """Whether a name without its suffix is importable; a folder without `__init__.py` does not come
    before a library.
    """
    return (place / "__init__.py").is_file() or any(
        file.suffix in MODULE_SUFFIXES for file in place.parent.glob(f"{place.name}.*")
    )


def _version(file: str) -> tuple[int, int]:
    status = os.stat(file)  # noqa: PTH116 - thousands of files before each fork
    return status.st_mtime_ns, status.st_size


def _read(excluded: Path) -> set[str]:
    with suppress(OSError, ValueError):
        return set(json.loads(excluded.read_text(encoding="utf-8")))
    return set()
