"""What `nb check` finds about estimator, hyperparameters, roles and split without importing a library."""

import inspect
import warnings
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml.comments import CommentedMap
from sklearn.utils import all_estimators

from bakebook.contract import estimator
from bakebook.contract.project import Project
from bakebook.contract.roles import check_roles
from bakebook.models.estimators import dotted

PARAMS: dict[str, Any] = {
    "ingest": {"columns": {"Age": "number", "Sex": "text", "born": "datetime %d.%m.%Y", "y": "text"}},
    "prepare": {
        "target": "y",
        "task": "classification",
        "roles": {"Age": "numeric", "Sex": "categorical", "born": "datetime"},
        "split": "stratified",
        "split_by": "",
    },
    "train": {
        "estimator": "sklearn.ensemble.RandomForestClassifier",
        "hyperparameters": {"n_estimators": 100},
        "search": "none",
        "search_space": {"max_depth": [3, 6]},
    },
}
UNREADABLE = {"sklearn.linear_model.RidgeCV", "sklearn.multioutput.RegressorChain"}  # their base has the signature


def with_lines(values: object) -> object:
    """Mappings as ruamel reads them, which know their lines."""
    if not isinstance(values, dict):
        return values
    found = CommentedMap()
    found.lc.line = found.lc.col = 0
    for number, (name, value) in enumerate(values.items()):
        found[name] = with_lines(value)
        found.lc.add_kv_line_col(name, [number, 0, number, 0])
    return found


def project(folder: Path, section: str, **changes: object) -> Project:
    params = deepcopy(PARAMS)
    params[section] |= changes
    (folder / "src" / "mine").mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text('[tool.bakebook]\npackage = "mine"\n', "utf-8")
    return Project(folder, with_lines(params), CommentedMap(), {})


Check = Callable[..., list[str]]


@pytest.fixture
def of_estimator(tmp_path: Path) -> Check:
    def found(**changes: object) -> list[str]:
        made = project(tmp_path, "train", **changes)
        return [f"{one.what} → {one.remedy}" for one in estimator.check_estimator(made)]

    return found


@pytest.fixture
def of_roles(tmp_path: Path) -> Check:
    def found(**changes: object) -> list[str]:
        return [f"{one.what} → {one.remedy}" for one in check_roles(project(tmp_path, "prepare", **changes))]

    return found


def test_a_project_in_order_has_no_fault(of_estimator: Check, of_roles: Check) -> None:
    assert of_estimator() == of_roles() == []


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("sklearn.ensemble.RandomForestClassifer", "did you mean 'sklearn.ensemble.RandomForestClassifier'?"),
        ("sklearn.tree.RandomForestClassifier", "did you mean 'sklearn.ensemble.RandomForestClassifier'?"),
        ("sklearn.ensembel.RandomForestClassifier", "did you mean 'sklearn.ensemble.RandomForestClassifier'?"),
        ("RandomForestClassifier", "did you mean 'sklearn.ensemble.RandomForestClassifier'?"),
        ("skleran.ensemble.RandomForestClassifier", "did you mean 'sklearn'?"),
        ("sklearn.ensemble.Nothing", "nb estimators lists them"),
        ("mine.models.Net", "nb estimators lists them"),
    ],
)
def test_an_estimator_that_does_not_exist_is_named_with_the_nearest(of_estimator: Check, path: str, found: str) -> None:
    assert of_estimator(estimator=path) == [f"there is no estimator '{path}' → {found}"]


def test_an_estimator_of_the_other_task_is_named_with_its_twin(of_estimator: Check) -> None:
    (fault,) = of_estimator(estimator="sklearn.ensemble.RandomForestRegressor")
    assert fault == (
        "sklearn.ensemble.RandomForestRegressor is a regressor, and prepare.task is classification "
        "→ sklearn.ensemble.RandomForestClassifier"
    )


def test_a_library_that_is_not_installed_is_named_with_its_group(of_estimator: Check) -> None:
    if estimator.find_spec("lightgbm"):
        pytest.skip("LightGBM is installed here")
    assert of_estimator(estimator="lightgbm.LGBMClassifier") == ["lightgbm is not installed → uv sync --group lightgbm"]


def test_a_class_of_the_project_is_found_with_what_it_needs(of_estimator: Check, tmp_path: Path) -> None:
    (tmp_path / "src" / "mine").mkdir(parents=True)
    (tmp_path / "src" / "mine" / "__init__.py").touch()
    source = "import {}\n\nclass Net(BaseEstimator):\n    def __init__(self, depth=3, width=4):\n        pass\n"
    path = tmp_path / "src" / "mine" / "nets.py"
    path.write_text(source.format("numpy"), "utf-8")
    assert of_estimator(estimator="mine.nets.Net", hyperparameters={"depth": 2}) == []
    assert of_estimator(estimator="mine.nets.Net", hyperparameters={"dept": 2}) == [
        "train.hyperparameters: Net has no hyperparameter 'dept' → did you mean 'depth'?"
    ]
    assert of_estimator(estimator="mine.nets.Nte") == [
        "there is no estimator 'mine.nets.Nte' → nb estimators lists them"
    ]
    if not estimator.find_spec("torch"):
        path.write_text(source.format("torch"), "utf-8")
        assert of_estimator(estimator="mine.nets.Net") == [
            "mine.nets.Net needs torch, which is not installed → uv sync --group torch"
        ]


