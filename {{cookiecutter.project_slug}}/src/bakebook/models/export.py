"""The trained pipeline as ONNX, and the proof that both predict the same."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from onnx import load_model_from_string
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import Pipeline

from bakebook.contracts import (
    Derived,
    Example,
    Input,
    ModelFile,
    ReadOptions,
    Schema,
    Signature,
)
from bakebook.errors import CheckFailed
from bakebook.models.columns import Columns, NotComputed
from bakebook.models.converters import register, with_float32_thresholds
from bakebook.models.deciding import HALF, threshold_of
from bakebook.models.encoder_converters import register as register_encoders
from bakebook.models.encoding import TensorType, tensor_types
from bakebook.models.runtime import Model, Prediction
from bakebook.params import InputRole

OPERATOR_SETS = {"": 21, "ai.onnx.ml": 3}  # the newest that the converters of all families support
TENSORS = {"number": FloatTensorType, "category": StringTensorType, "text": StringTensorType}
THRESHOLD = "threshold"  # from which probability on the second of two classes is predicted
# A caller's file has its header in the first row, whatever stands around the project's table
PLAIN_LAYOUT = {"sheet": "", "skip_rows": 0, "header_rows": 1, "footer_rows": 0}
MOST_SHOWN = 5  # rows that a failed comparison names
# Of a column that only derived columns read, by its dtype
READ_ROLES: Mapping[str, InputRole] = {
    "number": "numeric",
    "integer": "numeric",
    "amount": "numeric",
    "boolean": "boolean",
    "datetime": "datetime",
    "text": "text",
}


def convert(model: Pipeline, schema: Schema) -> bytes:
    """The ONNX file: one input (n, 1) per tensor.

    Its outputs are the place of the class (n,) and the probabilities (n, classes), or the number
    (n, 1). The place is that of the most probable class; another threshold stands in the file's
    metadata.
    """
    estimator = model.named_steps["estimator"]
    threshold = threshold_of(model)
    register(type(estimator))
    register_encoders()
    model = with_float32_thresholds(model)
    types: dict[str, TensorType] = {}
    for column in schema.inputs:
        types |= tensor_types(column)
    options: dict[object, object] = _word_patterns(model)
    if schema.classes is not None:
        options[id(model)] = {"zipmap": False}
    onnx = to_onnx(
        model,
        initial_types=[(name, TENSORS[type_]([None, 1])) for name, type_ in types.items()],
        options=options,
        target_opset=OPERATOR_SETS,
        name=type(estimator).__name__,
    )
    # skl2onnx takes the operator sets from a Python set, whose order differs between processes.
    operator_sets = sorted(onnx.opset_import, key=lambda one: one.domain)
    del onnx.opset_import[:]
    onnx.opset_import.extend(operator_sets)
    if threshold != HALF:
        onnx.metadata_props.add(key=THRESHOLD, value=repr(threshold))
    return onnx.SerializeToString(deterministic=True)


def _threshold_in(onnx: bytes) -> float | None:
    properties = load_model_from_string(onnx).metadata_props
    found = [one.value for one in properties if one.key == THRESHOLD]
    return float(found[0]) if found else None


def _word_patterns(model: Pipeline) -> dict[object, object]:
    """The options by which ONNX splits texts as each vectorizer does."""
    steps = model.named_steps["preprocessor"].transformers_
    vectorizers = [one for _, one, _ in steps if isinstance(one, TfidfVectorizer)]
    return {id(one): {"tokenexp": one.token_pattern} for one in vectorizers}


def signature(
    onnx: bytes, schema: Schema, reading: ReadOptions, columns: Columns | None = None
) -> Signature:
    """What a caller must know: the file's hash, inputs and classes, and how a file of rows is read.

    A caller sends columns of the table only; the inputs of `columns.py` are computed from these.
    """
    derived = [_with_input(one, schema.inputs) for one in schema.derived]
    inputs = _sent(schema, reading)
    dtypes = {column.name: reading.columns[column.name] for column in inputs}
    # A caller may send 12.0 for an integer
    asked = {name: "number" if dtype == "integer" else dtype for name, dtype in dtypes.items()}
    return Signature(
        model=ModelFile(
            file="model.onnx", sha256=hashlib.sha256(onnx).hexdigest(), bytes=len(onnx)
        ),
        target=schema.target,
        target_dtype=reading.columns.get(schema.target, "text"),
        task=schema.task,
        classes=schema.classes,
        threshold=_threshold_in(onnx),
        inputs=inputs,
        derived=tuple(derived),
        columns_sha256=columns.sha256 if columns and derived else None,
        reading=reading.model_copy(update={"columns": asked, **PLAIN_LAYOUT}),
    )


def with_examples(model: Model, table: pd.DataFrame, most: int = 5) -> Signature:
    """The model's signature with a few made-up rows and their predictions, by which a copy can be
    checked.

    Each takes its values from different rows of the table, because git and the service show them:
    no row of a person leaves with the model. One that a column of `columns.py` rejects is left out.
    """
    names = [column.name for column in model.signature.inputs]
    places = np.unique(np.linspace(0, len(table) - 1, most).astype(int))
    columns = {}
    for number, name in enumerate(names):
        columns[name] = table[name].iloc[(places + number) % len(table)].array
    rows = [_plain_row(row) for row in pd.DataFrame(columns).to_dict("records")]
    examples = [example for row in rows if (example := _example(model, row)) is not None]
    return model.signature.model_copy(update={"examples": tuple(examples)})


def compare(
    model: Pipeline, X: pd.DataFrame, prediction: Prediction, schema: Schema
) -> pd.DataFrame:
    """Row by row: estimator, onnx, difference and behind, the worst row first.

    `difference` is the largest of a row's probabilities; for a number, it is relative to the spread
    of the predictions. `behind` is how much less probable the estimator finds the class that ONNX
    predicts, or how far it is from the threshold: 0 for the same class or a tie.
    """
    predicted: np.ndarray = model.predict(X)
    behind = np.zeros(len(X))
    if schema.classes is None:
        spread = float(np.std(predicted)) or max(1.0, float(np.abs(predicted).max()))
        difference = np.abs(predicted - prediction.values) / spread
    else:
        probabilities = model.predict_proba(X)
        rows = np.arange(len(X))
        difference = np.abs(probabilities - prediction.probabilities).max(axis=1)
        places = pd.Index(schema.classes).get_indexer(pd.Index(prediction.values))
        behind = np.abs(probabilities[rows, predicted] - probabilities[rows, places])
        if len(schema.classes) == 2:
            distance = np.abs(probabilities[:, 1] - threshold_of(model))
            behind = np.where(predicted == places, 0, distance)
        predicted = np.array(schema.classes, dtype=object)[predicted]
    table = pd.DataFrame(
        {
            "estimator": predicted,
            "onnx": prediction.values,
            "difference": difference,
            "behind": behind,
        },
        index=X.index,
    )
    return table.sort_values(["difference", "behind"], ascending=False, kind="stable")


def stop_if_different(comparison: pd.DataFrame, tolerance: float) -> str:
    """Says that both agree on every row, or raises CheckFailed with the worst rows."""
    differences = comparison[["difference", "behind"]]
    wrong = differences[~(differences <= tolerance).all(axis=1)]
    if wrong.empty:
        return f"ONNX and the estimator agree on {len(comparison)} rows within {tolerance:g}"
    worst = wrong.max(axis=1).head(MOST_SHOWN)
    named = ", ".join(f"row {row} ({difference:.2g})" for row, difference in worst.items())
    raise CheckFailed(
        f"ONNX and the estimator differ on {len(wrong)} of {len(comparison)} rows"
        f" by more than {tolerance:g}: {named}",
        "raise export.tolerance knowingly, or choose another estimator",
    )


def _with_input(step: Derived, inputs: Sequence[Input]) -> Derived:
    """How a column is computed, and the model's input that it is, if it is one."""
    by_name = {column.name: column for column in inputs}
    return step.model_copy(update={"input": by_name.get(step.name)})


