"""`nb doctor`: inspects what a pipeline needs, reports what is wrong, and fixes what can be fixed
without loss.
"""

import hashlib
import json
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Literal

import psutil

from bakebook.contract.check import SYNC, check
from bakebook.contract.project import load
from bakebook.contract.sync import sync
from bakebook.errors import BadInput, Failure, first_few
from bakebook.paths import LIBRARY, PROMOTION
from bakebook.runner.dvc_state import (
    Finding,
    Findings,
    cache,
    dvc_lock,
    locks,
)
from bakebook.runner.leftovers import left_clones, left_files
from bakebook.runner.processes import alone
from bakebook.tracking import open_runs
from bakebook.tracking.open_runs import OpenRunFile

NEW_ENVIRONMENT = "uv venv --clear, then uv sync"
LEAST_FREE_BYTES = 500 * 2**20  # below which a pipeline is likely to stop halfway
MANIFEST = "manifest.json"  # the hashes of the library's files when the project was created
MOST_NAMED = 5  # files in a message


def report(root: Path, fix: bool) -> tuple[list[str], bool]:
    """One line per part and finding, and whether nothing is wrong now. Raises Busy while a stage
    runs.
    """
    lines = []
    is_well = True
    with alone(root, "doctor"):
        for part, inspect in PARTS.items():
            findings = list(inspect(root))
            if not findings:
                lines.append(f"ok      {part}")
            for finding in findings:
                label, remedy = _treat(finding, fix)
                is_well = is_well and label != "wrong"
                advice = f" → {remedy}" if remedy else ""
                lines.append(f"{label:<7} {part}: {finding.what}{advice}")
    return lines, is_well


def _treat(finding: Finding, fix: bool) -> tuple[str, str]:
    """The label of a finding, and what is left to do."""
    if finding.fix is None or (finding.label != "wrong" and not fix):
        return finding.label, finding.remedy
    if not fix:
        return "wrong", "nb doctor --fix"
    try:
        finding.fix()
    except (Failure, OSError):
        return finding.label, finding.remedy
    return "fixed", ""


def _environment(root: Path) -> Findings:
    for program in ("git", "dvc", "nb"):
        if not shutil.which(program):
            yield Finding(
                f"{program} is not on the PATH",
                "install git; the others come with uv run nb doctor",
            )
    origin = _origin_of_scripts()
    if origin != Path(sys.prefix):
        what = f"this environment was copied or moved: its programs start {origin}"
        yield Finding(what, NEW_ENVIRONMENT)
    elif root / "src" not in LIBRARY.parents:
        what = f"this environment runs the library of another folder, {LIBRARY.parents[1]}"
        yield Finding(what, "uv sync, then uv run nb doctor")
    if not (3, 11) <= sys.version_info[:2] < (3, 14):
        yield Finding(
            f"this environment uses Python {sys.version.split()[0]}, which is not supported",
            "uv sync --python 3.13",
        )
    free = shutil.disk_usage(root).free
    if free < LEAST_FREE_BYTES:
        what = f"only {free // 2**20} MB are free on this disk"
        yield Finding(what, "make room, for instance: dvc gc --workspace")


def _origin_of_scripts() -> Path:
    """The environment that DVC's script starts; this one where it cannot be read, as on Windows."""
    script = Path(sys.executable).with_name("dvc")
    try:
        with script.open("rb") as file:
            first = file.readline().decode("utf-8", "replace")
    except OSError:
        return Path(sys.prefix)
    if not first.startswith("#!") or "/bin/" not in first:
        return Path(sys.prefix)
    return Path(first.removeprefix("#!").strip()).parents[1]


