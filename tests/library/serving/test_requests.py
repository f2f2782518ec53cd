"""What a caller may send: rows in JSON, files and forms, each read as the pipeline reads the table."""

import io
import json
from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest

from bakebook.contracts import Example, Input, ModelFile, ReadOptions, Signature
from bakebook.serving import form, uploads
from bakebook.serving.csv_uploads import CsvTable
from bakebook.serving.problems import WrongRows
from bakebook.serving.schemas import Rows
from bakebook.serving.upload_formats import open_table
from bakebook.tables.dtypes import unique
from bakebook.tables.values import GREATEST_FLOAT32


def signature_of(inputs: tuple[Input, ...], columns: dict[str, str], example: dict[str, Any]) -> Signature:
    """The signature of a model that predicts a number, of a table with German notation."""
    options = ReadOptions(encoding="cp1252", delimiter=";", decimal=",", missing=("", "NA", "-99"), columns=columns)
    return Signature(
        model=ModelFile(file="model.onnx", sha256="0" * 64, bytes=1),
        target="y",
        task="regression",
        inputs=inputs,
        reading=options,
        examples=(Example(inputs=example, predicted=1.0),),
    )


MIXED = signature_of(
    (
        Input(name="size", role="numeric"),
        Input(name="fresh", role="boolean"),
        Input(name="picked", role="datetime"),
        Input(name="colour", role="categorical", levels=("red",)),
    ),
    {"size": "number", "fresh": "boolean", "picked": "datetime %d.%m.%Y", "colour": "text"},
    {"size": 1.0, "fresh": True, "picked": "2026-11-21T00:00:00", "colour": "red"},
)
PLAIN = signature_of(
    (
        Input(name="size", role="numeric"),
        Input(name="noise", role="numeric"),
        Input(name="colour", role="categorical", levels=("red",)),
    ),
    {"size": "number", "noise": "number", "colour": "text"},
    {"size": 1.0, "noise": 1.0, "colour": "red"},
)


@pytest.mark.parametrize("value", ['"1"', "true", "NaN", "1e999", "[1]", '{"a": 1}'])
def test_a_value_of_another_type_is_refused(value: str) -> None:
    body = b'{"size": ' + value.encode() + b', "noise": 1, "colour": "red"}'
    with pytest.raises(WrongRows):
        Rows(PLAIN, most=2).read(body)


def test_a_missing_value_and_an_unseen_category_are_accepted() -> None:
    rows, is_list = Rows(PLAIN, most=2).read(b'{"size": 1, "noise": null, "colour": "a:b"}')
    assert rows == [{"size": 1.0, "noise": None, "colour": "a:b"}]
    assert not is_list


@pytest.mark.parametrize(
    "body",
    [
        b'{"size": 1, "size": 2, "noise": 1, "colour": "red"}',
        b'[{"size": 1, "noise": 1, "colour": "red"}, {"size": 1, "size": 2, "noise": 1, "colour": "a:b"}]',
    ],
)
def test_a_field_that_is_given_twice_is_refused(body: bytes) -> None:
    with pytest.raises(WrongRows, match="given twice"):
        Rows(PLAIN, most=2).read(body)


def test_very_many_equal_names_of_a_header_are_told_apart_at_once() -> None:
    names = unique(["x", "y", "x (2)"] + ["x"] * 100_000)
    assert names[:6] == ["x", "y", "x (2)", "x (3)", "x (4)", "x (5)"]
    assert len(set(names)) == 100_003


@pytest.mark.parametrize("size", [GREATEST_FLOAT32, -GREATEST_FLOAT32])
def test_json_and_files_accept_the_same_greatest_number(size: float) -> None:
    header = "size;noise;colour\n"
    row = {"size": size, "noise": 1.0, "colour": "red"}
    assert Rows(PLAIN, most=1).read(json.dumps(row).encode())[0] == [row]
    assert sent(f"{header}{str(size).replace('.', ',')};1;red\n".encode(), PLAIN) == [row]
    with pytest.raises(WrongRows):
        Rows(PLAIN, most=1).read(json.dumps(row | {"size": size * 1.001}).encode())
    with pytest.raises(WrongRows):
        sent(f"{header}{str(size * 1.001).replace('.', ',')};1;red\n".encode(), PLAIN)


