"""What the tests share: a small table, and notebooks that run in the order of the pipeline."""

import numpy as np
import pandas as pd
import pytest

from {{cookiecutter.package_name}} import features
from {{cookiecutter.package_name}}.paths import ROOT
from {{cookiecutter.package_name}}.pipeline.project import load


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs notebooks after the tests: the stages as DVC would run them, then the exploratory ones."""
    project = load(ROOT)
    order = [name for end in project.stages for name in [*project.upstream(end), end]]
    items.sort(key=lambda item: _place(item, order))


def _place(item: pytest.Item, order: list[str]) -> int:
    if item.path.suffix != ".ipynb":
        return -1
    return order.index(item.path.stem) if item.path.stem in order else len(order)


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
