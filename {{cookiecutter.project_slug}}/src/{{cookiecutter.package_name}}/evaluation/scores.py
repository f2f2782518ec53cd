"""Comparison with a baseline and success criteria; the scores are those of each task's module."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import pandas as pd

from bakebook.contracts import (
    Criterion,
    CrossValidation,
    Interval,
    Metrics,
    RowCounts,
    SplitReport,
    Success,
    Verdict,
)
from bakebook.errors import BadInput, did_you_mean, first_few
from bakebook.models.task import Holdout, Task
from bakebook.params import Task as TaskName, Threshold

from .classification import Classification
from .regression import Regression

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)[::-1]  # the worst first
TOO_GOOD = 0.99
MOST_INPUTS = 3  # that a warning names
TASKS: dict[TaskName, Task] = {"classification": Classification(), "regression": Regression()}


def task_of(name: TaskName) -> Task:
    """The task with this name."""
    return TASKS[name]


def evaluate(
    holdout: Holdout,
    y_train: pd.Series,
    criteria: Mapping[str, Threshold],
    report: SplitReport,
    cross_validation: CrossValidation | None = None,
    random_state: int = 0,
) -> Metrics:
    """Everything that `metrics.json` contains; the baseline knows `y_train` alone, `random_state`
    is the seed of the intervals.
    """
    task = task_of(holdout.schema.task)
    scores = task.evaluate(holdout.model, holdout.X, holdout.y)
    intervals = task.intervals(holdout, random_state)
    baseline = task.baseline(y_train, holdout.y, holdout.schema)
    details: dict[str, Any] = dict(task.details(holdout))
    return Metrics(
        **details,
        rows=RowCounts(train=len(y_train), test=len(holdout.y)),
        model=scores,
        intervals=intervals,
        baseline=baseline,
        cross_validation=cross_validation,
        warnings=(*report.warnings, *_too_good(holdout, scores, task, random_state)),
        success=judge(Judged(scores, intervals, baseline), criteria, task),
    )


@dataclass(frozen=True)
class Judged:
    """What criteria are compared with."""

    scores: Mapping[str, float]
    intervals: Mapping[str, Interval]
    baseline: Mapping[str, float]


def _too_good(
    holdout: Holdout, scores: Mapping[str, float], task: Task, random_state: int
) -> Iterator[str]:
    """A warning for a score that few honest models reach, with the inputs that it comes from."""
    reached = scores.get(task.scoring, 0.0)
    if reached < TOO_GOOD:
        return
    table = task.importance.table(holdout, repeats=2, random_state=random_state)
    inputs = first_few([f"'{name}'" for name in table["input"]], MOST_INPUTS)
    yield (
        f"{task.scoring_label} is {reached:.3f}, which few models reach honestly. Are the inputs on"
        f" which it depends most known before the {holdout.schema.target}? They are {inputs}."
    )


def judge(found: Judged, criteria: Mapping[str, Threshold], task: Task) -> Success:
    """Each success criterion beside its score, and the worst of their verdicts. Raises BadInput for
    an unknown score, and for a baseline that a score does not have.
    """
    judged = {}
    for name, threshold in criteria.items():
        if name not in task.scores:
            remedy = did_you_mean(name, task.scores) or f"choose from {', '.join(task.scores)}"
            raise BadInput(f"evaluate.criteria: there is no score '{name}' for {task.name}", remedy)
        judged[name] = _criterion(found, name, threshold, task.scores[name].more_is_better)
    verdicts = {one.verdict for one in judged.values()}
    worst = next((one for one in VERDICTS if one in verdicts), VERDICTS[-1])
    return Success(passed=worst == "met", verdict=worst, criteria=judged)


def comparison(metrics: Metrics, task: Task) -> pd.DataFrame:
    """One row per score: the model's with its interval, the baseline's, which of them is better,
    the criterion and whether it is met.
    """
    rows = {}
    for name, value in metrics.model.items():
        baseline = metrics.baseline.get(name)
        sign = 1 if task.scores[name].more_is_better else -1
        row = {
            "model": value,
            "95 % interval": str(metrics.intervals.get(name, "")),
            "baseline": baseline,
            "better": _better(value, baseline, metrics.intervals.get(name), sign),
        }
        criterion = metrics.success.criteria.get(name)
        if criterion:
            row["criterion"] = wanted(criterion)
            row["verdict"] = criterion.verdict
        rows[name] = row
    return pd.DataFrame.from_dict(rows, orient="index").fillna("").rename_axis("score")


def shown_success(success: Success) -> str:
    """Whether the success criteria are met, in one sentence."""
    if not success.criteria:
        return "No success criteria are set."
    concerned = [
        f"{name} {one.score if one.score is None else f'{one.score:.4g}'} ({wanted(one)})"
        for name, one in success.criteria.items()
        if one.verdict == success.verdict
    ]
    if success.verdict == "met":
        return "All success criteria are met."
    if success.verdict == "met within chance":
        return f"All success criteria are met, but within chance: {', '.join(concerned)}."
    return f"Not all success criteria are met: {', '.join(concerned)}."


def wanted(criterion: Criterion) -> str:
    """What a criterion asks for: at least 0.9; better than the baseline's 0.5."""
    if criterion.is_baseline:
        return f"better than the baseline's {criterion.threshold:.4g}"
    return f"{criterion.bound} {criterion.threshold:g}"


def _criterion(found: Judged, name: str, threshold: Threshold, more_is_better: bool) -> Criterion:
    is_baseline = threshold == "baseline"
    if is_baseline and name not in found.baseline:
        what = f"evaluate.criteria.{name} is 'baseline', and a guess has no {name}"
        raise BadInput(what, "write a number")
    limit = found.baseline[name] if is_baseline else float(threshold)
    score = found.scores.get(name)
    interval = found.intervals.get(name)
    sign = 1 if more_is_better else -1
    verdict: Verdict = "not met"
    if score is not None and _reaches(sign * score, sign * limit, is_baseline):
        verdict = "met within chance"
        if interval is not None:
            worst = interval.low if more_is_better else interval.high
            is_clear = _reaches(sign * worst, sign * limit, is_baseline)
            verdict = "met" if is_clear else verdict
    bound: Literal["at least", "at most"] = "at least" if more_is_better else "at most"
    return Criterion(
        bound=bound, threshold=limit, is_baseline=is_baseline, score=score, verdict=verdict
    )


def _reaches(score: float, limit: float, must_exceed: bool) -> bool:
    return score > limit if must_exceed else score >= limit


def _better(model: float, baseline: float | None, interval: Interval | None, sign: int) -> str:
    """Which of both is better, where chance does not explain it."""
    if baseline is None or interval is None:
        return ""
    if interval.low <= baseline <= interval.high:
        return "within chance"
    return "model" if sign * model > sign * baseline else "baseline"
