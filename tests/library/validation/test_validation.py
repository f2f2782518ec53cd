"""The data contract stops what Great Expectations alone accepts."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bakebook.contracts import FeedbackRows
from bakebook.errors import BadInput, CheckFailed
from bakebook.validation.check import check, stop_if_failed
from bakebook.validation.draft import draft
from bakebook.validation.report import page, results_table

ROWS = 500


@pytest.fixture
def suite(table: pd.DataFrame) -> dict[str, Any]:
    return draft(table, "kind")


def test_a_draft_holds_for_its_own_table(table: pd.DataFrame, suite: dict[str, Any]) -> None:
    assert check(table, suite).failed == {"critical": 0, "warning": 0, "info": 0}


def test_an_empty_table_fails(table: pd.DataFrame, suite: dict[str, Any]) -> None:
    assert not check(table.head(0), suite).success


def test_an_empty_suite_fails(table: pd.DataFrame) -> None:
    assert not check(table, {"expectations": []}).success


@pytest.mark.parametrize(
    "broken",
    [
        {"type": "expect_magic", "kwargs": {}},
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "absent"}},
    ],
)
def test_an_expectation_that_cannot_be_evaluated_fails(table: pd.DataFrame, broken: dict[str, Any]) -> None:
    validation = check(table, {"expectations": [broken]})
    assert (validation.success, bool(validation.results[-1].problem)) == (False, True)


def test_a_wrong_value_stops_the_pipeline_and_names_its_row(table: pd.DataFrame, suite: dict[str, Any]) -> None:
    table.loc[17, "kind"] = "tiny"
    with pytest.raises(CheckFailed, match=r"\(kind\).*row 17 counted from 0"):
        stop_if_failed(check(table, suite), stop_at="critical")


def test_severity_decides_what_stops(table: pd.DataFrame, suite: dict[str, Any]) -> None:
    table.loc[:3, "size"] = 99.0
    validation = check(table, suite)
    assert "60 rows" in stop_if_failed(validation, stop_at="critical")
    with pytest.raises(CheckFailed):
        stop_if_failed(validation, stop_at="warning")


def test_a_suite_with_a_wrong_argument_is_refused(table: pd.DataFrame) -> None:
    with pytest.raises(BadInput, match=r"expectations/suite\.json"):
        check(table, {"expectations": [{"type": "expect_column_values_to_not_be_null", "kwargs": {}}]})


def test_unexpected_values_are_shown_once_each(table: pd.DataFrame, suite: dict[str, Any]) -> None:
    table.loc[3:20, "size"], table.loc[[5, 9], "kind"] = None, "tiny"
    shown = results_table(check(table, suite))
    assert set(shown[shown["valid"] == "no"]["observed"]) >= {"missing", "tiny"}


def test_values_of_several_columns_are_shown_too(table: pd.DataFrame) -> None:
    several = {"type": "expect_compound_columns_to_be_unique", "kwargs": {"column_list": ["colour", "kind"]}}
    validation = check(table, {"expectations": [several]})
    assert not validation.success and "colour" in page(validation)


def people(seed: int) -> pd.DataFrame:
    """A sample of people: every call draws others of the same kind."""
    chance = np.random.default_rng(seed)
    income = chance.lognormal(8, 0.7, ROWS)
    return pd.DataFrame(
        {
            "id": chance.permutation(10 * ROWS)[:ROWS],
            "age": chance.integers(0, 90, ROWS),
            "income": np.where(chance.random(ROWS) < 0.1, np.nan, income),
            "job": chance.choice(["clerk", "nurse", "cook", "pilot"], ROWS, p=[0.5, 0.3, 0.19, 0.01]),
            "label": np.where(income > 3000, "rich", "poor"),
        }
    )


@pytest.fixture(scope="module")
def drafted() -> dict[str, Any]:
    return draft(people(0), "label", ["id"])


@pytest.mark.parametrize("seed", range(1, 6))
def test_other_people_meet_the_draft_too(drafted: dict[str, Any], seed: int) -> None:
    validation = check(people(seed), drafted)
    assert [one for one in validation.results if not one.success] == []


@pytest.mark.parametrize(
    ("broken", "stops"),
    [
        (lambda table: table.assign(income=table["income"] * 100), True),
        (lambda table: table.assign(age=np.where(table.index % 2, table["age"] * 2.54, table["age"])), True),
        (lambda table: table.assign(age=40), True),
        (lambda table: table.assign(income=table["income"].mask(table.index % 2 == 0)), True),
        (lambda table: table[table["label"] == "rich"].reset_index(drop=True), True),
        (lambda table: table.assign(age=table["age"].mask(table.index % 20 == 0, -999)), False),
        (lambda table: pd.concat([table, table.head(100)], ignore_index=True), False),
        (lambda table: table.assign(job=table["job"].mask(table.index % 3 == 0, "Clerk")), False),
    ],
    ids="unit half-unit stuck half-missing lost marked doubled case".split(),
)
def test_what_ruins_a_model_stops_and_what_is_odd_warns(
    drafted: dict[str, Any], broken: Callable[[pd.DataFrame], pd.DataFrame], stops: bool
) -> None:
    failed = check(broken(people(1)), drafted).failed
    assert (failed["critical"] > 0) == stops
    assert sum(failed.values()) > 0


def test_a_draft_expects_nothing_impossible_and_nothing_of_an_identifier(drafted: dict[str, Any]) -> None:
    ranges = [one["kwargs"] for one in drafted["expectations"] if one["type"].endswith("values_to_be_between")]
    assert all(one.get("min_value", 0) >= 0 for one in ranges)
    about_id = {one["type"] for one in drafted["expectations"] if one["kwargs"].get("column") == "id"}
    assert not any("between" in name for name in about_id)
    assert "expect_column_values_to_be_unique" in about_id


def test_a_small_numeric_target_has_a_set_of_classes() -> None:
    table = people(0).assign(label=np.arange(ROWS) % 3)
    sets = [one for one in draft(table, "label")["expectations"] if one["kwargs"].get("column") == "label"]
    (listed,) = [one["kwargs"]["value_set"] for one in sets if one["type"] == "expect_column_values_to_be_in_set"]
    assert listed == [0, 1, 2]


def test_nothing_is_expected_of_what_labelled_predictions_lack(drafted: dict[str, Any]) -> None:
    longer = pd.concat([people(0), people(1).head(100).assign(id=np.nan)], ignore_index=True)
    lacking = FeedbackRows(rows=tuple(range(ROWS, ROWS + 100)), lacking=("id",))

    def failed(labelled: FeedbackRows) -> set[str | None]:
        return {one.column for one in check(longer, drafted, labelled=labelled).results if not one.success}

    assert failed(FeedbackRows()) == {"id"}
    assert failed(lacking) == set()
    longer.loc[ROWS:, "age"] = 1e6  # what they do have is checked
    longer.loc[3, "id"] = longer.loc[4, "id"]  # and so are the other rows' keys
    assert failed(lacking) == {"age", "id"}
