"""Run as a program: loads a model in a process of its own and checks it against the examples of its
signature.
"""

import sys
from pathlib import Path

import numpy as np

from bakebook.contracts import Example
from bakebook.errors import first_line
from bakebook.models.runtime import Model, Prediction

# Of a probability, or relative to a number: another processor may round differently
TOLERANCE = 1e-4


def verify(folder: Path) -> str:
    """Empty when the model in `folder` predicts its examples as when it was exported; else what is
    wrong.
    """
    try:
        model = Model.load(folder / "model.onnx", folder / "signature.json")
        examples = model.signature.examples
        columns = {}
        for column in model.signature.inputs:
            columns[column.name] = [example.inputs[column.name] for example in examples]
        prediction = model.predict(columns)
    except Exception as error:  # whatever a broken file makes onnxruntime raise
        return f"it cannot be loaded: {first_line(error)}"
    if not examples:
        return "its signature has no examples to check it with"
    for place, example in enumerate(examples):
        if not _agrees(example, prediction, place):
            return f"its prediction for example {place + 1} differs from the one recorded at export"
    return ""


def _agrees(example: Example, prediction: Prediction, place: int) -> bool:
    if (prediction.probabilities is None) != (example.probabilities is None):
        return False
    if prediction.probabilities is None or example.probabilities is None:
        predicted = prediction.values[place]
        return bool(np.isclose(predicted, example.predicted, rtol=TOLERANCE, atol=TOLERANCE))
    expected = list(example.probabilities.values())
    return bool(np.allclose(prediction.probabilities[place], expected, atol=TOLERANCE))


if __name__ == "__main__":
    reason = verify(Path(sys.argv[1]))
    print(reason)
    sys.exit(1 if reason else 0)
