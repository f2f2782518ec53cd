"""The model as it is served: an ONNX file and its signature. It needs onnxruntime, numpy and
pydantic.
"""

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from bakebook.contracts import Input, Signature
from bakebook.models.encoding import encode

Columns = Mapping[str, Sequence[object] | np.ndarray]  # the values of each input, (n,)


@dataclass(frozen=True)
class Prediction:
    """What the model predicts for n rows.

    `values` (n,) are names of classes, or numbers. `probabilities` (n, classes) follow the order of
    the signature's classes, and are None when a number is predicted.
    """

    values: np.ndarray
    probabilities: np.ndarray | None = None


class Model:
    """An ONNX model and the signature that it was exported with."""

    def __init__(self, onnx: bytes, signature: Signature) -> None:
        """Raises ValueError when the signature describes another file."""
        if hashlib.sha256(onnx).hexdigest() != signature.model.sha256:
            raise ValueError("the ONNX file is not the model that its signature describes")
        self.signature = signature
        self.classes = signature.classes
        self._labels = np.array(self.classes, dtype=object)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = (
            1  # more threads wait for each other, spinning, for longer than a row takes
        )
        self._session = onnxruntime.InferenceSession(
            onnx, options, providers=["CPUExecutionProvider"]
        )
        self._tensor_names = [one.name for one in self._session.get_inputs()]
        self._is_numeric = all(column.role == "numeric" for column in signature.inputs)

    @classmethod
    def load(cls, onnx: Path | str, signature: Path | str) -> "Model":
        """The model in a file, checked against the hash in its signature."""
        content = Path(onnx).read_bytes()
        return cls(content, Signature.model_validate_json(Path(signature).read_bytes()))

    def predict(self, columns: Columns) -> Prediction:
        """Predicts rows that are given by column. Raises ValueError when a column is missing or has
        another role.
        """
        tensors = dict(zip(self._tensor_names, self._tensors(columns), strict=True))
        outputs = self._session.run(None, tensors)
        if self.classes is None:
            return Prediction(outputs[0].reshape(-1))
        return Prediction(self._labels[outputs[0]], outputs[1])

    def _tensors(self, columns: Columns) -> list[np.ndarray]:
        """One array (n, 1) per input of the graph. Numbers are converted together, in a fifth of
        the time of a row.
        """
        inputs = self.signature.inputs
        if self._is_numeric:
            # Below, the faulty column is named
            with contextlib.suppress(KeyError, TypeError, ValueError):
                together = np.array([columns[column.name] for column in inputs], dtype=np.float32)
                return list(together[..., np.newaxis])
        return [tensor for column in inputs for tensor in _tensors_of(column, columns)]


def _tensors_of(column: Input, columns: Columns) -> list[np.ndarray]:
    if column.name not in columns:
        raise ValueError(
            f"the rows have no column '{column.name}'; models/signature.json lists the inputs"
        )
    try:
        encoded = encode(column, columns[column.name])
    except (TypeError, ValueError):
        raise ValueError(f"column '{column.name}' has values that are not {column.role}") from None
    return [tensor.reshape(-1, 1) for tensor in encoded.values()]
