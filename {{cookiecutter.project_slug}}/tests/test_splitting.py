"""Which rows train and test, and what is reported about them."""

import numpy as np
import pandas as pd
import pytest

from bakebook.contracts import FeedbackRows, Schema
from bakebook.errors import BadInput

from {{cookiecutter.package_name}} import splitting


def split(
    table: pd.DataFrame, schema: Schema, method: str = "stratified", by: str = ""
) -> tuple[pd.DataFrame, pd.DataFrame]:
    held_out = schema.model_copy(update={"split": method, "split_by": by})
    return splitting.split(table, held_out, test_size=0.25, random_state=7)


def test_the_same_seed_splits_the_same_rows(table: pd.DataFrame, schema: Schema) -> None:
    first = split(table, schema)[1]
    second = split(table, schema)[1]
    pd.testing.assert_frame_equal(first, second)


def test_rows_without_a_target_are_excluded_and_counted(
    table: pd.DataFrame, schema: Schema
) -> None:
    table.loc[:9, "kind"] = None
    train, test = split(table, schema)
    report = splitting.report(table, train, test, schema, 0.25)
    assert len(train) + len(test) == 50
    assert report.rows_without_target == 10
    assert "10 of 60 rows have no target and are excluded." in report.warnings


def test_groups_stay_together(table: pd.DataFrame, schema: Schema) -> None:
    table["patient"] = np.arange(60) // 4
    train, test = split(table, schema, "group", "patient")
    assert set(train["patient"]).isdisjoint(test["patient"])


def test_the_latest_rows_test(table: pd.DataFrame, schema: Schema) -> None:
    table = table.sample(frac=1, random_state=0)
    table["when"] = pd.date_range("2024-01-01", periods=60)
    train, test = split(table.sort_values("noise"), schema, "time", "when")
    assert train["when"].max() < test["when"].min()


