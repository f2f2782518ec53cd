"""What is read from the database, as columns in the order of time, and in which windows."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from monitoring.conftest import CLASSES, VERSION, prediction, signature_of

from bakebook.monitoring import observations
from bakebook.monitoring.windows import numbers, start_of

Fill = Callable[..., Any]
CLASS_SIGNATURE = signature_of(CLASSES)


def read(store: Any, window: Any = "month", most: int = 12, classes: Any = CLASSES) -> observations.Observations:
    return observations.read(store, signature_of(classes), VERSION, window, most)


def test_rows_come_back_in_the_order_of_their_time(fill: Fill) -> None:
    rows = [prediction(number, days) for number, days in enumerate([3, 1, 2])]
    rows[1]["inputs"] = {"size": 7, "colour": None}
    found = read(fill(rows, {0: "b", 2: "c"}))
    assert [one.day for one in found.made_at.astype(datetime)] == [2, 3, 4]
    assert found.truth.tolist() == [-1, 2, 1]
    assert found.inputs.to_pydict() == {"size": [7.0, 0.5, 0.5], "colour": [None, "red", "red"]}
    assert found.probabilities is not None and found.probabilities[0].tolist() == [0.5, 0.25, 0.25]


def test_the_newest_label_counts(fill: Fill) -> None:
    store = fill([prediction(0, 0)], {0: "b"})
    store.add_labels([(f"{0:036d}", "c")], "another")
    assert read(store).truth.tolist() == [2]


def test_classes_of_other_models_and_of_people_follow_those_of_the_model(fill: Fill) -> None:
    rows = [prediction(0, 0), prediction(1, 0, predicted="old", model_version="another", probabilities={"old": 1.0})]
    found = read(fill(rows, {0: "new"}))
    assert found.classes == ("a", "b", "c", "new", "old")
    assert found.truth.tolist() == [3, -1] and found.predicted.tolist() == [0, 4]
    assert found.probabilities is not None and np.isnan(found.probabilities[1]).all()


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ({"size": "large", "colour": "red"}, [None, "red"]),
        ({"size": 1, "colour": 3}, [1.0, "3"]),
        ({"size": 1, "colour": 3.0}, [1.0, "3"]),
        ({"colour": "red", "other": [1, {"a": 2}]}, [None, "red"]),
        ({}, [None, None]),
        ({"size": 1e300, "colour": 'a "line"\nand 日本'}, [1e300, 'a "line"\nand 日本']),
    ],
)
def test_inputs_of_other_models_are_missing_where_they_do_not_fit(fill: Fill, given: Any, seen: list[Any]) -> None:
    found = read(fill([prediction(0, 0, inputs=given), prediction(1, 1)], {}))
    assert [found.inputs[name][0].as_py() for name in ("size", "colour")] == seen
    assert found.inputs["size"][1].as_py() == 0.5


def test_numbers_are_read_as_numbers_and_anything_else_is_missing(fill: Fill) -> None:
    rows = [prediction(n, n, predicted=text, probabilities=None) for n, text in enumerate(["1.5", "-2", "a class"])]
    found = read(fill(rows, {0: "2.5"}), classes=None)
    assert found.predicted[:2].tolist() == [1.5, -2] and np.isnan(found.predicted[2])
    assert found.truth[0] == 2.5 and found.is_labelled.tolist() == [True, False, False]


def test_an_empty_database_has_no_rows(fill: Fill) -> None:
    for window in ("day", "month", 100):
        found = read(fill([], {}), window)
        assert len(found) == 0 and found.inputs.num_rows == 0 and found.classes == CLASSES


def test_only_the_last_windows_are_read(fill: Fill) -> None:
    store = fill([prediction(number, 30.5 * number) for number in range(24)], {})
    assert len(read(store, "month", 3)) == 3
    assert len(read(store, "month", 100)) == 24
    assert len(read(store, 10, 1)) == 4  # the third ten is not full yet
    assert len(read(store, 10, 2)) == 14
    assert [*np.unique(read(store, 10, 2).window)] == [1, 2]


def test_the_window_of_the_models_first_answer_is_known_when_it_is_no_longer_read(fill: Fill) -> None:
    rows = [prediction(number, 30.5 * number) for number in range(24)]
    rows[:6] = [row | {"model_version": "another"} for row in rows[:6]]
    store = fill(rows, {})
    for most in (3, 100):
        found = read(store, "month", most)
        assert found.window[-1] - found.begin == 24 - 6 - 1
        assert read(store, 2, most).begin == 3


@pytest.mark.parametrize(
    ("window", "moment", "begins"),
    [
        ("day", "2026-03-01T23:59:59", "2026-03-01"),
        ("week", "2026-11-29T23:59:59", "2026-11-23"),  # Sunday belongs to the week of Monday
        ("week", "2026-11-30T00:00:00", "2026-11-30"),
        ("week", "1969-12-30T00:00:00", "1969-12-29"),
        ("month", "2028-02-29T12:00:00", "2028-02"),
        ("month", "1969-12-31T12:00:00", "1969-12"),
    ],
)
def test_a_window_begins_where_the_calendar_says(window: Any, moment: str, begins: str) -> None:
    number = numbers(np.array([moment], "datetime64[us]"), window, 0)[0]
    assert start_of(int(number), window) == np.datetime64(begins)


def test_windows_of_rows_stay_where_they_are() -> None:
    times = np.zeros(5, "datetime64[us]")
    assert numbers(times, 3, 0).tolist() == [0, 0, 0, 1, 1]
    assert numbers(times, 3, 6).tolist() == [2, 2, 2, 3, 3]


def test_times_of_any_zone_are_in_utc(fill: Fill) -> None:
    moment = datetime(2026, 5, 31, 23, 30, tzinfo=UTC)
    found = read(fill([prediction(0, 0, made_at=moment)], {}))
    assert found.made_at[0] == np.datetime64("2026-05-31T23:30")
