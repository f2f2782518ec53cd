"""Looking for a better model, in the way that `train.search` of params.yaml names."""

from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.pipeline import Pipeline

from . import folds
from .features import Schema
from .folds import Plan

MEASURED = ("trial", "state", "score", "spread")


def search(
    model: Pipeline, X: pd.DataFrame, y: pd.Series, schema: Schema, plan: Plan, journals: Path
) -> tuple[Pipeline, pd.DataFrame]:
    """The best model found, unfitted, and a row per trial, the best first: trial, state, score, spread, its values."""
    if plan.search == "none":
        return model, _ranked([])
    X, y, plan = folds.often(X, y, plan)
    if plan.search == "automl":
        from . import automl

        best, trials = automl.search(model, X, y, schema, plan)
    else:
        from . import tuning

        best, trials = tuning.search(model, X, y, plan, journals)
    return best, _ranked(trials)


def _ranked(trials: list[dict[str, Any]]) -> pd.DataFrame:
    """What is not complete comes last: pruned, failed, or measured by FLAML in its own way."""
    numbered = [{"trial": number, **trial} for number, trial in enumerate(trials, 1)]
    table = pd.DataFrame(numbered, dtype=object) if trials else pd.DataFrame(columns=[*MEASURED])
    table = table.astype({"score": float, "spread": float})
    table["state"] = table["state"].astype(str)
    order = pd.DataFrame({"complete": table["state"] == "complete", "score": table["score"]})
    return table.loc[order.sort_values([*order], ascending=False, kind="stable").index].reset_index(drop=True)
