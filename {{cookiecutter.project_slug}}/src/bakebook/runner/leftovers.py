"""What commands leave behind when they are killed, for nb doctor."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil

from bakebook.files import PART, remove_tree
from bakebook.paths import PID, RETRAINING, SIMULATION, STATE
from bakebook.runner import clones
from bakebook.runner.dvc_state import STILL_WRITTEN_S, Finding, Findings

# in which nb monitor and the service copy a model, before they move it to its place
LEFT_FOLDERS = (
    f"{STATE.as_posix()}/champion-*",
    "service/candidate-*",
    f"service/models/.*{PART}",
)


def left_files(root: Path) -> Findings:
    """Notebooks that were running, files that are incomplete, folders of copies."""
    for path in sorted((root / "reports" / "notebooks").glob("*.running.ipynb")):
        kept = path.with_name(path.name.replace(".running.", ".failed."))
        yield Finding(
            f"{path.name} was interrupted", f"rename it to {kept.name}", _renamed(path, kept)
        )
    for path in sorted(_unfinished_files(root)):
        yield Finding(
            f"{path.relative_to(root).as_posix()} is incomplete (its writer was interrupted)",
            "remove it",
            path.unlink,
        )
    for pattern in LEFT_FOLDERS:
        for folder in sorted(root.glob(pattern)):
            if folder.is_dir() and _is_old(folder):
                what = f"{folder.relative_to(root).as_posix()} is left of a copy of a model"
                yield Finding(what, "remove it", partial(remove_tree, folder))


def left_clones(root: Path) -> Findings:
    """What a retraining or a simulation left when it was killed: a folder, and nothing else."""
    for folder in (RETRAINING, SIMULATION):
        try:
            pid = int((root / folder / PID).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            pid = None
        if (root / folder).exists() and not (pid and psutil.pid_exists(pid)):
            remove = partial(clones.remove, root, root / folder)
            yield Finding(
                f"nb {folder.name} was interrupted", f"remove {folder.as_posix()}", remove
            )


def _unfinished_files(root: Path) -> list[Path]:
    """Files that `files.atomic` did not finish, in the root and in its visible folders; not those
    that may still be written.
    """
    pattern = f".*{PART}"
    places = [folder for folder in root.iterdir() if folder.is_dir()]
    visible = [folder for folder in places if not folder.name.startswith(".")]
    found = [*root.glob(pattern)]
    for folder in (*visible, root / STATE):
        found += folder.rglob(pattern)
    return [path for path in found if path.is_file() and _is_old(path)]


def _is_old(path: Path) -> bool:
    """Whether nobody writes it any more."""
    return time.time() - path.stat().st_mtime >= STILL_WRITTEN_S


def _renamed(path: Path, to: Path) -> Callable[[], object]:
    return lambda: path.replace(to)
