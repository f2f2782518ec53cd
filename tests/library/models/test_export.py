"""ONNX predicts what the estimator predicts, or nothing is exported."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from onnx import load_from_string
from sklearn.pipeline import Pipeline

from bakebook.artifacts import write_bytes, write_json
from bakebook.contracts import ReadOptions, Schema
from bakebook.errors import BadInput, CheckFailed
from bakebook.models import estimators, export
from bakebook.models.runtime import Model, Prediction
from bakebook.models.schema import to_X, to_X_y

FOREST = "sklearn.ensemble.RandomForestClassifier"
Make = Callable[..., Pipeline]


@pytest.fixture
def model(table: pd.DataFrame, schema: Schema, make_pipeline: Make) -> Pipeline:
    forest = estimators.build(FOREST, {"n_estimators": 20}, "classification", random_state=0)
    return make_pipeline(schema, forest).fit(*to_X_y(table, schema))


def classes(model: Pipeline, X: pd.DataFrame, schema: Schema) -> np.ndarray:
    return np.array(schema.classes, dtype=object)[model.predict(X)]


def test_onnx_predicts_what_the_estimator_predicts(
    model: Pipeline, table: pd.DataFrame, schema: Schema, options: ReadOptions
) -> None:
    table.loc[0, "colour"] = "unseen"
    table.loc[1, "size"] = np.nan
    onnx = export.convert(model, schema)
    served = Model(onnx, export.signature(onnx, schema, options))
    rows = table.astype(object).where(table.notna(), None).to_dict("list")
    compared = export.compare(model, to_X(table, schema), served.predict(rows), schema)
    assert "60 rows" in export.stop_if_different(compared, tolerance=1e-5)


def test_a_model_with_other_probabilities_is_not_exported(model: Pipeline, table: pd.DataFrame, schema: Schema) -> None:
    X = to_X(table, schema)
    wrong = Prediction(classes(model, X, schema), model.predict_proba(X)[:, ::-1])
    with pytest.raises(CheckFailed, match=r"row \d+"):
        export.stop_if_different(export.compare(model, X, wrong, schema), tolerance=1e-5)


def test_another_class_alone_is_enough_to_refuse(model: Pipeline, table: pd.DataFrame, schema: Schema) -> None:
    X = to_X(table, schema)
    wrong = Prediction(classes(model, X, schema)[::-1], model.predict_proba(X))
    with pytest.raises(CheckFailed, match=r"differ on \d+ of 60 rows"):
        export.stop_if_different(export.compare(model, X, wrong, schema), tolerance=1e-5)


def test_the_order_of_operator_sets_does_not_depend_on_the_process(model: Pipeline, schema: Schema) -> None:
    domains = [one.domain for one in load_from_string(export.convert(model, schema)).opset_import]
    assert domains == ["", "ai.onnx.ml"]


def test_a_changed_model_file_is_not_loaded(
    model: Pipeline, schema: Schema, options: ReadOptions, tmp_path: Path
) -> None:
    onnx = export.convert(model, schema)
    write_bytes(onnx + b" ", tmp_path / "model.onnx")
    write_json(export.signature(onnx, schema, options), tmp_path / "signature.json")
    with pytest.raises(ValueError, match="not the model that its signature describes"):
        Model.load(tmp_path / "model.onnx", tmp_path / "signature.json")


def test_a_misspelt_hyperparameter_is_named() -> None:
    with pytest.raises(BadInput, match="did you mean 'n_estimators'"):
        estimators.build(FOREST, {"n_estimatrs": 5}, "classification", random_state=0)


@pytest.mark.parametrize("dotted", ["sklearn.ensemble.Forest", "os.path.join", "sklearn.linear_model.LinearRegression"])
def test_what_is_no_classifier_is_refused(dotted: str) -> None:
    with pytest.raises(BadInput, match=r"→ set train\.estimator"):
        estimators.build(dotted, {}, "classification", random_state=0)
