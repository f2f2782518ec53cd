"""Which labels teach: what each rule leaves out, and that honest labels stay, however the relation changes."""

from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import numpy as np
import pytest

from bakebook.contracts import Input, ModelFile, ReadOptions, Signature
from bakebook.lifecycle.trust import RULES, Trusted, trusted
from bakebook.params import Rule

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
STARTS = [BEGIN.replace(tzinfo=None) + timedelta(days=30 * number) for number in range(4)]
CLASSES = ("a", "b", "c")
Rows = list[dict[str, Any]]


def signature_of(classes: tuple[str, ...] | None) -> Signature:
    return Signature(
        model=ModelFile(file="model.onnx", sha256="0123456789abcdef" * 4, bytes=1),
        target="kind",
        task="classification" if classes else "regression",
        classes=classes,
        inputs=(Input(name="size", role="numeric"), Input(name="weight", role="numeric")),
        reading=ReadOptions(),
    )


CLASS_MODEL = signature_of(CLASSES)
NUMBER_MODEL = signature_of(None)


def labelled(count: int, seed: int = 0, noise: float = 0.1, turn: float = 0.0, is_number: bool = False) -> Rows:
    """Labels of three people through four windows, a share of them wrong. The classes are thirds of an axis, the
    numbers a slope; the axis turns by `turn` (radians) from one window to the next.
    """
    random = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        days = 120 * number / count
        size, weight = random.normal(size=2)
        angle = turn * (days // 30)
        along = size * np.cos(angle) + weight * np.sin(angle)
        truth = np.digitize(along, [-0.43, 0.43])
        if random.random() < noise:
            truth = random.integers(3)
        made_at = BEGIN + timedelta(days=days)
        rows.append(
            {
                "id": f"{number:036d}",
                "made_at": made_at,
                "inputs": {"size": float(size), "weight": float(weight)},
                "label": f"{along + 0.3 * random.normal():.4f}" if is_number else CLASSES[truth],
                "labelled_by": ("ann", "bob", "eve")[number % 3],
                "labelled_at": made_at + timedelta(days=1),
                "is_sample": number % 5 == 0,
            }
        )
    return rows


def turned(label: str) -> str:
    """The class after it, or another number."""
    return CLASSES[(CLASSES.index(label) + 1) % 3] if label in CLASSES else f"{-float(label):.4f}"


def judged(rows: Rows, *rules: Rule, signature: Signature = CLASS_MODEL) -> Trusted:
    return trusted(rows, signature, ["weight", "kind"], STARTS, rules or get_args(Rule)[1:])


def test_every_rule_of_params_yaml_exists() -> None:
    assert tuple(RULES) == get_args(Rule)


@pytest.mark.parametrize("turn", [0.0, 0.8])
@pytest.mark.parametrize("is_number", [False, True])
def test_honest_labels_stay_also_when_the_relation_turns(turn: float, is_number: bool) -> None:
    signature = NUMBER_MODEL if is_number else CLASS_MODEL
    people = 0
    outliers = 0
    for seed in range(5):
        rows = labelled(400, seed, noise=0.02, turn=turn, is_number=is_number)
        found = judged(rows, signature=signature)
        people += sum(found.left_out.get(rule, 0) for rule in ("late", "labeller", "burst", "duplicate"))
        outliers += found.left_out.get("outlier", 0)
    assert people == 0
    assert outliers <= 0.02 * 2000


def test_labels_of_one_month_by_one_person_stay_when_the_relation_changes_then() -> None:
    rows = labelled(400)
    for row in rows:
        row["labelled_by"] = "ann" if row["made_at"] < BEGIN + timedelta(days=90) else "bob"
        if row["labelled_by"] == "bob":
            row["label"] = turned(row["label"])
    assert not {"labeller", "burst"} & judged(rows).left_out.keys()


@pytest.mark.parametrize("is_number", [False, True])
def test_one_person_against_all_others_does_not_teach(is_number: bool) -> None:
    signature = NUMBER_MODEL if is_number else CLASS_MODEL
    rows = labelled(400, is_number=is_number)
    for row in rows:
        if row["labelled_by"] == "eve":
            row["label"] = turned(row["label"])
    found = judged(rows, "labeller", signature=signature)
    assert found.left_out == {"labeller": 133}
    assert {row["labelled_by"] for row in found.rows} == {"ann", "bob"}
    assert judged(rows, "late", signature=signature).left_out == {}


def test_of_two_people_who_disagree_the_majority_stays_and_equals_both() -> None:
    rows = labelled(300)
    for number, row in enumerate(rows):
        row["labelled_by"] = "eve" if number % 4 == 0 else "ann"
        if row["labelled_by"] == "eve":
            row["label"] = turned(row["label"])
    assert judged(rows, "labeller").left_out == {"labeller": 75}
    for number, row in enumerate(rows):
        row["labelled_by"] = "eve" if number % 2 == 0 else "ann"
    assert judged(rows, "labeller").left_out == {}


def test_a_burst_of_wrong_labels_does_not_teach_and_the_rest_of_its_labeller_does() -> None:
    rows = labelled(400)
    chosen = [row for row in rows if row["labelled_by"] == "eve"][:30]
    for number, row in enumerate(chosen):
        row["label"] = turned(row["label"])
        row["labelled_at"] = BEGIN + timedelta(days=100, seconds=number)
    found = judged(rows, "labeller", "burst")
    assert found.left_out == {"burst": 30}
    assert sum(row["labelled_by"] == "eve" for row in found.rows) == 103


def test_honest_labels_that_a_program_sends_at_once_stay() -> None:
    rows = labelled(400)
    for row in rows:
        row["labelled_by"] = "truth"
        row["labelled_at"] = BEGIN + timedelta(days=130)
    assert not {"labeller", "burst"} & judged(rows).left_out.keys()


def test_equal_questions_count_once_and_with_several_answers_not_at_all() -> None:
    rows = labelled(8)
    rows[3] = {**rows[3], "inputs": rows[1]["inputs"], "label": rows[1]["label"]}
    rows[5] = {**rows[5], "inputs": dict(reversed(rows[4]["inputs"].items())), "label": turned(rows[4]["label"])}
    found = judged(rows)
    assert found.left_out == {"contradictory": 2, "duplicate": 1}
    assert rows[3] in found.rows and rows[1] not in found.rows
    assert str(found) == "5 labels, without 2 contradictory, 1 duplicate"
    assert str(judged(rows, "late")) == "8 labels"


def test_an_answer_that_changed_with_the_time_is_no_contradiction() -> None:
    rows = labelled(8)  # two in each window
    rows[6] = {**rows[6], "inputs": rows[0]["inputs"], "label": turned(rows[0]["label"])}
    assert judged(rows).left_out == {}


def test_equal_inputs_with_other_numbers_are_no_contradiction() -> None:
    rows = labelled(8, is_number=True)
    rows[1] = {**rows[1], "inputs": rows[0]["inputs"]}
    assert judged(rows, signature=NUMBER_MODEL).left_out == {}


def test_fractions_where_the_table_has_whole_numbers_do_not_teach() -> None:
    rows = labelled(8, is_number=True)
    for row in rows:
        row["inputs"]["weight"] = 3.0
        row["label"] = "7.0"
    rows[2]["inputs"]["weight"] = 3.5
    rows[3]["inputs"]["weight"] = None
    rows[4]["label"] = "7.5"
    found = judged(rows, "unreadable", signature=NUMBER_MODEL)
    assert found.left_out == {"unreadable": 2} and rows[3] in found.rows
    rows[4]["label"] = "b"
    assert judged(rows, "unreadable").left_out == {"unreadable": 1}


def test_labels_of_predictions_before_the_watched_windows_are_late() -> None:
    rows = labelled(8)
    rows[0] = {**rows[0], "made_at": BEGIN - timedelta(days=1)}
    assert judged(rows).left_out == {"late": 1}


def test_labels_with_which_no_model_could_agree_do_not_teach_but_may_measure() -> None:
    rows = labelled(600, noise=0.0)
    far = [row for row in rows if abs(row["inputs"]["size"]) > 1.2]
    teaching = [row for row in far if not row["is_sample"]][::14]
    measuring = [row for row in far if row["is_sample"]][::14]
    for row in (*teaching, *measuring):
        row["label"] = "a" if row["label"] == "c" else "c"
    found = judged(rows, "outlier")
    left = [row["id"] for row in rows if row not in found.rows]
    known = {row["id"] for row in teaching} & {*left}
    assert len(known) >= 0.5 * len(teaching) and len(left) <= len(known) + 2
    assert not {row["id"] for row in measuring} & {*left}


def test_a_rare_class_that_the_model_does_not_know_stays() -> None:
    random = np.random.default_rng(0)
    rows = labelled(600)
    for row in rows:  # which no input tells
        row["label"] = "b" if random.random() < 0.03 else "a"
    assert "outlier" not in judged(rows, "outlier").left_out


def test_numbers_that_are_far_off_do_not_teach() -> None:
    rows = labelled(300, is_number=True)
    rows[7]["label"] = "1e9"
    rows[8]["label"] = "-1e300"
    found = judged(rows, "outlier", signature=NUMBER_MODEL)
    assert found.left_out == {"outlier": 2}


def test_odd_inputs_and_few_labels_are_no_error() -> None:
    assert judged([]).rows == []
    rows = labelled(3)
    assert judged(rows).rows == rows
    rows = labelled(60)
    rows[0]["inputs"] = {}
    rows[1]["inputs"] = {"size": "big", "weight": None}
    rows[2]["inputs"] = {"size": 1e308, "weight": -1e308, "colour": "red"}
    assert len(judged(rows).rows) >= 55
