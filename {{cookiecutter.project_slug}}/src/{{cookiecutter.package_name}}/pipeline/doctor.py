"""`nb doctor`: looks at what a pipeline stands on, says what is wrong, and mends what can be mended without loss."""

import json
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ..errors import BadInput, Busy, Unreachable
from ..paths import PACKAGE, dvc_hash
from . import contract, open_runs
from .processes import alone
from .project import load
from .sync import sync

OBJECT = re.compile(r"[0-9a-f]{30}(\.dir)?")
HASH = re.compile(r"[0-9a-f]{32}(\.dir)?")
STILL_WRITTEN = 60  # seconds since the last byte, within which a file may be growing
LEAST_SPACE = 500 * 2**20  # bytes free, below which a pipeline is likely to stop halfway


@dataclass(frozen=True)
class Finding:
    """Something that is wrong; `mend` repairs it without loss, where that is possible."""

    what: str
    remedy: str
    mend: Callable[[], object] | None = None


Findings = Iterator[Finding]


def report(root: Path, fix: bool) -> tuple[list[str], bool]:
    """One line per part and finding, and whether all is well now. Raises Busy while a stage runs."""
    lines, well = [], True
    with alone(root, "doctor"):
        for part, look in PARTS.items():
            findings = list(look(root))
            lines += [] if findings else [f"ok      {part}"]
            for finding in findings:
                mended = fix and finding.mend is not None and _mended(finding.mend)
                well = well and mended
                advice = "" if mended else f" → {'nb doctor --fix' if finding.mend and not fix else finding.remedy}"
                lines.append(f"{'mended' if mended else 'wrong '}  {part}: {finding.what}{advice}")
    return lines, well


def _mended(mend: Callable[[], object]) -> bool:
    try:
        mend()
    except (BadInput, Busy, Unreachable, OSError):
        return False
    return True


def _environment(root: Path) -> Findings:
    for program in ("git", "dvc", "nb"):
        if not shutil.which(program):
            yield Finding(f"{program} is not on the PATH", "install git; the others come with uv run nb doctor")
    if root / "src" not in PACKAGE.parents:
        yield Finding(f"'{PACKAGE.name}' is not installed from this folder", "uv sync")
    if not (3, 11) <= sys.version_info[:2] < (3, 14):
        yield Finding(f"Python {sys.version.split()[0]} runs it", "uv sync --python 3.13")
    free = shutil.disk_usage(root).free
    if free < LEAST_SPACE:
        yield Finding(f"only {free // 2**20} MB are free on this disk", "make room, for instance: dvc gc --workspace")


def _locks(root: Path) -> Findings:
    path = root / ".dvc" / "tmp" / "rwlock"
    try:
        holders = _holders(path)
    except (ValueError, AttributeError, KeyError, TypeError):
        yield Finding(".dvc/tmp/rwlock is cut off or no lock file", "remove it when no DVC runs here", path.unlink)
        return
    stale = [pid for pid in holders if not _is_dvc(pid)]
    if stale:
        what = f".dvc/tmp/rwlock is held by process {stale[0]}, which is no DVC any more"
        yield Finding(what, "wait for the other DVC process", path.unlink if len(stale) == len(holders) else None)


def _holders(path: Path) -> set[int]:
    """The processes that hold DVC's lock."""
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    readers = [one for several in content.get("read", {}).values() for one in several]
    return {int(one["pid"]) for one in [*readers, *content.get("write", {}).values()]}


def _is_dvc(pid: int) -> bool:
    import psutil

    try:
        return "dvc" in " ".join(psutil.Process(pid).cmdline())
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True


def _dvc_lock(root: Path) -> Findings:
    path = root / "dvc.lock"
    if not path.is_file() or _is_lock(path.read_bytes()):
        return
    done = subprocess.run(["git", "show", "HEAD:./dvc.lock"], cwd=root, capture_output=True, check=False)
    committed = done.stdout if done.returncode == 0 and _is_lock(done.stdout) else None
    mend = (lambda: path.write_bytes(committed)) if committed else path.unlink
    yield Finding("dvc.lock is cut off", "git checkout dvc.lock, then dvc repro", mend)


