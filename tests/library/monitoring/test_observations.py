"""What is read from the database, as columns in the order of time, and in which windows."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from monitoring.conftest import CLASSES, VERSION, prediction, signature_of

from bakebook.contracts import ReadOptions
from bakebook.monitoring import observations
from bakebook.monitoring.windows import numbers, start_of

Fill = Callable[..., Any]


def read(store: Any, window: Any = "month", most: int = 12, classes: Any = CLASSES) -> observations.Stored:
    return observations.read(store, signature_of(classes), VERSION, window, most)


def numbers_of(found: observations.Stored) -> list[int]:
    return [span.number for span in found.spans]


def test_a_window_has_its_predictions_its_labels_and_its_models(fill: Fill) -> None:
    rows = [prediction(number, days) for number, days in enumerate([40, 1, 41, 2])]
    rows[3] |= {"model_version": "another", "unfamiliar": 2, "inputs": {"size": 7, "colour": None}}
    found = read(fill(rows, {0: "b", 3: "c"}))
    january, february = found.spans
    assert (january.predictions, february.predictions) == (2, 2)
    assert (january.unfamiliar, february.unfamiliar) == (1, 0)
    assert list(january.answers) == [VERSION, "another"] and january.answers["another"] == 1
    assert (january.start.day, january.start.month, january.end.month) == (1, 1, 2)
    labelled = found.labelled
    assert labelled.truth.tolist() == [1, 2] and labelled.model.tolist() == [VERSION, "another"]
    assert labelled.window.tolist() == [february.number, january.number]


def test_only_the_current_models_inputs_are_looked_at_and_every_answers_time(fill: Fill) -> None:
    rows = [prediction(number, number, latency_ms=float(number)) for number in range(4)]
    rows[3] |= {"model_version": "another"}
    (part,) = read(fill(rows, {})).parts
    assert len(part) == 3 and sorted(part.latency_ms) == [0, 1, 2, 3]
    assert part.inputs.to_pydict() == {"size": [0.5] * 3, "colour": ["red"] * 3}
    assert part.probabilities is not None and part.probabilities[0].tolist() == [0.5, 0.25, 0.25]


def test_of_a_large_window_a_random_part_is_looked_at_and_every_label_counts(fill: Fill) -> None:
    random = np.random.default_rng(0)
    count = 3 * observations.PART_ROWS
    rows = [prediction(number, number / count) for number in range(count)]
    for number, row in enumerate(rows):
        row["id"] = f"{number:020d}{random.integers(2**62):016x}"
        row["inputs"] = {"size": number, "colour": "red"}
    store = fill(rows, dict.fromkeys(range(0, count, 2), "b"))
    found = read(store)
    (part,), (span,) = found.parts, found.spans
    assert span.predictions == count and len(found.labelled) == count / 2
    assert abs(len(part) - observations.PART_ROWS) < 5 * np.sqrt(observations.PART_ROWS)
    assert abs(np.mean(part.inputs["size"].to_numpy()) - count / 2) < 0.05 * count
    again = read(store).parts[0]
    assert again.inputs.equals(part.inputs)


def test_the_newest_label_counts(fill: Fill) -> None:
    store = fill([prediction(0, 0)], {0: "b"})
    store.add_labels([(f"{0:036d}", "c")], "another")
    assert read(store).labelled.truth.tolist() == [2]


def test_classes_of_other_models_and_of_people_follow_those_of_the_model(fill: Fill) -> None:
    rows = [prediction(0, 0), prediction(1, 0, predicted="old", model_version="another", probabilities={"old": 1.0})]
    found = read(fill(rows, {0: "new", 1: "a"})).labelled
    assert found.classes == ("a", "b", "c", "new", "old")
    assert found.truth.tolist() == [3, 0] and found.predicted.tolist() == [0, 4]


def test_probabilities_that_are_not_of_the_models_classes_are_missing(fill: Fill) -> None:
    rows = [prediction(0, 0, probabilities={"old": 1.0}), prediction(1, 0, probabilities=None)]
    (part,) = read(fill(rows, {})).parts
    assert part.probabilities is not None and np.isnan(part.probabilities).all()


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
def test_inputs_are_missing_where_they_do_not_fit(fill: Fill, given: Any, seen: list[Any]) -> None:
    (part,) = read(fill([prediction(0, 0, inputs=given), prediction(1, 1)], {})).parts
    assert [part.inputs[name][0].as_py() for name in ("size", "colour")] == seen
    assert part.inputs["size"][1].as_py() == 0.5


@pytest.mark.parametrize(
    ("dtype", "given", "meant"),
    [
        ("text", [" red", "unknown", ""], ["red", None, None]),
        ("folded", ["RED ", "Unknown", "rosé"], ["red", None, "rose"]),
    ],
)
def test_inputs_are_seen_as_the_model_sees_them(fill: Fill, dtype: str, given: list[str], meant: list[Any]) -> None:
    reading = ReadOptions(missing=("", "unknown", "-1"), columns={"size": "number", "colour": dtype})
    signature = signature_of(CLASSES).model_copy(update={"reading": reading})
    sizes = [1.5, -1, -1.0]
    rows = [prediction(n, 0, inputs={"size": sizes[n], "colour": text}) for n, text in enumerate(given)]
    (part,) = observations.read(fill(rows, {}), signature, VERSION, "day", 1).parts
    assert part.inputs.to_pydict() == {"size": [1.5, None, None], "colour": meant}


def test_numbers_are_read_as_numbers_and_anything_else_is_missing(fill: Fill) -> None:
    rows = [prediction(n, n, predicted=text, probabilities=None) for n, text in enumerate(["1.5", "-2", "a class"])]
    found = read(fill(rows, {0: "2.5", 2: "1"}), classes=None)
    (part,) = found.parts
    assert part.predicted[:2].tolist() == [1.5, -2] and np.isnan(part.predicted[2])
    assert found.labelled.truth.tolist() == [2.5]


def test_an_empty_database_has_no_rows(fill: Fill) -> None:
    for window in ("day", "month", 100):
        found = read(fill([], {}), window)
        assert (found.spans, found.parts, len(found.labelled)) == ((), (), 0)
        assert found.labelled.classes == CLASSES


def test_only_the_last_windows_are_read(fill: Fill) -> None:
    store = fill([prediction(number, 30.5 * number) for number in range(24)], dict.fromkeys(range(24), "a"))
    for window, most, seen in [("month", 3, 3), ("month", 100, 24), (10, 1, 4), (10, 2, 14), (10, 9, 24)]:
        found = read(store, window, most)
        assert sum(span.predictions for span in found.spans) == len(found.labelled) == seen
    assert numbers_of(read(store, 10, 2)) == [1, 2]  # the third ten is not full yet


def test_windows_without_predictions_are_between_and_not_before(fill: Fill) -> None:
    found = read(fill([prediction(0, 0), prediction(1, 95)], {}))
    assert [span.predictions for span in found.spans] == [1, 0, 0, 1]
    assert [len(part) for part in found.parts] == [1, 0, 0, 1]
    assert [len(read(fill([], {}), window, 100_000).spans) for window in ("day", 1)] == [96, 2]


def test_the_window_of_the_models_first_answer_is_known_when_it_is_no_longer_read(fill: Fill) -> None:
    rows = [prediction(number, 30.5 * number) for number in range(24)]
    rows[:6] = [row | {"model_version": "another"} for row in rows[:6]]
    store = fill(rows, {0: "a"})
    for most in (3, 100):
        found = read(store, "month", most)
        last = found.labelled.last
        assert last == found.spans[-1].number and last - found.labelled.begin == 24 - 6 - 1
        assert found.labelled.first == max(found.labelled.begin, found.spans[0].number)
        assert read(store, 2, most).labelled.begin == 3


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


def test_a_clock_that_was_ahead_hides_no_window(fill: Fill) -> None:
    years = 365.0 * 1000
    rows = [prediction(0, 0), prediction(1, 40), prediction(2, years), prediction(3, years)]
    store = fill(rows, {0: "a", 2: "a"})
    found = read(store, most=1000)
    assert found.spans[0].predictions == found.spans[1].predictions == 1
    assert sum(span.predictions for span in found.spans) == 2 and len(found.labelled) == 1
    assert (found.future, read(store, 2).future) == (2, 0)


def test_predictions_that_are_all_in_the_future_are_counted(fill: Fill) -> None:
    found = read(fill([prediction(0, 365.0 * 1000)], {0: "a"}))
    assert (found.spans, found.future, len(found.labelled)) == ((), 1, 0)


def test_windows_of_rows_stay_where_they_are() -> None:
    times = np.zeros(5, "datetime64[us]")
    assert numbers(times, 3, 0).tolist() == [0, 0, 0, 1, 1]
    assert numbers(times, 3, 6).tolist() == [2, 2, 2, 3, 3]


def test_the_last_minutes_of_a_month_are_those_in_utc(fill: Fill) -> None:
    moment = datetime(2026, 5, 31, 23, 30, tzinfo=UTC)
    found = read(fill([prediction(0, 0, made_at=moment)], {0: "a"}))
    assert found.spans[0].start == datetime(2026, 5, 1) and found.labelled.window.tolist() == numbers_of(found)
