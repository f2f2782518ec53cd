"""Which rows belong together: keys that repeat, times that order the rows, copies."""

import numpy as np
import pandas as pd
import pytest

from bakebook.tables.relations import copies, is_key_name, relations


def visits(key: str, people: int = 60, each: int = 5) -> pd.DataFrame:
    """Persons with several rows each, in any order; the label is of the person."""
    chance = np.random.default_rng(0)
    person = np.repeat(np.arange(people), each)
    table = pd.DataFrame(chance.normal(size=(people, 3))[person], columns=list("abc"))
    table += chance.normal(0, 0.05, table.shape)
    table[key] = person
    table["label"] = np.where(chance.random(people) < 0.5, "p", "q")[person]
    return table.sample(frac=1, random_state=0).reset_index(drop=True)


def found(table: pd.DataFrame, target: str = "label", **roles: str) -> list[tuple[str, str, bool]]:
    named = {name: roles.get(name, "numeric") for name in table.columns if name != target}
    return [(one.method, one.by, one.is_certain) for one in relations(table, target, named)]


@pytest.mark.parametrize("key", ["patient", "Patient ID", "patient_id", "PatientID", "userid", "customer_no", "id"])
def test_a_key_that_repeats_groups_the_rows(key: str) -> None:
    assert found(visits(key)) == [("group", key, True)]


@pytest.mark.parametrize("name", ["Survived", "valid", "humid", "grid", "paid", "identity", "deviceful", "keyboard"])
def test_words_that_only_look_like_keys_are_none(name: str) -> None:
    assert not is_key_name(name)


def test_whole_numbers_without_such_a_name_are_only_measured() -> None:
    assert found(visits("ward")) == [("group", "ward", False)]


def test_words_that_decide_the_target_group_the_rows() -> None:
    table = visits("ward")
    table["ward"] = "w" + table["ward"].astype(str)
    assert found(table, ward="categorical") == [("group", "ward", True)]


def test_a_key_of_a_row_each_groups_nothing() -> None:
    table = visits("id")
    table["id"] = np.arange(len(table))
    assert found(table, id="identifier") == []


def test_a_category_with_many_rows_for_each_value_groups_nothing() -> None:
    assert found(visits("store_id", people=12, each=60)) == []


def test_an_amount_that_repeats_groups_nothing() -> None:
    chance = np.random.default_rng(1)
    table = pd.DataFrame({"age": chance.integers(20, 80, 600), "x": chance.normal(size=600)})
    table["y"] = chance.normal(size=600)
    table["label"] = np.where(table["age"] + chance.normal(0, 15, 600) > 50, "old", "young")
    assert found(table) == []


@pytest.mark.parametrize("order", [1, -1])
def test_a_time_in_whose_order_the_rows_are_is_certain(order: int) -> None:
    table = pd.DataFrame({"when": pd.date_range("2024-01-01", periods=90)[::order], "label": np.arange(90)})
    assert found(table, when="datetime") == [("time", "when", True)]
    shuffled = table.sample(frac=1, random_state=0)
    assert found(shuffled, when="datetime") == [("time", "when", False)]


def test_seconds_that_grow_are_a_time_by_their_name() -> None:
    table = pd.DataFrame({"timestamp": 1_700_000_000 + 60 * np.arange(90), "label": np.arange(90)})
    assert found(table) == [("time", "timestamp", True)]


def test_copies_are_numbered_alike() -> None:
    chance = np.random.default_rng(0)
    table = pd.DataFrame({"a": chance.normal(size=100), "b": chance.normal(size=100)})
    twice = pd.concat([table, table.iloc[:10]], ignore_index=True)
    numbers = copies(twice, ["a", "b"])
    assert numbers is not None
    assert numbers.nunique() == 100
    assert (numbers.iloc[100:].to_numpy() == numbers.iloc[:10].to_numpy()).all()


def test_rows_that_are_equal_by_chance_are_no_copies() -> None:
    chance = np.random.default_rng(0)
    coarse = pd.DataFrame({"a": chance.integers(2, size=200), "b": chance.integers(3, size=200)})
    assert copies(coarse, ["a", "b"]) is None
    assert copies(pd.DataFrame({"a": chance.normal(size=50)}), ["a"]) is None
    assert copies(pd.DataFrame({"a": [1.5, 2.5] * 30}), ["a"]) is None  # of one column, nobody can tell
