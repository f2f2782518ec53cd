"""Which model answers: verified copies only."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from bakebook.artifacts import write_bytes, write_json
from bakebook.contracts import ReadOptions, Schema
from bakebook.models import estimators, export
from bakebook.models.runtime import Model
from bakebook.models.schema import to_X_y
from bakebook.serving.deployments import Deployments, Refused


@pytest.fixture
def candidate(
    table: pd.DataFrame,
    schema: Schema,
    options: ReadOptions,
    make_pipeline: Callable[..., Pipeline],
    tmp_path: Path,
) -> Path:
    """A folder with a small model, as the pipeline would write it."""
    tree = estimators.build("sklearn.tree.DecisionTreeClassifier", {}, "classification", random_state=0)
    model = make_pipeline(schema, tree).fit(*to_X_y(table, schema))
    onnx = export.convert(model, schema)
    served = Model(onnx, export.signature(onnx, schema, options))
    write_bytes(onnx, tmp_path / "candidate" / "model.onnx")
    write_json(export.with_examples(served, table), tmp_path / "candidate" / "signature.json")
    return tmp_path / "candidate"


def test_a_model_that_does_not_predict_its_examples_is_refused_and_not_tried_again(
    candidate: Path, tmp_path: Path
) -> None:
    deployments = Deployments(tmp_path / "models")
    deployments.adopt(candidate, "first", "a test")
    version = deployments.load(10).version
    signature = json.loads((candidate / "signature.json").read_text("utf-8"))
    signature["examples"][0]["probabilities"] = dict.fromkeys(signature["classes"], 0.3)
    write_json(signature, candidate / "signature.json")
    with pytest.raises(Refused, match="its prediction of example 1 differs"):
        deployments.adopt(candidate, "second", "a test")
    assert "second" in deployments.ledger().refused
    assert deployments.load(10).version == version
