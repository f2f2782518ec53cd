"""What a stage writes waits aside until the stage has finished, and is held against what dvc.yaml declares."""

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from ..errors import BadInput
from ..paths import STATE
from .project import Project

OF_THE_STORE = ("mlflow.db", "mlartifacts", "mlruns")
MANY = 3  # more files read from one folder: the folder is the dependency


class Undeclared(Exception):
    """A stage wrote what dvc.yaml does not list."""

    exit_code = 1


class Outputs:
    """The outputs of one run of one stage: aside while it runs, in their places once it has finished."""

    def __init__(self, project: Project, stage: str) -> None:
        self.project, self.stage = project, stage
        self.declared = project.made(stage)
        self.aside = project.root / STATE / "outputs"
        self.record = _record(project, stage)
        shutil.rmtree(self.aside, ignore_errors=True)
        self.aside.mkdir(parents=True)
        self.before = self._look()

    def environment(self) -> dict[str, str]:
        """What tells the kernel where to write, and where to note what it opens."""
        return {"NB_ROOT": str(self.project.root), "NB_OUTPUTS": str(self.aside), "NB_RECORD": str(self.record)}

    def publish(self, cell_at: Callable[[int], int]) -> None:
        """Moves the outputs to their places. Raises Undeclared or BadInput before the first is moved."""
        for path, moment in self._undeclared().items():
            what = f"{self.stage} writes {path} in code cell {cell_at(moment)}, which it does not declare"
            hint = f"add it to outs of stage '{self.stage}' in dvc.yaml, or write it outside the project"
            raise Undeclared(f"{what} → {hint}")
        for path in self.declared:
            if not (self.aside / path).exists() and not (self.project.root / path).exists():
                raise BadInput(f"{self.stage} left no {path} → write it in the notebook, or remove it from dvc.yaml")
        self.deliver()

    def deliver(self) -> None:
        """Moves what is written so far to its places: also what a gate that closed has to show."""
        for path in filter(lambda one: covers(self.declared, one), self._aside()):
            target = self.project.root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            _move(self.aside / path, target)
        shutil.rmtree(self.aside)

    def withdraw(self) -> None:
        """Removes what a failed run wrote straight to the place of an output: half of it may be missing.

        What was there before stays: DVC removes outputs before a stage, but those that are to persist.
        """
        for path in self._changed():
            if covers(self.declared, path) and path not in self.before:
                (self.project.root / path).unlink(missing_ok=True)

    def _undeclared(self) -> dict[str, int]:
        """The files written although dvc.yaml does not list them, and when."""
        written = {path: moment for path, writes, moment in opened(self.project, self.stage) if writes}
        seen = dict.fromkeys([*self._aside(), *self._changed()], 0)
        seen |= {path: written[path] for path in written if path in seen or (self.project.root / path).exists()}
        for path in self._changed():
            if not seen[path] and (self.project.root / path).exists():
                seen[path] = (self.project.root / path).stat().st_ctime_ns
        return {path: moment for path, moment in sorted(seen.items()) if not covers(self.declared, path)}

    def _aside(self) -> list[str]:
        return [path.relative_to(self.aside).as_posix() for path in self.aside.rglob("*") if path.is_file()]

    def _look(self) -> dict[str, tuple[int, int]]:
        """Size and time of change of each file in the folders of results: not every writer is seen by Python."""
        root, paths = self.project.root, [p for name in self.project.stages for p in self.project.made(name)]
        folders = {path.split("/")[0] for path in paths if "/" in path}
        entries = [entry for folder in sorted(folders) if (root / folder).is_dir() for entry in _files(root / folder)]
        stats = {Path(entry).relative_to(root).as_posix(): entry.stat(follow_symlinks=False) for entry in entries}
        apart = {name for name in stats if _is_hidden(name) or name.startswith("reports/notebooks/")}
        return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in stats.items() if name not in apart}

    def _changed(self) -> list[str]:
        after = self._look()
        return sorted(path for path in self.before.keys() | after.keys() if self.before.get(path) != after.get(path))


def undeclared_reads(project: Project, stage: str) -> dict[str, int]:
    """What the last run of the stage read and does not depend on, and when; the folder where it read many."""
    known = [*project.files(stage, "deps"), *project.made(stage), "params.yaml"]
    found: dict[str, int] = {}
    for path, writes, moment in opened(project, stage):
        if not writes and not covers(known, path) and (project.root / path).is_file():
            found.setdefault(path, moment)
    return _gathered(found)


def opened(project: Project, stage: str) -> Iterator[tuple[str, bool, int]]:
    """The project's files that the stage's last run opened: path from the root, whether to write, time in ns."""
    try:
        lines = _record(project, stage).read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        path, writes, moment = json.loads(line)
        name = Path(path).as_posix().removeprefix(f"{(STATE / 'outputs').as_posix()}/")
        if not _is_hidden(name) and not name.startswith(OF_THE_STORE):
            yield name, writes, moment


def _move(source: Path, target: Path) -> None:
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:  # a folder of results may lie on another disk
            raise
        shutil.copy2(source, target)


def _files(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(Path(entry))
            else:
                yield entry


def _is_hidden(path: str) -> bool:
    """Whether it is none of a stage's business: hidden files and folders, and what Python compiles for itself."""
    return any(part.startswith(".") or part == "__pycache__" for part in path.split("/"))


def covers(declared: list[str], path: str) -> bool:
    """Whether the path is one of those declared, or lies in one."""
    return any(one in declared for one in (path, *map(str, PurePosixPath(path).parents)))


def _gathered(found: dict[str, int]) -> dict[str, int]:
    folders = [str(PurePosixPath(path).parent) for path in found]
    gathered: dict[str, int] = {}
    for (path, moment), folder in zip(found.items(), folders, strict=True):
        gathered.setdefault(folder if folders.count(folder) > MANY and folder != "." else path, moment)
    return gathered


def _record(project: Project, stage: str) -> Path:
    return project.root / STATE / f"{stage}.opened"
