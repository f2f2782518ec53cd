"""What a user of the science would notice: refusals that name the cause, and results that come out again."""

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from onnx import load_from_string
from sklearn.pipeline import Pipeline

from {{cookiecutter.package_name}} import (
    classification,
    data,
    estimators,
    evaluation,
    export,
    features,
    regression,
    sources,
    splitting,
    understanding,
)
from {{cookiecutter.package_name}}.errors import BadInput, GateClosed
from {{cookiecutter.package_name}}.inference import Model, Prediction
from {{cookiecutter.package_name}}.parameters import Score

FOREST = "sklearn.ensemble.RandomForestClassifier"


@pytest.fixture
def model(table: pd.DataFrame, schema: features.Schema) -> Pipeline:
    forest = estimators.build(FOREST, {"n_estimators": 20}, "classification", random_state=0)
    X, y = features.inputs(table, schema), features.labels(table, schema)
    return features.pipeline(schema, forest).fit(X, y)


def test_a_source_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"set ingest\.source"):
        sources.read(tmp_path / "absent.csv", sources.Reading())


def test_a_value_of_another_kind_is_named_with_its_row(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a;b\n1,5;x\n2 apples;y\n", encoding="utf-8")
    reading = sources.Reading(delimiter=";", decimal=",", columns={"a": "number", "b": "text"})
    with pytest.raises(BadInput, match="column 'a', row 2: '2 apples' is no number"):
        sources.read(path, reading)


def test_what_is_proposed_for_a_table_reads_it(table: pd.DataFrame, tmp_path: Path) -> None:
    table.to_csv(tmp_path / "table.csv", index=False, sep=";", decimal=",")
    found = understanding.look(tmp_path / "table.csv", "kind")
    assert (found.task, found.reading.delimiter, found.reading.decimal) == ("classification", ";", ",")
    roles = {name: role for name, (role, _) in found.roles.items()}
    assert roles == {"size": "numeric", "noise": "numeric", "colour": "categorical"}
    pd.testing.assert_frame_equal(sources.read(tmp_path / "table.csv", found.reading), table, check_dtype=False)


def test_an_unknown_target_is_refused_with_the_columns_there_are(table: pd.DataFrame) -> None:
    with pytest.raises(BadInput, match="size, noise, colour, kind"):
        features.describe_inputs(table, "kin", "classification", {})


def test_a_column_without_a_role_is_refused(table: pd.DataFrame) -> None:
    with pytest.raises(BadInput, match="says nothing of column 'noise'"):
        features.describe_inputs(table, "kind", "classification", {"size": "numeric"})


def _split(table: pd.DataFrame, schema: features.Schema, method: str = "stratified", by: str = "") -> Any:
    return splitting.split(table, schema, method=method, by=by, test_size=0.25, random_state=7)


def test_the_same_seed_splits_the_same_rows(table: pd.DataFrame, schema: features.Schema) -> None:
    first, second = (_split(table, schema)[1] for _ in range(2))
    pd.testing.assert_frame_equal(first, second)


def test_rows_without_a_target_are_left_out_and_counted(table: pd.DataFrame, schema: features.Schema) -> None:
    table.loc[:9, "kind"] = None
    train, test = _split(table, schema)
    assert len(train) + len(test) == 50
    assert "10 of 60 rows have no target and are left out." in splitting.warnings(table, train, test, schema)


def test_groups_stay_together(table: pd.DataFrame, schema: features.Schema) -> None:
    table["patient"] = np.arange(60) // 4
    train, test = _split(table, schema, "group", "patient")
    assert set(train["patient"]).isdisjoint(test["patient"])


def test_the_latest_rows_test(table: pd.DataFrame, schema: features.Schema) -> None:
    table = table.sample(frac=1, random_state=0)
    table["when"] = pd.date_range("2024-01-01", periods=60)
    train, test = _split(table.sort_values("noise"), schema, "time", "when")
    assert train["when"].max() < test["when"].min()


def test_rows_without_a_time_teach_and_no_moment_is_in_both_parts(table: pd.DataFrame, schema: features.Schema) -> None:
    table["when"] = pd.to_datetime("2024-01-01") + pd.to_timedelta(np.arange(60) // 5, unit="D")
    table.loc[::4, "when"] = pd.NaT
    train, test = _split(table, schema, "time", "when")
    assert (test["when"].isna().sum(), train["when"].max() < test["when"].min()) == (0, True)


@pytest.mark.parametrize(("method", "by"), [("time", "colour"), ("group", "kind")])
def test_a_split_that_leaves_nothing_to_test_is_refused(
    table: pd.DataFrame, schema: features.Schema, method: str, by: str
) -> None:
    with pytest.raises(BadInput, match="→"):
        _split(table, schema, method, by)


def test_a_leak_and_rows_in_both_parts_are_warned_of(table: pd.DataFrame, schema: features.Schema) -> None:
    twice = pd.concat([table, table], ignore_index=True)
    twice["colour"] = twice["kind"].str.upper()
    train, test = _split(twice, schema)
    found = " ".join(splitting.warnings(twice, train, test, schema))
    assert "Column 'colour' alone gives the class" in found
    assert "test rows have a train row with the same inputs" in found


def test_a_misspelt_hyperparameter_is_named(table: pd.DataFrame) -> None:
    with pytest.raises(BadInput, match="did you mean 'n_estimators'"):
        estimators.build(FOREST, {"n_estimatrs": 5}, "classification", random_state=0)


@pytest.mark.parametrize("dotted", ["sklearn.ensemble.Forest", "os.path.join", "sklearn.linear_model.LinearRegression"])
def test_what_is_no_classifier_is_refused(dotted: str) -> None:
    with pytest.raises(BadInput, match=r"→ set train\.estimator"):
        estimators.build(dotted, {}, "classification", random_state=0)


def test_the_scores_that_can_be_asked_for_are_those_that_are_computed() -> None:
    assert get_args(Score) == (*classification.SCORES, *regression.SCORES)


def test_a_criterion_that_is_not_met_is_said(schema: features.Schema) -> None:
    judged = evaluation.judge({"f1_macro": 0.8, "log_loss": 0.2}, {"f1_macro": 0.9, "log_loss": 0.3}, schema)
    assert (judged["passed"], judged["criteria"]["log_loss"]["passed"]) == (False, True)


def test_onnx_says_what_the_estimator_says(
    model: Pipeline, table: pd.DataFrame, schema: Any, reading: dict[str, Any]
) -> None:
    table.loc[0, "colour"], table.loc[1, "size"] = "unseen", np.nan
    X, onnx = features.inputs(table, schema), export.convert(model, schema)
    served = Model(onnx, export.signature(onnx, schema, reading))
    prediction = served.predict(table.astype(object).where(table.notna(), None).to_dict("list"))
    assert "60 rows" in export.stop_if_different(export.compare(model, X, prediction, schema), tolerance=1e-5)


def test_a_model_that_says_something_else_is_not_exported(model: Pipeline, table: pd.DataFrame, schema: Any) -> None:
    X = features.inputs(table, schema)
    names = np.array(schema["classes"], dtype=object)[model.predict(X)]
    wrong = Prediction(values=names, probabilities=model.predict_proba(X)[:, ::-1])
    with pytest.raises(GateClosed, match=r"row \d+"):
        export.stop_if_different(export.compare(model, X, wrong, schema), tolerance=1e-5)


def test_another_class_alone_is_enough_to_refuse(model: Pipeline, table: pd.DataFrame, schema: Any) -> None:
    X = features.inputs(table, schema)
    names = np.array(schema["classes"], dtype=object)[model.predict(X)][::-1]
    same = Prediction(values=names, probabilities=model.predict_proba(X))
    with pytest.raises(GateClosed, match=r"differ on \d+ of 60 rows"):
        export.stop_if_different(export.compare(model, X, same, schema), tolerance=1e-5)


@pytest.mark.parametrize(
    ("written", "decimal", "kind", "value"),
    [
        ("(1,200)", ".", "amount", -1200),
        ("100 EUR", ".", "amount", 100),
        ("€ 1.234,50", ",", "amount", 1234.5),
        ("1 234 567 kr", ".", "text", "1 234 567 kr"),
        ("10.2.1.7", ",", "text", "10.2.1.7"),
        ("12.11.2020", ",", "datetime %d.%m.%Y", pd.Timestamp("2020-11-12")),
    ],
)
def test_an_amount_is_read_or_left_as_it_is(tmp_path: Path, written: str, decimal: str, kind: str, value: Any) -> None:
    sure = {".": "0.5", ",": "0,5"}[decimal]
    lines = [f'"{written}";{sure};{"yes" if n % 2 else "no"}' for n in range(30)]
    (tmp_path / "t.csv").write_text("a;b;y\n" + "\n".join(lines), "utf-8")
    found = understanding.look(tmp_path / "t.csv", "y").reading
    assert (found.decimal, found.columns["a"]) == (decimal, kind)
    assert sources.read(tmp_path / "t.csv", found)["a"].iloc[0] == value


def test_a_gap_among_yes_and_no_is_a_gap(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\ntrue,1\n,2\nfalse,3\n", "utf-8")
    reading = sources.Reading(columns={"a": "boolean", "b": "integer"})
    assert sources.read(tmp_path / "t.csv", reading)["a"].tolist() == [True, None, False]


def test_text_of_a_parquet_file_is_read_like_text(tmp_path: Path) -> None:
    frame = pd.DataFrame({"day": ["04/01/2021", "25/12/2021", "NA"], "n": ["1,5", "2,5", "3,5"]})
    frame.to_parquet(tmp_path / "t.parquet")
    kinds = {"day": "datetime %d/%m/%Y", "n": "number"}
    reading = sources.Reading("parquet", decimal=",", missing=["NA"], columns=kinds)
    table = sources.read(tmp_path / "t.parquet", reading)
    assert (table["day"].iloc[0], table["day"].isna().sum(), table["n"].sum()) == (pd.Timestamp("2021-01-04"), 1, 7.5)


def test_a_column_that_is_blank_in_training_is_left_out(table: pd.DataFrame, schema: features.Schema) -> None:
    table["late"] = np.where(np.arange(60) < 50, np.nan, 1.0)
    roles = {"size": "numeric", "noise": "numeric", "colour": "categorical", "late": "numeric"}
    described = features.describe_inputs(table, "kind", "classification", roles)
    assert features.learn_inputs(described, table.head(45))["left_out"] == {"late": "empty"}


def test_the_order_of_operator_sets_does_not_depend_on_the_process(model: Pipeline, schema: Any) -> None:
    domains = [one.domain for one in load_from_string(export.convert(model, schema)).opset_import]
    assert domains == ["", "ai.onnx.ml"]


def test_a_changed_model_file_is_not_loaded(
    model: Pipeline, schema: Any, reading: dict[str, Any], tmp_path: Path
) -> None:
    onnx = export.convert(model, schema)
    data.write_bytes(onnx + b" ", tmp_path / "model.onnx")
    data.write_json(export.signature(onnx, schema, reading), tmp_path / "signature.json")
    with pytest.raises(ValueError, match="not the model that its signature describes"):
        Model.load(tmp_path / "model.onnx", tmp_path / "signature.json")
