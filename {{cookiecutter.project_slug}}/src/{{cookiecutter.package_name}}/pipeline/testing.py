"""A plugin of pytest: notebooks run in the order of the pipeline, and nbval knows what each cell must show.

The cells of `notebooks/` that are tagged `nbval-check-output` must show what the pipeline's last run showed, when DVC
says that it is up to date; those of `reports/notebooks/` must all show again what they show.
"""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbval.plugin import IPyNbCell

from ..paths import ROOT
from . import notebooks
from .project import load

EXECUTED = ROOT / "reports" / "notebooks"


def pytest_configure() -> None:
    """What notebooks leave here goes to a folder of its own: neither the results nor MLflow's store are touched."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["NB_OUTPUTS"] = folder
    os.environ["NB_NO_BARS"] = "1"  # nbval takes a bar for an output, and does not see it move
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{Path(folder).as_posix()}/mlflow.db"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs notebooks after the tests: the stages as DVC would run them, then the exploratory ones."""
    project = load(ROOT)
    order = [name for end in project.stages for name in [*project.upstream(end), end]]
    items.sort(key=lambda item: _place(item, order))
    cells = [item for item in items if isinstance(item, IPyNbCell)]
    up_to_date = bool(cells) and _up_to_date()
    for cell in cells:
        _set_expectation(cell, up_to_date)


def _place(item: pytest.Item, order: list[str]) -> int:
    if item.path.suffix != ".ipynb":
        return -1
    return order.index(item.path.stem) if item.path.stem in order else len(order)


def _set_expectation(item: Any, up_to_date: bool) -> None:
    """Tells nbval what the cell must show, or that nothing is known of it."""
    executed = EXECUTED / item.path.name
    item.parent.sanitize_patterns |= notebooks.unsteady(ROOT)
    if executed.exists() and item.path.samefile(executed):
        item.options["check"], item.parent.skip_compare = True, ("metadata", "traceback", "execution_count")
    elif item.options["check"] and up_to_date and executed.exists():
        cells = {cell["id"]: cell for cell in nbformat.read(executed, as_version=4)["cells"]}
        item.cell |= {name: cells[item.cell["id"]][name] for name in ("outputs", "execution_count")}
    else:
        item.options["check"] = False


def _up_to_date() -> bool:
    return subprocess.run([sys.executable, "-m", "dvc", "status", "--quiet"], cwd=ROOT, check=False).returncode == 0