def _library(root: Path) -> Findings:
    """Whether src/bakebook is still what the template has: a change is allowed, and worth
    knowing.
    """
    library = root / "src" / LIBRARY.name
    try:
        baked = json.loads((library / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        yield Finding(
            "src/bakebook has no list of its files", "git checkout src/bakebook/manifest.json"
        )
        return
    now = library_hashes(library)
    names = sorted(name for name in baked.keys() | now.keys() if baked.get(name) != now.get(name))
    if names:
        what = f"it differs from the template's version: {first_few(names, MOST_NAMED)}"
        yield Finding(what, "cruft update merges later versions with your changes", label="note")


def library_hashes(folder: Path) -> dict[str, str]:
    """The sha256 of each file of the library except its manifest, with `\\n` as the end of each
    line.
    """
    hashes = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and "__pycache__" not in name and path.name != MANIFEST:
            content = path.read_bytes().replace(b"\r\n", b"\n")
            hashes[name] = hashlib.sha256(content).hexdigest()
    return hashes


def _mlflow(root: Path) -> Findings:
    for left in open_runs.left_open(root):
        what = f"the run of '{left.run.stage}' was interrupted and is still open"
        yield Finding(what, "start the MLflow server, then nb doctor --fix", _closed(root, left))
    path = root / "mlflow.db"
    if path.is_file():
        for problem in _database_problems(path):
            yield Finding(
                f"mlflow.db: {problem}", "move mlflow.db away; the next stage makes a new one"
            )


def _promotion(root: Path) -> Findings:
    """A promotion that was killed: the champion is whole, and what it left is cleared up."""
    try:
        pid = int((root / PROMOTION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if not psutil.pid_exists(pid):
        yield Finding("a promotion was interrupted", "nb promote completes it")


def _database_problems(path: Path) -> list[str]:
    try:
        with closing(sqlite3.connect(path)) as store:
            problems = [line for (line,) in store.execute("pragma integrity_check") if line != "ok"]
            tables = {
                name
                for (name,) in store.execute("select name from sqlite_master where type = 'table'")
            }
    except sqlite3.Error as error:
        return [str(error)]
    halves = [name for name in tables if name.startswith("_alembic_tmp_")]
    return [
        *problems[:1],
        *(f"'{name}' is left over from an interrupted migration" for name in halves),
    ]


def _closed(root: Path, left: OpenRunFile) -> Callable[[], object]:
    return lambda: open_runs.close(root, left)


def _fork_servers(root: Path) -> Findings:
    """What makes notebooks start warm; `--fix` ends it."""
    if sys.platform != "linux":
        return
    from bakebook.warm.report import end, servers

    for server in servers():
        what = f"process {server.pid} does not answer"
        if server.state:
            age = round(time.time() - server.state["started"])
            memory = _memory_mb(server.pid)
            libraries = {name.partition(".")[0] for name in server.state["seconds"]}
            children, spares = len(server.state["children"]), server.state["spares"]
            what = (
                f"process {server.pid}, {age} s old, {memory} MB, {children} children,"
                f" {spares} spares; libraries: {', '.join(sorted(libraries))}"
            )
        label: Literal["ok", "note"] = "ok" if server.state else "note"
        yield Finding(what, "nb doctor --fix ends it", partial(end, server), label)


def _memory_mb(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss // 2**20)
    except psutil.Error:  # it has just ended
        return 0


def _notebooks(root: Path) -> Findings:
    try:
        faults = check(load(root))
    except BadInput as error:
        yield Finding(error.what, error.remedy)
        return
    for fault in faults:
        fix = (lambda: sync(root)) if fault.remedy == SYNC else None
        yield Finding(f"{fault.where}: {fault.what}", fault.remedy, fix)


PARTS: dict[str, Callable[[Path], Findings]] = {
    "environment": _environment,
    "the library": _library,
    "DVC's locks": locks,
    "dvc.lock": dvc_lock,
    "DVC's cache": cache,
    "left-over files": left_files,
    "MLflow's store": _mlflow,
    "the champion": _promotion,
    "clones": left_clones,
    "notebooks": _notebooks,
    "fork server": _fork_servers,
}
