"""What the fork server imports: libraries of the environment whose import does nothing else."""

import json
import os
import sys
import time
from contextlib import suppress
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bakebook.warm.effects import visible_effects
from bakebook.warm.watch import Watch

MODULE_SUFFIXES = (".py", ".pyc", ".so")


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
        self._files: dict[str, tuple[int, int, int]] = {}
        self._noted: set[str] = set()  # modules
        self._tops: set[str] = set()  # of their packages
        self._watch = Watch()
        self._blas: list[Any] = []
        self._blas_of = 0  # modules that were loaded then

    @property
    def loaded(self) -> int:
        """How many were imported."""
        return len(self.seconds)

    def load(self, name: str) -> None:
        """Imports a module, or the module that has this attribute; a library that is missing or
        excluded is left to the child.
        """
        if self.spoiled or name in self._skipped or name in self.seconds:
            return
        if not self._is_installed(name.partition(".")[0]):
            return
        started = time.perf_counter()
        found = visible_effects(name, self._read)
        if found:
            self.spoiled = f"importing {name} {found}, so the next fork server goes without it"
            print(self.spoiled, flush=True)
            self._skipped.add(name)
            self._excluded.write_text(json.dumps(sorted(self._skipped)), encoding="utf-8")
        self.seconds[name] = time.perf_counter() - started
        self._note_modules()

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
        self._note_modules()
        for folder in path:
            for name in self._tops & _modules_in(folder):
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

    def let_go(self) -> None:
        """Closes in a child what belongs to the server."""
        self._watch.close()

    def _edited(self) -> str:
        """What is wrong when a file is no longer what was imported."""
        changed = self._watch.changed()
        for file in changed & self._files.keys() if self._watch.works else self._files:
            if _version(file) != self._files[file]:
                self.spoiled = f"{file} has changed"
                break
        return self.spoiled

    def _note_modules(self) -> None:
        """Notes names, and versions of the files, of what was imported since the last look."""
        new = sys.modules.keys() - self._noted
        files = (getattr(sys.modules[name], "__file__", None) for name in new)
        for file in {file for file in files if file}:
            self._watch.add(os.path.dirname(file))  # noqa: PTH120 - thousands of files
            self._files[file] = _version(file)
        self._tops |= {name.partition(".")[0] for name in new}
        self._noted |= new

    def _is_installed(self, top: str) -> bool:
        try:
            spec = find_spec(top)
        except (ImportError, ValueError):
            return False
        return spec is not None and any(
            self.folder in Path(place).parents for place in _places(spec)
        )


def _places(spec: ModuleSpec) -> list[str]:
    return [*(spec.submodule_search_locations or ()), *([spec.origin] if spec.origin else [])]


def _modules_in(folder: str) -> set[str]:
    """The names that can be imported from a folder; another folder in it without `__init__.py` does
    not come before a library.
    """
    found = set()
    with suppress(OSError):
        for entry in os.scandir(folder):
            name, _, suffixes = entry.name.partition(".")
            is_module = suffixes and entry.name.endswith(MODULE_SUFFIXES)
            if is_module or os.path.isfile(f"{entry.path}/__init__.py"):  # noqa: PTH113
                found.add(name)
    return found


def _version(file: str) -> tuple[int, int, int]:
    try:
        status = os.stat(file)  # noqa: PTH116 - thousands of files
    except OSError:
        return 0, 0, 0
    return status.st_mtime_ns, status.st_size, status.st_ino


def _read(excluded: Path) -> set[str]:
    with suppress(OSError, ValueError):
        return set(json.loads(excluded.read_text(encoding="utf-8")))
    return set()
