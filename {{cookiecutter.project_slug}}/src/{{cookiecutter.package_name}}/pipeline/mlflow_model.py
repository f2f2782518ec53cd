"""The served model as MLflow loads it: this file, `inference.py` and `encoding.py` are copied beside model.onnx."""

from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel, PythonModelContext


class OnnxModel(PythonModel):
    """Takes a DataFrame of the signature's columns; returns `predicted` and a column of probabilities per class."""

    def load_context(self, context: PythonModelContext) -> None:
        from pathlib import Path

        from inference import Model

        self.model = Model.load(Path(context.artifacts["onnx"]), Path(context.artifacts["signature"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        prediction = self.model.predict({name: model_input[name].to_numpy() for name in model_input.columns})
        rows = pd.DataFrame(prediction.probabilities, columns=self.model.classes)
        rows.insert(0, "predicted", prediction.values)
        return rows


mlflow.models.set_model(OnnxModel())
