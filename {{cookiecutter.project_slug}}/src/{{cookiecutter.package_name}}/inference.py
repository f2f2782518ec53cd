"""The model as it is served: ONNX and its signature. It needs onnxruntime, numpy and `encoding.py`: copy both files."""

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

if __package__:
    from .encoding import encode
else:
    from encoding import encode  # type: ignore[no-redef]


@dataclass(frozen=True)
class Prediction:
    """What the model says of n rows.

    `values` (n,) are names of classes, or numbers; `probabilities` (n, classes) follow the signature's order of the
    classes, and are None for a regression.
    """

    values: np.ndarray
    probabilities: np.ndarray | None = None


class Model:
    """An ONNX model and the signature it was exported with."""

    def __init__(self, onnx: bytes, signature: dict[str, Any]) -> None:
        if hashlib.sha256(onnx).hexdigest() != signature["model"]["sha256"]:
            raise ValueError("the ONNX file is not the model that its signature describes → dvc repro export")
        self.signature = signature
        self.classes: list[str] | None = signature["classes"]
        self._labels = np.array(self.classes, dtype=object)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # more wait for each other, spinning, for longer than a row takes
        self._session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        self._names = [one.name for one in self._session.get_inputs()]
        self._only_numbers = all(column["type"] == "number" for column in signature["inputs"])

    @classmethod
    def load(cls, onnx: Path | str, signature: Path | str) -> "Model":
        """The model in a file, held against the hash in its signature."""
        return cls(Path(onnx).read_bytes(), json.loads(Path(signature).read_text(encoding="utf-8")))

    def predict(self, columns: Mapping[str, Sequence[Any] | np.ndarray]) -> Prediction:
        """What is predicted for rows given by column; raises ValueError when a column is missing or of another type."""
        found = self._session.run(None, dict(zip(self._names, self._tensors(columns), strict=True)))
        if self.classes is None:
            return Prediction(found[0].reshape(-1))
        return Prediction(self._labels[found[0]], found[1])

    def _tensors(self, columns: Mapping[str, Any]) -> list[np.ndarray]:
        """One (n, 1) for each input of the graph; numbers alone go together, in a fifth of the time of a row."""
        inputs = self.signature["inputs"]
        if self._only_numbers:
            with contextlib.suppress(KeyError, TypeError, ValueError):  # one by one, it is said which it is
                return list(np.array([columns[column["name"]] for column in inputs], dtype=np.float32)[..., np.newaxis])
        return [tensor for column in inputs for tensor in _tensors(column, columns)]


def _tensors(column: dict[str, Any], columns: Mapping[str, Any]) -> list[np.ndarray]:
    if column["name"] not in columns:
        raise ValueError(f"the rows have no column '{column['name']}' → see models/signature.json")
    try:
        return [tensor.reshape(-1, 1) for tensor in encode(column, columns[column["name"]]).values()]
    except (TypeError, ValueError):
        raise ValueError(f"column '{column['name']}' is not all {column['type']} → see models/signature.json") from None
