"""Rows that belong together: how they are held out, and how a model is fitted on them."""

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import TargetEncoder

from bakebook.contracts import Input, Schema
from bakebook.errors import BadInput
from bakebook.models import estimators
from bakebook.models.fitting import fit, preprocessed
from bakebook.models.group_split import whole_groups
from bakebook.models.intervals import bootstrap, exact_share
from bakebook.models.related import flatteries
from bakebook.models.rows import Rows, blocks_of, folds, inner_folds
from bakebook.models.schema import describe_inputs, learn_inputs, to_X_y
from bakebook.search.cross_validation import cross_validate
from bakebook.search.plan import Plan

Make = Callable[..., Pipeline]
PEOPLE = 60


def people(each: int = 5) -> Rows:
    """Persons with a random label; their rows are alike."""
    chance = np.random.default_rng(0)
    person = np.repeat(np.arange(PEOPLE), each)
    X = pd.DataFrame({"x": chance.normal(size=PEOPLE)[person] + chance.normal(0, 0.01, len(person))})
    return Rows(X, pd.Series(chance.integers(2, size=PEOPLE)[person]), groups=pd.Series(person))


def days(count: int = 100) -> Rows:
    moments = pd.Series(pd.date_range("2024-01-01", periods=count)).sample(frac=1, random_state=0)
    X = pd.DataFrame({"x": np.arange(float(count))}, index=moments.index)
    return Rows(X, pd.Series(np.arange(count) % 2, index=moments.index), moments=moments)


@pytest.mark.parametrize("divide", [folds, inner_folds])
def test_whole_groups_are_held_out(divide: Any) -> None:
    rows = people()
    divided = divide(rows, 5, 0)
    assert len(divided) == 5
    for train, test in divided:
        assert set(rows.groups.iloc[train]).isdisjoint(rows.groups.iloc[test])


@pytest.mark.parametrize("seed", range(5))
def test_later_rows_are_predicted_from_earlier_ones(seed: int) -> None:
    rows = days()
    divided = folds(rows, 5, seed)
    assert len(divided) == 5
    for train, test in divided:
        assert rows.moments.iloc[train].max() < rows.moments.iloc[test].min()


def test_rows_without_a_moment_only_train() -> None:
    rows = days()
    rows.moments.iloc[:10] = pd.NaT
    for train, test in folds(rows, 3, 0):
        assert {*range(10)} <= set(train) and {*range(10)}.isdisjoint(test)


def test_each_row_is_held_out_once_inside_and_its_neighbours_with_it() -> None:
    rows = days()
    held_out = [test for _, test in inner_folds(rows, 4, 0)]
    assert sorted(np.concatenate(held_out)) == list(range(100))
    for test in held_out:
        moments = rows.moments.iloc[test]
        assert (moments.max() - moments.min()).days == 24


def test_noise_of_persons_scores_like_noise(make_pipeline: Make) -> None:
    schema = Schema(target="y", task="classification", classes=("0", "1"), inputs=(Input(name="x", role="numeric"),))
    forest = make_pipeline(schema, estimators.build("sklearn.ensemble.RandomForestClassifier", {}, "classification", 0))
    plan = Plan("none", {}, 0, 0, 5, "f1_macro", 0)
    rows = people()
    assert cross_validate(forest, rows, plan).scores.mean < 0.65
    assert cross_validate(forest, Rows(rows.X, rows.y), plan).scores.mean > 0.75


