"""Scores, success criteria and plots of both tasks."""

from typing import get_args

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from bakebook import params
from bakebook.contracts import Schema, SplitReport
from bakebook.errors import BadInput
from bakebook.models.schema import describe_inputs, learn_inputs, to_X_y
from bakebook.models.task import Holdout

from {{cookiecutter.package_name}} import features
from {{cookiecutter.package_name}}.evaluation import scores

REPORT = SplitReport(train_rows=60, test_rows=60, rows_without_target=0)
TREES = {"classification": DecisionTreeClassifier, "regression": DecisionTreeRegressor}


def holdout(table: pd.DataFrame, schema: Schema) -> Holdout:
    X, y = to_X_y(table, schema)
    tree = TREES[schema.task](max_depth=2, random_state=0)
    model = features.pipeline(schema, tree).fit(X, y)
    return Holdout(model, X, y, schema)


@pytest.fixture
def numbers(table: pd.DataFrame) -> Schema:
    described = describe_inputs(
        table,
        "size",
        "regression",
        {"noise": "numeric", "colour": "categorical", "kind": "categorical"},
    )
    return learn_inputs(described, table)


def test_the_scores_of_a_criterion_are_those_that_are_computed() -> None:
    computed = [name for task in scores.TASKS.values() for name in task.scores]
    assert list(get_args(params.Score)) == computed


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("rows", [6, 40, 700])
def test_the_scores_of_classes_are_those_of_scikit_learn(classes: int, rows: int) -> None:
    chance = np.random.default_rng(rows)
    y = np.arange(rows) % classes
    y_score = chance.dirichlet(np.ones(classes), rows).round(2)  # with ties
    y_score /= y_score.sum(axis=1, keepdims=True)
    y_pred = y_score.argmax(axis=1)
    of_class = "raise" if classes == 2 else "ovr"
    shown = y_score[:, 1] if classes == 2 else y_score
    expected = {
        "accuracy": reference.accuracy_score(y, y_pred),
        "balanced_accuracy": reference.balanced_accuracy_score(y, y_pred),
        "f1_macro": reference.f1_score(y, y_pred, average="macro", zero_division=0),
        "roc_auc": reference.roc_auc_score(y, shown, multi_class=of_class),
        "log_loss": reference.log_loss(y, y_score, labels=range(classes)),
    }
    task = scores.task_of("classification")
    computed = {name: task.scores[name].compute(y, y_pred, y_score) for name in expected}
    assert computed == pytest.approx(expected)


def test_the_scores_of_numbers_are_those_of_scikit_learn() -> None:
    chance = np.random.default_rng(3)
    y = chance.normal(size=50)
    y_pred = y + chance.normal(size=50)
    expected = {
        "mae": reference.mean_absolute_error(y, y_pred),
        "rmse": reference.root_mean_squared_error(y, y_pred),
        "r2": reference.r2_score(y, y_pred),
    }
    task = scores.task_of("regression")
    computed = {name: task.scores[name].compute(y, y_pred, None) for name in expected}
    assert computed == pytest.approx(expected)


def test_a_criterion_that_is_not_met_is_reported() -> None:
    task = scores.task_of("classification")
    criteria = {"f1_macro": 0.9, "log_loss": 0.3}
    judged = scores.judge({"f1_macro": 0.8, "log_loss": 0.2}, criteria, task)
    assert not judged.passed
    assert judged.criteria["log_loss"].passed
    assert scores.shown_success(judged) == "Not all success criteria are met."


def test_a_score_of_another_task_is_named() -> None:
    with pytest.raises(BadInput, match="there is no score 'r2' for classification"):
        scores.judge({}, {"r2": 0.5}, scores.task_of("classification"))


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_every_plot_of_a_task_is_drawn(
    task: str, table: pd.DataFrame, schema: Schema, numbers: Schema
) -> None:
    used = schema if task == "classification" else numbers
    evaluated = holdout(table, used)
    metrics = scores.evaluate(evaluated, (evaluated.X, evaluated.y), {}, REPORT)
    drawn = scores.task_of(used.task)
    for plot in (drawn.predictions, drawn.errors, drawn.confidence):
        rows = plot.table(evaluated)
        assert {plot.x, plot.y} <= set(rows.columns)
        assert plot.figure(rows, used, metrics).axes[0].get_title()
    rows = drawn.importance.table(evaluated, repeats=2, random_state=0)
    assert drawn.importance.figure(rows, used, metrics).axes[0].get_title()


def test_the_better_of_model_and_baseline_is_named(table: pd.DataFrame, schema: Schema) -> None:
    evaluated = holdout(table, schema)
    metrics = scores.evaluate(evaluated, (evaluated.X, evaluated.y), {"accuracy": 0.5}, REPORT)
    rows = scores.comparison(metrics, scores.task_of("classification"))
    assert rows.loc["accuracy", "better"] == "model"
    assert rows.loc["accuracy", "criterion"] == "at least 0.5"
