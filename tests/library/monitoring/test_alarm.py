"""An alarm keeps its promise: rarely wrong however often one looks, and soon where the score has fallen."""

from collections.abc import Sequence

import numpy as np
import pytest

from bakebook.monitoring.alarm import Rule, evidence, is_alarm
from bakebook.monitoring.influence import OTHER, SCORES, Rows, with_right_rows

CLASSES = ("a", "b", "c", "d", "e")
SHARES = {2: (0.7, 0.3), 3: (0.4, 0.35, 0.25), 5: (0.4, 0.3, 0.15, 0.1, 0.05)}


def answered(random: np.random.Generator, rows: int, right: float, classes: int) -> Rows:
    """Labels and predictions of which the share `right` is right."""
    truth = random.choice(classes, rows, p=SHARES[classes])
    other = (truth + random.integers(1, classes, rows)) % classes
    return truth, np.where(random.random(rows) < right, truth, other)


def first_alarm(rows: Sequence[Rows], rule: Rule) -> int | None:
    """The first window after which there is an alarm."""
    return next((last for last in range(len(rows)) if is_alarm(rows[: last + 1], rule)), None)


@pytest.mark.parametrize("name", SCORES)
def test_an_influence_is_what_a_row_does_to_the_score(name: str) -> None:
    random = np.random.default_rng(0)
    rows = answered(random, 60, 0.7, 3)
    score, influence = SCORES[name](*rows)
    assert influence.mean() == pytest.approx(0, abs=1e-12)
    for place in range(0, 60, 7):  # the row a hundred times, in a table that is so long that it does not matter
        longer = tuple(np.concatenate([np.tile(part, 2000), np.repeat(part[place], 100)]) for part in rows)
        change = SCORES[name](*longer)[0] - score
        assert change * len(longer[0]) / 100 == pytest.approx(influence[place], abs=0.01)


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("rows", [40, 200])
def test_a_score_at_its_threshold_seldom_alarms(classes: int, rows: int) -> None:
    """Twelve windows, each read by itself; the score is the threshold, which is the hardest case."""
    many = answered(np.random.default_rng(0), 200_000, 0.7, classes)
    rule = Rule("f1_macro", SCORES["f1_macro"](*many)[0], 0.05)
    alarms = 0
    for seed in range(100):
        random = np.random.default_rng(seed)
        alarms += first_alarm([answered(random, rows, 0.7, classes) for _ in range(12)], rule) is not None
    assert alarms <= 8  # 5 are promised, and 8 are two standard deviations more


@pytest.mark.parametrize("classes", [2, 5])
def test_a_score_that_has_fallen_alarms_soon(classes: int) -> None:
    rule = Rule("f1_macro", 0.6 if classes == 2 else 0.55, 0.05)
    for seed in range(20):
        random = np.random.default_rng(seed)
        good = [answered(random, 200, 0.85, classes) for _ in range(6)]
        bad = [answered(random, 200, 0.45, classes) for _ in range(4)]
        found = first_alarm([*good, *bad], rule)
        assert found is not None and 6 <= found <= 8, seed


@pytest.mark.parametrize("scale", [0.001, 1, 1000])
def test_an_error_alarms_in_any_unit(scale: float) -> None:
    random = np.random.default_rng(0)
    truth = random.normal(size=400) * scale
    close, far = (truth + random.normal(size=400) * scale * by for by in (0.3, 0.9))
    rule = Rule("mae", 0.5 * scale, 0.05)
    assert not is_alarm([(truth, close)], rule)
    assert is_alarm([(truth, close), (truth, far)], rule)
    assert evidence([(truth, far)], rule) > evidence([(truth, close)], rule)


def test_few_rows_say_nothing() -> None:
    rows = np.zeros(29), np.ones(29)
    rule = Rule("f1_macro", 0.9, 0.05)
    assert not is_alarm([rows], rule)
    assert not is_alarm([], rule)


def test_right_rows_are_one_of_each_class() -> None:
    truth, said = with_right_rows((np.array([0]), np.array([1])))
    assert truth.tolist() == [0, 0, 1] and said.tolist() == [1, 0, 1]


def test_more_classes_do_not_hide_a_fallen_score() -> None:
    random = np.random.default_rng(0)
    guessed = random.integers(3, size=1000), random.integers(3, size=1000)
    assert is_alarm([guessed], Rule("f1_macro", 0.55, 0.05))
    truth = np.concatenate([guessed[0], np.full(50, OTHER)])  # what people named and the model does not know
    said = np.concatenate([guessed[1], np.zeros(50, int)])
    assert is_alarm([(truth, said)], Rule("f1_macro", 0.55, 0.05))
    assert SCORES["f1_macro"](truth, said)[0] < SCORES["f1_macro"](*guessed)[0]


def test_windows_that_are_left_out_only_make_an_alarm_rarer() -> None:
    bad = np.zeros(60, int), np.ones(60, int)
    rule = Rule("accuracy", 0.6, 0.05)
    found = [evidence([bad], rule, before) for before in range(5)]
    assert found == sorted(found, reverse=True) and found[-1] > 1 / rule.alpha


@pytest.mark.filterwarnings("error")
def test_overwhelming_evidence_is_a_number() -> None:
    wrong = np.zeros(100_000, int), np.ones(100_000, int)
    assert np.isfinite(evidence([wrong] * 3, Rule("accuracy", 0.9, 0.05)))
