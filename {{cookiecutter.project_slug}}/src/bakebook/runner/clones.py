"""The folders in which clones of the project run pipelines: nb retrain's, nb simulate's."""

from contextlib import suppress
from pathlib import Path

from bakebook.errors import Unreachable
from bakebook.files import remove_tree
from bakebook.paths import STATE
from bakebook.tracking import open_runs

PROJECT = "project"  # the clone in its folder; in a subfolder of it where the project is in one


def remove(root: Path, folder: Path) -> None:
    """Removes a clone of the project at `root`, or what an interrupted command left of it; MLflow
    is told of the runs that are still open.
    """
    for state in folder.glob(f"{PROJECT}/**/{STATE.as_posix()}"):
        for left in open_runs.left_open(state.parents[len(STATE.parts) - 1]):
            with suppress(Unreachable):
                open_runs.close(root, left)
    if folder.exists():
        remove_tree(folder)
