"""What the tests of the library share: a small table, its schema, and the project's package before it is baked."""

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from alembic import command
from alembic.config import Config
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from bakebook.contracts import ReadOptions, Schema
from bakebook.database.backup import upgrade
from bakebook.database.store import MIGRATIONS, VERSION_TABLE, Store, new_id
from bakebook.models.schema import describe_inputs, learn_inputs

PROJECT = Path(__file__).parents[2] / "{{cookiecutter.project_slug}}"
PACKAGE = PROJECT / "src" / "{{cookiecutter.package_name}}"
ROLES = {"size": "numeric", "noise": "numeric", "colour": "categorical"}


def project_module(name: str) -> ModuleType:
    """A module of the project's own package, which is plain Python before it is baked."""
    if "project" not in sys.modules:
        folders = [str(PACKAGE)]
        spec = spec_from_file_location("project", PACKAGE / "__init__.py", submodule_search_locations=folders)
        assert spec
        sys.modules["project"] = module_from_spec(spec)
    return import_module(f"project.{name}")


@pytest.fixture(scope="session")
def make_pipeline() -> Callable[[Schema, BaseEstimator], Pipeline]:
    """The project's preprocessing and an estimator as one model."""
    found: Callable[[Schema, BaseEstimator], Pipeline] = project_module("features").pipeline
    return found


@pytest.fixture
def table() -> pd.DataFrame:
    """Sixty rows: a number that decides the class, one that does not, and a category with gaps."""
    random = np.random.default_rng(0)
    size = np.repeat([1.0, 2.0, 3.0], 20) + random.normal(0, 0.1, 60)
    colour = np.tile(["red", "white", None], 20)
    kind = np.repeat(["small", "medium", "large"], 20)
    return pd.DataFrame({"size": size, "noise": random.normal(size=60), "colour": colour, "kind": kind})


@pytest.fixture
def schema(table: pd.DataFrame) -> Schema:
    return learn_inputs(describe_inputs(table, "kind", "classification", ROLES), table)


@pytest.fixture
def options() -> ReadOptions:
    """How the table would be read."""
    return ReadOptions(columns={"size": "number", "noise": "number", "colour": "text", "kind": "text"})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty database."""
    store = Store(f"sqlite:///{tmp_path / 'service.db'}")
    upgrade(store)
    yield store
    store.close()


def store_of(version: str, path: Path) -> Store:
    """An empty database as an earlier version made it."""
    store = Store(f"sqlite:///{path}")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with store.engine.begin() as connection:
        config.attributes |= {"connection": connection, "version_table": VERSION_TABLE}
        command.upgrade(config, version)
    return store


def stored(**more: Any) -> dict[str, Any]:
    """A prediction as the store takes it."""
    row = {
        "id": new_id(),
        "made_at": datetime.now(UTC),
        "request_id": "r",
        "caller": "me",
        "model_version": "m",
        "inputs": {"size": 1.0},
        "predicted": "a",
        "probabilities": None,
        "uncertainty": 0.2,
        "latency_ms": 1.0,
        "is_sample": False,
        "unfamiliar": 0,
    }
    return row | more
