"""Which imports of a notebook lead nowhere."""

import ast
from pathlib import Path

import pytest

from bakebook.contract.imports import unknown_imports


@pytest.fixture
def source(tmp_path: Path) -> Path:
    package = tmp_path / "mine"
    (package / "evaluation").mkdir(parents=True)
    (package / "__init__.py").write_text("ANSWER = 42\nfrom os import path as place\n", "utf-8")
    (package / "features.py").write_text("", "utf-8")
    (package / "evaluation" / "__init__.py").write_text("", "utf-8")
    (package / "evaluation" / "scores.py").write_text("", "utf-8")
    (tmp_path / "lazy").mkdir()
    (tmp_path / "lazy" / "__init__.py").write_text("def __getattr__(name):\n    return 1\n", "utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("code", "missing"),
    [
        ("from mine import features, evaluation, ANSWER, place", []),
        ("import mine.features, mine.evaluation.scores", []),
        ("from mine.features import anything", []),
        ("from mine import *", []),
        ("import pandas.nothing\nfrom os import nothing", []),
        ("try:\n    import mine.fast\nexcept ImportError:\n    pass", []),
        ("from mine import data, features", ["mine.data"]),
        ("import mine.data", ["mine.data"]),
        ("from mine.data import read_table", ["mine.data"]),
        ("from mine.evaluation import curves", ["mine.evaluation.curves"]),
        ("from lazy import anything", []),
        ("if True:\n    from mine.parameters import Seed", ["mine.parameters"]),
    ],
)
def test_only_modules_of_the_source_folder_that_do_not_exist_are_named(
    source: Path, code: str, missing: list[str]
) -> None:
    assert unknown_imports(ast.parse(code).body, source, source) == missing
