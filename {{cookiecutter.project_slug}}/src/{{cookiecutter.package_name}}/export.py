"""The trained pipeline as ONNX, and the proof that both say the same."""

import hashlib
from copy import deepcopy
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from skl2onnx import to_onnx, update_registered_converter
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import Pipeline

from .encoding import tensor_types
from .errors import GateClosed
from .features import Schema
from .inference import Model, Prediction

OPERATOR_SETS = {"": 21, "ai.onnx.ml": 3}  # the newest that the converters of all families know
TENSORS = {"number": FloatTensorType, "category": StringTensorType, "text": StringTensorType}


def convert(model: Pipeline, schema: Schema) -> bytes:
    """The ONNX file: one input (n, 1) per tensor; outputs the class (n,) and probabilities (n, classes), or (n, 1)."""
    _register(type(model.named_steps["estimator"]))
    model = _in_32_bits(model)
    kinds = {name: kind for column in schema["inputs"] for name, kind in tensor_types(column).items()}
    options: dict[Any, Any] = {TfidfVectorizer: {"tokenexp": "[^ ]+"}}
    if schema["task"] == "classification":
        options[id(model)] = {"zipmap": False}
    onnx = to_onnx(
        model,
        initial_types=[(name, TENSORS[kind]([None, 1])) for name, kind in kinds.items()],
        options=options,
        target_opset=OPERATOR_SETS,
        name=type(model.named_steps["estimator"]).__name__,
    )
    # skl2onnx takes the operator sets from a Python set, whose order changes from process to process.
    operator_sets = sorted(onnx.opset_import, key=lambda one: one.domain)
    del onnx.opset_import[:]
    onnx.opset_import.extend(operator_sets)
    return onnx.SerializeToString(deterministic=True)


def _in_32_bits(model: Pipeline) -> Pipeline:
    """A copy whose histogram gradient boosting has thresholds of 32 bits, which skl2onnx would round to the nearest."""
    if not hasattr(model.named_steps["estimator"], "_predictors"):
        return model
    model = deepcopy(model)
    for tree in chain.from_iterable(model.named_steps["estimator"]._predictors):
        tree.nodes["num_threshold"] = _rounded_down(tree.nodes["num_threshold"])
    return model


def _rounded_down(values: np.ndarray) -> np.ndarray:
    """The greatest number of 32 bits that is not above each: what is not above the one is not above the other."""
    nearest = values.astype(np.float32)
    return np.where(nearest > values, np.nextafter(nearest, np.float32(-np.inf)), nearest)


def _register(kind: type) -> None:
    """Lets skl2onnx convert the estimators of other libraries."""
    family, is_classifier = kind.__module__.split(".")[0], hasattr(kind, "predict_proba")
    shapes = calculate_linear_classifier_output_shapes if is_classifier else calculate_linear_regressor_output_shapes
    options: dict[str, list[Any]] = {"nocl": [True, False], "zipmap": [True, False, "columns"]} if is_classifier else {}
    if family not in {"lightgbm", "xgboost"}:
        return
    if family == "lightgbm" and not is_classifier:
        options["split"] = [None]
    convert = _convert_lightgbm if family == "lightgbm" else _xgboost_converter()
    update_registered_converter(kind, kind.__name__, shapes, convert, options=options)


def _xgboost_converter() -> Any:
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost

    return convert_xgboost


def _convert_lightgbm(scope: Any, operator: Any, container: Any) -> None:
    """onnxmltools' converter, given thresholds that a float32 holds: what was below one in 64 bits stays below."""
    from onnxmltools.convert.lightgbm.operator_converters import LightGbm as converter  # noqa: N813 - a module

    dump = converter.dump_booster_model

    def rounded(*args: Any, **kwargs: Any) -> Any:
        dumped, info = dump(*args, **kwargs)
        for tree in dumped["tree_info"]:
            _round_down(tree["tree_structure"])
        return dumped, info

    converter.dump_booster_model = rounded
    try:
        converter.convert_lightgbm(scope, operator, container)
    finally:
        converter.dump_booster_model = dump


