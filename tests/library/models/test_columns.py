"""Columns of a project's own: what a function is given, what it may return, and that one row is enough."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import PROJECT

from bakebook.contracts import Derived, ReadOptions
from bakebook.errors import BadInput
from bakebook.models import derive
from bakebook.models.columns import Columns, NotComputed
from bakebook.models.export import convert, signature, with_examples
from bakebook.models.runtime import Model
from bakebook.models.schema import describe_inputs, learn_inputs, to_X, to_X_y

HEAD = "from datetime import datetime\nfrom bakebook.models.columns import column, mean_by\n"


@pytest.fixture
def passengers() -> pd.DataFrame:
    random = np.random.default_rng(0)
    number = 60
    return pd.DataFrame(
        {
            "name": [f"{'Mr' if place % 3 else 'Mrs'}. {place}" for place in range(number)],
            "siblings": random.integers(0, 4, number),
            "age": np.where(random.random(number) < 0.2, np.nan, random.uniform(1, 80, number).round()),
            "deck": random.choice(["A", "B", None], number),
            "born": pd.to_datetime("1880-01-01") + pd.to_timedelta(random.integers(0, 9000, number), "D"),
            "is member": random.choice([True, False], number),
            "survived": random.choice(["no", "yes"], number),
        }
    )


ROLES = {
    "name": "identifier",
    "siblings": "numeric",
    "age": "numeric",
    "deck": "categorical",
    "born": "datetime",
    "is member": "boolean",
}
DTYPES = {
    "name": "text",
    "siblings": "integer",
    "age": "number",
    "deck": "text",
    "born": "datetime",
    "is member": "boolean",
    "survived": "text",
}
ALL_TYPES = """
@column
def family(siblings: int) -> int:
    return siblings + 1

@column
def title(name: str) -> str:
    return name.split(".")[0]

@column
def year(born: datetime) -> int:
    return born.year

@column
def is_child(age: float) -> bool:
    return age < 16

@column("has no age", reads=["age"])
def has_no_age(age: float | None) -> bool:
    return age is None

@column("member as text", reads=["is member"])
def member(value: bool) -> str:
    return "in" if value else "out"

@column
def one_year_later(born: datetime) -> datetime:
    return born.replace(year=born.year + 1, day=1)

@column
def age_for_each(age: float, family: int) -> float:
    return age / family

@column(learn=(mean_by, "age", "deck"))
def usual_age(deck: str, *, learned: dict) -> float | None:
    return learned.get(deck)

@column
def age_against_usual(age: float, usual_age: float) -> float:
    return age - usual_age
