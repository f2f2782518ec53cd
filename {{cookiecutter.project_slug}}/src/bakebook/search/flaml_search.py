"""AutoML: FLAML chooses the estimator and its hyperparameters (dependency group `automl`)."""

import json
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.linear_model import LinearRegression
from sklearn.metrics import get_scorer
from sklearn.pipeline import Pipeline

from bakebook.contracts import Schema
from bakebook.errors import BadInput, first_line
from bakebook.models import estimators
from bakebook.models.fitting import GivenFolds, preprocessed
from bakebook.models.rows import Rows, folds
from bakebook.params import Task
from bakebook.search import cross_validation
from bakebook.search.plan import Plan
from bakebook.search.progress import Progress
from bakebook.search.trial import COMPLETE, Trial

# FLAML's names of the families that export to ONNX exactly; the first is the cheapest.
FAMILIES: dict[Task, tuple[str, ...]] = {
    "classification": ("lgbm", "xgboost", "rf", "extra_tree", "histgb", "lrl1"),
    "regression": ("lgbm", "xgboost", "rf", "extra_tree", "histgb", "enet"),
}
FIXED = ("random_state", "n_jobs", "verbose", "verbosity")  # not chosen by FLAML


def search(
    model: Pipeline,
    rows: Rows,
    schema: Schema,
    plan: Plan,
    make_pipeline: Callable[[Schema, BaseEstimator], Pipeline],
) -> tuple[Pipeline, list[Trial]]:
    """The best pipeline, unfitted, and what was tried.

    FLAML searches over estimators alone, on rows whose preprocessing was fitted on all of them, so
    its scores may be too good. Its winner is therefore measured again like the model of
    params.yaml, both in folds that FLAML did not see, and the better one is taken. One thread, so
    that the same seed gives the same winner.
    """
    task = schema.task
    automl = _flaml()
    trials = [_measure(model, rows, plan)]
    try:
        X = preprocessed(make_pipeline(schema, LinearRegression()), rows)
        fitted, tried = _run_flaml(automl, X, rows, task, plan)
    except ValueError as error:
        what = f"automl cannot learn from these rows: {first_line(error)}"
        raise BadInput(what, "set another train.search") from None
    if fitted is None:
        return model, trials
    found = make_pipeline(schema, _unfitted(fitted, task, plan.random_state))
    trials.append(_measure(found, rows, plan))
    is_better = (trials[1].score or 0) > (trials[0].score or 0)
    return found if is_better else model, trials + tried


def _run_flaml(
    automl: Any, X: np.ndarray, rows: Rows, task: Task, plan: Plan
) -> tuple[Any, list[Trial]]:
    """FLAML's best estimator, fitted (None when it found none in time), and what it tried."""
    scores: list[float] = []
    given = GivenFolds(folds(rows, plan.cv, plan.random_state))
    cv = given.get_n_splits()
    progress = Progress(plan.trials, plan.time_budget)

    def advance() -> None:
        progress.may_continue(len(scores) // cv)

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        log = Path(folder, "trials.log")
        automl.fit(
            X_train=X,
            y_train=rows.y.to_numpy(),
            task=task,
            metric=_loss(plan.scoring, scores, advance),
            estimator_list=list(FAMILIES[task]),
            eval_method="cv",
            split_type=given,
            n_splits=cv,
            max_iter=plan.trials or None,
            time_budget=plan.time_budget or -1,
            early_stop=False,
            retrain_full=False,
            skip_transform=True,
            seed=plan.random_state,
            n_jobs=1,
            log_file_name=str(log),
            log_type="all",
            mlflow_logging=False,
            verbose=0,
        )
        tried = list(_tried(log, scores, cv))
    progress.finish()
    return automl.model and automl.model.estimator, tried


def _flaml() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # FLAML warns that its own bar needs ipywidgets
        try:
            from flaml.automl.automl import AutoML
        except ModuleNotFoundError as error:
            raise BadInput(f"{error.name} is not installed", "uv sync --group automl") from None
    return AutoML()


def _loss(scoring: str, scores: list[float], advance: Callable[[], None]) -> Callable[..., object]:
    """A score of scikit-learn as FLAML's loss of a fold, where less is better."""
    scorer = get_scorer(scoring)

    def loss(
        X: object, y: object, estimator: object, *rest: object, **more: object
    ) -> tuple[float, dict[str, float]]:
        score = float(scorer(estimator, X, y))
        scores.append(score)
        advance()
        return -score, {"score": score}

    return loss


def _tried(log: Path, scores: list[float], cv: int) -> Iterator[Trial]:
    for line in log.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if "learner" not in entry:  # the last line names the best
            continue
        first = entry["record_id"] * cv
        spread = float(np.std(scores[first : first + cv]))
        values = {"estimator": entry["learner"], **entry["config"]}
        yield Trial("tried", -entry["validation_loss"], spread, values)


def _measure(model: Pipeline, rows: Rows, plan: Plan) -> Trial:
    found = list(cross_validation.scores(model, rows, plan.in_other_folds(2)))
    name = estimators.dotted(type(estimators.inner(model)))
    return Trial(COMPLETE, float(np.mean(found)), float(np.std(found)), {"estimator": name})


def _unfitted(fitted: Any, task: Task, random_state: int) -> BaseEstimator:
    """The estimator that FLAML found, unfitted, as `params.yaml` would name it."""
    defaults = type(fitted)().get_params()
    chosen = {}
    for name, value in fitted.get_params().items():
        plain = value.item() if isinstance(value, np.generic) else value
        is_changed = name not in defaults or plain != defaults[name]
        if is_changed and name not in FIXED:
            chosen[name] = plain
    return estimators.build(estimators.dotted(type(fitted)), chosen, task, random_state)