def _sent(schema: Schema, reading: ReadOptions) -> tuple[Input, ...]:
    """What a caller sends: the inputs of the table, and the columns that only derived ones read."""
    computed = {one.name for one in schema.derived}
    sent = [column for column in schema.inputs if column.name not in computed]
    known = computed | {column.name for column in sent}
    read = dict.fromkeys(name for one in schema.derived for name in one.reads)
    for name in read:
        if name not in known:
            role = READ_ROLES[reading.columns[name].split()[0]]
            sent.append(Input(name=name, role=role, only_read=True))
    return tuple(sent)


def _example(model: Model, row: Mapping[str, Any]) -> Example | None:
    try:
        prediction = model.predict({name: [value] for name, value in row.items()})
    except NotComputed:
        return None
    probabilities = None
    if prediction.probabilities is not None and model.classes is not None:
        probabilities = dict(zip(model.classes, prediction.probabilities[0].tolist(), strict=True))
    return Example(
        inputs=dict(row), predicted=_plain(prediction.values[0]), probabilities=probabilities
    )


def _plain_row(row: Mapping[object, object]) -> dict[str, object]:
    return {str(name): _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    """A value of a table as JSON has it."""
    if pd.isna(value):
        return None
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return value.item() if isinstance(value, np.generic) else value
