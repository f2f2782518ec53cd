"""From which probability on the rarer class is predicted: chosen, measured, and the same where it is served."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score
from sklearn.pipeline import Pipeline

from bakebook.contracts import ReadOptions, Schema
from bakebook.errors import BadInput
from bakebook.models import estimators, export
from bakebook.models.deciding import HALF, choose, decide, threshold_of, with_threshold
from bakebook.models.fitting import fit
from bakebook.models.rows import Rows, rows_of
from bakebook.models.runtime import Model
from bakebook.models.schema import describe_inputs, learn_inputs
from bakebook.params import Decision
from bakebook.search.cross_validation import cross_validate
from bakebook.search.plan import Plan

CLASSES = ("no", "yes")
PLAN = Plan("none", {}, 0, 0, 5, "f1_macro", 0)
Make = Callable[..., Pipeline]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """One row in twelve is a yes, and hard to tell."""
    chance = np.random.default_rng(0)
    table = pd.DataFrame(chance.normal(size=(1200, 3)), columns=list("abc"))
    logit = 1.5 * table["a"] + table["b"] - 3.5
    return table.assign(label=np.where(chance.random(1200) < 1 / (1 + np.exp(-logit)), "yes", "no"))


@pytest.fixture(scope="module")
def schema(table: pd.DataFrame) -> Schema:
    roles = dict.fromkeys("abc", "numeric")
    return learn_inputs(describe_inputs(table, "label", "classification", roles), table)


@pytest.fixture(scope="module")
def rows(table: pd.DataFrame, schema: Schema) -> Rows:
    return rows_of(table, schema)


@pytest.fixture
def line(schema: Schema, make_pipeline: Make) -> Pipeline:
    unfitted = estimators.build("sklearn.linear_model.LogisticRegression", {}, "classification", 0)
    return make_pipeline(schema, unfitted)


def test_a_lower_threshold_finds_a_rare_class(line: Pipeline, rows: Rows) -> None:
    half = cross_validate(line, rows, PLAN, HALF, CLASSES)
    chosen = cross_validate(line, rows, PLAN, "scoring", CLASSES)
    assert half.threshold == HALF
    assert 0.1 < chosen.threshold < 0.4
    assert chosen.scores.mean > half.scores.mean + 0.03


def test_costs_move_the_threshold(line: Pipeline, rows: Rows) -> None:
    costs: Decision = {"yes": 20.0, "no": 1.0}
    found = cross_validate(line, rows, PLAN, costs, CLASSES)
    assert found.threshold < 0.12
    with pytest.raises(BadInput, match="costs of ja → give the cost of a missed row of no and yes"):
        cross_validate(line, rows, PLAN, {"ja": 1.0}, CLASSES)


def test_a_given_threshold_is_taken(line: Pipeline, rows: Rows) -> None:
    assert cross_validate(line, rows, PLAN, 0.2, CLASSES).threshold == 0.2


def test_on_noise_the_threshold_stays_one_half() -> None:
    stayed = 0
    for seed in range(20):
        chance = np.random.default_rng(seed)
        positive = chance.uniform(0.3, 0.7, 100)
        y_score = np.column_stack([1 - positive, positive])
        stayed += choose("scoring", chance.integers(2, size=100), y_score, "f1_macro", CLASSES) == HALF
    assert stayed >= 12


@pytest.mark.parametrize("scoring", ["roc_auc", "neg_log_loss"])
def test_a_score_of_probabilities_needs_no_threshold(rows: Rows, line: Pipeline, scoring: str) -> None:
    plan = Plan("none", {}, 0, 0, 3, scoring, 0)
    assert cross_validate(line, rows, plan, "scoring", CLASSES).threshold == HALF


def test_the_served_model_decides_as_the_trained_one(
    line: Pipeline, rows: Rows, table: pd.DataFrame, schema: Schema, tmp_path: Any
) -> None:
    fitted = fit(line, rows)
    deciding = with_threshold(fitted, 0.2)
    assert (threshold_of(fitted), threshold_of(deciding)) == (HALF, 0.2)
    assert f1_score(rows.y, deciding.predict(rows.X)) > f1_score(rows.y, fitted.predict(rows.X))
    onnx = export.convert(deciding, schema)
    reading = ReadOptions(columns=dict.fromkeys("abc", "number"))
    signature = export.signature(onnx, schema, reading)
    assert signature.threshold == 0.2
    prediction = Model(onnx, signature).predict({name: table[name].to_numpy() for name in "abc"})
    expected = np.array(CLASSES)[decide(deciding.predict_proba(rows.X), 0.2)]
    assert (prediction.values == expected).mean() == 1
    export.stop_if_different(export.compare(deciding, rows.X, prediction, schema), 1e-4)
    assert export.signature(export.convert(fitted, schema), schema, reading).threshold is None


def test_a_served_model_with_another_threshold_is_refused(
    line: Pipeline, rows: Rows, table: pd.DataFrame, schema: Schema
) -> None:
    deciding = with_threshold(fit(line, rows), 0.2)
    onnx = export.convert(deciding, schema)
    signature = export.signature(onnx, schema, ReadOptions(columns=dict.fromkeys("abc", "number")))
    wrong = Model(onnx, signature.model_copy(update={"threshold": 0.4}))
    prediction = wrong.predict({name: table[name].to_numpy() for name in "abc"})
    compared = export.compare(deciding, rows.X, prediction, schema)
    assert compared["behind"].max() > 0.05
