"""What the library reads of `pyproject.toml`."""

from pathlib import Path

import pytest

from bakebook.errors import BadInput, first_few
from bakebook.files import read_pyproject
from bakebook.tracking.store import Store


@pytest.mark.parametrize("text", ["", "[project]\n", "[project]\nname = 3\n", "project = 3\n", "[project\n"])
def test_a_missing_name_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        read_pyproject(tmp_path, "project", "name")
    assert caught.value.what == "pyproject.toml has no [project] with 'name'"


def test_the_experiment_is_named_after_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    with pytest.raises(BadInput):
        _ = Store(tmp_path).experiment
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "wine"\n', encoding="utf-8")
    assert Store(tmp_path).experiment == "wine"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "another")
    assert Store(tmp_path).experiment == "another"


def test_of_many_names_the_first_are_shown() -> None:
    assert first_few(["a", "b"], 2) == "a, b"
    assert first_few(["a", "b", "c"], 2) == "a, b and 1 more"
