"""What a stage writes waits until the stage has finished, and is compared with what dvc.yaml
declares.
"""

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bakebook.contract.project import COMMANDS, Project, load, write_pipeline
from bakebook.errors import BadInput, Failure
from bakebook.paths import STATE

MLFLOW_FILES = ("mlflow.db", "mlartifacts", "mlruns")
MANY_FILES = 3  # if a stage reads more files of one folder, the folder is the dependency


class Undeclared(Failure):
    """A stage wrote what dvc.yaml does not list."""


@dataclass(frozen=True)
class OpenedFile:
    """A file of the project that a stage opened: its path from the root, and when, in ns since the
    epoch.
    """

    path: str
    is_written: bool
    time_ns: int


class Outputs:
    """The outputs of one run of one stage: staged while it runs, in their places after it has
    finished.
    """

    def __init__(self, project: Project, stage: str) -> None:
        self.project = project
        self.stage = stage
        self.declared = project.made(stage)
        self.persistent = _persistent(project, stage)
        self.staging = project.root / STATE / "outputs"
        self.record = _record(project, stage)
        self.failure = project.root / STATE / f"{stage}.failure"
        shutil.rmtree(self.staging, ignore_errors=True)
        self.staging.mkdir(parents=True)
        self.failure.unlink(missing_ok=True)
        self.before = self._snapshot()
        self.earlier = {path: _state(project.root / path) for path in self.declared}

    def environment(self) -> dict[str, str]:
        """The variables that name the places for outputs, for the record of opened files, and for a
        failure.
        """
        return {
            "NB_ROOT": str(self.project.root),
            "NB_OUTPUTS": str(self.staging),
            "NB_RECORD": str(self.record),
            "NB_FAILURE": str(self.failure),
        }

    def publish(self, cell_at: Callable[[int], int]) -> None:
        """Moves the outputs to their places. Raises Undeclared or BadInput before the first is
        moved.
        """
        for path, time_ns in self._undeclared().items():
            cell = cell_at(time_ns)
            raise Undeclared(
                f"{self.stage} writes {path} in code cell {cell}, which it does not declare",
                f"add it to outs of '{self.stage}' in dvc.yaml, or write it outside the project",
            )
        for path in self.declared:
            if not self._is_written(path):
                raise BadInput(
                    f"{self.stage} did not write {path}", "write it, or remove it from dvc.yaml"
                )
        self.deliver()

    def deliver(self) -> None:
        """Moves what has been written so far to its places: also the reports of a check that
        failed.
        """
        for path in self._staged():
            if covers(self.declared, path):
                target = self.project.root / path
                target.parent.mkdir(parents=True, exist_ok=True)
                _move(self.staging / path, target)
        shutil.rmtree(self.staging)

    def withdraw(self) -> None:
        """Removes what a failed run wrote directly to the place of an output: half of it may be
        missing.

        What was there before stays: DVC removes outputs before a stage, except those that persist.
        """
        for path in self._changed():
            if covers(self.declared, path) and path not in self.before:
                (self.project.root / path).unlink(missing_ok=True)

    def raised(self) -> Failure | None:
        """The Failure with which a cell ended, as the kernel wrote it."""
        try:
            content = json.loads(self.failure.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        failure = Failure(f"{self.stage}: {content['what']}", content["remedy"])
        failure.exit_code = content["exit_code"]
        return failure

    def _is_written(self, path: str) -> bool:
        """Whether this run wrote an output, or DVC lets it persist from an earlier run."""
        place = self.project.root / path
        if (self.staging / path).exists():
            return True
        return place.exists() and (path in self.persistent or _state(place) != self.earlier[path])

    def _undeclared(self) -> dict[str, int]:
        """The files that were written although dvc.yaml does not list them, and when (ns)."""
        written = {
            one.path: one.time_ns for one in opened(self.project, self.stage) if one.is_written
        }
        changed = self._changed()
        found = dict.fromkeys([*self._staged(), *changed], 0)
        for path, time_ns in written.items():
            if path in found or (self.project.root / path).exists():
                found[path] = time_ns
        for path in changed:  # not written by Python, so no time is known
            place = self.project.root / path
            if not found[path] and place.exists():
                found[path] = place.stat().st_ctime_ns
        return {path: found[path] for path in sorted(found) if not covers(self.declared, path)}

    def _staged(self) -> list[str]:
        files = (path for path in self.staging.rglob("*") if path.is_file())
        return [path.relative_to(self.staging).as_posix() for path in files]

    def _snapshot(self) -> dict[str, tuple[int, int]]:
        """Size and modification time of each file in the folders of results: not every writer is
        seen by Python.
        """
        root = self.project.root
        folders = set()
        for name in self.project.stages:
            folders |= {path.split("/")[0] for path in self.project.made(name) if "/" in path}
        found = {}
        for folder in sorted(folders):
            for entry in _files(root / folder):
                path = Path(entry).relative_to(root).as_posix()
                if not _is_hidden(path) and not path.startswith("reports/notebooks/"):
                    status = entry.stat(follow_symlinks=False)
                    found[path] = (status.st_size, status.st_mtime_ns)
        return found

    def _changed(self) -> list[str]:
        after = self._snapshot()
        paths = self.before.keys() | after.keys()
        return sorted(path for path in paths if self.before.get(path) != after.get(path))


def undeclared_reads(project: Project, stage: str) -> dict[str, int]:
    """What the last run of the stage read without depending on it, and when (ns); the folder where
    it read many files.
    """
    if stage in COMMANDS:  # it depends on what it finds when it runs
        return {}
    known = [*project.files(stage, "deps"), *project.made(stage), "params.yaml"]
    found: dict[str, int] = {}
    for one in opened(project, stage):
        is_unknown = not one.is_written and not covers(known, one.path)
        if is_unknown and (project.root / one.path).is_file():
            found.setdefault(one.path, one.time_ns)
    return _by_folder(found)


def add_reads(root: Path) -> list[str]:
    """Adds to each stage's deps what its last run read without depending on it, and returns one
    line for each.
    """
    project = load(root)
    added = []
    for name in project.stages:
        for path in undeclared_reads(project, name):
            project.stages[name].setdefault("deps", []).insert(0, path)
            added.append(f"added {path} to deps of stage '{name}'")
    if added:
        write_pipeline(project)
    return added


def opened(project: Project, stage: str) -> Iterator[OpenedFile]:
    """The project's files that the stage's last run opened."""
    try:
        lines = _record(project, stage).read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    staging = f"{(STATE / 'outputs').as_posix()}/"
    for line in lines:
        path, is_written, time_ns = json.loads(line)
        name = Path(path).as_posix().removeprefix(staging)
        if not _is_hidden(name) and not name.startswith(MLFLOW_FILES):
            yield OpenedFile(name, is_written, time_ns)


def covers(declared: Sequence[str], path: str) -> bool:
    """Whether the path is one of those declared, or lies in one."""
    folders = map(str, PurePosixPath(path).parents)
    return any(one in declared for one in (path, *folders))


def _persistent(project: Project, stage: str) -> set[str]:
    """The outputs that DVC does not remove before the stage runs again."""
    found = set()
    for entry in (project.stages.get(stage) or {}).get("outs") or []:
        if isinstance(entry, dict):
            path, options = next(iter(entry.items()))
            if options and options.get("persist"):
                found.add(project.filled(path))
    return found


def _state(path: Path) -> object:
    """What changes when a file, or a file in a folder, is written."""
    if path.is_dir():
        return {entry.path: _state(Path(entry.path)) for entry in _files(path)}
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _move(source: Path, target: Path) -> None:
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:  # a folder of results may be on another disk
            raise
        shutil.copy2(source, target)


def _files(folder: Path) -> Iterator[os.DirEntry[str]]:
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(Path(entry))
            else:
                yield entry


def _is_hidden(path: str) -> bool:
    """Whether the file is not a result: hidden files and folders, and
    what Python compiles for itself.
    """
    return any(part.startswith(".") or part == "__pycache__" for part in path.split("/"))


def _by_folder(found: dict[str, int]) -> dict[str, int]:
    folders = [str(PurePosixPath(path).parent) for path in found]
    gathered: dict[str, int] = {}
    for (path, time_ns), folder in zip(found.items(), folders, strict=True):
        is_crowded = folder != "." and folders.count(folder) > MANY_FILES
        gathered.setdefault(folder if is_crowded else path, time_ns)
    return gathered


def _record(project: Project, stage: str) -> Path:
    return project.root / STATE / f"{stage}.opened"
