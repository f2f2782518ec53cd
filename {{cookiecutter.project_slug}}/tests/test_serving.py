"""The service's parts: what it takes, what it keeps, which model it lets answer."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from {{cookiecutter.package_name}} import data, estimators, export, features, labelled
from {{cookiecutter.package_name}}.errors import BadInput
from {{cookiecutter.package_name}}.inference import Model
from {{cookiecutter.package_name}}.kinds import Reading
from {{cookiecutter.package_name}}.serving import access, database, files, form
from {{cookiecutter.package_name}}.serving.models import Models, Refused
from {{cookiecutter.package_name}}.serving.rows import Rows, WrongRows
from {{cookiecutter.package_name}}.serving.store import Store, new_id


@pytest.fixture
def candidate(table: pd.DataFrame, schema: features.Schema, reading: dict[str, Any], tmp_path: Path) -> Path:
    """A folder with a small model, as the pipeline would leave it."""
    tree = estimators.build("sklearn.tree.DecisionTreeClassifier", {}, "classification", random_state=0)
    model = features.pipeline(schema, tree).fit(*features.inputs_and_labels(table, schema))
    onnx = export.convert(model, schema)
    signature = export.signature(onnx, schema, reading)
    data.write_bytes(onnx, tmp_path / "candidate" / "model.onnx")
    examples = export.examples(Model(onnx, signature), table)
    data.write_json(signature | {"examples": examples}, tmp_path / "candidate" / "signature.json")
    return tmp_path / "candidate"


@pytest.fixture
def store(tmp_path: Path) -> Any:
    store = Store(f"sqlite:///{tmp_path / 'service.db'}")
    database.upgrade(store)
    yield store
    store.close()


def kept(**more: Any) -> dict[str, Any]:
    """A prediction as the store takes it."""
    row = {"id": new_id(), "made_at": datetime.now(UTC), "request_id": "r", "caller": "me", "model_version": "m"}
    return (
        row
        | {"inputs": {"size": 1.0}, "predicted": "a", "probabilities": None, "uncertainty": 0.2}
        | more
        | {"latency_ms": 1.0}
    )


@pytest.mark.parametrize("value", ['"1"', "true", "NaN", "1e999", "[1]", '{"a": 1}'])
def test_a_value_of_another_type_is_refused(candidate: Path, value: str) -> None:
    signature = json.loads((candidate / "signature.json").read_text("utf-8"))
    rows = Rows(signature, most=2)
    with pytest.raises(WrongRows):
        rows.read(b'{"size": ' + value.encode() + b', "noise": 1, "colour": "red"}')
    assert rows.read(b'{"size": 1, "noise": null, "colour": "blue"}')[0][0]["colour"] == "blue"
    with pytest.raises(WrongRows, match="given twice"):
        rows.read(b'{"size": 1, "size": 2, "noise": 1, "colour": "red"}')
    with pytest.raises(WrongRows, match="given twice"):
        rows.read(b'[{"size": 1, "noise": 1, "colour": "red"}, {"size": 1, "size": 2, "noise": 1, "colour": "a:b"}]')
    assert rows.read(b'[{"size": 1, "noise": 1, "colour": "a:b"}]')[0][0]["colour"] == "a:b"


MIXED: dict[str, Any] = {
    "inputs": [
        {"name": "size", "type": "number"},
        {"name": "fresh", "type": "boolean"},
        {"name": "picked", "type": "datetime"},
        {"name": "colour", "type": "category", "levels": ["red"]},
    ],
    "classes": None,
    "reading": vars(
        Reading(
            encoding="cp1252",
            delimiter=";",
            decimal=",",
            missing=["", "NA", "-99"],
            columns={"size": "number", "fresh": "boolean", "picked": "datetime %d.%m.%Y", "colour": "text"},
        )
    ),
    "examples": [{"inputs": {"size": 1.0, "fresh": True, "picked": "2026-11-21T00:00:00", "colour": "red"}}],
}


@pytest.mark.parametrize("written", ["2026-11-21", "2026-11-21T00:00:00", "2026-11-21 00:00"])
def test_a_day_is_a_time(written: str) -> None:
    body = {"size": 1, "fresh": 1, "picked": written, "colour": "red"}
    rows, _ = Rows(MIXED, most=2).read(json.dumps(body).encode())
    assert rows[0]["picked"] == datetime(2026, 11, 21)


def test_each_wrong_value_is_named_once() -> None:
    body = {"size": "1", "fresh": "yes", "picked": "21.11.2026", "colour": [], "color": "red"}
    with pytest.raises(WrongRows) as refused:
        Rows(MIXED, most=2).read(json.dumps([body]).encode())
    assert [fault["where"] for fault in refused.value.faults] == [[0, name] for name in body]
    assert "a valid boolean, or a valid integer" in refused.value.faults[1]["reason"]


PRICED: dict[str, Any] = MIXED | {
    "inputs": [
        *MIXED["inputs"],
        {"name": "price", "type": "number", "least": 0.5, "greatest": 99.0},
        {"name": "code", "type": "category", "levels": ["3"]},
        {"name": "whole", "type": "boolean"},
    ],
    "reading": MIXED["reading"]
    | {"columns": MIXED["reading"]["columns"] | {"price": "amount", "code": "number", "whole": "number"}},
    "examples": [{"inputs": MIXED["examples"][0]["inputs"] | {"price": 12.5, "code": 3.0, "whole": 0}}],
}
NAMES = [column["name"] for column in PRICED["inputs"]]


def sent(content: bytes, signature: dict[str, Any] = MIXED, charset: str = "") -> list[dict[str, Any]]:
    """The rows of a CSV file, as the model gets them."""
    chunks = files.opened(io.BytesIO(content), "text/csv", charset, signature).chunks()
    return [row for _, some in chunks for row in Rows(signature, most=2).check(some)]


ROWS = [
    {"size": 1.5, "fresh": True, "picked": datetime(2026, 11, 21), "colour": "weiß"},
    {"size": None, "fresh": False, "picked": datetime(2026, 11, 2), "colour": None},
]


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8", "utf-8-sig"])
@pytest.mark.parametrize("delimiter", [";", "|"])
def test_a_csv_file_is_read_as_the_table_was(encoding: str, delimiter: str) -> None:
    text = "size ;fresh; picked;colour;note\n1,5;Yes;21.11.2026; weiß ;\n\n-99;nein;2.11.2026;NA;x\n\n"
    assert sent(text.replace(";", delimiter).encode(encoding)) == ROWS


def test_a_csv_file_may_say_its_own_encoding() -> None:
    text = "size;fresh;picked;colour\n1,5;Yes;21.11.2026;weiß\n"
    assert sent(text.encode("utf-16"), charset="utf-16") == ROWS[:1]
    assert sent(text.encode("utf-8-sig"), charset="utf8") == ROWS[:1]
    for charset in ("base64", "ascii"):
        with pytest.raises(WrongRows, match=f"no CSV in {charset}"):
            sent(text.encode(), charset=charset)


def test_the_first_misfit_of_each_column_is_named() -> None:
    with pytest.raises(WrongRows, match=r"the value is no number \(such as 12,5\)") as refused:
        sent(b"size;fresh;picked;colour\n1;t;;\n1.5;maybe;soon;red\n2.5;;;\n")
    assert [fault["where"] for fault in refused.value.faults] == [[1, "size"], [1, "fresh"], [1, "picked"]]
    reasons = [fault["reason"] for fault in refused.value.faults]
    assert reasons[1:] == [
        "the value is no yes or no (such as yes)",
        "the value is no date or time (such as 21.11.2026)",
    ]


def test_a_file_comes_back_as_it_was_written_with_the_decimal_sign_of_the_table() -> None:
    table, target = (
        files.CsvTable(io.BytesIO("size;fresh;picked;colour\n1,5;;;weiß\n".encode("cp1252")), MIXED),
        io.BytesIO(),
    )
    answer = {"id": "1", "predicted": 2.5, "model_version": "m", "probabilities": None}
    table.write(((part, [answer]) for part, _ in table.chunks()), target)
    header, line = target.getvalue().decode("utf-8").splitlines()
    assert (header, line) == (
        "\ufeffsize;fresh;picked;colour;prediction_id;predicted;model_version",
        "1,5;;;weiß;1;2,5;m",
    )


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("size", " 1,5 ", 1.5),
        ("price", "1.234,50 €", 1234.5),
        ("price", "1.234", 1234.0),
        ("picked", "21.11.2026", datetime(2026, 11, 21)),
        ("fresh", "true", True),
        ("colour", "NA", None),
        ("code", "3", "3"),
        ("whole", "1", True),
    ],
)
def test_a_form_is_read_as_the_table_was(name: str, written: str, value: Any) -> None:
    assert form.values(PRICED, dict.fromkeys(NAMES, "") | {name: written}) == dict.fromkeys(NAMES) | {name: value}


@pytest.mark.parametrize(("name", "written"), [("size", "1.5"), ("picked", "2026-11-21"), ("fresh", "maybe")])
def test_what_the_table_would_not_have_is_refused_with_what_it_would(name: str, written: str) -> None:
    with pytest.raises(WrongRows, match=r"such as (12,5|21\.11\.2026|yes)"):
        form.values(PRICED, dict.fromkeys(NAMES, "") | {name: written})


def test_the_form_shows_what_it_takes() -> None:
    shown = form.example(PRICED)
    assert shown == {
        **{"size": "1", "fresh": "true", "picked": "21.11.2026", "colour": "red"},
        **{"price": "12,5", "code": "3", "whole": "0"},
    }
    rows = Rows(PRICED, most=1).check([form.values(PRICED, shown)])
    example = PRICED["examples"][0]["inputs"] | {"picked": datetime(2026, 11, 21), "code": "3", "whole": False}
    assert rows == [example]
    helps = {field["name"]: field["help"] for field in form.fields(PRICED, shown)}
    assert helps["price"] == "number, learned from 0,5 to 99"


def test_a_number_that_is_a_category_and_a_yes_that_is_one_are_read_alike() -> None:
    """A role may be another than the kind suggests; a whole number is also written 3.0, and JSON knows true."""
    codes = MIXED | {"inputs": [{"name": "a", "type": "category", "levels": ["3", "True"]}]}
    codes["examples"] = [{"inputs": {"a": True}}]
    for kind, written in (("number", "3.0"), ("boolean", "yes")):
        codes["reading"] = vars(Reading(columns={"a": kind}))
        assert sent(f"a\n{written}\n".encode(), codes) == [{"a": {"3.0": "3", "yes": "True"}[written]}]
    assert Rows(codes, most=1).read(b'{"a": true}')[0] == [{"a": True}]
    codes["reading"] = vars(Reading(columns={"a": "text"}))  # 01067 is not 1067
    with pytest.raises(WrongRows, match="valid string"):
        Rows(codes, most=1).read(b'{"a": 3}')


@pytest.mark.parametrize("kind", ["datetime", "datetime %d.%m.%Y"])
def test_a_time_that_no_calendar_has_is_refused(kind: str) -> None:
    dates = MIXED | {"inputs": [{"name": "a", "type": "datetime"}], "examples": [{"inputs": {"a": "2026-11-21"}}]}
    dates["reading"] = vars(Reading(columns={"a": kind}))
    for written in ("0000-01-01", "01.01.0000", "9999-99-99"):
        with pytest.raises(WrongRows, match="no date or time"):
            sent(f"a\n{written}\n".encode(), dates)
    column = pa.chunked_array([pa.array([2**60], pa.timestamp("us"))])
    with pytest.raises(WrongRows):
        files.converted({"a": column}, dates)


def test_a_label_is_recorded_once_and_can_be_corrected(store: Store) -> None:
    one, other, again = kept(), kept(uncertainty=0.5, inputs={"size": 2.0}), kept()
    elsewhere = kept(uncertainty=0.1, probabilities={"x": 0.9, "y": 0.1}, predicted="x")
    assert store.add_at_once([one, other, again, elsewhere])
    queue = [
        set(row["ids"]) for row in store.queue(5)
    ]  # the least certain first; what is equal once, but other classes
    assert queue == [{other["id"]}, {one["id"], again["id"]}, {elsewhere["id"]}]
    assert store.add_labels([(one["id"], "a")], "anna") == [True]
    assert store.add_labels([(one["id"], "a")], "anna") == [False]
    with pytest.raises(KeyError):
        store.add_labels([(one["id"], "b"), (new_id(), "a")], "anna")
    assert store.add_labels([(one["id"], "b")], "bert") == [True]
    assert [(row["label"], row["labelled_by"]) for row in store.labelled()] == [("b", "bert")]
    assert store.count() == {"predictions": 4, "labelled": 1}


def test_a_model_that_does_not_know_its_examples_is_refused_and_not_tried_again(
    candidate: Path, tmp_path: Path
) -> None:
    models = Models(tmp_path / "models")
    models.adopt(candidate, "first", "a test")
    version = models.load(10).version
    signature = json.loads((candidate / "signature.json").read_text("utf-8"))
    signature["examples"][0]["probabilities"] = dict.fromkeys(signature["classes"], 0.3)
    data.write_json(signature, candidate / "signature.json")
    with pytest.raises(Refused, match="says something else of example 1"):
        models.adopt(candidate, "second", "a test")
    assert "second" in models.refused() and models.load(10).version == version


def test_a_token_is_known_until_it_is_revoked(store: Store) -> None:
    token = access.make(store, "anna", ["predict"])
    assert token not in json.dumps(store.list_tokens(), default=str)
    with pytest.raises(BadInput, match="already"):
        access.make(store, "anna", ["admin"])
    store.revoke_token("anna")
    assert store.list_tokens() == []


def test_labelled_predictions_become_rows_of_the_table(
    store: Store, candidate: Path, table: pd.DataFrame, tmp_path: Path
) -> None:
    row, other = kept(inputs={"size": 2.5, "noise": None, "colour": "red"}), kept(inputs={"alcohol": 13.2})
    store.add_at_once([row, other])
    signature = json.loads((candidate / "signature.json").read_text("utf-8"))
    store.add_labels([(other["id"], "Barolo")], "anna")
    with pytest.raises(BadInput, match="1 for that of another table"):
        database.export(store, signature, tmp_path / "labelled.parquet")
    store.add_labels([(row["id"], "large")], "anna")
    assert database.export(store, signature, tmp_path / "labelled.parquet") == (1, 1)
    table.insert(0, "key", range(len(table)))
    kinds = {"key": "integer", "size": "number", "noise": "number", "colour": "text", "kind": "text"}
    longer = labelled.add(table, tmp_path / "labelled.parquet", Reading(columns=kinds))
    assert longer.iloc[-1].to_dict() | {"noise": None} == {
        "key": 60,
        "size": 2.5,
        "noise": None,
        "colour": "red",
        "kind": "large",
    }
