"""The measured score of a window: of the random sample alone, with an interval that holds what it promises."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import project_module
from monitoring.conftest import CLASSES, VERSION, metrics_of, prediction, signature_of
from sklearn import metrics as sklearn_metrics

from bakebook.errors import BadInput
from bakebook.monitoring import observations, performance
from bakebook.monitoring.influence import SCORES
from bakebook.monitoring.reference import Reference

Fill = Callable[..., Any]


def test_scores_are_those_of_scikit_learn_and_of_the_project() -> None:
    random = np.random.default_rng(0)
    truth, said = random.integers(3, size=200), random.integers(3, size=200)
    numbers, other = random.normal(size=200), random.normal(size=200)
    assert SCORES["f1_macro"](truth, said)[0] == pytest.approx(sklearn_metrics.f1_score(truth, said, average="macro"))
    assert SCORES["accuracy"](truth, said)[0] == pytest.approx(np.mean(truth == said))
    assert SCORES["mae"](numbers, other)[0] == pytest.approx(sklearn_metrics.mean_absolute_error(numbers, other))
    assert SCORES["rmse"](numbers, other)[0] == pytest.approx(sklearn_metrics.root_mean_squared_error(numbers, other))
    own = project_module("evaluation.class_scores")
    given = np.eye(3)[said]
    for name in ("f1_macro", "accuracy"):
        assert SCORES[name](truth, said)[0] == pytest.approx(getattr(own, name)(truth, said, given))


def test_only_the_random_sample_measures(fill: Fill) -> None:
    rows = [prediction(number, 0, is_sample=number < 4) for number in range(10)]
    store = fill(rows, {number: "a" if number < 3 else "b" for number in range(10)})
    found = performance.measured(
        observations.read(store, signature_of(CLASSES), VERSION, "day", 1).labelled, {"accuracy": 0}
    )
    assert found["accuracy"].score == 0.75 and found["accuracy"].rows == 4


@pytest.mark.parametrize("right", [0.55, 0.75, 0.95])
@pytest.mark.parametrize("rows", [50, 300])
@pytest.mark.parametrize("name", ["f1_macro", "accuracy"])
def test_an_interval_covers_the_true_score(name: str, rows: int, right: float) -> None:
    random = np.random.default_rng(0)

    def some(count: int) -> tuple[np.ndarray, np.ndarray]:
        truth = random.choice(3, count, p=[0.5, 0.3, 0.2])
        other = (truth + random.integers(1, 3, count)) % 3
        return truth, np.where(random.random(count) < right, truth, other)

    true = SCORES[name](*some(300_000))[0]
    intervals = [performance.interval_of(name, some(rows)) for _ in range(400)]
    covered = np.mean([one is not None and one.low <= true <= one.high for one in intervals])
    assert 0.92 <= covered <= 0.99  # 0.95 is promised; the standard error of 400 is 0.011


def test_a_perfect_window_has_a_width_and_a_single_row_has_none() -> None:
    ten = np.zeros(10, int)
    perfect = performance.interval_of("f1_macro", (ten, ten))
    assert perfect is not None and (perfect.low, perfect.high) == (pytest.approx(0.6915, abs=1e-3), 1)
    wrong = performance.interval_of("accuracy", (ten, ten + 1))
    assert wrong is not None and (wrong.low, wrong.high) == (0, pytest.approx(0.3085, abs=1e-3))
    assert performance.interval_of("accuracy", (ten[:1], ten[:1])) is None
    assert performance.interval_of("mae", (np.zeros(5), np.zeros(5))) is not None


def alarms(store: Any, known: Reference) -> bool:
    rows = observations.read(store, known.signature, VERSION, "month", 12).labelled
    return performance.judged(rows, known, {"accuracy": 0.5}, 0.05)["accuracy"].is_alarm


def test_an_alarm_is_about_the_model_that_answers_now(reference: Reference, fill: Fill) -> None:
    wrong_before = [prediction(number, 0, model_version="another") for number in range(100)]
    right = [prediction(number, 40) for number in range(100, 200)]
    store = fill([*wrong_before, *right], {number: "b" if number < 100 else "a" for number in range(200)})
    assert not alarms(store, reference)
    unlabelled = [prediction(number, 80) for number in range(200, 300)]
    assert not alarms(fill(unlabelled, {}), reference)
    wrong = [prediction(number, 80) for number in range(300, 400)]
    assert alarms(fill(wrong, dict.fromkeys(range(100), "b")), reference)


@pytest.mark.parametrize(
    ("classes", "criteria", "sentence"),
    [
        (CLASSES, {"f1_macr": 0.5}, "did you mean 'f1_macro'"),
        (CLASSES, {"mae": 0.5}, "choose from f1_macro, accuracy"),
        (None, {"f1_macro": 0.5}, "choose from mae, rmse"),
        (None, {"rmse": "baseline"}, "a guess has no rmse"),
        (None, {"mae": 0}, "write a number above 0"),
        (CLASSES, {"accuracy": float("nan")}, "write a number"),
    ],
)
def test_a_score_that_cannot_be_watched_is_named(classes: Any, criteria: Any, sentence: str) -> None:
    known = Reference(signature_of(classes), metrics_of(), *[np.empty(0)] * 3, None)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=r"monitor\.criteria.*") as raised:
        performance.thresholds(criteria, known)
    assert sentence in str(raised.value)


def test_baseline_is_what_a_guess_reaches_on_the_test_rows() -> None:
    known = Reference(signature_of(None), metrics_of(), *[np.empty(0)] * 3, None)  # type: ignore[arg-type]
    assert performance.thresholds({"mae": "baseline"}, known) == {"mae": 1.0}


def test_a_label_that_is_absurd_or_meets_no_number_is_none(fill: Fill) -> None:
    texts = ["1.0", "many", "inf", "nan", "2.0"]
    rows = [prediction(number, 0, predicted=text, probabilities=None) for number, text in enumerate(texts)]
    store = fill(rows, {0: "1e308", 1: "1.0", 2: "1.0", 3: "1.0", 4: "2.5"})
    found = observations.read(store, signature_of(None), VERSION, "month", 1).labelled
    assert performance.measured(found, {"mae": 1, "rmse": 1})["rmse"].score == 0.5
    judged = performance.judged(
        found,
        Reference(signature_of(None), metrics_of(), *[np.empty(0)] * 3, None),
        {"rmse": 1},
        0.05,  # type: ignore[arg-type]
    )
    assert judged["rmse"].evidence == 1
