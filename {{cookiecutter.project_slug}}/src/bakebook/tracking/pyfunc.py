"""The served model as MLflow loads it. A part of the library is copied beside it (RUNTIME_FILES of
tracking/log.py).
"""

from pathlib import Path

import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel, PythonModelContext


class OnnxModel(PythonModel):
    """Takes a DataFrame with the signature's columns; returns `predicted` and a column of
    probabilities per class.
    """

    def load_context(self, context: PythonModelContext) -> None:
        from bakebook.models.runtime import Model

        self.model = Model.load(
            Path(context.artifacts["onnx"]), Path(context.artifacts["signature"])
        )

    def predict(
        self, context: object, model_input: pd.DataFrame, params: dict[str, object] | None = None
    ) -> pd.DataFrame:
        columns = {name: model_input[name].to_numpy() for name in model_input.columns}
        prediction = self.model.predict(columns)
        classes = list(self.model.classes) if self.model.classes else None
        table = pd.DataFrame(prediction.probabilities, columns=classes)
        table.insert(0, "predicted", prediction.values)
        return table


mlflow.models.set_model(OnnxModel())
