"""The model as it is served: ONNX and its signature. This file needs onnxruntime and numpy only; copy it anywhere."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime


@dataclass(frozen=True)
class Prediction:
    """What the model says of n rows: `labels` (n,) and `probabilities` (n, classes), in the signature's class order."""

    labels: np.ndarray
    probabilities: np.ndarray


class Model:
    """An ONNX classifier and the signature it was exported with."""

    def __init__(self, onnx: bytes, signature: dict[str, Any]) -> None:
        if hashlib.sha256(onnx).hexdigest() != signature["model"]["sha256"]:
            raise ValueError("the ONNX file is not the model that its signature describes → dvc repro export")
        self.signature = signature
        self._session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])

    @classmethod
    def load(cls, onnx: Path, signature: Path) -> "Model":
        """The model in a file, held against the hash in its signature."""
        return cls(onnx.read_bytes(), json.loads(signature.read_text(encoding="utf-8")))

    @property
    def classes(self) -> list[str]:
        """The names of the classes, in the order of the probabilities."""
        return [str(name) for name in self.signature["classes"]]

    def predict(self, columns: Mapping[str, Sequence[Any] | np.ndarray]) -> Prediction:
        """Labels and probabilities for rows given by column; raises ValueError when a column is missing."""
        feed = {column["name"]: _tensor(column, columns) for column in self.signature["inputs"]}
        label, probabilities = self._session.run(None, feed)
        return Prediction(labels=label, probabilities=probabilities)


def _tensor(column: dict[str, Any], columns: Mapping[str, Any]) -> np.ndarray:
    if column["name"] not in columns:
        raise ValueError(f"the rows have no column '{column['name']}' → see models/signature.json")
    values = columns[column["name"]]
    try:
        if column["type"] == "number":
            return np.asarray(values, dtype=np.float32).reshape(-1, 1)
        known = ["" if value is None or value != value else str(value) for value in values]  # as in training
        return np.asarray(known, dtype=np.str_).reshape(-1, 1)
    except (TypeError, ValueError):
        raise ValueError(f"column '{column['name']}' is not all {column['type']} → see models/signature.json") from None
