"""AutoML: FLAML chooses the estimator as well as its hyperparameters (dependency group `automl`)."""

import json
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.metrics import get_scorer
from sklearn.pipeline import Pipeline

from . import estimators, features, folds
from .errors import BadInput, first_line
from .features import Schema
from .folds import Plan, Progress

# FLAML's names of the families whose ONNX says the same; it begins with the cheapest.
FAMILIES = {
    "classification": ("lgbm", "xgboost", "rf", "extra_tree", "histgb", "lrl1"),
    "regression": ("lgbm", "xgboost", "rf", "extra_tree", "histgb", "enet"),
}
OURS = ("random_state", "n_jobs", "verbose", "verbosity")  # what is no choice of FLAML


def search(
    model: Pipeline, X: pd.DataFrame, y: pd.Series, schema: Schema, plan: Plan
) -> tuple[Pipeline, list[dict[str, Any]]]:
    """The best pipeline, unfitted, and what was tried: {state, score, spread, estimator, its values}.

    FLAML searches over estimators alone, on rows whose preprocessing was learned on all of them: its scores, marked as
    tried, may flatter. So its winner is measured anew like the model of params.yaml, and the better of both is taken.
    One thread, so that the same seed gives the same winner.
    """
    automl = _flaml()
    rows = [_measured(model, X, y, plan)]
    scores: list[float] = []
    progress = Progress(plan.trials, plan.time_budget)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        log = Path(folder, "trials.log")
        try:
            automl.fit(
                X_train=np.asarray(features.preprocessor(schema, scale=True).fit_transform(X, y), dtype=np.float32),
                y_train=y.to_numpy(),
                task=schema["task"],
                metric=_loss(plan.scoring, scores, lambda: progress.may_go_on(len(scores) // plan.cv)),
                estimator_list=list(FAMILIES[schema["task"]]),
                eval_method="cv",
                split_type=folds.splitter(y, plan),
                n_splits=plan.cv,
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
        except ValueError as error:
            what = f"automl cannot learn from these rows: {first_line(error)}"
            raise BadInput(f"{what} → set another train.search") from None
        tried = list(_tried(log, scores, plan.cv))
    progress.finish()
    if automl.model is None:
        return model, rows
    found = features.pipeline(schema, _plain(automl.model.estimator, schema, plan.random_state))
    rows.append(_measured(found, X, y, plan))
    return (found if rows[1]["score"] > rows[0]["score"] else model), rows + tried


def _flaml() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a bar of its own would want ipywidgets
        try:
            from flaml.automl.automl import AutoML
        except ModuleNotFoundError as error:
            raise BadInput(f"{error.name} is not installed → uv sync --group automl") from None
    return AutoML()


def _loss(scoring: str, scores: list[float], advance: Callable[[], Any]) -> Callable[..., Any]:
    """A score of scikit-learn as FLAML's measure of a fold, less being better."""
    scorer = get_scorer(scoring)

    def loss(X: Any, y: Any, estimator: Any, *rest: Any, **more: Any) -> tuple[float, dict[str, float]]:
        scores.append(float(scorer(estimator, X, y)))
        advance()
        return -scores[-1], {"score": scores[-1]}

    return loss


def _tried(log: Path, scores: list[float], cv: int) -> Iterator[dict[str, Any]]:
    for line in log.read_text(encoding="utf-8").splitlines():
        trial = json.loads(line)
        if "learner" in trial:  # the last line says which was the best
            spread = float(np.std(scores[trial["record_id"] * cv :][:cv]))
            measured = {"state": "tried", "score": -trial["validation_loss"], "spread": spread}
            yield {**measured, "estimator": trial["learner"], **trial["config"]}


def _measured(model: Pipeline, X: pd.DataFrame, y: pd.Series, plan: Plan) -> dict[str, Any]:
    found = list(folds.scores(model, X, y, plan))
    name = estimators.dotted(type(estimators.inner(model)))
    return {"state": "complete", "score": float(np.mean(found)), "spread": float(np.std(found)), "estimator": name}


def _plain(fitted: Any, schema: Schema, random_state: int) -> BaseEstimator:
    """The estimator that FLAML found, unfitted, as `params.yaml` would name it."""
    defaults, found = type(fitted)().get_params(), fitted.get_params()
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in found.items()}
    changed = {name: value for name, value in plain.items() if name not in defaults or value != defaults[name]}
    chosen = {name: value for name, value in changed.items() if name not in OURS}
    return estimators.build(estimators.dotted(type(fitted)), chosen, schema["task"], random_state)