@pytest.mark.parametrize("written", ["2026-11-21", "2026-11-21T00:00:00", "2026-11-21 00:00"])
def test_a_day_is_a_time(written: str) -> None:
    body = {"size": 1, "fresh": 1, "picked": written, "colour": "red"}
    rows, _ = Rows(MIXED, most=2).read(json.dumps(body).encode())
    assert rows[0]["picked"] == datetime(2026, 11, 21)


def test_each_wrong_value_is_named_once() -> None:
    body = {"size": "1", "fresh": "yes", "picked": "21.11.2026", "colour": [], "color": "red"}
    with pytest.raises(WrongRows) as refused:
        Rows(MIXED, most=2).read(json.dumps([body]).encode())
    assert [fault.where for fault in refused.value.faults] == [[0, name] for name in body]
    assert "a valid boolean, or a valid integer" in refused.value.faults[1].reason


def test_of_many_wrong_rows_the_first_is_named() -> None:
    with pytest.raises(WrongRows) as refused:
        Rows(PLAIN, most=10_000).read(b"[" + b",".join([b"{}"] * 10_000) + b"]")
    assert [fault.where for fault in refused.value.faults] == [[0, "size"], [0, "noise"], [0, "colour"]]


MANY_FIELDS = {
    "given twice": [b'"smell":1'] * 100_000,
    "a row has 100000 fields, which should be 3": [b'"f%d":1' % number for number in range(100_000)],
}


@pytest.mark.parametrize("reason", MANY_FIELDS)
@pytest.mark.parametrize("in_list", [True, False])
def test_very_many_fields_are_one_fault(reason: str, *, in_list: bool) -> None:
    body = b"{" + b",".join(MANY_FIELDS[reason]) + b"}"
    with pytest.raises(WrongRows, match=reason) as refused:
        Rows(PLAIN, most=2).read(b"[" + body + b"]" if in_list else body)
    assert len(refused.value.faults) == 1


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"size":' * 100_000, b"1" * 100_000, b"\xff", b""])
def test_what_is_no_json_of_a_row_is_one_fault(body: bytes) -> None:
    with pytest.raises(WrongRows) as refused:
        Rows(PLAIN, most=2).read(body)
    assert len(refused.value.faults) == 1


def test_of_many_wrong_columns_twenty_are_named() -> None:
    names = [f"x{number}" for number in range(100)]
    inputs = tuple(Input(name=name, role="numeric") for name in names)
    wide = signature_of(inputs, dict.fromkeys(names, "number"), dict.fromkeys(names, 1.0))
    for lines in ([["y"], ["1"]], [names, ["soon"] * 100]):
        table = "\n".join(";".join(line) for line in lines)
        with pytest.raises(WrongRows) as refused:
            sent(table.encode(), wide)
        assert [fault.where[-1] for fault in refused.value.faults] == names[:20]


PRICED = signature_of(
    (
        *MIXED.inputs,
        Input(name="price", role="numeric", minimum=0.5, maximum=99.0),
        Input(name="code", role="categorical", levels=("3",)),
        Input(name="whole", role="boolean"),
    ),
    MIXED.reading.columns | {"price": "amount", "code": "number", "whole": "number"},
    MIXED.examples[0].inputs | {"price": 12.5, "code": 3.0, "whole": 0},
)
NAMES = [column.name for column in PRICED.inputs]


def sent(content: bytes, signature: Signature = MIXED, charset: str = "") -> list[dict[str, Any]]:
    """The rows of a CSV file, as the model gets them."""
    chunks = open_table(io.BytesIO(content), "text/csv", charset, signature).chunks()
    return [row for chunk in chunks for row in Rows(signature, most=2).check(chunk.rows)]


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
        with pytest.raises(WrongRows, match=f"not a CSV file in {charset}"):
            sent(text.encode(), charset=charset)


