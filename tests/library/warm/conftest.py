"""A small environment in which the fork server runs."""

import os
import shutil
import signal
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from warm.world import World


@pytest.fixture(scope="module")
def empty_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("environment") / "venv"
    venv.create(folder, with_pip=False)
    return folder


@pytest.fixture
def world(tmp_path: Path, empty_environment: Path) -> Iterator[World]:
    for name in ("modules", "runtime"):
        (tmp_path / name).mkdir()
    world = World(tmp_path / "modules", empty_environment, tmp_path / "runtime")
    yield world
    for pid in world.servers():
        os.kill(pid, signal.SIGKILL)
    for path in world.libraries.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