def test_hyperparameters_of_another_estimator_do_not_survive_in_silence(of_estimator: Check) -> None:
    path = "sklearn.ensemble.HistGradientBoostingClassifier"
    (fault,) = of_estimator(estimator=path)
    assert fault.startswith(
        "train.hyperparameters: HistGradientBoostingClassifier has no hyperparameter 'n_estimators'"
    )
    assert of_estimator(estimator=path, hyperparameters={}) == []


def test_names_of_the_search_space_count_only_while_they_are_searched(of_estimator: Check) -> None:
    space = {"max_dept": [1, 2]}
    assert of_estimator(search_space=space) == of_estimator(search_space=space, search="automl") == []
    (fault,) = of_estimator(search_space=space, search="random")
    assert fault.endswith("has no hyperparameter 'max_dept' → did you mean 'max_depth'?")


def test_every_estimator_of_scikit_learn_is_found_with_its_hyperparameters(tmp_path: Path) -> None:
    for task, kind in (("classification", "classifier"), ("regression", "regressor")):
        with warnings.catch_warnings(action="ignore"):
            classes = [class_ for _, class_ in all_estimators(kind)]
        made = project(tmp_path, "prepare", task=task)
        for class_ in classes:
            path = dotted(class_)
            made.params["train"]["estimator"] = path
            names = dict.fromkeys(inspect.signature(class_).parameters)
            made.params["train"]["hyperparameters"] = with_lines(names)
            assert list(estimator.check_estimator(made)) == [], path
            if path not in UNREADABLE:
                made.params["train"]["hyperparameters"] = with_lines({"no_such_name": 1})
                assert len(list(estimator.check_estimator(made))) == 1, path


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"target": "Sec"}, "prepare.target is 'Sec', which is not a column → did you mean 'Sex'?"),
        ({"task": "regression"}, "prepare.task is regression, and column 'y' is text → classification"),
        ({"roles": {"Age": "datetime", "Sex": "text", "born": "datetime"}}, "prepare.roles.Age is datetime"),
        ({"roles": {"Age": "numeric", "Sex": "numeric", "born": "datetime"}}, "prepare.roles.Sex is numeric"),
        ({"roles": {"Age": "numeric", "Sex": "text", "born": "categorical"}}, "prepare.roles.born is categorical"),
        ({"roles": {"Age": "numeric", "Sexx": "text", "born": "datetime"}}, "→ did you mean 'Sex'?"),
        ({"roles": {"Age": "numeric", "born": "datetime"}}, "prepare.roles has no role for column 'Sex'"),
        ({"roles": {**PARAMS["prepare"]["roles"], "y": "text"}}, "prepare.roles has 'y', which is the target"),
        ({"split": "time"}, "prepare.split is time, and split_by '' is not a column"),
        ({"split": "time", "split_by": "Sex"}, "prepare.split is time, and column 'Sex' is text"),
        ({"split": "group", "split_by": "sx"}, "prepare.split is group, and split_by 'sx' is not a column"),
    ],
)
def test_what_cannot_fit_the_table_is_named(of_roles: Check, changes: dict[str, object], found: str) -> None:
    assert any(found in fault for fault in of_roles(**changes)), of_roles(**changes)


def test_a_dtype_that_does_not_exist_is_named(tmp_path: Path) -> None:
    made = project(tmp_path, "ingest", columns={**PARAMS["ingest"]["columns"], "Age": "nubmer"})
    (fault,) = check_roles(made)
    assert fault.what == "ingest.columns.Age is 'nubmer', which is not a dtype"
    assert fault.remedy == "did you mean 'number'?"


def test_a_column_of_ones_own_can_have_a_role_that_its_type_allows(tmp_path: Path) -> None:
    made = project(tmp_path, "prepare", roles={**PARAMS["prepare"]["roles"], "Old": "categorical"})
    source = (
        "from bakebook.models.columns import column\n\n\n@column\ndef Old(Age: float) -> bool:\n    return Age > 60\n"
    )
    (tmp_path / "src" / "mine" / "columns.py").write_text(source, "utf-8")
    assert list(check_roles(made)) == []
    made.params["prepare"]["roles"]["Old"] = "datetime"
    (fault,) = check_roles(made)
    assert fault.what == "prepare.roles.Old is datetime, and the column's dtype is boolean"
