"""Labelled predictions become rows of the table."""

from pathlib import Path

import pandas as pd
import pytest
from conftest import stored

from bakebook.contracts import FeedbackRows, Input, ModelFile, ReadOptions, Signature
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
    inputs = {"size": 2.5, "noise": None, "colour": "red"}
    row, other = stored(inputs=inputs, is_sample=True), stored(inputs={"alcohol": 13.2})
    store.add_predictions_now([row, other])
    store.add_labels([(other["id"], "Barolo")], "anna")
    with pytest.raises(BadInput, match="1 for that of another table"):
        export(store, SIGNATURE, tmp_path / "labelled.parquet")
    store.add_labels([(row["id"], "large")], "anna")
    assert export(store, SIGNATURE, tmp_path / "labelled.parquet") == Exported(rows=1, of_another_table=1)
    table.insert(0, "key", range(len(table)))
    columns = {"key": "integer", "size": "number", "noise": "number", "colour": "text", "kind": "text"}
    longer, added = labelled.add(table, tmp_path / "labelled.parquet", ReadOptions(columns=columns))
    assert added == FeedbackRows(rows=(60,), sample=(60,), lacking=("key",))
    assert longer.iloc[-1].to_dict() | {"noise": None, "key": None} == {
        "key": None,
        "size": 2.5,
        "noise": None,
        "colour": "red",
        "kind": "large",
    }
    assert longer["key"].isna().sum() == 1  # a key is never invented


@pytest.mark.parametrize("values", [[1, 2], [True, False], ["p", "q"], pd.to_datetime(["2026-01-01", "2026-01-02"])])
def test_a_column_that_labelled_predictions_lack_keeps_its_values(values: object, tmp_path: Path) -> None:
    table = pd.DataFrame({"lacking": values, "size": [1.0, 2.0]})
    pd.DataFrame({labelled.ID: ["a"], "size": [3.0]}).to_parquet(tmp_path / "labelled.parquet")
    options = ReadOptions(columns={"lacking": "text", "size": "number"})
    longer, _ = labelled.add(table, tmp_path / "labelled.parquet", options)
    assert longer["lacking"].head(2).tolist() == table["lacking"].tolist()
    assert pd.isna(longer["lacking"].iloc[2])
    if not pd.api.types.is_numeric_dtype(table["lacking"]):
        assert longer["lacking"].dtype == table["lacking"].dtype
