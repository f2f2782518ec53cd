"""A plugin of pytest: runs notebooks in the order of the pipeline, and tells nbval what each cell
must show.

Cells of `notebooks/` with the tag `nbval-check-output` must show what the pipeline's last run
showed, when DVC reports that it is up to date. Cells of `reports/notebooks/` must all show again
what they show, except those of a command, which looks at more than files.
"""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest
from nbval.plugin import IPyNbCell

from bakebook.contract import notebooks
from bakebook.contract.project import COMMANDS, load
from bakebook.paths import ROOT

EXECUTED = ROOT / "reports" / "notebooks"
NEVER_COMPARED = ("metadata", "traceback", "execution_count")


def pytest_configure() -> None:
    """Sends what notebooks write to a temporary folder: results and MLflow's store stay as they
    are.
    """
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["NB_OUTPUTS"] = folder
    os.environ["NB_NO_BARS"] = (
        "1"  # nbval takes a progress bar as an output, and does not see it move
    )
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{Path(folder).as_posix()}/mlflow.db"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs notebooks after the tests: the stages as DVC would run
    them, then the exploratory ones.
    """
    project = load(ROOT)
    order = [name for end in project.stages for name in [*project.upstream(end), end]]
    items.sort(key=lambda item: _place(item, order))
    cells = [item for item in items if isinstance(item, IPyNbCell)]
    is_current = bool(cells) and _is_up_to_date()
    for cell in cells:
        _set_expectation(cell, is_current)


def _place(item: pytest.Item, order: list[str]) -> int:
    if item.path.suffix != ".ipynb":
        return -1
    return order.index(item.path.stem) if item.path.stem in order else len(order)


def _set_expectation(item: IPyNbCell, is_current: bool) -> None:
    """Sets nbval's expectation of a cell, by attributes of its items that are not documented.

    The project allows nbval below version 1; test_bytes.py fails when an output that differs is not
    reported.
    """
    executed = EXECUTED / item.path.name
    item.parent.sanitize_patterns |= notebooks.volatile_text(ROOT)
    is_executed = executed.exists() and item.path.samefile(executed)
    if is_executed and item.path.stem not in COMMANDS:
        item.options["check"] = True
        item.parent.skip_compare = NEVER_COMPARED
    elif item.options["check"] and is_current and executed.exists() and not is_executed:
        cells = {cell["id"]: cell for cell in nbformat.read(executed, as_version=4)["cells"]}
        shown = cells[item.cell["id"]]
        item.cell["outputs"] = shown["outputs"]
        item.cell["execution_count"] = shown["execution_count"]
    else:
        item.options["check"] = False


def _is_up_to_date() -> bool:
    command = [sys.executable, "-m", "dvc", "status", "--quiet"]
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0
