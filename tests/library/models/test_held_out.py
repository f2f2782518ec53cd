"""Rows that test stay rows that test, whatever happens to the others."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from bakebook.contracts import Schema
from bakebook.models.held_out import held_out, places, tolerated
from bakebook.models.schema import describe_inputs

ROLES = {"key": "identifier", "x": "numeric", "n": "numeric", "kind": "categorical", "when": "datetime"}


def people(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "key": np.arange(rows) + seed * 10_000,
            "x": random.normal(size=rows),
            "n": random.integers(0, 1000, rows),
            "kind": random.choice(["p", "q", "r"], rows),
            "when": pd.date_range("2026-01-01", periods=rows, freq="h"),
            "y": random.choice(["no", "yes"], rows, p=[0.9, 0.1]),
        }
    )


def schema_of(table: pd.DataFrame, split: str = "stratified", by: str = "") -> Schema:
    roles = {name: ROLES.get(name, "numeric") for name in table.columns if name != "y"}
    return describe_inputs(table, "y", "classification", roles, split=split, split_by=by)


def keys_of_tests(table: pd.DataFrame, split: str = "stratified", by: str = "") -> set[int]:
    """The keys of the rows that test."""
    schema = schema_of(table, split, by)
    strata = table["y"] if split == "stratified" else None
    return set(table["key"][held_out(places(table, schema, 42), strata, 0.25)])


CHANGES: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "longer": lambda table: pd.concat([table, people(60, seed=1)], ignore_index=True),
    "shorter": lambda table: table.drop(index=table.index[::9]).reset_index(drop=True),
    "shuffled": lambda table: table.sample(frac=1, random_state=3),
    "columns in another order": lambda table: table[table.columns[::-1]],
    "whole numbers with gaps": lambda table: table.astype({"n": float}),
    "corrected labels": lambda table: table.assign(y=table["y"].where(table.index % 50 > 0, "yes")),
    "other times": lambda table: table.assign(when=table["when"] + pd.Timedelta("1h")),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("split", ["random", "stratified"])
def test_a_row_stays_on_its_side(change: str, split: str) -> None:
    before = people()
    after = CHANGES[change](before)
    same = set(before["key"]) & set(after["key"])
    assert len(same) > 350
    assert keys_of_tests(after, split) & same == keys_of_tests(before, split) & same


def test_groups_stay_on_their_side() -> None:
    table = people().assign(person=lambda one: one["key"] // 4)
    more = pd.concat([table, people(40, seed=1).assign(person=lambda one: one["key"] // 4)], ignore_index=True)
    before = keys_of_tests(table, "group", "person")
    assert before == keys_of_tests(more, "group", "person") & set(table["key"])
    groups = table[table["key"].isin(before)]["person"]
    assert set(groups) == set(table["person"]) - set(table[~table["key"].isin(before)]["person"])


@pytest.mark.parametrize("rows", [8, 40, 178, 2000])
def test_the_share_is_near_what_was_asked_for_in_each_class(rows: int) -> None:
    shares = []
    for seed in range(20):
        table = people(rows, seed)
        is_test = table["key"].isin(keys_of_tests(table))
        shares.append(is_test.mean())
        for _, part in is_test.groupby(table["y"]):
            assert abs(part.sum() - len(part) / 4) <= tolerated(len(part), 0.25), (seed, len(part))
            assert part.any() or len(part) < 3
    assert np.mean(shares) == pytest.approx(0.25, abs=0.06 if rows == 8 else 0.02)


def test_another_seed_chooses_other_rows() -> None:
    table = people(2000)
    schema = schema_of(table)
    chosen = [places(table, schema, seed).to_numpy() < 0.25 for seed in range(20)]
    both = [np.mean(one & other) for one, other in pairwise(chosen)]
    assert np.mean(both) == pytest.approx(0.25**2, abs=0.005)


def test_places_are_spread_evenly() -> None:
    found = places(people(20_000), schema_of(people()), 0)
    counts = np.histogram(found, bins=20, range=(0, 1))[0]
    assert (np.abs(counts - 1000) < 150).all()


def test_equal_rows_that_are_no_copies_are_on_both_sides() -> None:
    random = np.random.default_rng(0)
    table = pd.DataFrame({"a": random.integers(0, 2, 300), "b": random.integers(0, 2, 300), "key": np.arange(300)})
    table["y"] = np.where(random.random(300) < 0.5, "yes", "no")
    is_test = table["key"].isin(keys_of_tests(table))
    assert is_test.groupby([table["a"], table["b"]]).mean().between(0.1, 0.45).all()
    shuffled = table.sample(frac=1, random_state=1)  # which of equal rows tests may change, how many may not
    again = shuffled["key"].isin(keys_of_tests(shuffled))
    columns = ["a", "b", "y"]
    pd.testing.assert_series_equal(table[is_test].groupby(columns).size(), shuffled[again].groupby(columns).size())


def test_copies_stay_together() -> None:
    table = pd.concat([people(100)] * 3, ignore_index=True).assign(when=pd.date_range("2026-01-01", periods=300))
    found = places(table, schema_of(table), 0)
    assert found.nunique() == 100


def test_a_large_group_trains() -> None:
    table = people(1000).assign(district=np.repeat([0, 1, 2, 3], [900, 40, 30, 30]))
    is_test = table["key"].isin(keys_of_tests(table, "group", "district"))
    assert not is_test[table["district"] == 0].any() and is_test.any()