def _round_down(node: dict[str, Any]) -> None:
    if "threshold" in node:
        node["threshold"] = float(_rounded_down(np.array(node["threshold"], dtype=np.float64)))
        _round_down(node["left_child"])
        _round_down(node["right_child"])


def signature(onnx: bytes, schema: Schema, reading: dict[str, Any]) -> dict[str, Any]:
    """What a caller must know: the file's hash, the inputs and classes (null: a number), how a file of rows is read."""
    file = {"file": "model.onnx", "sha256": hashlib.sha256(onnx).hexdigest(), "bytes": len(onnx)}
    known = {name: schema[name] for name in ("target", "task", "classes", "inputs")}
    kinds = {column["name"]: reading["columns"][column["name"]] for column in schema["inputs"]}
    columns = {name: "number" if kind == "integer" else kind for name, kind in kinds.items()}  # 12.0 is asked about too
    return {"model": file, **known, "reading": reading | {"columns": columns}}


def examples(model: Model, table: pd.DataFrame, most: int = 5) -> list[dict[str, Any]]:
    """A few rows as a caller would give them, with what the model says: who loads it can see that it is whole."""
    names = [column["name"] for column in model.signature["inputs"]]
    spread = np.unique(np.linspace(0, len(table) - 1, most).astype(int))
    shown = table[names].iloc[spread].to_dict("records")
    rows = [{str(name): _plain(value) for name, value in row.items()} for row in shown]
    said = model.predict({name: [row[name] for row in rows] for name in names})
    found = []
    for place, row in enumerate(rows):
        one = {"inputs": row, "predicted": _plain(said.values[place])}
        if said.probabilities is not None and model.classes is not None:
            one["probabilities"] = dict(zip(model.classes, said.probabilities[place].tolist(), strict=True))
        found.append(one)
    return found


def _plain(value: Any) -> Any:
    """A value of a table as JSON has it."""
    if pd.isna(value):
        return None
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return value.item() if isinstance(value, np.generic) else value


def compare(model: Pipeline, X: pd.DataFrame, prediction: Prediction, schema: Schema) -> pd.DataFrame:
    """Row by row: what the estimator says, what ONNX says, and how far they differ, the worst first.

    The difference is the largest of a probability; for a regression, it is relative to the spread of the predictions.
    Where ONNX names another class, `behind` is how much less likely the estimator finds it: nothing for a tie.
    """
    said: np.ndarray = model.predict(X)
    behind = np.zeros(len(X))
    if schema["task"] == "classification":
        probabilities, rows = model.predict_proba(X), np.arange(len(X))
        difference = np.abs(probabilities - prediction.probabilities).max(axis=1)
        places = pd.Index(schema["classes"]).get_indexer(pd.Index(prediction.values))
        behind = np.abs(probabilities[rows, said] - probabilities[rows, places])
        said = np.array(schema["classes"], dtype=object)[said]
    else:
        spread = float(np.std(said)) or max(1.0, float(np.abs(said).max()))
        difference = np.abs(said - prediction.values) / spread
    found = {"estimator": said, "onnx": prediction.values, "difference": difference, "behind": behind}
    return pd.DataFrame(found, index=X.index).sort_values(["difference", "behind"], ascending=False, kind="stable")


def stop_if_different(comparison: pd.DataFrame, tolerance: float) -> str:
    """Says that both agree on every row, or raises GateClosed with the worst rows."""
    wrong = comparison[~(comparison[["difference", "behind"]] <= tolerance).all(axis=1)]
    if wrong.empty:
        return f"ONNX and the estimator agree on {len(comparison)} rows within {tolerance:g}"
    worst = ", ".join(
        f"row {row} ({difference:.2g})"
        for row, difference in wrong[["difference", "behind"]].max(axis=1).head(5).items()
    )
    raise GateClosed(
        f"ONNX and the estimator differ on {len(wrong)} of {len(comparison)} rows by more than {tolerance:g}: {worst}"
        " → raise export.tolerance knowingly, or choose another estimator"
    )
