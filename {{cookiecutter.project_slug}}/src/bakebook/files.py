"""Files that are written whole or not at all, where an output waits until its stage has finished,
and what `pyproject.toml` says.
"""

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bakebook.errors import BadInput
from bakebook.paths import ROOT

PART = ".part"  # ends the name of a file that is not finished yet


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary file to fill, which replaces `path` when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}{PART}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_text(text: str, path: Path) -> None:
    """Writes a text file atomically, as UTF-8 with `\\n` on every system."""
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


def read_pyproject(root: Path, *keys: str) -> str:
    """The text under these keys of `pyproject.toml`. Raises BadInput when there is none."""
    import tomllib  # takes milliseconds, and few commands need it

    value: object = None
    with suppress(OSError, ValueError, KeyError, TypeError):
        value = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
        for key in keys:
            value = value[key]  # type: ignore[index]
    *sections, name = keys
    if not isinstance(value, str):
        what = f"pyproject.toml has no [{'.'.join(sections)}] with '{name}'"
        raise BadInput(what, f'write it there: {name} = "…"')
    return value


def staged(path: Path) -> Path:
    """Where an output waits until its stage has finished (`nb run` sets NB_OUTPUTS); by hand, the
    path itself.
    """
    folder = os.environ.get("NB_OUTPUTS")
    if folder and path.is_relative_to(ROOT):
        return Path(folder) / path.relative_to(ROOT)
    return path


def newest(path: Path) -> Path:
    """The file to read: what the running stage has just written comes before what an earlier run
    left.
    """
    waiting = staged(path)
    return waiting if waiting.is_file() else path


def remove_tree(folder: Path) -> None:
    """Removes a folder, also where git wrote files that Windows takes for protected."""
    if os.name == "nt":
        for path in folder.rglob("*"):
            path.chmod(stat.S_IWRITE)
    shutil.rmtree(folder)


def dvc_hash(path: Path) -> str:
    """The md5 by which DVC knows the file."""
    with newest(path).open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
