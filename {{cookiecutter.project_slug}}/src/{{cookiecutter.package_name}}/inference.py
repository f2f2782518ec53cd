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

    def __init__(self, onnx: Path, signature: Path) -> None:
        self.signature = json.loads(signature.read_text(encoding="utf-8"))
        content = onnx.read_bytes()
        if hashlib.sha256(content).hexdigest() != self.signature["model"]["sha256"]:
            raise ValueError(f"{onnx.name} is not the model that {signature.name} describes → dvc repro export")
        self._session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

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
    type_ = np.float32 if column["type"] == "number" else np.str_
    try:
        return np.asarray(columns[column["name"]], dtype=type_).reshape(-1, 1)
    except ValueError:
        raise ValueError(f"column '{column['name']}' is not all {column['type']} → see models/signature.json") from None
