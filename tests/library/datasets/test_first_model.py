"""The estimator that `nb data use` writes: by task and rows, unless a person has chosen one."""

from pathlib import Path

import pytest
from conftest import project_module

from bakebook.contract.project import Project
from bakebook.contract.yaml_files import reader
from bakebook.datasets.settings_writer import write_training

PARAMS = """\
prepare:
  task: {task}

train:
  estimator: {estimator}
  hyperparameters:
    n_estimators: 300  # tuned
  search: none
  search_space:
    n_estimators: [50, 100]
  scoring: f1_macro

evaluate:
  criteria:
    f1_macro: 0.9
"""
FOREST = "sklearn.ensemble.RandomForestClassifier"
BOOSTING = "sklearn.ensemble.HistGradientBoostingClassifier"
OWN = "sklearn.linear_model.LogisticRegression"


def written(tmp_path: Path, estimator: str, rows: int, task: str = "classification") -> Project:
    params = reader().load(PARAMS.format(task="classification", estimator=estimator))
    project = Project(tmp_path, params, {"stages": {}}, {})
    write_training(project, project_module("evaluation.scores").task_of(task), rows)
    return project


@pytest.mark.parametrize(
    ("before", "rows", "after"),
    [
        (FOREST, 1999, FOREST),
        (FOREST, 2000, BOOSTING),
        (BOOSTING, 2000, BOOSTING),
        (BOOSTING, 300, FOREST),
        (OWN, 100, OWN),
        (OWN, 100_000, OWN),
    ],
)
def test_the_size_of_the_table_decides_unless_a_person_did(tmp_path: Path, before: str, rows: int, after: str) -> None:
    train = written(tmp_path, before, rows).params["train"]
    assert train["estimator"] == after
    is_kept = before == after
    assert (dict(train["hyperparameters"]) == {"n_estimators": 300}) is is_kept
    assert (list(train["search_space"]) == ["n_estimators"]) is is_kept


@pytest.mark.parametrize(("rows", "after"), [(149, "RandomForestRegressor"), (150, "HistGradientBoostingRegressor")])
def test_another_task_has_another_estimator(tmp_path: Path, rows: int, after: str) -> None:
    project = written(tmp_path, OWN, rows, task="regression")
    assert project.params["train"]["estimator"] == f"sklearn.ensemble.{after}"
    assert project.params["train"]["scoring"] == "r2"
    known = set(project.params["train"]["search_space"])
    assert ("learning_rate" in known) is (after != "RandomForestRegressor")
