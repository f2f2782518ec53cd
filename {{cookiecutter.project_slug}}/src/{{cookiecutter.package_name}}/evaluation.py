"""Scores beside a baseline's, success criteria, importance: what classification and regression have in common."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import pandas as pd
from sklearn.inspection import permutation_importance

from . import classification, regression
from .errors import BadInput
from .features import Schema

MEASURED = 2_000  # rows on which the importance of inputs is measured


def of(schema: Schema) -> ModuleType:
    """The module for the task of the schema: `classification` or `regression`."""
    return classification if schema["task"] == "classification" else regression


def metrics(
    model: Any,
    baseline: Any,
    X: pd.DataFrame,
    y: pd.Series,
    schema: Schema,
    criteria: Mapping[str, float],
    train_rows: int,
) -> dict[str, Any]:
    """All that `metrics.json` holds: {rows, model, baseline, details of the task, warnings, success}."""
    task = of(schema)
    found = task.scores(model, X, y)
    return {
        "rows": {"train": train_rows, "test": len(X)},
        "model": found,
        "baseline": task.scores(baseline, X, y),
        **task.details(model, X, y, schema["classes"]),
        "warnings": schema["warnings"],
        "success": judge(found, criteria, schema),
    }


def judge(found: Mapping[str, float], criteria: Mapping[str, float], schema: Schema) -> dict[str, Any]:
    """Each success criterion beside its score, and whether all passed. Raises BadInput on an unknown score."""
    judged, known = {}, of(schema).SCORES
    for name, threshold in criteria.items():
        if name not in known:
            raise BadInput(f"evaluate.criteria has no score '{name}' for {schema['task']} → choose {', '.join(known)}")
        more_is_better = known[name][1]
        score = found.get(name)
        passed = score is not None and (score >= threshold if more_is_better else score <= threshold)
        bound = "at least" if more_is_better else "at most"
        judged[name] = {"bound": bound, "threshold": threshold, "score": score, "passed": passed}
    return {"passed": all(one["passed"] for one in judged.values()), "criteria": judged}


def comparison(metrics: Mapping[str, Any]) -> pd.DataFrame:
    """Model, baseline and criterion of every score, as a table."""
    table = pd.DataFrame({"model": metrics["model"], "baseline": metrics["baseline"]})
    for name, one in metrics["success"]["criteria"].items():
        table.loc[name, ["criterion", "passed"]] = [f"{one['bound']} {one['threshold']:g}", one["passed"]]
    return table.fillna("").rename_axis("score")


def importance(
    model: Any, X: pd.DataFrame, y: pd.Series, schema: Schema, *, repeats: int, random_state: int
) -> pd.DataFrame:
    """How much the score falls when one input is shuffled: input, importance, spread, the greatest first."""
    rows = X.sample(min(len(X), MEASURED), random_state=random_state).index
    scoring = of(schema).SCORING
    found = permutation_importance(
        model, X.loc[rows], y.loc[rows], n_repeats=repeats, random_state=random_state, scoring=scoring
    )
    table = pd.DataFrame({"input": X.columns, "importance": found.importances_mean, "spread": found.importances_std})
    return table.round(6).sort_values("importance", ascending=False, kind="stable").reset_index(drop=True)
