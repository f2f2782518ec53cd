"""Whether a model is worse than the champion is judged on rows that neither was trained on, and by an interval."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from conftest import project_module
from sklearn.base import BaseEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline

from bakebook.contracts import ReadOptions, Schema
from bakebook.errors import BadInput, CheckFailed
from bakebook.lifecycle.candidate import Known
from bakebook.lifecycle.comparison import Comparison, compare
from bakebook.models import export
from bakebook.models.held_out import held_out, identities, places
from bakebook.models.runtime import Model
from bakebook.models.schema import describe_inputs, learn_inputs, to_X_y
from bakebook.models.task import Score

Make = Callable[[Schema, BaseEstimator], Pipeline]
ROLES = {"x": "numeric", "kind": "categorical", "place": "categorical", "other": "numeric"}
DTYPES = {"x": "number", "kind": "text", "place": "text", "other": "number"}


def score(name: str, task: str = "classification") -> Score:
    found: Score = project_module("evaluation.scores").task_of(task).scores[name]
    return found


def people(count: int, seed: int = 0, noise: float = 0.5) -> pd.DataFrame:
    chance = np.random.default_rng(seed)
    x = chance.normal(size=count)
    kind = chance.choice(["p", "q", "r"], count)
    y = np.where(x + (kind == "p") + chance.normal(0, noise, count) > 0.3, "yes", "no")
    return pd.DataFrame({"x": x, "kind": kind, "y": y})


def split(table: pd.DataFrame, schema: Schema, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    is_test = held_out(places(table, schema, seed), None, 0.25)
    return table[~is_test], table[is_test]


def schema_of(table: pd.DataFrame, **how: str) -> Schema:
    task = "regression" if pd.api.types.is_float_dtype(table["y"]) else "classification"
    roles = {name: ROLES[name] for name in table.columns if name in ROLES}
    return learn_inputs(describe_inputs(table, "y", task, roles, **how), table)  # type: ignore[arg-type]


@pytest.fixture
def known(make_pipeline: Make) -> Callable[..., Known]:
    """A model of some rows, as a version of it is known."""

    def made(train: pd.DataFrame, estimator: BaseEstimator, **how: str) -> Known:
        schema = schema_of(train, **how)
        onnx = export.convert(make_pipeline(schema, estimator).fit(*to_X_y(train, schema)), schema)
        options = ReadOptions(columns=DTYPES | {"y": "text"})
        model = Model(onnx, export.signature(onnx, schema, options))
        return Known(model, schema, np.unique(identities(train, schema).to_numpy()))

    return made


def judged(candidate: Known, champion: Known, test: pd.DataFrame, margin: float = 0.02) -> Comparison:
    return compare(candidate, champion, test, "f1_macro", score("f1_macro"), margin)


def test_the_same_model_is_not_worse_and_a_guess_is(known: Callable[..., Known]) -> None:
    table = people(400)
    train, test = split(table, schema_of(table))
    shuffled = train.assign(y=train["y"].sample(frac=1, random_state=0).to_numpy())
    good, guess = known(train, LogisticRegression()), known(shuffled, LogisticRegression())
    same = judged(good, good, test, margin=0.0)
    assert (same.is_worse, same.interval.low, same.interval.high, same.rows) == (False, 0, 0, len(test))
    assert judged(guess, good, test).is_worse and not judged(good, guess, test).is_worse
    assert judged(good, guess, test).interval.low > 0.1
    assert not judged(guess, good, test, margin=0.9).is_worse


def test_what_the_champion_was_trained_on_does_not_test_it(known: Callable[..., Known]) -> None:
    table = people(400)
    schema = schema_of(table)
    train, test = split(table, schema)
    other_train, _ = split(table, schema, seed=1)
    new, old = known(train, LogisticRegression()), known(other_train, LogisticRegression())
    common = test.index.difference(other_train.index)
    assert judged(new, old, test).rows == len(common) < len(test) / 2
    old_of_all = known(table, LogisticRegression())
    with pytest.raises(CheckFailed, match=rf"only 0 of {len(test)} test rows are new to the champion"):
        judged(new, old_of_all, test)


def test_a_group_that_the_champion_knows_does_not_test_it(known: Callable[..., Known]) -> None:
    table = people(400).assign(place=np.repeat([f"place {number}" for number in range(40)], 10))
    how = {"split": "group", "split_by": "place"}
    train, test = table[:300], table[300:]
    new = known(train, LogisticRegression(), **how)
    old = known(table[50:350], LogisticRegression(), **how)
    assert judged(new, old, test).rows == 50
    moved = test.assign(x=test["x"] + 1)  # other rows of the same groups
    assert judged(new, old, moved).rows == 50


def test_rows_that_are_equal_by_chance_test_it(known: Callable[..., Known]) -> None:
    chance = np.random.default_rng(0)
    kind = chance.choice(["p", "q", "r"], 400)
    table = pd.DataFrame({"kind": kind, "place": chance.choice(["a", "b"], 400)})
    table["y"] = np.where(chance.random(400) < 0.2 + 0.6 * (kind == "p"), "yes", "no")
    train, test = split(table, schema_of(table))
    assert judged(known(train, LogisticRegression()), known(train, LogisticRegression(C=0.01)), test).rows == len(test)


def test_classes_that_only_one_of_them_knows_are_compared(known: Callable[..., Known]) -> None:
    table = people(400)
    train, test = split(table, schema_of(table))
    more = train.assign(y=train["y"].where(train["x"] < 1.2, "always"))
    tested = test.assign(y=test["y"].where(test["x"] < 1.2, "always"))
    three, two = known(more, LogisticRegression()), known(train, LogisticRegression())
    assert judged(two, three, test).champion < judged(two, three, test).candidate
    found = judged(three, two, tested)
    assert found.candidate > found.champion > 0.4 and not found.is_worse


def test_of_an_error_the_margin_is_a_share(known: Callable[..., Known]) -> None:
    chance = np.random.default_rng(0)
    x = chance.normal(size=600)
    table = pd.DataFrame({"x": x, "other": chance.normal(size=600), "y": 1000 * x + chance.normal(0, 100, 600)})
    train, test = table[:400], table[400:]
    good = known(train, LinearRegression())
    bad = known(train.assign(y=train["y"] + 60), LinearRegression())
    mae = score("mae", "regression")
    loss = compare(bad, good, test, "mae", mae, 0.02)
    assert loss.is_worse and loss.candidate > loss.champion and loss.interval.high < 0
    assert not compare(good, bad, test, "mae", mae, 0.0).is_worse
    assert not compare(bad, good, test, "mae", mae, 0.5).is_worse  # half of about 80


def test_another_table_or_target_cannot_be_compared(known: Callable[..., Known]) -> None:
    table = people(400)
    train, test = split(table, schema_of(table))
    model = known(train, LogisticRegression())
    with pytest.raises(BadInput, match="the table has changed since the champion, which needs the column kind"):
        judged(known(train.drop(columns="kind"), LogisticRegression()), model, test.drop(columns="kind"))
    renamed = model.schema.model_copy(update={"target": "z"})
    signature = model.model.signature.model_copy(update={"target": "z"})
    other = Known(model.model, renamed, model.rows)
    other.model.signature = signature
    with pytest.raises(BadInput, match="the champion predicts 'z', and this model 'y'"):
        judged(known(train, LogisticRegression()), other, test)


@pytest.mark.parametrize("seed", range(3))
def test_an_equally_good_model_is_seldom_refused_with_many_rows(seed: int, known: Callable[..., Known]) -> None:
    table = people(8000, seed)
    train, test = split(table, schema_of(table))
    one, other = known(train[::2], LogisticRegression()), known(train[1::2], LogisticRegression())
    assert not judged(one, other, test).is_worse and not judged(other, one, test).is_worse
