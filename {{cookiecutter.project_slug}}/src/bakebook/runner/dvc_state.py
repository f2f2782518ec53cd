"""What an interrupted DVC leaves behind: locks, half a dvc.lock, half copies in its cache."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from bakebook.files import dvc_hash

OBJECT_NAME = re.compile(r"[0-9a-f]{30}(\.dir)?")
HASH = re.compile(r"[0-9a-f]{32}(\.dir)?")
STILL_WRITTEN_S = 60  # since the last byte, within which a file may be growing


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, worth knowing (`note`) or in order (`ok`); `fix` repairs or ends it
    without loss, where possible.
    """

    what: str
    remedy: str
    fix: Callable[[], object] | None = None
    label: Literal["wrong", "note", "ok"] = "wrong"


Findings = Iterator[Finding]


def locks(root: Path) -> Findings:
    path = root / ".dvc" / "tmp" / "rwlock"
    try:
        holders = _lock_holders(path)
    except (ValueError, AttributeError, KeyError, TypeError):
        yield Finding(
            ".dvc/tmp/rwlock is truncated or not a lock file",
            "remove it when no DVC runs here",
            path.unlink,
        )
        return
    stale = [pid for pid in holders if not _is_dvc(pid)]
    if stale:
        what = f".dvc/tmp/rwlock is held by process {stale[0]}, which is no longer DVC"
        is_abandoned = len(stale) == len(holders)
        yield Finding(what, "wait for the other DVC process", path.unlink if is_abandoned else None)


def _lock_holders(path: Path) -> set[int]:
    """The ids of the processes that hold DVC's lock."""
    if not path.is_file():
        return set()
    content = json.loads(path.read_text(encoding="utf-8"))
    readers = [reader for several in content.get("read", {}).values() for reader in several]
    writers = content.get("write", {}).values()
    return {int(holder["pid"]) for holder in (*readers, *writers)}


def _is_dvc(pid: int) -> bool:
    import psutil

    try:
        return "dvc" in " ".join(psutil.Process(pid).cmdline())
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True


def dvc_lock(root: Path) -> Findings:
    path = root / "dvc.lock"
    if not path.is_file() or _is_lock(path.read_bytes()):
        return
    done = subprocess.run(
        ["git", "show", "HEAD:./dvc.lock"], cwd=root, capture_output=True, check=False
    )
    committed = done.stdout

    def restore() -> None:
        path.write_bytes(committed)

    is_committed = done.returncode == 0 and _is_lock(committed)
    yield Finding(
        "dvc.lock is truncated",
        "git checkout dvc.lock, then dvc repro",
        restore if is_committed else path.unlink,
    )


def _is_lock(content: bytes) -> bool:
    """Whether DVC can read it: each stage has a command, and a hash for each of its files."""
    try:
        stages = YAML(typ="safe").load(content.decode())["stages"].values()
        files = [
            file for stage in stages for list_ in ("deps", "outs") for file in stage.get(list_, [])
        ]
        has_commands = all(stage["cmd"] for stage in stages)
        return has_commands and all(map(_is_entry, files))
    except (YAMLError, UnicodeDecodeError, AttributeError, KeyError, TypeError):
        return False


def _is_entry(file: dict[str, object]) -> bool:
    """Whether an entry of dvc.lock is complete: its hash, and whole numbers as its sizes."""
    counts = [file.get(name, 0) for name in ("size", "nfiles")]
    return bool(HASH.fullmatch(str(file["md5"]))) and all(isinstance(one, int) for one in counts)


def cache(root: Path) -> Findings:
    command = [sys.executable, "-m", "dvc", "cache", "dir"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    cache = Path(done.stdout.strip() or root / ".dvc" / "cache")
    for path in sorted((cache / "files" / "md5").glob("*/*")):
        name = f"{path.parent.name}{path.name}"
        if OBJECT_NAME.fullmatch(path.name):
            if dvc_hash(path) != name.removesuffix(".dir"):
                yield Finding(
                    f"the content of {name} does not match its name", "remove it", path.unlink
                )
        elif time.time() - path.stat().st_mtime >= STILL_WRITTEN_S:
            yield Finding(f"{name} is left over from an interrupted copy", "remove it", path.unlink)
