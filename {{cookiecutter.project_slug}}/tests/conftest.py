"""What the tests share: a small table, its schema and how it was read."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from {{cookiecutter.package_name}} import features
from {{cookiecutter.package_name}}.kinds import Reading


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
    roles = {"size": "numeric", "noise": "numeric", "colour": "categorical"}
    described = features.describe_inputs(table, "kind", "classification", roles)
    return features.learn_inputs(described, table) | {"warnings": [], "dropped_rows": 0}


@pytest.fixture
def reading() -> dict[str, Any]:
    return vars(Reading(columns={"size": "number", "noise": "number", "colour": "text", "kind": "text"}))
