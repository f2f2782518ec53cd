"""What the tests share: a small table and its schema."""

import numpy as np
import pandas as pd
import pytest

from bakebook.contracts import Schema
from bakebook.models.schema import describe_inputs, learn_inputs

ROLES = {"size": "numeric", "noise": "numeric", "colour": "categorical"}


@pytest.fixture
def table() -> pd.DataFrame:
    """Sixty rows: a number that decides the class, one that does not, and a category with gaps."""
    random = np.random.default_rng(0)
    size = np.repeat([1.0, 2.0, 3.0], 20) + random.normal(0, 0.1, 60)
    colour = np.tile(["red", "white", None], 20)
    kind = np.repeat(["small", "medium", "large"], 20)
    columns = {"size": size, "noise": random.normal(size=60), "colour": colour, "kind": kind}
    return pd.DataFrame(columns)


@pytest.fixture
def schema(table: pd.DataFrame) -> Schema:
    described = describe_inputs(table, "kind", "classification", ROLES)
    return learn_inputs(described, table)
