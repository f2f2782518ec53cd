"""Run as a program: loads a model in a process of its own and holds it against the examples of its signature."""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from ..inference import Model, Prediction

TOLERANCE = 1e-4  # of a probability, or of a number by its size: another processor may round otherwise


def verify(folder: Path) -> str:
    """Nothing when the model in `folder` says of its examples what it said when it was exported; else what is wrong."""
    try:
        model = Model.load(folder / "model.onnx", folder / "signature.json")
        examples = model.signature["examples"]
        inputs = {c["name"]: [one["inputs"][c["name"]] for one in examples] for c in model.signature["inputs"]}
        found = model.predict(inputs)
    except Exception as error:  # whatever a broken file makes of onnxruntime
        return f"it cannot be loaded: {str(error).strip().splitlines()[0]}"
    wrong = [place for place, example in enumerate(examples) if not _agree(example, found, place)]
    return f"it says something else of example {wrong[0] + 1} than when it was exported" if wrong else ""


def _agree(example: dict[str, Any], found: Prediction, place: int) -> bool:
    if found.probabilities is None:
        return bool(np.isclose(found.values[place], example["predicted"], rtol=TOLERANCE, atol=TOLERANCE))
    said = list(example["probabilities"].values())
    return bool(np.allclose(found.probabilities[place], said, atol=TOLERANCE))


if __name__ == "__main__":
    reason = verify(Path(sys.argv[1]))
    print(reason)
    sys.exit(1 if reason else 0)