def test_rows_without_a_time_train_and_no_moment_is_in_both_parts(
    table: pd.DataFrame, schema: Schema
) -> None:
    table["when"] = pd.to_datetime("2024-01-01") + pd.to_timedelta(np.arange(60) // 5, unit="D")
    table.loc[::4, "when"] = pd.NaT
    train, test = split(table, schema, "time", "when")
    assert test["when"].notna().all()
    assert train["when"].max() < test["when"].min()


@pytest.mark.parametrize(
    ("method", "by", "message"),
    [
        ("time", "colour", "column 'colour' holds neither times nor numbers"),
        ("group", "kind", "gives no test rows"),
    ],
)
def test_a_split_that_leaves_nothing_to_test_is_refused(
    table: pd.DataFrame, schema: Schema, method: str, by: str, message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        split(table, schema, method, by)


def test_a_leak_is_reported(table: pd.DataFrame, schema: Schema) -> None:
    table["colour"] = table["kind"].str.upper()
    report = splitting.report(table, *split(table, schema), schema, 0.25)
    assert "Column 'colour' alone predicts the class" in " ".join(report.warnings)


def test_copies_of_a_row_stay_together(table: pd.DataFrame, schema: Schema) -> None:
    twice = pd.concat([table, table.iloc[:20]], ignore_index=True)
    train, test = split(twice, schema)
    assert splitting.duplicates(train, test, schema) == 0
    report = splitting.report(twice, train, test, schema, 0.25)
    assert "40 of 80 rows have duplicates" in " ".join(report.warnings)


def test_equal_rows_of_a_coarse_table_are_reported(table: pd.DataFrame, schema: Schema) -> None:
    coarse = table.assign(size=np.arange(60) % 2, noise=np.arange(60) // 2 % 3)
    report = splitting.report(coarse, *split(coarse, schema), schema, 0.25)
    assert "test rows duplicate training rows" in " ".join(report.warnings)


def test_a_group_that_cannot_be_divided_is_reported(table: pd.DataFrame, schema: Schema) -> None:
    table["patient"] = np.where(np.arange(60) % 10 > 0, 0, np.arange(60))
    train, test = split(table, schema, "group", "patient")
    report = splitting.report(table, train, test, schema, 0.25)
    assert "The test rows are 8% of the rows, not 25%" in " ".join(report.warnings)


def test_without_warnings_a_sentence_is_shown(table: pd.DataFrame, schema: Schema) -> None:
    table["size"] = table["noise"] + 1  # which says nothing about the class
    report = splitting.report(table, *split(table, schema), schema, 0.25)
    assert isinstance(splitting.shown(report), str), report.warnings


def labelled(table: pd.DataFrame, rows: pd.DataFrame) -> tuple[pd.DataFrame, list[int]]:
    """The table with labelled predictions below it, and their places."""
    longer = pd.concat([table, rows], ignore_index=True)
    return longer, list(range(len(table), len(longer)))


def test_labelled_predictions_teach_and_move_no_test_row(
    table: pd.DataFrame, schema: Schema
) -> None:
    before = split(table, schema)[1]
    longer, places = labelled(table, table.assign(size=table["size"] + 0.123, kind="b"))
    how = {"test_size": 0.25, "random_state": 7}
    train, test = splitting.split(longer, schema, labelled=FeedbackRows(rows=places), **how)
    pd.testing.assert_frame_equal(test, before)
    assert len(train) == len(longer) - len(test)


def test_a_labelled_prediction_that_equals_a_row_is_no_further_one(
    table: pd.DataFrame, schema: Schema
) -> None:
    train, test = split(table, schema)
    again = pd.concat([test.head(3), train.head(4), train.head(4)]).assign(kind="b")
    longer, places = labelled(table, again)
    how = {"test_size": 0.25, "random_state": 7}
    new_train, new_test = splitting.split(longer, schema, labelled=FeedbackRows(rows=places), **how)
    pd.testing.assert_frame_equal(new_test, test)
    assert len(new_train) == len(train)
    assert (new_train.tail(4)["kind"] == "b").all()
    report = splitting.report(longer, new_train, new_test, schema, 0.25, FeedbackRows(rows=places))
    assert "11 rows are excluded: they repeat a labelled prediction" in " ".join(report.warnings)


def test_a_labelled_prediction_of_a_group_that_tests_is_left_out(
    table: pd.DataFrame, schema: Schema
) -> None:
    table["patient"] = np.arange(60) // 4
    longer, places = labelled(table, table.assign(size=table["size"] + 0.123))
    grouped = schema.model_copy(update={"split": "group", "split_by": "patient"})
    how = {"test_size": 0.25, "random_state": 7}
    train, test = splitting.split(longer, grouped, labelled=FeedbackRows(rows=places), **how)
    assert set(train["patient"]).isdisjoint(test["patient"])
    assert len(train) == 2 * (60 - len(test))


def test_labelled_predictions_that_were_drawn_at_random_test_too(
    table: pd.DataFrame, schema: Schema
) -> None:
    before = split(table, schema)[1]
    longer, places = labelled(table, table.assign(size=table["size"] + 0.123, kind="b"))
    sample = FeedbackRows(rows=places, sample=places)
    how = {"test_size": 0.25, "random_state": 7}
    train, test = splitting.split(longer, schema, labelled=sample, **how)
    assert len(train) + len(test) == len(longer)
    assert len(test) > len(before) and set(before["size"]) <= set(test["size"])
    at_random = schema.model_copy(update={"split": "random"})
    before = splitting.split(table, at_random, **how)[1]
    again, places = labelled(table, before.head(3).assign(kind="large"))  # equal rows
    sample = FeedbackRows(rows=places, sample=places)
    _, corrected = splitting.split(again, at_random, labelled=sample, **how)
    assert sorted(corrected["size"]) == sorted(before["size"])
    assert set(before["kind"].head(3)) == {"small"} and set(corrected["kind"].tail(3)) == {"large"}


@pytest.mark.parametrize("split_by", ["patient", "day"])
def test_a_copy_of_a_test_row_never_teaches(
    split_by: str, table: pd.DataFrame, schema: Schema
) -> None:
    """The service asks neither for the key of a group nor for a time that is no input."""
    table["patient"] = np.arange(60) // 4
    table["day"] = pd.date_range("2026-01-01", periods=60)
    kind = "group" if split_by == "patient" else "time"
    related = schema.model_copy(update={"split": kind, "split_by": split_by})
    how = {"test_size": 0.25, "random_state": 7}
    before, test = splitting.split(table, related, **how)
    longer, places = labelled(table, pd.concat([test, before]).drop(columns=["patient", "day"]))
    again = splitting.split(longer, related, labelled=FeedbackRows(rows=places), **how)
    pd.testing.assert_frame_equal(again[1], test, check_dtype=False)  # of the missing keys
    assert set(again[0]["size"]).isdisjoint(test["size"])
    assert set(again[0]["size"]) == set(before["size"])


def test_a_labelled_prediction_that_is_later_than_the_first_test_row_does_not_teach(
    table: pd.DataFrame, schema: Schema
) -> None:
    table["day"] = pd.date_range("2026-01-01", periods=60)
    by_day = schema.model_copy(update={"split": "time", "split_by": "day"})
    early = table.head(5).assign(size=table["size"] + 0.123)
    late = table.tail(5).assign(size=table["size"] + 0.123)
    longer, places = labelled(table, pd.concat([early, late]))
    how = {"test_size": 0.25, "random_state": 7}
    train, _ = splitting.split(longer, by_day, labelled=FeedbackRows(rows=places), **how)
    assert set(early["size"]) <= set(train["size"])
    assert set(late["size"]).isdisjoint(train["size"])
