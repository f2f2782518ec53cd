"""Months of predictions of the pipeline's model, with labels of the random sample, in the service's database:

    python traffic.py MONTHS FIRST_CHANGED [mirrored]

From the month FIRST_CHANGED on, every label is that of the next class: the relation has changed, the inputs have not.
With "mirrored" most rows are mirrored instead, and keep their label: a model can learn both kinds of rows.
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bakebook import settings
from bakebook.database.backup import upgrade
from bakebook.database.store import Store
from bakebook.models.runtime import Model

EACH_MONTH = 120
MIRRORED = (0.01, 0.7)  # the share of such rows, before and after the change
BEGIN = datetime(2025, 1, 1, tzinfo=UTC)


def month_of(
    model: Model, table: pd.DataFrame, number: int, random: np.random.Generator, mirrored: float
) -> list[dict[str, Any]]:
    """Rows of the table with some noise, a share of them mirrored, and what the model answers."""
    rows = table.iloc[random.integers(len(table), size=EACH_MONTH)]
    names = [column.name for column in model.signature.inputs]
    inputs = rows[names] + random.normal(size=(EACH_MONTH, len(names))) * 0.1 * table[names].std().to_numpy()
    lowest, highest = table[names].min(), table[names].max()
    is_mirrored = random.random(EACH_MONTH) < mirrored
    inputs[is_mirrored] = (lowest + highest).to_numpy() - inputs[is_mirrored]
    inputs = inputs.clip(lowest, highest, axis="columns").round({"magnesium": 0, "proline": 0})
    found = model.predict({name: inputs[name].to_numpy() for name in names})
    assert found.probabilities is not None and model.classes
    stored = []
    for place in range(EACH_MONTH):
        made_at = BEGIN + timedelta(days=30.4 * number + 30 * place / EACH_MONTH)
        given = [float(value) for value in found.probabilities[place]]
        prefix = f"{int(made_at.timestamp() * 1000):012x}"
        stored.append(
            {
                "id": f"{prefix[:8]}-{prefix[8:]}-7000-8000-{number:04x}{place:08x}",
                "made_at": made_at,
                "request_id": "traffic",
                "caller": "traffic",
                "model_version": model.signature.model.sha256[:12],
                "inputs": {name: float(inputs[name].iloc[place]) for name in names},
                "predicted": str(found.values[place]),
                "probabilities": dict(zip(model.classes, given, strict=True)),
                "uncertainty": 1 - max(given),
                "latency_ms": 1.0,
                "is_sample": place % 2 == 0,
                "unfamiliar": 0,
                "truth": str(rows[model.signature.target].iloc[place]),
            }
        )
    return stored


def main(months: int, first_changed: int, kind: str = "next class") -> None:
    model = Model.load("models/model.onnx", "models/signature.json")
    table = pd.read_parquet("data/interim/table.parquet")
    found = settings.read()
    Path(found.state).mkdir(exist_ok=True)
    store = Store(found.database)
    upgrade(store)
    random = np.random.default_rng(0)
    classes = list(model.classes or ())
    for number in range(months):
        has_changed = number >= first_changed
        share = MIRRORED[has_changed] if kind == "mirrored" else 0
        rows = month_of(model, table, number, random, share)
        truth = {row["id"]: row.pop("truth") for row in rows}
        store.add_predictions(rows)
        step = int(has_changed and kind != "mirrored")
        labels = []
        for row in rows:
            if row["is_sample"]:
                place = classes.index(truth[row["id"]]) + step
                labels.append((row["id"], classes[place % len(classes)]))
        store.add_labels(labels, "traffic")
    store.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