def levels(rows: int = 3_000) -> tuple[pd.DataFrame, Schema]:
    """Towns of two rows each with a random label; a group is a district of three towns."""
    chance = np.random.default_rng(0)
    town = np.repeat(np.arange(rows // 2), 2)
    table = pd.DataFrame({"town": [f"t{one}" for one in town], "district": town // 3})
    table["y"] = np.where(chance.random(rows // 6 + 1) < 0.5, "p", "q")[town // 3]
    roles = {"town": "categorical", "district": "numeric"}
    described = describe_inputs(table, "y", "classification", roles, split="group", split_by="district")
    return table, learn_inputs(described, table)


def test_target_encoding_does_not_see_rows_of_the_same_group(make_pipeline: Make) -> None:
    table, schema = levels()
    X, y = to_X_y(table, schema)
    tree = make_pipeline(schema, estimators.build("sklearn.tree.DecisionTreeClassifier", {}, "classification", 0))
    at_random = preprocessed(tree, Rows(X, y))[:, 0]  # the other columns are of the spelling
    by_group = preprocessed(tree, Rows(X, y, groups=table["district"]))[:, 0]
    assert abs(np.corrcoef(at_random, y)[0, 1]) > 0.3
    assert abs(np.corrcoef(by_group, y)[0, 1]) < 0.1


def test_the_folds_inside_are_not_saved_with_the_model(make_pipeline: Make) -> None:
    table, schema = levels()
    X, y = to_X_y(table, schema)
    tree = make_pipeline(schema, estimators.build("sklearn.tree.DecisionTreeClassifier", {}, "classification", 0))
    for rows in (Rows(X, y), Rows(X, y, groups=table["district"])):
        saved = pickle.loads(pickle.dumps(fit(tree, rows)))  # noqa: S301 - our own
        (encoder,) = (one for one in saved.get_params().values() if isinstance(one, TargetEncoder))
        assert encoder.cv.get_n_splits() == 0


def test_calibration_divides_by_groups(make_pipeline: Make) -> None:
    schema = Schema(target="y", task="classification", classes=("0", "1"), inputs=(Input(name="x", role="numeric"),))
    nearest = estimators.build("sklearn.svm.SVC", {"gamma": 1e6}, "classification", 0)
    rows = people()
    own = fit(make_pipeline(schema, nearest), rows).predict_proba(rows.X)
    random = fit(make_pipeline(schema, nearest), Rows(rows.X, rows.y)).predict_proba(rows.X)
    assert own.max(axis=1).mean() < random.max(axis=1).mean()


def test_a_class_of_one_row_cannot_be_calibrated(make_pipeline: Make) -> None:
    rows = people()
    rows.y.iloc[:] = 0
    rows.y.iloc[0] = 1
    schema = Schema(target="y", task="classification", classes=("0", "1"), inputs=(Input(name="x", role="numeric"),))
    model = make_pipeline(schema, estimators.build("sklearn.svm.LinearSVC", {}, "classification", 0))
    with pytest.raises(BadInput, match="a class has only one training row, and LinearSVC needs two"):
        fit(model, rows)


def test_boosting_that_stops_early_looks_at_later_rows(make_pipeline: Make) -> None:
    seen: list[int] = []

    class HistGradientBoostingRecorded(HistGradientBoostingClassifier):
        def fit(self, X: Any, y: Any, **more: Any) -> Any:
            seen.append(len(more.get("X_val", ())))
            return super().fit(X, y, **more)

    schema = Schema(target="y", task="classification", classes=("0", "1"), inputs=(Input(name="x", role="numeric"),))
    fit(make_pipeline(schema, HistGradientBoostingRecorded(early_stopping=True, max_iter=5)), days())
    fit(make_pipeline(schema, HistGradientBoostingRecorded(max_iter=5)), days())
    assert seen == [10, 0]


@pytest.mark.parametrize(
    ("sizes", "share"),
    [((900, 40, 30, 30), 0.1), ((500, 480, 10, 10), 0.48), ((250,) * 4, 0.25), ((10,) * 100, 0.25), ((7, 3), 0.3)],
)
def test_groups_come_as_near_to_the_size_as_they_can(sizes: tuple[int, ...], share: float) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    strata = np.arange(len(groups)) % 2
    for seed in range(10):
        assert whole_groups(groups, strata, 0.25, seed).mean() == pytest.approx(share, abs=0.02)


def test_groups_are_chosen_with_the_classes_of_the_table() -> None:
    groups = np.repeat(np.arange(40), 10)
    strata = (groups < 8).astype(int)
    chosen = whole_groups(groups, strata, 0.25, 0)
    assert strata[chosen].mean() == pytest.approx(0.2, abs=0.01)


def test_what_a_random_split_hides_is_measured() -> None:
    rows = people()
    table = pd.DataFrame({"x": rows.X["x"], "person": rows.groups, "y": rows.y.map({0: "p", 1: "q"})})
    roles = {"x": "numeric", "person": "numeric"}
    schema = learn_inputs(describe_inputs(table, "y", "classification", roles), table)
    (found,) = flatteries(table, schema)
    assert found.matters and found.random > 0.8 > 0.65 > found.related
    grouped = describe_inputs(table, "y", "classification", roles, split="group", split_by="person")
    assert grouped.excluded == {"person": "identifier"}
    assert flatteries(table, learn_inputs(grouped, table)) == []


def test_related_rows_make_an_interval_wider() -> None:
    rows = people(each=10)
    y = rows.y.to_numpy()
    y_pred = np.random.default_rng(1).integers(2, size=PEOPLE)[rows.groups]
    scores = {"accuracy": lambda y, y_pred, _: float(np.mean(y == y_pred))}
    alone = bootstrap(scores, y, y_pred, None, 0)["accuracy"]
    blocks = bootstrap(scores, y, y_pred, None, 0, blocks_of(rows))["accuracy"]
    assert blocks.high - blocks.low > 2 * (alone.high - alone.low)
    assert bootstrap(scores, y, y_pred, None, 0, np.arange(len(y)) % 4) == {}


def test_moments_are_drawn_in_blocks_of_neighbours() -> None:
    rows = days(125)
    blocks = blocks_of(rows)
    assert blocks is not None
    assert (np.bincount(blocks) == 5).all()
    assert blocks[rows.moments.argmin()] == 0


@pytest.mark.parametrize(
    ("successes", "rows", "low", "high"), [(45, 45, 0.921, 1), (0, 10, 0, 0.308), (5, 10, 0.187, 0.813)]
)
def test_the_interval_of_a_share_is_exact(successes: int, rows: int, low: float, high: float) -> None:
    found = exact_share(successes, rows)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.001)
