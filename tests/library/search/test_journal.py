"""A search is named after everything that its scores depend on, and after nothing else."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROJECT

NAME = """
import sys
import pandas as pd
from sklearn.tree import DecisionTreeClassifier
from bakebook.contracts import Input, Schema
from bakebook.models.rows import Rows
from bakebook.search.journal import journal_name
from bakebook.search.plan import Plan
from own import features

inputs = (Input(name="a", role="numeric"),)
schema = Schema(target="y", task="classification", classes=("0", "1"), inputs=inputs)
model = features.pipeline(schema, DecisionTreeClassifier())
plan = Plan("optuna", {"max_depth": [1, 2]}, int(sys.argv[1]), 0, 3, "f1_macro", 0)
X, y = pd.DataFrame({"a": [1.0, 2.0]}), pd.Series([0, 1])
print(journal_name(model, Rows(X, y), plan, None))
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The folder `src` of a project whose package is called `own`."""
    folder = tmp_path / "src"
    shutil.copytree(PROJECT / "src" / "bakebook", folder / "bakebook")
    shutil.copytree(PROJECT / "src" / "{{cookiecutter.package_name}}", folder / "own")
    return folder


def name(source: Path, trials: int = 5) -> str:
    """The journal's name, as a new process finds it."""
    done = subprocess.run(
        [sys.executable, "-c", NAME, str(trials)],
        cwd=source,
        env={"PYTHONPATH": str(source), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "file",
    ["own/features.py", "bakebook/search/cross_validation.py", "bakebook/models/encoding.py"],
)
def test_an_edit_of_what_a_score_depends_on_starts_another_search(source: Path, file: str) -> None:
    before = name(source)
    path = source / file
    path.write_text(path.read_text("utf-8") + "\n# edited\n", encoding="utf-8")
    assert name(source) != before


def test_an_edit_of_anything_else_keeps_the_search(source: Path) -> None:
    before = name(source)
    for file in (
        "own/plots.py",
        "own/splitting.py",
        "own/model_card.py",
        "bakebook/cli/main.py",
        "bakebook/serving/app.py",
        "bakebook/runner/run.py",
        "bakebook/search/optuna_search.py",
        "bakebook/search/journal.py",
        "bakebook/contract/imports.py",
    ):
        path = source / file
        path.write_text(path.read_text("utf-8") + "\n# edited\n", encoding="utf-8")
    assert name(source) == before


def test_more_trials_keep_the_search(source: Path) -> None:
    assert name(source, trials=9) == name(source)


def test_a_moved_module_does_not_leave_the_search(source: Path) -> None:
    """A function of the model that moves to a new file, which features.py imports, still counts."""
    features = source / "own" / "features.py"
    text = features.read_text("utf-8")
    (source / "own" / "medians.py").write_text('"""Moved."""\n', encoding="utf-8")
    features.write_text(text + "\nfrom . import medians  # noqa: E402\n", encoding="utf-8")
    before = name(source)
    (source / "own" / "medians.py").write_text('"""Edited."""\n', encoding="utf-8")
    assert name(source) != before
