"""The data contract stops what Great Expectations alone accepts."""

from typing import Any

import pandas as pd
import pytest

from bakebook.errors import BadInput, CheckFailed
from bakebook.validation.check import check, stop_if_failed
from bakebook.validation.draft import draft
from bakebook.validation.report import page, results_table


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
    table.loc[0, "size"] = 99.0
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
