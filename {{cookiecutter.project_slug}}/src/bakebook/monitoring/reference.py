"""What is normal: the model that answers, on the rows that tested it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from bakebook import artifacts
from bakebook.contracts import Metrics, Signature
from bakebook.errors import BadInput, first_line
from bakebook.models.runtime import Model
from bakebook.monitoring.inputs import ARROW_TYPES
from bakebook.paths import CHAMPION, METRICS, ONNX, REFERENCE, ROOT, SIGNATURE, TEST
from bakebook.tables.values import as_text

SHORT = 12  # letters of a sha256, as predictions name their model


@dataclass(frozen=True)
class Reference:
    """The test rows (n,) as the model answers them: `truth` and `predicted` are numbers, or places
    in the signature's classes; `probabilities` (n, classes) is None for a number.
    """

    signature: Signature
    metrics: Metrics
    inputs: pa.Table
    truth: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray | None

    @property
    def version(self) -> str:
        return self.signature.model.sha256[:SHORT]


def load() -> Reference:
    """That of the champion, which `nb monitor` fetches; without one, of the pipeline's model."""
    if not (CHAMPION / REFERENCE).exists():
        return of_files(ONNX, SIGNATURE, METRICS, TEST)
    models, reports = (CHAMPION / path.relative_to(ROOT) for path in (ONNX, METRICS))
    signature = CHAMPION / SIGNATURE.relative_to(ROOT)
    return of_files(models, signature, reports, CHAMPION / REFERENCE)


def of_files(onnx: Path, signature: Path, metrics: Path, rows: Path) -> Reference:
    """Raises BadInput when a file is missing or broken."""
    table = artifacts.read_table(rows)
    known = artifacts.read(Signature, signature)
    try:
        model = Model.load(onnx, signature)
        found = model.predict({one.name: table[one.name].to_numpy() for one in known.inputs})
    except Exception as error:  # onnxruntime, or the project's columns.py, raise anything
        what = f"the model cannot predict its test rows ({first_line(error)})"
        raise BadInput(what, "dvc repro") from error
    return Reference(
        known,
        artifacts.read(Metrics, metrics),
        _arrow(table, known),
        _places(table[known.target].to_numpy(), known.classes),
        _places(found.values, known.classes),
        found.probabilities,
    )


def _places(values: np.ndarray, classes: tuple[str, ...] | None) -> np.ndarray:
    if classes is None:
        return values.astype(float)
    return pd.Index(classes).get_indexer(pd.Index([as_text(value) for value in values]))


def _arrow(table: pd.DataFrame, signature: Signature) -> pa.Table:
    """The inputs with the types that those of the service have."""
    columns = {}
    for one in signature.inputs:
        values = table[one.name]
        if one.role in ("categorical", "text"):
            values = values.map(as_text, na_action="ignore")
        if one.role == "datetime":
            values = values.dt.strftime("%Y-%m-%dT%H:%M:%S").where(values.notna(), None)
        columns[one.name] = pa.Array.from_pandas(values, type=ARROW_TYPES[one.role], safe=False)
    return pa.table(columns)
