"""Simulated callers send rows of any table as its service takes them, and change as they are asked to."""

import json
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest

from bakebook.contracts import Example, Input, ModelFile, ReadOptions, Signature
from bakebook.lifecycle.traffic import Traffic
from bakebook.params import Shift
from bakebook.serving.schemas import Rows

ROWS = 200
TABLE = pd.DataFrame(
    {
        "size": [1.5, None, 3.0, 4.5],
        "rooms": pd.array([1, 2, None, 4], "Int64"),
        "fresh": pd.array([True, False, None, True], "boolean"),
        "sold": [True, False, True, False],
        "built": pd.to_datetime(["2020-01-01", None, "2021-06-01", "2022-01-01"]),
        "colour": ["red", "white", None, "green"],
        "floor": [1.0, 2.0, None, 3.0],
        "note": ["a b", None, "", "c"],
        "price": [10.5, 20.0, 30.0, None],
        "kind": pd.array([0, 1, 1, None], "Int64"),
    }
)
ROLES: dict[str, tuple[Any, str]] = {
    "size": ("numeric", "number"),
    "rooms": ("numeric", "number"),
    "fresh": ("boolean", "boolean"),
    "sold": ("boolean", "boolean"),
    "built": ("datetime", "datetime"),
    "colour": ("categorical", "text"),
    "floor": ("categorical", "number"),
    "note": ("text", "text"),
}
LEVELS = {"colour": ("green", "red", "white"), "floor": ("1", "2", "3")}


def signature_of(target: str, classes: tuple[str, ...] | None) -> Signature:
    inputs = [Input(name=name, role=role, levels=LEVELS.get(name)) for name, (role, _) in ROLES.items()]
    return Signature(
        model=ModelFile(file="model.onnx", sha256="0" * 64, bytes=1),
        target=target,
        task="classification" if classes else "regression",
        classes=classes,
        inputs=tuple(inputs),
        reading=ReadOptions(columns={name: dtype for name, (_, dtype) in ROLES.items()}),
        examples=(Example(inputs=dict.fromkeys(ROLES), predicted=1.0),),
    )


def months(shift: Shift, time: float, target: str = "price") -> tuple[list[dict[str, Any]], list[Any]]:
    signature = signature_of(target, ("0", "1") if target == "kind" else None)
    return Traffic(TABLE, signature, ["rooms"]).month(ROWS, time, shift, np.random.default_rng(0))


@pytest.mark.parametrize("target", ["price", "kind"])
@pytest.mark.parametrize("shift", get_args(Shift))
def test_rows_of_every_kind_of_column_are_taken(shift: Shift, target: str) -> None:
    rows, labels = months(shift, 1.0, target)
    signature = signature_of(target, ("0", "1") if target == "kind" else None)
    found, _ = Rows(signature, ROWS).read(json.dumps(rows).encode())
    assert len(found) == len(labels) == ROWS
    assert set(labels) == ({"0", "1"} if target == "kind" else {10.5, 20.0, 30.0})  # rows without one are left out
    assert all(row["rooms"] is None or row["rooms"] == round(row["rooms"]) for row in rows)
    assert all(None in {row[name] for row in rows} for name in ("size", "fresh", "built", "colour", "note"))


def test_mirrored_rows_keep_their_label_and_are_the_opposite() -> None:
    rows, labels = months("gradual", 1.0)
    before, same = months("gradual", 0.0)
    assert labels == same
    for old, new in zip(before, rows, strict=True):
        assert new["sold"] is not old["sold"] and new["built"] == old["built"]
        assert new["colour"] == {"red": "red", "white": "green", "green": "white", None: None}[old["colour"]]
        assert old["size"] is None or new["size"] == pytest.approx(1.5 + 3.0 - old["size"])


def test_where_inputs_move_great_numbers_become_frequent_and_seeds_repeat() -> None:
    first, last = (np.mean([row["size"] or 0 for row in months("inputs", time)[0]]) for time in (0.0, 1.0))
    assert last > first
    assert months("inputs", 1.0) == months("inputs", 1.0)
