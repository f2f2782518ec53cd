"""A marker of missing values counts in all columns, or in the one that it names: in the table and to the service."""

from pathlib import Path

import pytest

from bakebook.contracts import Input, ModelFile, ReadOptions, Signature
from bakebook.errors import BadInput
from bakebook.serving.schemas import Rows
from bakebook.serving.uploads import converted, texts
from bakebook.tables.detection import detect
from bakebook.tables.dtype_inference import infer_dtypes
from bakebook.tables.readers import read_untyped, typed

MARKERS = ("age=-1", "job=none", "-200")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    rows = ["-1,-1,none,none", "30,-1,cook,none", "-200,2,nurse,much"] * 10
    path.write_text("\n".join(["age,balance,job,risk", *rows]) + "\n", "utf-8")
    return path


def options_of(source: Path, *markers: str) -> ReadOptions:
    detected, _ = detect(source)
    return infer_dtypes(read_untyped(source, detected), detected, "risk", markers)


def test_a_marker_of_one_column_is_a_value_in_the_others(source: Path) -> None:
    options = options_of(source, *MARKERS)
    table = typed(read_untyped(source, options), options, source.name)
    rows = table.head(3).astype(object).where(table.head(3).notna(), None)
    assert rows["age"].tolist() == [None, 30, None]
    assert rows["balance"].tolist() == [-1, -1, 2]
    assert rows["job"].tolist() == [None, "cook", "nurse"]
    assert rows["risk"].tolist() == ["none", "none", "much"]


def test_the_service_reads_it_alike_in_json_and_in_files(source: Path) -> None:
    options = options_of(source, *MARKERS)
    inputs = (
        Input(name="age", role="numeric"),
        Input(name="balance", role="numeric"),
        Input(name="job", role="categorical", levels=("cook", "nurse")),
    )
    reading = options.model_copy(update={"columns": {one.name: options.columns[one.name] for one in inputs}})
    model = ModelFile(file="model.onnx", sha256="0" * 64, bytes=1)
    signature = Signature(model=model, target="risk", task="classification", inputs=inputs, reading=reading)
    sent = {"age": -1.0, "balance": -1.0, "job": "none"}
    meant = {"age": None, "balance": -1.0, "job": None}
    assert Rows(signature, most=1).meant(sent) == meant
    columns = {"age": texts(["-1"]), "balance": texts(["-1"]), "job": texts(["none"])}
    assert converted(columns, signature) == [meant]


def test_a_misspelt_column_is_named(source: Path) -> None:
    with pytest.raises(BadInput, match="no column 'ages', of which 'ages=-1' is a marker → did you mean 'age'"):
        options_of(source, "ages=-1")


def test_a_marker_with_a_sign_of_equality_may_be_one_of_the_whole_table(source: Path) -> None:
    source.write_text(source.read_text("utf-8").replace("none,none", "x=y,none"), "utf-8")
    options = options_of(source, "x=y")
    assert typed(read_untyped(source, options), options, source.name)["job"].isna().sum() == 10