"""


@pytest.fixture
def columns(tmp_path: Path) -> Callable[[str], Columns]:
    def made(source: str) -> Columns:
        path = tmp_path / "columns.py"
        path.write_text(HEAD + source, encoding="utf-8")
        return Columns.load(path, sha256(path.read_bytes()).hexdigest())

    return made


def prepared(table: pd.DataFrame, own: Columns, **roles: str) -> tuple[Any, pd.DataFrame, pd.DataFrame]:
    """Schema, training rows and test rows, as `prepare` makes them."""
    table = derive.add(table, own)
    schema = describe_inputs(table, "survived", "classification", ROLES | roles, own)
    train, test, learned = derive.add_learned(table.iloc[:40], table.iloc[40:], own)
    return learn_inputs(schema, train, own, learned), train, test


def served(table: pd.DataFrame, own: Columns, make_pipeline: Any, folder: Path) -> tuple[Model, Any, Any, Any]:
    """The model as the service loads it, the pipeline, the schema and the test rows."""
    from sklearn.ensemble import RandomForestClassifier

    schema, train, test = prepared(table, own)
    fitted = make_pipeline(schema, RandomForestClassifier(n_estimators=20, random_state=0)).fit(*to_X_y(train, schema))
    onnx = convert(fitted, schema)
    reading = ReadOptions(columns=DTYPES)
    exported = with_examples(Model(onnx, signature(onnx, schema, reading, own), own), test)
    (folder / "model.onnx").write_bytes(onnx)
    (folder / "signature.json").write_text(exported.model_dump_json(exclude_none=True), encoding="utf-8")
    (folder / "columns.py").write_bytes(own.source)
    return Model.load(folder / "model.onnx", folder / "signature.json"), fitted, schema, test


def test_every_type_is_computed_in_training_as_in_the_service(
    passengers: pd.DataFrame, columns: Any, make_pipeline: Any, tmp_path: Path
) -> None:
    model, fitted, schema, test = served(passengers, columns(ALL_TYPES), make_pipeline, tmp_path)
    asked = [column.name for column in model.signature.inputs]
    rows = {name: test[name].to_numpy() for name in asked}
    derived = model.derive(rows)
    for step in model.signature.derived:
        expected = test[step.name].astype(object).where(test[step.name].notna(), None)
        assert [_plain(one) for one in expected] == derived[step.name], step.name
    probabilities = model.predict(rows).probabilities
    assert probabilities == pytest.approx(fitted.predict_proba(to_X(test, schema)), abs=1e-6)


def _plain(value: Any) -> Any:
    return value.to_pydatetime() if isinstance(value, pd.Timestamp) else value


def test_a_caller_sends_columns_of_the_table_only(
    passengers: pd.DataFrame, columns: Any, make_pipeline: Any, tmp_path: Path
) -> None:
    model, _, _, _ = served(passengers, columns(ALL_TYPES), make_pipeline, tmp_path)
    sent = {column.name: column.only_read for column in model.signature.inputs}
    assert sent == dict.fromkeys(["siblings", "age", "deck", "born", "is member"]) | {"name": True}
    assert set(model.signature.examples[0].inputs) == set(sent)
    assert [one.name for one in model.signature.derived][:3] == ["family", "title", "year"]


def test_what_is_learned_comes_from_the_training_rows_and_is_saved(passengers: pd.DataFrame, columns: Any) -> None:
    schema, train, test = prepared(passengers, columns(ALL_TYPES))
    means = train.groupby("deck")["age"].mean()
    learned = {one.name: one.learned for one in schema.derived}["usual_age"]
    assert learned == pytest.approx(means.to_dict())
    expected = test["deck"].map(means)
    assert test["usual_age"].to_numpy() == pytest.approx(expected.to_numpy(), nan_ok=True)


def test_a_column_that_only_another_reads_is_computed_and_not_an_input(passengers: pd.DataFrame, columns: Any) -> None:
    schema, _, _ = prepared(passengers, columns(ALL_TYPES), family="identifier", title="identifier")
    assert "family" in {one.name for one in schema.derived}  # age_for_each reads it
    assert "family" not in {one.name for one in schema.inputs}
    assert "title" not in {one.name for one in schema.derived}  # nothing reads it


@pytest.mark.parametrize("value", ["1912-04-15", datetime(1912, 4, 15, tzinfo=UTC), date(1912, 4, 15)])
def test_a_time_is_the_same_however_it_is_sent(columns: Any, value: object) -> None:
    own = columns("@column\ndef year(born: datetime) -> datetime:\n    return born\n")
    assert own.by_name["year"].compute({"born": [value]}) == [datetime(1912, 4, 15)]


@pytest.mark.parametrize("value", [3, 3.0, "3", np.int64(3), np.float32(3)])
def test_a_category_is_the_same_however_it_is_sent(columns: Any, value: object) -> None:
    own = columns("@column\ndef deck(number: str) -> str:\n    return 'deck ' + number\n")
    assert own.by_name["deck"].compute({"number": [value]}) == ["deck 3"]


@pytest.mark.parametrize("missing", [None, "", float("nan"), np.datetime64("NaT")])
def test_a_missing_value_gives_a_missing_result_without_a_call(columns: Any, missing: object) -> None:
    own = columns("@column\ndef double(a: float) -> float:\n    return 2 / 0\n")
    assert own.by_name["double"].compute({"a": [missing]}) == [None]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("-> float:\n    return a - a.mean()", "AttributeError"),
        ("-> float:\n    return 1 / (a - a)", "ZeroDivisionError"),
        ("-> int:\n    return a / 2", "not a whole number"),
        ("-> float:\n    return a * 1e39", "not finite"),
        ("-> float:\n    return 'x'", "a str, not a float"),
        ("-> str:\n    return a", "a float, not a str"),
        ("-> float:\n    return True", "a bool, not a float"),
        ("-> datetime:\n    return a", "a float, not a datetime"),
        ("-> float:\n    return [a]", "a list, not a float"),
    ],
)
def test_a_function_that_fails_names_column_row_and_reason(columns: Any, body: str, reason: str) -> None:
    own = columns(f"@column\ndef b(a: float) {body}\n")
    with pytest.raises(NotComputed, match=r"b cannot be computed from a in row 1") as error:
        own.by_name["b"].compute({"a": [None, 3.0]})
    assert reason in error.value.reason


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("@column\ndef b() -> float:\n    return 1.0\n", "reads no column"),
        ("@column\ndef b(a) -> float:\n    return a\n", "without a type"),
        ("@column\ndef b(a: float):\n    return a\n", "without a type"),
        ("@column\ndef b(a: list) -> float:\n    return a\n", "without a type"),
        ("@column(reads=['x', 'y'])\ndef b(a: float) -> float:\n    return a\n", "reads 2 columns"),
        ("@column(learn=(mean_by, 'a'))\ndef b(a: float, *, learned) -> float:\n    return a\n", "learns from 1"),
    ],
)
def test_a_function_that_is_no_column_is_refused_when_it_is_imported(columns: Any, source: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        columns(source)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("@column\ndef age(siblings: int) -> int:\n    return siblings\n", "already a column of the table"),
        ("@column\ndef b(agee: float) -> float:\n    return agee\n", "did you mean 'age'"),
        (
            "@column\ndef b(c: int) -> int:\n    return c\n\n@column\ndef c(siblings: int) -> int:\n    return 1\n",
            "reads 'c'",
        ),
        (
            "seen = []\n\n@column\ndef b(age: float) -> int:\n    seen.append(age)\n    return len(seen)\n",
            "when it is alone",
        ),
        ("import random\n\n@column\ndef b(age: float) -> float:\n    return random.random()\n", "when it is alone"),
    ],
)
def test_a_column_that_needs_more_than_its_row_is_refused(
    passengers: pd.DataFrame, columns: Any, source: str, sentence: str
) -> None:
    with pytest.raises(BadInput, match=sentence):
        derive.add(passengers, columns(source))


def test_what_is_learned_must_be_plain(passengers: pd.DataFrame, columns: Any) -> None:
    source = "def all(values: list[float]):\n    return {1, 2}\n\n@column(learn=(all, 'age'))\n"
    own = columns(source + "def b(age: float, *, learned) -> float:\n    return age\n")
    with pytest.raises(BadInput, match="cannot learn from the training rows"):
        derive.add_learned(passengers, passengers, own)


def test_a_model_is_not_loaded_with_other_columns(
    passengers: pd.DataFrame, columns: Any, make_pipeline: Any, tmp_path: Path
) -> None:
    served(passengers, columns(ALL_TYPES), make_pipeline, tmp_path)
    with (tmp_path / "columns.py").open("a", encoding="utf-8") as file:
        file.write("raise SystemExit('this must not run')\n")
    with pytest.raises(ValueError, match=r"columns\.py is not the file"):
        Model.load(tmp_path / "model.onnx", tmp_path / "signature.json")


def test_a_project_without_columns_of_its_own_has_none(passengers: pd.DataFrame, columns: Any) -> None:
    own = columns("")
    assert derive.add(passengers, own).equals(passengers)
    assert derive.shown(own) == "columns.py defines no column yet."
    assert own.compute([], {}) == {}


def test_steps_are_computed_in_their_order(columns: Any) -> None:
    own = columns(
        "@column\ndef b(a: float) -> float:\n    return a + 1\n\n@column\ndef c(b: float) -> float:\n    return b * 2\n"
    )
    steps = [Derived(name="b", reads=("a",)), Derived(name="c", reads=("b",))]
    assert own.compute(steps, {"a": [1, 2.5]}) == {"b": [2.0, 3.5], "c": [4.0, 7.0]}


def test_the_examples_of_the_docs_run(columns: Any) -> None:
    text = (PROJECT / "docs" / "columns.md").read_text("utf-8")
    source = "import statistics\n" + "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    own = columns(source).by_name
    assert own["FamilySize"](1, 2) == 4
    assert own["Title"].compute({"Name": ["Braund, Mr. Owen", "Nobody", None]}) == ["Mr", None, None]
    assert own["FarePerPerson"].compute({"Fare": [9.0], "FamilySize": [3]}) == [3.0]
    days = {"boarded": ["1912-04-10"], "left the ship": ["1912-04-15T02:20:00"]}
    assert own["days on board"].compute(days) == [5]
    assert own["Country"].compute({"Embarked": ["S", "X"]}) == ["England", None]
    learned = own["UsualFare"].learn({"Fare": [1.0, 3.0, None], "Pclass": [1, 1, 2]})
    assert own["UsualFare"].compute({"Pclass": ["1", 2, None]}, learned) == [2.0, None, None]
    assert {"median_of"}.isdisjoint(own)
