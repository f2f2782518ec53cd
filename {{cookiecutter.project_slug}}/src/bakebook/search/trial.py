"""What a search tried: one row per trial."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

COMPLETE = "complete"
# The columns of trials.csv before the hyperparameters
MEASURES = ("trial", "state", "score", "spread")


@dataclass(frozen=True)
class Trial:
    """One combination: how it ended, its mean score over the
    folds, their spread, and its values.
    """

    state: str  # complete, pruned, tried (measured by FLAML in its own way) or failed: CAUSE
    score: float | None
    spread: float | None
    values: dict[str, object] = field(default_factory=dict)


def ranked(trials: Sequence[Trial]) -> pd.DataFrame:
    """One row per trial, the best complete one first: trial,
    state, score, spread and the values.
    """
    rows = []
    for number, trial in enumerate(trials, start=1):
        measured = (number, trial.state, trial.score, trial.spread)
        rows.append(dict(zip(MEASURES, measured, strict=True)) | trial.values)
    table = pd.DataFrame(rows, dtype=object) if rows else pd.DataFrame(columns=[*MEASURES])
    table = table.astype({"score": float, "spread": float})
    table["state"] = table["state"].astype(str)
    order = pd.DataFrame({"complete": table["state"] == COMPLETE, "score": table["score"]})
    order = order.sort_values(["complete", "score"], ascending=False, kind="stable")
    return table.loc[order.index].reset_index(drop=True)


def shown(table: pd.DataFrame) -> pd.DataFrame | str:
    """The trials, or a sentence that there are none."""
    return "No search was run." if table.empty else table
