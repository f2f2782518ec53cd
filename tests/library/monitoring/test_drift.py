"""What has changed is named, and what has not is not."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from monitoring.conftest import BEGIN as NOW
from monitoring.conftest import inputs_of, probabilities_of
from monitoring.test_estimated import observed
from monitoring.test_report import monitoring

from bakebook.contracts import Input, Signature
from bakebook.monitoring import report
from bakebook.monitoring.drift import drift
from bakebook.monitoring.observations import Observations
from bakebook.monitoring.quality import quality
from bakebook.monitoring.reference import Reference
from bakebook.monitoring.results import Drift, Monitoring


def seen(size: np.ndarray, colour: np.ndarray) -> Observations:
    given = probabilities_of(np.nan_to_num(size))
    return replace(observed(size, given.argmax(axis=1), given), inputs=inputs_of(size, colour))


def monitored(found: Drift) -> Monitoring:
    return monitoring(0.8).model_copy(update={"drift": found})


def changed(found: Drift) -> set[str]:
    assert found.together
    return {one.name for one in (*found.outputs, found.together, *found.inputs) if one.is_changed}


def test_nothing_changed_in_forty_windows_of_the_same_kind(reference: Reference) -> None:
    false = 0
    for seed in range(40):
        random = np.random.default_rng(seed + 1)
        rows = seen(random.normal(size=300), random.choice(["red", "white"], 300))
        false += bool(changed(drift(rows, NOW, reference, 0.05)))
    assert false <= 6  # three families of comparisons, each wrong in 5 of 100 at most


def test_an_input_that_moved_is_named_and_seen_in_the_outputs(reference: Reference) -> None:
    random = np.random.default_rng(1)
    rows = seen(random.normal(1.5, 1, 300), random.choice(["red", "white"], 300))
    found = drift(rows, NOW, reference, 0.05)
    assert changed(found) == {"predicted class", "confidence", "all inputs together", "size"}
    assert found.inputs[0].name == "size" and found.inputs[0].distance > 0.4


def test_a_category_that_became_rare_is_named(reference: Reference) -> None:
    random = np.random.default_rng(2)
    rows = seen(random.normal(size=300), random.choice(["red", "white"], 300, p=[0.9, 0.1]))
    assert changed(drift(rows, NOW, reference, 0.05)) == {"colour", "all inputs together"}


def test_inputs_that_only_together_changed_are_named(reference: Reference) -> None:
    random = np.random.default_rng(4)
    size = random.normal(size=600)
    colour = np.where((size > 0) == (random.random(600) < 0.95), "red", "white")
    rows = seen(size, colour)
    found = drift(rows, NOW, reference, 0.05)
    assert changed(found) == {"all inputs together"} and set(found.told_by) == {"size", "colour"}
    assert "only all inputs together, above all" in report.facts(monitored(found))[-1]


def test_inputs_that_changed_alone_are_named_once(reference: Reference) -> None:
    random = np.random.default_rng(1)
    rows = seen(random.normal(1.5, 1, 300), random.choice(["red", "white"], 300))
    assert drift(rows, NOW, reference, 0.05).told_by == ()


def test_few_rows_are_not_compared(reference: Reference) -> None:
    rows = seen(np.full(29, 9.0), np.full(29, "red"))
    assert drift(rows, NOW, reference, 0.05) == Drift(rows=29, reference_rows=600)


def test_an_input_that_is_always_missing_is_no_crash(reference: Reference) -> None:
    rows = seen(np.full(100, np.nan), np.full(100, None, object))
    found = drift(rows, NOW, reference, 0.05)
    assert {one.name: one.distance for one in found.inputs} == {"size": 1.0, "colour": 1.0}


def test_missing_and_unseen_values_are_counted(reference: Reference) -> None:
    rows = seen(np.array([0.0, np.nan, 4.0, -3.0]), np.array(["red", "green", "green", None], object))
    nothing = {one.name: (one.missing, one.unseen) for one in quality(rows, reference)}
    assert nothing == {"size": (0.25, round(1 / 3, 6)), "colour": (0.25, round(2 / 3, 6))}
    assert quality(seen(np.empty(0), np.empty(0, object)), reference) == ()


@pytest.mark.parametrize(
    ("times", "unseen"),
    [
        (["2026-01-01", "2026-06-01T12:00:00"], 0.0),
        (["2025-12-31T23:59:59", "2026-06-02T00:00:00+13:00", None], 0.5),
        (["2031-01-01", "no time"], 1.0),
    ],
)
def test_times_out_of_the_range_are_counted(reference: Reference, times: list[str | None], unseen: float) -> None:
    column = Input(name="on", role="datetime", minimum="2026-01-01T00:00:00", maximum="2026-06-01T12:00:00")
    table = pa.table({"on": pa.array(times, pa.string())})
    known = replace(reference, signature=Signature.model_construct(inputs=(column,)), inputs=table)
    rows = replace(seen(np.zeros(len(times)), np.full(len(times), "red")), inputs=table)
    (found,) = quality(rows, known)
    assert found.unseen == unseen
