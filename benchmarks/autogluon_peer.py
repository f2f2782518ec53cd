"""AutoGluon's medium preset on one table, in an environment of its own: reads what `defaults.py` writes into a folder.

python autogluon_peer.py FOLDER SECONDS TASK
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from autogluon.tabular import TabularPredictor


def main(folder: str, seconds: str, task: str) -> None:
    place = Path(folder)
    train, test = (read(place / f"{name}.json") for name in ("train", "test"))
    target = np.load(place / "y.npy")
    is_classes = task == "classification"
    problem = "regression" if not is_classes else "binary" if target.max() == 1 else "multiclass"
    predictor = TabularPredictor("the target", problem_type=problem, path=str(place / "models"), verbosity=0)
    predictor.fit(train.assign(**{"the target": target}), presets="medium_quality", time_limit=float(seconds))
    if not is_classes:
        np.save(place / "predicted.npy", predictor.predict(test).to_numpy(dtype=float))
        return
    found = predictor.predict_proba(test)
    probabilities = np.zeros((len(test), target.max() + 1))
    probabilities[:, [int(name) for name in found.columns]] = found.to_numpy()
    np.save(place / "predicted.npy", probabilities)


def read(path: Path) -> pd.DataFrame:
    return pd.read_json(path, orient="split", dtype=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