def test_the_first_wrong_value_of_each_column_is_named() -> None:
    with pytest.raises(WrongRows, match=r"the value is not a number \(for example 12,5\)") as refused:
        sent(b"size;fresh;picked;colour\n1;t;;\n1.5;maybe;soon;red\n2.5;;;\n")
    assert [fault.where for fault in refused.value.faults] == [[1, "size"], [1, "fresh"], [1, "picked"]]
    reasons = [fault.reason for fault in refused.value.faults]
    assert reasons[1:] == [
        "the value is neither true nor false (for example yes)",
        "the value is not a date or time (for example 21.11.2026)",
    ]


def test_a_file_comes_back_as_it_was_written_with_the_decimal_sign_of_the_table() -> None:
    table, target = (
        CsvTable(io.BytesIO("size;fresh;picked;colour\n1,5;;;weiß\n".encode("cp1252")), MIXED),
        io.BytesIO(),
    )
    answer = {"id": "1", "predicted": 2.5, "model_version": "m", "probabilities": None, "warnings": []}
    table.write((uploads.Answered(chunk.sent, [answer]) for chunk in table.chunks()), target)
    header, line = target.getvalue().decode("utf-8").splitlines()
    assert (header, line) == (
        "\ufeffsize;fresh;picked;colour;prediction_id;predicted;model_version;warnings",
        "1,5;;;weiß;1;2,5;m;",
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
    with pytest.raises(WrongRows, match=r"for example (12,5|21\.11\.2026|yes)"):
        form.values(PRICED, dict.fromkeys(NAMES, "") | {name: written})


def test_the_form_shows_what_it_takes() -> None:
    shown = form.example(PRICED)
    assert shown == {
        **{"size": "1", "fresh": "true", "picked": "21.11.2026", "colour": "red"},
        **{"price": "12,5", "code": "3", "whole": "0"},
    }
    rows = Rows(PRICED, most=1).check([form.values(PRICED, shown)])
    example = PRICED.examples[0].inputs | {"picked": datetime(2026, 11, 21), "code": "3", "whole": False}
    assert rows == [example]
    helps = {field.name: field.hint for field in form.fields(PRICED, shown)}
    assert helps["price"] == "numeric, trained on 0,5 to 99"


def test_a_number_that_is_a_category_and_a_yes_that_is_one_are_read_alike() -> None:
    """A role may be another than the kind suggests; a whole number is also written 3.0, and JSON knows true."""
    inputs = (Input(name="a", role="categorical", levels=("3", "True")),)
    for dtype, written, read in (("number", "3,0", "3"), ("boolean", "yes", "True")):
        codes = signature_of(inputs, {"a": dtype}, {"a": True})
        assert sent(f"a\n{written}\n".encode(), codes) == [{"a": read}]
    assert Rows(codes, most=1).read(b'{"a": true}')[0] == [{"a": True}]
    texts = signature_of(inputs, {"a": "text"}, {"a": "3"})  # 01067 is not 1067
    with pytest.raises(WrongRows, match="valid string"):
        Rows(texts, most=1).read(b'{"a": 3}')


@pytest.mark.parametrize("dtype", ["datetime", "datetime %d.%m.%Y"])
def test_a_time_that_no_calendar_has_is_refused(dtype: str) -> None:
    dates = signature_of((Input(name="a", role="datetime"),), {"a": dtype}, {"a": "2026-11-21"})
    for written in ("0000-01-01", "01.01.0000", "9999-99-99"):
        with pytest.raises(WrongRows, match="not a date or time"):
            sent(f"a\n{written}\n".encode(), dates)
    column = pa.chunked_array([pa.array([2**60], pa.timestamp("us"))])
    with pytest.raises(WrongRows):
        uploads.converted({"a": column}, dates)
