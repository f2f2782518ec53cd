"""A search: the same winner again, nothing computed twice, and what cannot be searched refused in one sentence."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier

from bakebook.contracts import Schema
from bakebook.errors import BadInput
from bakebook.models import estimators
from bakebook.models.rows import Rows, rows_of
from bakebook.models.schema import to_X
from bakebook.search import search
from bakebook.search.cross_validation import cross_validate, frequent_classes
from bakebook.search.plan import Plan
from bakebook.search.trial import shown

TREE = "sklearn.tree.DecisionTreeClassifier"
LISTS = {"max_depth": [1, 2, None], "criterion": ["gini", "entropy"]}
RANGES = {"max_depth": {"low": 1, "high": 9}, "ccp_alpha": {"low": 1e-6, "high": 0.1, "log": True}}
Make = Callable[..., Pipeline]


class CountingTree(DecisionTreeClassifier):
    """A tree that counts how often it is fitted, and runs out of memory when it is told to."""

    fits: ClassVar[int] = 0
    memory: ClassVar[int] = 10_000

    def fit(self, X: Any, y: Any) -> "CountingTree":
        if len(X) > CountingTree.memory:
            raise MemoryError
        CountingTree.fits += 1
        super().fit(X, y)
        return self


@pytest.fixture
def tree(schema: Schema, make_pipeline: Make) -> Pipeline:
    return make_pipeline(schema, estimators.build(TREE, {}, "classification", random_state=0))


@pytest.fixture
def rows(table: pd.DataFrame, schema: Schema) -> Rows:
    return rows_of(table, schema)


@pytest.fixture
def run(schema: Schema, make_pipeline: Make) -> Callable[..., tuple[Pipeline, pd.DataFrame]]:
    def call(candidate: Pipeline, rows: Rows, wanted: Plan, journals: Path) -> tuple[Pipeline, pd.DataFrame]:
        return search.search(candidate, rows, schema, wanted, make_pipeline, journals)

    return call


def plan(method: str, space: dict[str, Any], **other: Any) -> Plan:
    values = {"trials": 5, "time_budget": 0, "cv": 3, "scoring": "f1_macro", "random_state": 1}
    return Plan(method, space, **(values | other))


def test_without_a_search_a_sentence_is_shown(tree: Pipeline, rows: Any, run: Any, tmp_path: Path) -> None:
    assert shown(run(tree, rows, plan("none", {}), tmp_path)[1]) == "No search was run."


@pytest.mark.parametrize(
    ("search", "space", "trials"),
    [("grid", LISTS, 6), ("random", LISTS, 5), ("random", RANGES, 5), ("optuna", LISTS, 5), ("optuna", RANGES, 5)],
)
def test_the_same_seed_gives_the_same_winner(
    run: Any, tree: Pipeline, rows: Any, tmp_path: Path, search: str, space: dict[str, Any], trials: int
) -> None:
    found = [run(tree, rows, plan(search, space), tmp_path / str(time)) for time in range(2)]
    (best, tried), (again, tried_again) = found
    pd.testing.assert_frame_equal(tried, tried_again)
    assert (len(tried), repr(best)) == (trials, repr(again))
    values = best.named_steps["estimator"].get_params()
    assert all(str(values[name]) == str(tried[name][0]).replace("null", "None") for name in space)


def test_a_search_that_was_cut_short_anywhere_continues(run: Any, tree: Pipeline, rows: Any, tmp_path: Path) -> None:
    whole = run(tree, rows, plan("optuna", RANGES, trials=7), tmp_path / "whole")[1]
    (journal,) = (tmp_path / "whole").glob("*.log")
    content = journal.read_bytes()
    for length in range(0, len(content), len(content) // 9):
        folder = tmp_path / str(length)
        folder.mkdir()
        (folder / journal.name).write_bytes(content[:length])
        found = run(tree, rows, plan("optuna", RANGES, trials=7), folder)[1]
        pd.testing.assert_frame_equal(whole, found)


def test_more_trials_continue_and_compute_nothing_twice(
    run: Any, schema: Schema, rows: Any, make_pipeline: Make, tmp_path: Path
) -> None:
    probe = make_pipeline(schema, CountingTree(random_state=0))
    at_once = run(probe, rows, plan("optuna", RANGES, trials=6), tmp_path / "at once")[1]
    run(probe, rows, plan("optuna", RANGES, trials=3), tmp_path)
    CountingTree.fits = 0
    continued = run(probe, rows, plan("optuna", RANGES, trials=6), tmp_path)[1]
    pd.testing.assert_frame_equal(continued, at_once)
    assert 3 <= CountingTree.fits <= 9  # three trials of up to three folds, of which Optuna may prune some


def test_another_table_is_another_search(run: Any, tree: Pipeline, rows: Any, tmp_path: Path) -> None:
    run(tree, rows, plan("grid", LISTS), tmp_path)
    run(tree, rows.take(np.arange(50)), plan("grid", LISTS), tmp_path)
    run(tree, replace(rows, groups=pd.Series(np.arange(60) // 2)), plan("grid", LISTS), tmp_path)
    assert len(list(tmp_path.glob("*.log"))) == 3


def test_a_trial_that_is_behind_is_pruned_and_has_no_score(run: Any, tree: Pipeline, rows: Any, tmp_path: Path) -> None:
    space = {"max_depth": {"low": 1, "high": 9}, "min_samples_leaf": {"low": 1, "high": 25}}
    tried = run(tree, rows, plan("optuna", space, trials=30), tmp_path)[1]
    pruned = tried[tried["state"] == "pruned"]
    assert len(pruned) and pruned["score"].isna().all() and tried["state"][0] == "complete"


def test_a_combination_that_cannot_be_fitted_is_reported_and_the_others_are_tried(
    run: Any, tree: Pipeline, rows: Any, tmp_path: Path
) -> None:
    tried = run(tree, rows, plan("grid", {"max_depth": [-1, 2]}), tmp_path)[1]
    assert tried["state"][0] == "complete" and "failed: The 'max_depth' parameter" in tried["state"][1]


def test_time_ends_a_search(run: Any, tree: Pipeline, rows: Any, tmp_path: Path) -> None:
    tried = run(tree, rows, plan("random", RANGES, trials=0, time_budget=0.2), tmp_path)[1]
    assert 1 <= len(tried) < 500


def test_a_winner_may_be_of_any_value_that_yaml_knows(run: Any, tree: Pipeline, rows: Any, tmp_path: Path) -> None:
    space = {"class_weight": [{0: 1, 1: 5, 2: 1}], "max_features": [1, 1.0], "splitter": ["best"]}
    best, tried = run(tree, rows, plan("grid", space), tmp_path)
    assert [str(one) for one in tried["max_features"].sort_values(key=lambda values: values.map(str))] == ["1", "1.0"]
    assert best.fit(rows.X, rows.y).named_steps["estimator"].class_weight == {0: 1, 1: 5, 2: 1}


def test_fewer_trials_are_those_that_came_first(run: Any, tree: Pipeline, rows: Any, tmp_path: Path) -> None:
    fewer = run(tree, rows, plan("optuna", RANGES, trials=2), tmp_path / "fresh")[1]
    run(tree, rows, plan("optuna", RANGES, trials=6), tmp_path)
    pd.testing.assert_frame_equal(run(tree, rows, plan("optuna", RANGES, trials=2), tmp_path)[1], fewer)


def test_another_seed_is_another_search(run: Any, tree: Pipeline, rows: Any, tmp_path: Path) -> None:
    one, other = (run(tree, rows, plan("random", RANGES, random_state=seed), tmp_path)[1] for seed in (1, 2))
    assert set(one["ccp_alpha"]).isdisjoint(other["ccp_alpha"])


def test_a_failure_of_the_machine_stops_the_search_and_is_tried_again(
    run: Any, schema: Schema, rows: Any, make_pipeline: Make, tmp_path: Path
) -> None:
    probe = make_pipeline(schema, CountingTree(random_state=0))
    CountingTree.memory = 0
    try:
        with pytest.raises(MemoryError):
            run(probe, rows, plan("grid", LISTS), tmp_path)
    finally:
        CountingTree.memory = 10_000
    tried = run(probe, rows, plan("grid", LISTS), tmp_path)[1]
    assert set(tried["state"]) == {"complete"} and len(tried) == 6


@pytest.mark.parametrize(("counts", "found"), [([30, 3, 30], 5), ([50, 4], 4)])
def test_rare_classes_stay_out_of_the_folds_or_make_them_fewer(
    table: pd.DataFrame, schema: Schema, tree: Pipeline, counts: list[int], found: int
) -> None:
    y = pd.Series([place for place, count in enumerate(counts) for _ in range(count)])
    X = to_X(pd.concat([table, table], ignore_index=True), schema).iloc[: len(y)]
    kept, made = frequent_classes(Rows(X, y), plan("none", {}, cv=5))
    assert (len(kept.X), made.cv, sorted(set(kept.y))) == (len(kept.y), found, [0, 1])
    assert len(cross_validate(tree, Rows(X, y), plan("none", {}, cv=5)).scores.folds) == found


def test_one_row_of_a_class_is_too_few(rows: Any, tree: Pipeline) -> None:
    y = pd.Series([0] * 59 + [1], index=rows.X.index)
    with pytest.raises(BadInput, match="no two classes have two training rows each"):
        cross_validate(tree, Rows(rows.X, y), plan("none", {}))


def test_a_score_that_does_not_fit_is_named(run: Any, tree: Pipeline, rows: Any, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"train\.scoring"):
        run(tree, rows, plan("grid", LISTS, scoring="roc_auc"), tmp_path)


@pytest.mark.parametrize(
    ("search", "space", "said"),
    [
        ("grid", {1: [1]}, "unknown hyperparameter '1'"),
        ("random", {"max_depth": {"low": 1, "high": 9, "log": "no"}}, "has to be true or false"),
        ("grid", {}, "train.search_space is empty"),
        ("grid", {"max_dept": [1]}, "did you mean 'max_depth'"),
        ("grid", RANGES, "a grid needs values → list them"),
        ("random", {"max_depth": 3}, "neither a list of values nor a range → write"),
        ("random", {"max_depth": {"low": 1, "hihg": 3}}, "neither a list of values nor a range → write"),
        ("optuna", {"max_depth": {"low": 9, "high": 1}}, "is not a range: "),
        ("grid", {"max_depth": [-1]}, "no trial of the search was completed"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(
    run: Any, tree: Pipeline, rows: Any, tmp_path: Path, search: str, space: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        run(tree, rows, plan(search, space), tmp_path)


def test_a_search_without_an_end_is_refused() -> None:
    with pytest.raises(BadInput, match=r"set train\.trials or train\.time_budget"):
        plan("optuna", RANGES, trials=0)


def test_an_unknown_score_is_named() -> None:
    with pytest.raises(BadInput, match="did you mean 'f1_macro'"):
        plan("grid", LISTS, scoring="f1_marco")


def test_the_folds_of_a_sorted_table_are_shuffled(table: pd.DataFrame, schema: Schema, make_pipeline: Make) -> None:
    table = table.sort_values("size")
    line = make_pipeline(schema, estimators.build("sklearn.tree.DecisionTreeRegressor", {}, "regression", 0))
    X, y = to_X(table, schema), table["size"] * 2
    assert min(cross_validate(line, Rows(X, y), plan("none", {}, scoring="r2")).scores.folds) > 0.9


def test_a_model_is_measured_in_other_folds_than_those_in_which_it_was_chosen(
    schema: Schema, make_pipeline: Make, run: Any, tmp_path: Path
) -> None:
    chance = np.random.default_rng(0)
    X = pd.DataFrame({"size": chance.normal(size=150), "noise": chance.normal(size=150), "colour": "red"})
    noise = Rows(X, pd.Series(chance.integers(2, size=150)))
    tree = make_pipeline(schema, estimators.build(TREE, {}, "classification", 0))
    wanted = plan("grid", {"max_depth": [1, 2, 3, 4, 5], "min_samples_leaf": [1, 2, 4, 8, 16]}, cv=5)
    best, tried = run(tree, noise, wanted, tmp_path)
    measured = cross_validate(best, noise, wanted).scores
    assert tried["score"].max() > measured.mean + 0.02
    assert measured.mean < 0.55
