"""A neural network for tables with the interface of scikit-learn (dependency group `torch`), and
its ONNX converter.

In params.yaml, `train: estimator` is this package's name and `.networks.NetworkClassifier` or
`.networks.NetworkRegressor`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import validate_data

from bakebook.models.network_converter import register_network


class _Network(BaseEstimator):
    """Layers of `hidden` units with rectifiers between them,
    trained by Adam on shuffled batches.
    """

    def __init__(
        self,
        hidden: tuple[int, ...] = (64, 32),
        epochs: int = 100,
        batch_size: int = 64,
        learning_rate: float = 0.003,
        weight_decay: float = 0.0001,
        random_state: int | None = None,
    ) -> None:
        self.hidden = hidden
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.random_state = random_state

    def _train(self, X: np.ndarray, y: np.ndarray, outputs: int, loss: torch.nn.Module) -> None:
        """Sets `layers_`: the weights (inputs, outputs) and the biases (outputs,) of each layer, in
        float32.
        """
        seed = self.random_state or 0
        generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(), _one_thread():  # several threads add in any order
            torch.manual_seed(seed)
            linear = [
                torch.nn.Linear(*sizes) for sizes in pairwise([X.shape[1], *self.hidden, outputs])
            ]
            network = _with_rectifiers(linear)
            optimizer = torch.optim.Adam(
                network.parameters(), self.learning_rate, weight_decay=self.weight_decay
            )
            rows = torch.from_numpy(X)
            targets = torch.from_numpy(y)
            for _ in range(self.epochs):
                for batch in torch.randperm(len(rows), generator=generator).split(self.batch_size):
                    optimizer.zero_grad()
                    loss(network(rows[batch]), targets[batch]).backward()
                    optimizer.step()
        self.layers_ = [
            (layer.weight.detach().numpy().T.copy(), layer.bias.detach().numpy())
            for layer in linear
        ]

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
        logits = self._forward(X)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> np.ndarray:
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


class NetworkRegressor(RegressorMixin, _Network):
    """A network whose last layer is one unit, and which learns the standardised target by squared
    error.
    """

    def fit(self, X: Any, y: Any) -> "NetworkRegressor":
        X, y = validate_data(self, X, y, dtype=np.float32, y_numeric=True)
        mean = float(np.mean(y))
        spread = float(np.std(y)) or 1.0
        standardised = ((y - mean) / spread).astype(np.float32).reshape(-1, 1)
        self._train(X, standardised, 1, torch.nn.MSELoss())
        weights, bias = self.layers_[-1]
        self.layers_[-1] = (
            weights * np.float32(spread),
            bias * np.float32(spread) + np.float32(mean),
        )
        return self

    def predict(self, X: Any) -> np.ndarray:
        return self._forward(X).reshape(-1)


def _with_rectifiers(linear: list[torch.nn.Linear]) -> torch.nn.Sequential:
    layers: list[torch.nn.Module] = []
    for layer in linear:
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


register_network(NetworkClassifier)
register_network(NetworkRegressor)
