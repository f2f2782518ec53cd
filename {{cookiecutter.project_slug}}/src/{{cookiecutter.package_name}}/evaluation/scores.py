"""Comparison with a baseline and success criteria; the scores are those of each task's module."""

from collections.abc import Mapping
from typing import Any, Literal

import pandas as pd

from bakebook.contracts import Criterion, Metrics, RowCounts, SplitReport, Success
from bakebook.errors import BadInput, did_you_mean
from bakebook.models.task import Holdout, Task
from bakebook.params import Task as TaskName

from .classification import Classification
from .regression import Regression

TASKS: dict[TaskName, Task] = {"classification": Classification(), "regression": Regression()}


def task_of(name: TaskName) -> Task:
    """The task with this name."""
    return TASKS[name]


def evaluate(
    holdout: Holdout,
    train: tuple[pd.DataFrame, pd.Series],
    criteria: Mapping[str, float],
    report: SplitReport,
    random_state: int = 0,
) -> Metrics:
    """Everything that `metrics.json` contains; `train` is X and y of the training rows, which the
    baseline needs, `random_state` the seed of the intervals.
    """
    task = task_of(holdout.schema.task)
    baseline = task.baseline(*train)
    scores = task.evaluate(holdout.model, holdout.X, holdout.y)
    details: dict[str, Any] = dict(task.details(holdout))
    return Metrics(
        **details,
        rows=RowCounts(train=len(train[1]), test=len(holdout.y)),
        model=scores,
        intervals=task.intervals(holdout, random_state),
        baseline=task.evaluate(baseline, holdout.X, holdout.y),
        warnings=report.warnings,
        success=judge(scores, criteria, task),
    )


def judge(scores: Mapping[str, float], criteria: Mapping[str, float], task: Task) -> Success:
    """Each success criterion beside its score, and whether all are met. Raises BadInput for an
    unknown score.
    """
    judged = {}
    for name, threshold in criteria.items():
        if name not in task.scores:
            remedy = did_you_mean(name, task.scores) or f"choose from {', '.join(task.scores)}"
            raise BadInput(f"evaluate.criteria: there is no score '{name}' for {task.name}", remedy)
        judged[name] = _criterion(scores.get(name), threshold, task.scores[name].more_is_better)
    return Success(passed=all(one.passed for one in judged.values()), criteria=judged)


def comparison(metrics: Metrics, task: Task) -> pd.DataFrame:
    """One row per score: the model's with its interval, the baseline's, which of them is better,
    the criterion and whether it is met.
    """
    rows = {}
    for name, value in metrics.model.items():
        baseline = metrics.baseline.get(name)
        row = {
            "model": value,
            "95 % interval": str(metrics.intervals.get(name, "")),
            "baseline": baseline,
            "better": _better(value, baseline, task.scores[name].more_is_better),
        }
        criterion = metrics.success.criteria.get(name)
        if criterion:
            row["criterion"] = f"{criterion.bound} {criterion.threshold:g}"
            row["met"] = criterion.passed
        rows[name] = row
    return pd.DataFrame.from_dict(rows, orient="index").fillna("").rename_axis("score")


def shown_success(success: Success) -> str:
    """Whether the success criteria are met, in one sentence."""
    if not success.criteria:
        return "No success criteria are set."
    return (
        "All success criteria are met." if success.passed else "Not all success criteria are met."
    )


def _criterion(score: float | None, threshold: float, more_is_better: bool) -> Criterion:
    if score is None:
        passed = False
    elif more_is_better:
        passed = score >= threshold
    else:
        passed = score <= threshold
    bound: Literal["at least", "at most"] = "at least" if more_is_better else "at most"
    return Criterion(bound=bound, threshold=threshold, score=score, passed=passed)


def _better(model: float, baseline: float | None, more_is_better: bool) -> str:
    if baseline is None or model == baseline:
        return ""
    is_model = model > baseline if more_is_better else model < baseline
    return "model" if is_model else "baseline"