def _is_lock(content: bytes) -> bool:
    """Whether DVC can read it: each stage has a command, and a hash for each of its files."""
    try:
        stages = YAML(typ="safe", pure=True).load(content.decode())["stages"]
        files = [one for stage in stages.values() for kind in ("deps", "outs") for one in stage.get(kind, [])]
        return all(stage["cmd"] for stage in stages.values()) and all(HASH.fullmatch(one["md5"]) for one in files)
    except (YAMLError, UnicodeDecodeError, AttributeError, KeyError, TypeError):
        return False


def _cache(root: Path) -> Findings:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "cache", "dir"], cwd=root, capture_output=True, text=True, check=False
    )
    objects = Path(done.stdout.strip() or root / ".dvc" / "cache") / "files" / "md5"
    for path in sorted(objects.glob("*/*")):
        name = f"{path.parent.name}{path.name}"
        if not OBJECT.fullmatch(path.name):
            if time.time() - path.stat().st_mtime < STILL_WRITTEN:
                continue
            yield Finding(f"{name} is left over from a copy that was cut short", "remove it", path.unlink)
        elif dvc_hash(path) != name.removesuffix(".dir"):
            yield Finding(f"{name} does not hold what its name says", "remove it", path.unlink)


def _leftovers(root: Path) -> Findings:
    folder = root / "reports" / "notebooks"
    for path in sorted(folder.glob("*.running.ipynb")):
        kept = path.with_name(path.name.replace(".running.", ".failed."))
        yield Finding(f"{path.name} was cut short", f"rename it to {kept.name}", _renamed(path, kept))
    for path in sorted([*folder.glob(".*.part"), *root.glob("notebooks/**/.*.part"), *root.glob("*/**/.part-*")]):
        yield Finding(f"{path.relative_to(root).as_posix()} is half a file", "remove it", path.unlink)


def _renamed(path: Path, to: Path) -> Callable[[], object]:
    return lambda: path.replace(to)


def _store(root: Path) -> Findings:
    for left in open_runs.left_open(root):
        what = f"the run of '{left.content['stage']}' was cut short and is still open"
        yield Finding(what, "start the MLflow server, then nb doctor --fix", _closed(root, left))
    path = root / "mlflow.db"
    if not path.is_file():
        return
    try:
        with closing(sqlite3.connect(path)) as store:
            problems = [line for (line,) in store.execute("pragma integrity_check") if line != "ok"]
            tables = {name for (name,) in store.execute("select name from sqlite_master where type = 'table'")}
    except sqlite3.Error as error:
        problems, tables = [str(error)], set()
    halves = [name for name in tables if name.startswith("_alembic_tmp_")]
    for problem in [*problems[:1], *(f"'{name}' is left of a migration that was cut short" for name in halves)]:
        yield Finding(f"mlflow.db: {problem}", "move mlflow.db aside; the next stage makes a new one")


def _closed(root: Path, left: Any) -> Callable[[], object]:
    return lambda: open_runs.close(root, left)


def _notebooks(root: Path) -> Findings:
    try:
        faults = contract.check(load(root))
    except BadInput as error:
        faults = [str(error)]
    for fault in faults:
        what, _, remedy = fault.rpartition(" → ")
        yield Finding(what, remedy, (lambda: sync(root)) if remedy == "nb sync" else None)


PARTS: dict[str, Callable[[Path], Findings]] = {
    "environment": _environment,
    "DVC's locks": _locks,
    "dvc.lock": _dvc_lock,
    "DVC's cache": _cache,
    "left-over files": _leftovers,
    "MLflow's store": _store,
    "notebooks": _notebooks,
}
