"""A neural network for tables with the interface of scikit-learn (dependency group `torch`), and its way to ONNX.

In params.yaml, `train: estimator: networks.NetworkClassifier`, or `networks.NetworkRegressor`.
"""

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from skl2onnx import update_registered_converter
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import validate_data


class _Network(BaseEstimator):
    """Layers of `hidden` units with rectifiers between them, trained by Adam on shuffled batches."""

    def __init__(
        self,
        hidden: tuple[int, ...] = (64, 32),
        epochs: int = 100,
        batch_size: int = 64,
        learning_rate: float = 0.003,
        weight_decay: float = 0.0001,
        random_state: int | None = None,
    ) -> None:
        self.hidden, self.epochs, self.batch_size = hidden, epochs, batch_size
        self.learning_rate, self.weight_decay, self.random_state = learning_rate, weight_decay, random_state

    def _train(self, X: np.ndarray, y: np.ndarray, outputs: int, loss: torch.nn.Module) -> None:
        """Leaves `layers_`: the weights (inputs, outputs) and the biases (outputs,) of each layer, in float32."""
        generator = torch.Generator().manual_seed(self.random_state or 0)
        sizes = [X.shape[1], *self.hidden, outputs]
        with torch.random.fork_rng(), _one_thread():  # sums over threads come in any order
            torch.manual_seed(self.random_state or 0)
            linear = [torch.nn.Linear(*pair) for pair in pairwise(sizes)]
            between = [step for layer in linear for step in (layer, torch.nn.ReLU())][:-1]
            network = torch.nn.Sequential(*between)
            optimizer = torch.optim.Adam(network.parameters(), self.learning_rate, weight_decay=self.weight_decay)
            rows, targets = torch.from_numpy(X), torch.from_numpy(y)
            for _ in range(self.epochs):
                for batch in torch.randperm(len(rows), generator=generator).split(self.batch_size):
                    optimizer.zero_grad()
                    loss(network(rows[batch]), targets[batch]).backward()
                    optimizer.step()
        self.layers_ = [(one.weight.detach().numpy().T.copy(), one.bias.detach().numpy()) for one in linear]

    def _forward(self, X: Any) -> np.ndarray:
        values = validate_data(self, X, reset=False, dtype=np.float32)
        for weights, bias in self.layers_[:-1]:
            values = np.maximum(values @ weights + bias, 0)
        weights, bias = self.layers_[-1]
        return values @ weights + bias


class NetworkClassifier(ClassifierMixin, _Network):
    """A network whose last layer has a unit per class, and which learns by cross-entropy."""

    def fit(self, X: Any, y: Any) -> "NetworkClassifier":
        X, y = validate_data(self, X, y, dtype=np.float32)
        self.classes_, places = np.unique(y, return_inverse=True)
        self._train(X, places, len(self.classes_), torch.nn.CrossEntropyLoss())
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (n, classes)."""
        scores = self._forward(X)
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> np.ndarray:
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


class NetworkRegressor(RegressorMixin, _Network):
    """A network of one last unit, which learns the standardised target by squared error."""

    def fit(self, X: Any, y: Any) -> "NetworkRegressor":
        X, y = validate_data(self, X, y, dtype=np.float32, y_numeric=True)
        mean, spread = float(np.mean(y)), float(np.std(y)) or 1.0
        standard = ((y - mean) / spread).astype(np.float32).reshape(-1, 1)
        self._train(X, standard, 1, torch.nn.MSELoss())
        weights, bias = self.layers_[-1]
        self.layers_[-1] = (weights * np.float32(spread), bias * np.float32(spread) + np.float32(mean))
        return self

    def predict(self, X: Any) -> np.ndarray:
        return self._forward(X).reshape(-1)


class _one_thread:  # noqa: N801 - used like a function
    def __enter__(self) -> None:
        self.before = torch.get_num_threads()
        torch.set_num_threads(1)

    def __exit__(self, *error: object) -> None:
        torch.set_num_threads(self.before)


def _to_onnx(scope: Any, operator: Any, container: Any) -> None:
    """The layers as MatMul, Add and Relu; then a softmax and the greatest, or the number itself."""
    network, current = operator.raw_operator, operator.inputs[0].full_name
    for number, (weights, bias) in enumerate(network.layers_):
        names = [_constant(scope, container, "weights", weights), _constant(scope, container, "bias", bias)]
        last = number == len(network.layers_) - 1
        current = _node(scope, container, "MatMul", [current, names[0]])
        final = operator.outputs[0].full_name if last and isinstance(network, NetworkRegressor) else None
        current = _node(scope, container, "Add", [current, names[1]], final)
        current = current if last else _node(scope, container, "Relu", [current])
    if isinstance(network, NetworkRegressor):
        return
    labels, probabilities = (one.full_name for one in operator.outputs)
    _node(scope, container, "Softmax", [current], probabilities, axis=1)
    place = _node(scope, container, "ArgMax", [probabilities], axis=1, keepdims=0)
    classes = _constant(scope, container, "classes", np.asarray(network.classes_, dtype=np.int64))
    _node(scope, container, "Gather", [classes, place], labels)


def _constant(scope: Any, container: Any, name: str, values: np.ndarray) -> str:
    from onnx import TensorProto

    unique = scope.get_unique_variable_name(name)
    kind = TensorProto.INT64 if values.dtype == np.int64 else TensorProto.FLOAT
    container.add_initializer(unique, kind, values.shape, values.ravel())
    return unique


def _node(scope: Any, container: Any, kind: str, inputs: list[str], output: str | None = None, **more: Any) -> str:
    output = output or scope.get_unique_variable_name(kind.lower())
    name = scope.get_unique_operator_name(kind)
    container.add_node(kind, inputs, output, op_version=container.target_opset_any_domain(""), name=name, **more)
    return output


update_registered_converter(
    NetworkClassifier,
    "NetworkClassifier",
    calculate_linear_classifier_output_shapes,
    _to_onnx,
    options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
)
update_registered_converter(NetworkRegressor, "NetworkRegressor", calculate_linear_regressor_output_shapes, _to_onnx)
