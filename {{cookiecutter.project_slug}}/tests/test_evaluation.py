"""Scores, success criteria and plots of both tasks."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference
from sklearn.dummy import DummyClassifier
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from bakebook import params
from bakebook.contracts import Interval, Schema, SplitReport, Success
from bakebook.errors import BadInput
from bakebook.models.schema import describe_inputs, learn_inputs, to_X_y
from bakebook.models.task import Holdout
from bakebook.params import Threshold

from {{cookiecutter.package_name}} import features, plots
from {{cookiecutter.package_name}}.evaluation import class_scores, scores, slices

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
    if classes == 2:
        expected["precision"] = reference.precision_score(y, y_pred)
        expected["recall"] = reference.recall_score(y, y_pred)
        expected["average_precision"] = reference.average_precision_score(y, y_score[:, 1])
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


def judged(criteria: dict[str, Threshold]) -> Success:
    found = scores.Judged(
        scores={"f1_macro": 0.8, "log_loss": 0.2},
        intervals={
            "f1_macro": Interval(low=0.7, high=0.9),
            "log_loss": Interval(low=0.1, high=0.3),
        },
        baseline={"f1_macro": 0.75, "log_loss": 0.7},
    )
    return scores.judge(found, criteria, scores.task_of("classification"))


def test_a_criterion_that_is_not_met_is_reported() -> None:
    success = judged({"f1_macro": 0.9, "log_loss": 0.3})
    assert not success.passed
    assert success.criteria["log_loss"].verdict == "met"
    sentence = "Not all success criteria are met: f1_macro 0.8 (at least 0.9)."
    assert scores.shown_success(success) == sentence


def test_a_criterion_within_the_interval_is_met_within_chance() -> None:
    success = judged({"f1_macro": 0.75})
    assert (success.passed, success.verdict) == (False, "met within chance")


def test_a_criterion_may_be_the_baseline() -> None:
    success = judged({"f1_macro": "baseline", "log_loss": "baseline"})
    assert success.criteria["f1_macro"].verdict == "met within chance"
    assert success.criteria["log_loss"].verdict == "met"
    sentence = "but within chance: f1_macro 0.8 (better than the baseline's 0.75)."
    assert sentence in scores.shown_success(success)


def test_a_score_of_another_task_is_named() -> None:
    with pytest.raises(BadInput, match="there is no score 'r2' for classification"):
        judged({"r2": 0.5})


def test_a_score_that_a_guess_does_not_have_needs_a_number() -> None:
    with pytest.raises(BadInput, match="a guess has no calibration_error → write a number"):
        judged({"calibration_error": "baseline"})


def test_each_score_has_the_best_guess_as_its_baseline(numbers: Schema) -> None:
    skewed = pd.Series(np.exp(np.random.default_rng(0).normal(0, 2, 500)))
    found = scores.task_of("regression").baseline(skewed, skewed, numbers)
    assert found["mae"] == pytest.approx((skewed - skewed.median()).abs().mean(), abs=1e-6)
    assert found["rmse"] == pytest.approx(skewed.std(ddof=0), abs=1e-6)


def test_a_guess_of_balanced_classes_has_half_the_f1(schema: Schema) -> None:
    y = pd.Series(np.arange(100) % 2)
    two = schema.model_copy(update={"classes": ("a", "b")})
    assert scores.task_of("classification").baseline(y, y, two)["f1_macro"] == 0.5


def test_an_interval_of_rows_without_an_error_has_a_width(
    table: pd.DataFrame, schema: Schema
) -> None:
    intervals = scores.task_of("classification").intervals(holdout(table, schema), 0)
    assert intervals["accuracy"].low < 0.95
    assert intervals["f1_macro"].low < 0.95


def test_correlated_inputs_are_shuffled_together() -> None:
    chance = np.random.default_rng(0)
    cause, other = chance.normal(size=(2, 400))
    table = pd.DataFrame({"a": cause, "b": other, "a2": cause + chance.normal(0, 0.1, 400)})
    table["a3"] = cause + chance.normal(0, 0.1, 400)
    table["y"] = cause + 0.35 * other + chance.normal(0, 0.3, 400)
    roles = dict.fromkeys(["a", "b", "a2", "a3"], "numeric")
    schema = learn_inputs(describe_inputs(table, "y", "regression", roles), table)
    evaluated = holdout(table, schema)
    rows = scores.task_of("regression").importance.table(evaluated, repeats=5, random_state=0)
    assert rows["input"].tolist() == ["a + a2 + a3", "b"]
    assert rows["importance"].iloc[0] > rows["importance"].iloc[1]


def test_a_title_does_not_state_what_chance_explains(table: pd.DataFrame, schema: Schema) -> None:
    alike = pd.DataFrame({"input": ["a", "b"], "importance": [0.05, 0.04], "spread": [0.02, 0.02]})
    assert (
        plots.importance(alike, "macro F1")
        .axes[0]
        .get_title()
        .endswith("1 more may matter as much")
    )
    nothing = alike.assign(importance=[0.01, 0.0])
    assert (
        "no input more than by chance" in plots.importance(nothing, "macro F1").axes[0].get_title()
    )
    deciles = pd.DataFrame({"error": [1.0, 1.1, 1.2], "spread": [0.2] * 3})
    metrics = scores.evaluate(holdout(table, schema), holdout(table, schema).y, {}, REPORT)
    title = plots.error_by_decile(deciles, schema, metrics).axes[0].get_title()
    assert title == "No decile has an error that is clearly greater"


def chance_and_a_bad_colour(rows: int, of_red: float) -> Holdout:
    """A model that is wrong in every tenth row by chance, and as often as `of_red` in red ones."""
    chance = np.random.default_rng(rows)
    table = pd.DataFrame({"size": chance.normal(size=rows), "when": pd.Timestamp("2026-01-01")})
    table["when"] += pd.to_timedelta(chance.integers(0, 365, rows), "D")
    table["colour"] = chance.choice(["red", "white", "rose"], rows)
    table["hue"] = np.where(chance.random(rows) < 0.2, np.nan, chance.normal(size=rows))
    is_wrong = chance.random(rows) < np.where(table["colour"] == "red", of_red, 0.1)
    table["kind"] = np.where(is_wrong, "b", "a")
    roles = {"size": "numeric", "when": "datetime", "colour": "categorical", "hue": "numeric"}
    used = learn_inputs(describe_inputs(table, "kind", "classification", roles), table)
    X, y = to_X_y(table, used)
    model = DummyClassifier(strategy="constant", constant=0).fit(X, y)
    return Holdout(model, X, y, used)


def test_the_part_in_which_a_model_errs_most_is_found() -> None:
    task = scores.task_of("classification")
    rows = task.slices.table(chance_and_a_bad_colour(600, of_red=0.5))
    first, *others = rows.to_dict("records")
    assert (first["segment"], first["is_clear"]) == ("colour = red", True)
    assert first["error"] > 0.4 and first["elsewhere"] < 0.2
    assert not any(one["is_clear"] for one in others)
    assert {one["segment"].split()[0] for one in others} == {"size", "when", "hue"}
    title = plots.slices(rows, "x").axes[0].get_title()
    assert title.replace("\n", " ") == "The error is greatest where colour = red"


def test_of_many_parts_none_seems_clearly_worse_by_chance() -> None:
    task = scores.task_of("classification")
    found = [task.slices.table(chance_and_a_bad_colour(200 + n, of_red=0.1)) for n in range(100)]
    assert sum(bool(rows["is_clear"].any()) for rows in found) <= 10


def test_a_part_in_which_every_row_is_wrong_comes_first() -> None:
    bad = chance_and_a_bad_colour(600, of_red=0.5)
    errors = np.asarray(bad.X["colour"] == "red", dtype=np.float64)
    first = slices.worst(bad, errors=lambda _: errors).iloc[0]
    assert (first["segment"], first["error"], first["spread"]) == ("colour = red", 1.0, 0.0)
    assert first["is_clear"]


def test_too_few_rows_have_no_parts(table: pd.DataFrame, schema: Schema) -> None:
    evaluated = holdout(table, schema)
    few = replace(evaluated, X=evaluated.X[:12], y=evaluated.y[:12])
    rows = scores.task_of("classification").slices.table(few)
    assert rows.empty and plots.slices(rows, "x").axes[0].get_title().startswith("No part")


def test_the_calibration_of_a_perfect_model_on_few_rows_is_not_zero() -> None:
    chance = np.random.default_rng(0)
    found = []
    for rows in (45, 2000):
        y_score = chance.dirichlet(np.ones(3), rows)
        found.append(class_scores.error_of_perfection(y_score))
    assert 0.1 < found[0] < 0.25
    assert found[1] < 0.05


def test_a_score_that_is_too_good_names_its_inputs(table: pd.DataFrame, schema: Schema) -> None:
    metrics = scores.evaluate(holdout(table, schema), holdout(table, schema).y, {}, REPORT)
    (warning,) = metrics.warnings
    assert "macro F1 is 1.000" in warning and "They are 'size'" in warning


def test_precision_and_recall_are_those_of_the_rarer_class() -> None:
    y = np.array([0, 1, 1, 1, 1])
    y_score = np.column_stack([[0.9, 0.8, 0.1, 0.1, 0.1], [0.1, 0.2, 0.9, 0.9, 0.9]])
    task = scores.task_of("classification")
    found = {
        name: task.scores[name].compute(y, y_score.argmax(axis=1), y_score)
        for name in ("precision", "recall", "average_precision")
    }
    assert found == {"precision": 0.5, "recall": 1.0, "average_precision": 1.0}


def test_a_class_without_test_rows_is_said_to_have_none(
    table: pd.DataFrame, schema: Schema
) -> None:
    evaluated = holdout(table, schema)
    is_kept = evaluated.y > 0
    evaluated = replace(evaluated, X=evaluated.X[is_kept], y=evaluated.y[is_kept])
    task = scores.task_of("classification")
    metrics = scores.evaluate(evaluated, evaluated.y, {}, REPORT)
    assert f"- {schema.classes[0]}: no test rows" in task.describe_details(metrics, schema)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_every_plot_of_a_task_is_drawn(
    task: str, table: pd.DataFrame, schema: Schema, numbers: Schema
) -> None:
    used = schema if task == "classification" else numbers
    evaluated = holdout(table, used)
    metrics = scores.evaluate(evaluated, evaluated.y, {}, REPORT)
    drawn = scores.task_of(used.task)
    for plot in (drawn.predictions, drawn.errors, drawn.confidence, drawn.slices):
        rows = plot.table(evaluated)
        assert {plot.x, plot.y} <= set(rows.columns)
        assert plot.figure(rows, used, metrics).axes[0].get_title()
    rows = drawn.importance.table(evaluated, repeats=2, random_state=0)
    assert drawn.importance.figure(rows, used, metrics).axes[0].get_title()


def test_the_better_of_model_and_baseline_is_named(table: pd.DataFrame, schema: Schema) -> None:
    evaluated = holdout(table, schema)
    metrics = scores.evaluate(evaluated, evaluated.y, {"accuracy": 0.5}, REPORT)
    rows = scores.comparison(metrics, scores.task_of("classification"))
    assert rows.loc["accuracy", "better"] == "model"
    assert rows.loc["accuracy", "criterion"] == "at least 0.5"
