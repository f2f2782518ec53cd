"""The data contract stops what Great Expectations alone lets pass."""

from typing import Any

import pandas as pd
import pytest

from {{cookiecutter.package_name}} import expectations
from {{cookiecutter.package_name}}.errors import BadInput, GateClosed


@pytest.fixture
def suite(table: pd.DataFrame) -> dict[str, Any]:
    return expectations.draft(table, "kind")


def test_a_draft_holds_for_its_own_table(table: pd.DataFrame, suite: dict[str, Any]) -> None:
    assert expectations.check(table, suite)["failed"] == {"critical": 0, "warning": 0, "info": 0}


def test_an_empty_table_fails(table: pd.DataFrame, suite: dict[str, Any]) -> None:
    assert not expectations.check(table.head(0), suite)["success"]


def test_an_empty_suite_fails(table: pd.DataFrame) -> None:
    assert not expectations.check(table, {"expectations": []})["success"]


@pytest.mark.parametrize(
    "broken",
    [
        {"type": "expect_magic", "kwargs": {}},
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "absent"}},
    ],
)
def test_an_expectation_that_cannot_be_evaluated_fails(table: pd.DataFrame, broken: dict[str, Any]) -> None:
    validation = expectations.check(table, {"expectations": [broken]})
    assert (validation["success"], bool(validation["results"][-1]["problem"])) == (False, True)


def test_a_wrong_value_stops_the_pipeline_and_names_its_row(table: pd.DataFrame, suite: dict[str, Any]) -> None:
    table.loc[17, "kind"] = "tiny"
    with pytest.raises(GateClosed, match=r"\(kind\).*row 17 counted from 0"):
        expectations.stop_if_broken(expectations.check(table, suite), stop_at="critical")


def test_severity_decides_what_stops(table: pd.DataFrame, suite: dict[str, Any]) -> None:
    table.loc[0, "size"] = 99.0
    validation = expectations.check(table, suite)
    assert "60 rows" in expectations.stop_if_broken(validation, stop_at="critical")
    with pytest.raises(GateClosed):
        expectations.stop_if_broken(validation, stop_at="warning")


def test_a_suite_with_a_wrong_argument_is_refused(table: pd.DataFrame) -> None:
    with pytest.raises(BadInput, match=r"expectations/suite\.json"):
        expectations.check(table, {"expectations": [{"type": "expect_column_values_to_not_be_null", "kwargs": {}}]})


def test_unexpected_values_are_shown_once_each(table: pd.DataFrame, suite: dict[str, Any]) -> None:
    table.loc[3:20, "size"], table.loc[[5, 9], "kind"] = None, "tiny"
    shown = expectations.results_table(expectations.check(table, suite))
    assert set(shown[shown["kept"] == "NO"]["observed"]) >= {"missing", "tiny"}


def test_values_of_several_columns_are_shown_too(table: pd.DataFrame) -> None:
    several = {"type": "expect_compound_columns_to_be_unique", "kwargs": {"column_list": ["colour", "kind"]}}
    validation = expectations.check(table, {"expectations": [several]})
    assert not validation["success"] and "colour" in expectations.page(validation)
