"""A model of three classes, its test rows, and predictions of it in a database."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from bakebook.contracts import Input, Metrics, ModelFile, ReadOptions, RowCounts, Signature, Success
from bakebook.database.store import Store
from bakebook.monitoring.reference import Reference

CLASSES = ("a", "b", "c")
SHA256 = "0123456789abcdef" * 4
VERSION = SHA256[:12]
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)  # two years of predictions are in the past


def signature_of(classes: Sequence[str] | None) -> Signature:
    return Signature(
        model=ModelFile(file="model.onnx", sha256=SHA256, bytes=1),
        target="kind",
        task="classification" if classes else "regression",
        classes=tuple(classes) if classes else None,
        inputs=(
            Input(name="size", role="numeric", minimum=-3.0, maximum=3.0),
            Input(name="colour", role="categorical", levels=("red", "white")),
        ),
        reading=ReadOptions(),
    )


def metrics_of(**scores: float) -> Metrics:
    success = Success(passed=True, verdict="met", criteria={})
    return Metrics(rows=RowCounts(train=1, test=1), model=scores, baseline={"mae": 1.0}, success=success)


def probabilities_of(size: np.ndarray) -> np.ndarray:
    """Of each class (n, 3), by the size alone."""
    logits = np.column_stack([-2 * size, np.zeros_like(size), 2 * size])
    powers = np.exp(logits)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def drawn(probabilities: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Classes (n,) that are as frequent as the probabilities say."""
    reached = random.random((len(probabilities), 1)) > probabilities.cumsum(axis=1)
    return np.minimum(reached.sum(axis=1), probabilities.shape[1] - 1)


def inputs_of(size: np.ndarray, colour: np.ndarray) -> pa.Table:
    return pa.table({"size": pa.array(size, pa.float64(), from_pandas=True), "colour": pa.array(colour, pa.string())})


@pytest.fixture
def reference() -> Reference:
    """Six hundred test rows of a calibrated model."""
    random = np.random.default_rng(0)
    size = random.normal(size=600)
    given = probabilities_of(size)
    truth = drawn(given, random)
    colour = random.choice(["red", "white"], 600)
    return Reference(
        signature_of(CLASSES),
        metrics_of(f1_macro=0.7, accuracy=0.75),
        inputs_of(size, colour),
        truth,
        given.argmax(axis=1),
        given,
    )


def prediction(number: int, days: float, **values: Any) -> dict[str, Any]:
    """A row of the table of predictions, the `number`-th that was stored."""
    row = {
        "id": f"{number:036d}",
        "made_at": BEGIN + timedelta(days=days),
        "request_id": "r",
        "caller": "c",
        "model_version": VERSION,
        "inputs": {"size": 0.5, "colour": "red"},
        "predicted": "a",
        "probabilities": {"a": 0.5, "b": 0.25, "c": 0.25},
        "uncertainty": 0.5,
        "latency_ms": 1.0,
        "is_sample": True,
        "unfamiliar": 0,
    }
    return row | values


@pytest.fixture
def fill(store: Store) -> Callable[[Sequence[dict[str, Any]], dict[int, str]], Store]:
    """Stores predictions and labels of them, by their place."""

    def filled(rows: Sequence[dict[str, Any]], labels: dict[int, str]) -> Store:
        if rows:
            store.add_predictions(rows)
        store.add_labels([(rows[place]["id"], label) for place, label in labels.items()], "me")
        return store

    return filled
