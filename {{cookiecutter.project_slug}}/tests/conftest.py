"""What the tests share: a small table, and notebooks that run in the order of the pipeline.

The cells of `notebooks/` that are tagged `nbval-check-output` must show what the pipeline's last run showed, when DVC
says that it is up to date; those of `reports/notebooks/` must all show again what they show.
"""

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbval.plugin import IPyNbCell

from {{cookiecutter.package_name}} import features
from {{cookiecutter.package_name}}.paths import ROOT
from {{cookiecutter.package_name}}.pipeline import notebooks
from {{cookiecutter.package_name}}.pipeline.project import load

EXECUTED = ROOT / "reports" / "notebooks"


def pytest_configure() -> None:
    """A notebook that calls MLflow logs to a store of its own here."""
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{Path(tempfile.mkdtemp()).as_posix()}/mlflow.db"


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
    if item.path == executed:
        item.options["check"], item.parent.skip_compare = True, ("metadata", "traceback", "execution_count")
    elif item.options["check"] and up_to_date and executed.exists():
        cells = {cell["id"]: cell for cell in nbformat.read(executed, as_version=4)["cells"]}
        item.cell |= {name: cells[item.cell["id"]][name] for name in ("outputs", "execution_count")}
    else:
        item.options["check"] = False


def _up_to_date() -> bool:
    return subprocess.run(["dvc", "status", "--quiet"], cwd=ROOT, check=False).returncode == 0


@pytest.fixture
def table() -> pd.DataFrame:
    """Sixty rows: a number that decides the class, one that does not, and a category with gaps."""
    random = np.random.default_rng(0)
    size = np.repeat([1.0, 2.0, 3.0], 20) + random.normal(0, 0.1, 60)
    colour = np.tile(["red", "white", None], 20)
    kind = np.repeat(["small", "medium", "large"], 20)
    return pd.DataFrame({"size": size, "noise": random.normal(size=60), "colour": colour, "kind": kind})


@pytest.fixture
def schema(table: pd.DataFrame) -> features.Schema:
    return features.describe_inputs(table, "kind")
