"""What a user of the science would notice: refusals that name the cause, and results that come out again."""

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from onnx import load_from_string
from sklearn.pipeline import Pipeline

from {{cookiecutter.package_name}} import data, estimators, evaluation, export, features
from {{cookiecutter.package_name}}.errors import BadInput, GateClosed
from {{cookiecutter.package_name}}.inference import Model, Prediction
from {{cookiecutter.package_name}}.parameters import Score

FOREST = "sklearn.ensemble.RandomForestClassifier"


@pytest.fixture
def model(table: pd.DataFrame, schema: features.Schema) -> Pipeline:
    forest = estimators.build(FOREST, {"n_estimators": 20}, random_state=0)
    X, y = features.inputs(table, schema), features.labels(table, schema)
    return features.pipeline(schema, forest, scale=False).fit(X, y)


@pytest.mark.parametrize("name", ["absent.csv", "table.txt"])
def test_a_source_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match=r"→ set ingest\.source"):
        data.read_source(tmp_path / name)


def test_an_unknown_target_is_refused_with_the_columns_there_are(table: pd.DataFrame) -> None:
    with pytest.raises(BadInput, match="size, noise, colour, kind"):
        features.describe_inputs(table, "kin")


def test_the_same_seed_splits_the_same_rows(table: pd.DataFrame, schema: features.Schema) -> None:
    first, second = (features.split(table, schema, test_size=0.25, random_state=7)[1] for _ in range(2))
    pd.testing.assert_frame_equal(first, second)


def test_rows_without_a_target_are_left_out(table: pd.DataFrame, schema: features.Schema) -> None:
    table.loc[:9, "kind"] = None
    train, test = features.split(table, schema, test_size=0.25, random_state=7)
    assert len(train) + len(test) == 50


def test_a_misspelt_hyperparameter_is_named(table: pd.DataFrame) -> None:
    with pytest.raises(BadInput, match="did you mean 'n_estimators'"):
        estimators.build(FOREST, {"n_estimatrs": 5}, random_state=0)


@pytest.mark.parametrize("dotted", ["sklearn.ensemble.Forest", "os.path.join", "sklearn.linear_model.LinearRegression"])
def test_what_is_no_classifier_is_refused(dotted: str) -> None:
    with pytest.raises(BadInput, match=r"→ set train\.estimator"):
        estimators.build(dotted, {}, random_state=0)


@pytest.mark.parametrize("method", ["grid", "random"])
def test_a_search_finds_the_same_winner_again(model: Pipeline, table: pd.DataFrame, schema: Any, method: str) -> None:
    X, y = features.inputs(table, schema), features.labels(table, schema)
    space = {"n_estimators": [5, 10], "max_depth": [1, None]}
    settings = {"method": method, "space": space, "trials": 3, "cv": 2, "scoring": "f1_macro", "random_state": 1}
    (_, first), (_, second) = estimators.search(model, X, y, **settings), estimators.search(model, X, y, **settings)
    pd.testing.assert_frame_equal(first, second)


def test_the_scores_that_can_be_asked_for_are_those_that_are_computed() -> None:
    assert get_args(Score) == tuple(evaluation.SCORES)


def test_a_criterion_that_is_not_met_is_said() -> None:
    judged = evaluation.judge({"f1_macro": 0.8, "log_loss": 0.2}, {"f1_macro": 0.9, "log_loss": 0.3})
    assert (judged["passed"], judged["criteria"]["log_loss"]["passed"]) == (False, True)


def test_onnx_says_what_the_estimator_says(model: Pipeline, table: pd.DataFrame, schema: Any) -> None:
    table.loc[0, "colour"], table.loc[1, "size"] = "unseen", np.nan
    X, onnx = features.inputs(table, schema), export.convert(model, schema)
    served = Model(onnx, export.signature(onnx, model, schema, X))
    prediction = served.predict(table.astype(object).where(table.notna(), None).to_dict("list"))
    assert "60 rows" in export.stop_if_different(export.compare(model, X, prediction), tolerance=1e-5)


def test_a_model_that_says_something_else_is_not_exported(model: Pipeline, table: pd.DataFrame, schema: Any) -> None:
    X = features.inputs(table, schema)
    wrong = Prediction(labels=model.predict(X), probabilities=model.predict_proba(X)[:, ::-1])
    with pytest.raises(GateClosed, match=r"row \d+"):
        export.stop_if_different(export.compare(model, X, wrong), tolerance=1e-5)


def test_the_order_of_operator_sets_does_not_depend_on_the_process(model: Pipeline, schema: Any) -> None:
    domains = [one.domain for one in load_from_string(export.convert(model, schema)).opset_import]
    assert domains == ["", "ai.onnx.ml"]


def test_a_changed_model_file_is_not_loaded(model: Pipeline, table: pd.DataFrame, schema: Any, tmp_path: Path) -> None:
    onnx = export.convert(model, schema)
    data.write_bytes(onnx + b" ", tmp_path / "model.onnx")
    data.write_json(export.signature(onnx, model, schema, features.inputs(table, schema)), tmp_path / "signature.json")
    with pytest.raises(ValueError, match="not the model that its signature describes"):
        Model.load(tmp_path / "model.onnx", tmp_path / "signature.json")
