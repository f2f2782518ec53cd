"""The model as it is served: an ONNX file and its signature. It needs onnxruntime, numpy and
pydantic.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from bakebook.contracts import Input, Signature
from bakebook.models.columns import Columns as OwnColumns
from bakebook.models.encoding import encode

# Where a model may find data beside itself: nowhere, or it could read the service's own files
OTHER_FILES = "session.model_external_initializers_file_folder_path"
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
    """An ONNX model, the signature that it was exported with, and the columns of its own."""

    def __init__(
        self, onnx: bytes, signature: Signature, columns: OwnColumns | None = None
    ) -> None:
        """Raises ValueError when the signature describes another file."""
        if hashlib.sha256(onnx).hexdigest() != signature.model.sha256:
            raise ValueError("the ONNX file is not the model that its signature describes")
        needed = signature.columns_sha256
        if needed and (columns is None or columns.sha256 != needed):
            raise ValueError("columns.py is not the file that the signature describes")
        self.signature = signature
        self._columns = columns if needed else None
        self.classes = signature.classes
        self._labels = np.array(self.classes, dtype=object)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = (
            1  # more threads wait for each other, spinning, for longer than a row takes
        )
        options.add_session_config_entry(OTHER_FILES, os.devnull)
        self._session = onnxruntime.InferenceSession(
            onnx, options, providers=["CPUExecutionProvider"]
        )
        self._tensor_names = [one.name for one in self._session.get_inputs()]
        self._encoded = [column for column in signature.inputs if not column.only_read]
        self._is_numeric = all(
            column.role == "numeric" and column.offset is None and not column.has_gaps
            for column in self._encoded
        )

    @classmethod
    def load(cls, onnx: Path | str, signature: Path | str) -> "Model":
        """The model in a file, checked against the hash in its signature. A model with derived
        columns needs the `columns.py` beside its signature, and runs it.
        """
        content = Path(onnx).read_bytes()
        known = Signature.model_validate_json(Path(signature).read_bytes())
        columns = None
        if known.columns_sha256:
            columns = OwnColumns.load(Path(signature).with_name("columns.py"), known.columns_sha256)
        return cls(content, known, columns)

    def predict(self, columns: Columns) -> Prediction:
        """Predicts rows that are given by column. Raises ValueError when a column is missing or has
        another role, NotComputed where a derived column cannot be computed.
        """
        encoded = [*self._tensors(columns), *self._derived_tensors(columns)]
        tensors = dict(zip(self._tensor_names, encoded, strict=True))
        outputs = self._session.run(None, tensors)
        if self.classes is None:
            return Prediction(outputs[0].reshape(-1))
        places = outputs[0]
        if self.signature.threshold is not None:
            places = (outputs[1][:, 1] >= self.signature.threshold).astype(int)
        return Prediction(self._labels[places], outputs[1])

    def derive(self, columns: Columns) -> dict[str, list[Any]]:
        """The derived columns of rows that are given by column. Raises NotComputed for the first
        row that fails.
        """
        if self._columns is None:
            return {}
        for column in self.signature.inputs:
            _require(column, columns)
        return self._columns.compute(self.signature.derived, columns)

    def _derived_tensors(self, columns: Columns) -> Iterator[np.ndarray]:
        computed = self.derive(columns)
        for step in self.signature.derived:
            if step.input:
                yield from _tensors_of(step.input, computed)

    def _tensors(self, columns: Columns) -> list[np.ndarray]:
        """One array (n, 1) per tensor that is not derived. Numbers are converted together, in a
        fifth of the time of a row.
        """
        inputs = self._encoded
        if self._is_numeric:
            # Below, the faulty column is named
            with contextlib.suppress(KeyError, TypeError, ValueError):
                together = np.array([columns[column.name] for column in inputs], dtype=np.float32)
                return list(together[..., np.newaxis])
        return [tensor for column in inputs for tensor in _tensors_of(column, columns)]


def _tensors_of(column: Input, columns: Columns) -> list[np.ndarray]:
    _require(column, columns)
    try:
        encoded = encode(column, columns[column.name])
    except (TypeError, ValueError):
        raise ValueError(f"column '{column.name}' has values that are not {column.role}") from None
    return [tensor.reshape(-1, 1) for tensor in encoded.values()]


def _require(column: Input, columns: Columns) -> None:
    if column.name not in columns:
        raise ValueError(
            f"the rows have no column '{column.name}'; models/signature.json lists the inputs"
        )
