"""The trained pipeline as ONNX, and the proof that both say the same."""

import hashlib
import json
from typing import Any

import numpy as np
import pandas as pd
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.pipeline import Pipeline

from .errors import GateClosed
from .features import Schema
from .inference import Prediction


def convert(model: Pipeline, schema: Schema) -> bytes:
    """The ONNX file: one input (n, 1) per column, outputs `label` (n,) and `probabilities` (n, classes)."""
    tensors = {"number": FloatTensorType, "category": StringTensorType}
    initial_types = [(c["name"], tensors[c["type"]]([None, 1])) for c in schema["inputs"]]
    onnx = to_onnx(
        model,
        initial_types=initial_types,
        options={id(model): {"zipmap": False}},
        name=type(model.named_steps["estimator"]).__name__,
    )
    # skl2onnx takes the operator sets from a Python set, whose order changes from process to process.
    operator_sets = sorted(onnx.opset_import, key=lambda one: one.domain)
    del onnx.opset_import[:]
    onnx.opset_import.extend(operator_sets)
    return onnx.SerializeToString(deterministic=True)


def signature(onnx: bytes, model: Pipeline, schema: Schema, example: pd.DataFrame) -> dict[str, Any]:
    """What a caller must know: inputs and outputs with names, types and shapes, classes, the file's hash, a row."""
    classes = [str(name) for name in model.classes_]
    inputs = [{**column, "shape": [-1, 1]} for column in schema["inputs"]]
    outputs = [
        {"name": "label", "type": "category", "shape": [-1]},
        {"name": "probabilities", "type": "number", "shape": [-1, len(classes)]},
    ]
    file = {"file": "model.onnx", "sha256": hashlib.sha256(onnx).hexdigest(), "bytes": len(onnx)}
    rows = json.loads(example.head(1).to_json(orient="records"))
    found = {"model": file, "target": schema["target"], "classes": classes, "inputs": inputs, "outputs": outputs}
    return found | {"example": rows[0]}


def compare(model: Pipeline, X: pd.DataFrame, prediction: Prediction) -> pd.DataFrame:
    """Row by row: the estimator's label, ONNX's label, and the largest difference of a probability."""
    difference = np.abs(model.predict_proba(X) - prediction.probabilities).max(axis=1)
    return pd.DataFrame(
        {"estimator": model.predict(X), "onnx": prediction.labels, "difference": difference}, index=X.index
    ).sort_values("difference", ascending=False, kind="stable")


def stop_if_different(comparison: pd.DataFrame, tolerance: float) -> str:
    """Says that both agree on every row, or raises GateClosed with the worst rows."""
    wrong = comparison[(comparison["estimator"] != comparison["onnx"]) | ~(comparison["difference"] <= tolerance)]
    if wrong.empty:
        return f"ONNX and the estimator agree on {len(comparison)} rows within {tolerance:g}"
    worst = ", ".join(f"row {row} ({difference:.2g})" for row, difference in wrong["difference"].head(5).items())
    raise GateClosed(
        f"ONNX and the estimator differ on {len(wrong)} of {len(comparison)} rows by more than {tolerance:g}: {worst}"
        " → raise export.tolerance knowingly, or choose another estimator"
    )
