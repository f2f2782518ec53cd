"""How ONNX looks up the numbers of a category: those of the target encoder, which skl2onnx only
converts for numbers and two classes, and those of its spelling.
"""

from typing import Any

import numpy as np
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import FloatTensorType
from sklearn.preprocessing import TargetEncoder

from bakebook.models.spelling import SpellingEncoder


def register() -> None:
    """Lets skl2onnx convert both encoders."""
    for encoder, convert in ((TargetEncoder, _target), (SpellingEncoder, _spelling)):
        update_registered_converter(encoder, f"Bakebook{encoder.__name__}", _set_shape, convert)


def _set_shape(operator: Any) -> None:
    rows = operator.inputs[0].get_first_dimension()
    encoder = operator.raw_operator
    if isinstance(encoder, TargetEncoder):
        width = len(encoder.encodings_)
    else:
        width = sum(vectors.shape[1] for vectors in encoder.vectors_)
    operator.outputs[0].type = FloatTensorType([rows, width])


def _target(scope: Any, operator: Any, container: Any) -> None:
    encoder = operator.raw_operator
    means = np.ravel(encoder.target_mean_)  # of an unknown level: one, or one for each class
    tables = []
    for place, levels in enumerate(encoder.categories_):
        of_column = encoder.encodings_[place * len(means) : (place + 1) * len(means)]
        known = np.column_stack(of_column)
        tables.append((levels, np.vstack([known, means])))
    _look_up(scope, operator, container, tables)


def _spelling(scope: Any, operator: Any, container: Any) -> None:
    encoder = operator.raw_operator
    tables = list(zip(encoder.levels_, encoder.vectors_, strict=True))
    _look_up(scope, operator, container, tables)


def _look_up(
    scope: Any, operator: Any, container: Any, tables: list[tuple[np.ndarray, np.ndarray]]
) -> None:
    """For each column its levels and their numbers (levels + 1, numbers), the last of any other."""
    found = []
    for column, (levels, numbers) in zip(_columns(scope, operator, container), tables, strict=True):
        index = _node(
            scope,
            container,
            "LabelEncoder",
            [column],
            op_domain="ai.onnx.ml",
            op_version=2,
            keys_strings=[str(level).encode("utf-8") for level in levels],
            values_int64s=list(range(len(levels))),
            default_int64=len(levels),
        )
        flat = _node(scope, container, "Reshape", [index, _ints(scope, container, [-1])], 14)
        table = scope.get_unique_variable_name("numbers")
        values = np.asarray(numbers, dtype=np.float32)
        container.add_initializer(table, TensorProto.FLOAT, values.shape, values.ravel().tolist())
        found.append(_node(scope, container, "Gather", [table, flat], 13, axis=0))
    output = operator.outputs[0].full_name
    _node(scope, container, "Concat", found, 13, output=output, axis=1)


def _columns(scope: Any, operator: Any, container: Any) -> list[str]:
    """The names of the texts (n, 1) of each column; skl2onnx may give several side by side."""
    found = []
    for one in operator.inputs:
        width = one.get_second_dimension()
        for place in range(width):
            name = one.full_name
            if width > 1:
                indices = _ints(scope, container, [place])
                name = _node(scope, container, "Gather", [name, indices], 13, axis=1)
            found.append(name)
    return found


def _ints(scope: Any, container: Any, values: list[int]) -> str:
    name: str = scope.get_unique_variable_name("ints")
    container.add_initializer(name, TensorProto.INT64, [len(values)], values)
    return name


def _node(
    scope: Any,
    container: Any,
    kind: str,
    inputs: list[str],
    op_version: int,
    output: str = "",
    **attributes: Any,
) -> str:
    name: str = output or scope.get_unique_variable_name(kind.lower())
    attributes["name"] = scope.get_unique_operator_name(kind)
    container.add_node(kind, inputs, name, op_version=op_version, **attributes)
    return name
