"""Labelled predictions become rows of the table."""

from pathlib import Path

import pandas as pd
import pytest
from conftest import stored

from bakebook.contracts import Input, ModelFile, ReadOptions, Signature
from bakebook.database.store import Store
from bakebook.datasets.export import Exported, export
from bakebook.errors import BadInput
from bakebook.tables import labelled

SIGNATURE = Signature(
    model=ModelFile(file="model.onnx", sha256="0" * 64, bytes=1),
    target="kind",
    task="classification",
    classes=("large", "medium", "small"),
    inputs=(
        Input(name="size", role="numeric"),
        Input(name="noise", role="numeric"),
        Input(name="colour", role="categorical", levels=("red", "white")),
    ),
    reading=ReadOptions(columns={"size": "number", "noise": "number", "colour": "text"}),
)


def test_labelled_predictions_become_rows_of_the_table(store: Store, table: pd.DataFrame, tmp_path: Path) -> None:
    row, other = stored(inputs={"size": 2.5, "noise": None, "colour": "red"}), stored(inputs={"alcohol": 13.2})
    store.add_predictions_now([row, other])
    store.add_labels([(other["id"], "Barolo")], "anna")
    with pytest.raises(BadInput, match="1 for that of another table"):
        export(store, SIGNATURE, tmp_path / "labelled.parquet")
    store.add_labels([(row["id"], "large")], "anna")
    assert export(store, SIGNATURE, tmp_path / "labelled.parquet") == Exported(rows=1, of_another_table=1)
    table.insert(0, "key", range(len(table)))
    columns = {"key": "integer", "size": "number", "noise": "number", "colour": "text", "kind": "text"}
    longer = labelled.add(table, tmp_path / "labelled.parquet", ReadOptions(columns=columns))
    assert longer.iloc[-1].to_dict() | {"noise": None} == {
        "key": 60,
        "size": 2.5,
        "noise": None,
        "colour": "red",
        "kind": "large",
    }
