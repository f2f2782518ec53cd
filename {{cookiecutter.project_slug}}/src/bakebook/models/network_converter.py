"""Converts a neural network to ONNX: any estimator whose `layers_` are weights and biases with
rectifiers between them.
"""

from typing import Any

import numpy as np
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)

from bakebook.models.converters import CLASSIFIER_OPTIONS


def register_network(estimator: type) -> None:
    """Lets skl2onnx convert a class of networks; `layers_` has pairs of weights (inputs, outputs)
    and bias (outputs,).
    """
    name = estimator.__name__
    if hasattr(estimator, "predict_proba"):
        shapes = calculate_linear_classifier_output_shapes
        update_registered_converter(estimator, name, shapes, _to_onnx, options=CLASSIFIER_OPTIONS)
    else:
        update_registered_converter(
            estimator, name, calculate_linear_regressor_output_shapes, _to_onnx
        )


def _to_onnx(scope: Any, operator: Any, container: Any) -> None:
    """The layers as MatMul, Add and Relu; then a softmax and the greatest, or the number itself."""
    network = operator.raw_operator
    is_classifier = hasattr(network, "predict_proba")
    current = operator.inputs[0].full_name
    for number, (weights, bias) in enumerate(network.layers_):
        is_last = number == len(network.layers_) - 1
        final = operator.outputs[0].full_name if is_last and not is_classifier else None
        current = _node(
            scope, container, "MatMul", [current, _constant(scope, container, "weights", weights)]
        )
        current = _node(
            scope, container, "Add", [current, _constant(scope, container, "bias", bias)], final
        )
        if not is_last:
            current = _node(scope, container, "Relu", [current])
    if not is_classifier:
        return
    labels, probabilities = (output.full_name for output in operator.outputs)
    _node(scope, container, "Softmax", [current], probabilities, axis=1)
    place = _node(scope, container, "ArgMax", [probabilities], axis=1, keepdims=0)
    classes = _constant(scope, container, "classes", np.asarray(network.classes_, dtype=np.int64))
    _node(scope, container, "Gather", [classes, place], labels)


def _constant(scope: Any, container: Any, name: str, values: np.ndarray) -> str:
    unique = scope.get_unique_variable_name(name)
    type_ = TensorProto.INT64 if values.dtype == np.int64 else TensorProto.FLOAT
    container.add_initializer(unique, type_, values.shape, values.ravel())
    return unique


def _node(
    scope: Any,
    container: Any,
    type_: str,
    inputs: list[str],
    output: str | None = None,
    **more: Any,
) -> str:
    output = output or scope.get_unique_variable_name(type_.lower())
    name = scope.get_unique_operator_name(type_)
    version = container.target_opset_any_domain("")
    container.add_node(type_, inputs, output, op_version=version, name=name, **more)
    return output
