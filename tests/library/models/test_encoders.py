"""What the default preprocessing makes of categories of many levels, texts and gaps, and that ONNX makes the same."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from bakebook.contracts import Input, ReadOptions, Schema
from bakebook.models import estimators, export, fitting
from bakebook.models.encoding import encode
from bakebook.models.rows import rows_of
from bakebook.models.runtime import Model
from bakebook.models.schema import describe_inputs, learn_inputs, to_X
from bakebook.models.spelling import SpellingEncoder

Make = Callable[..., Pipeline]
ROWS = 600
CITIES = 60


def cities(classes: int) -> pd.DataFrame:
    """The class follows from the city, whose name says nothing; two cities differ only in letters without a triple."""
    random = np.random.default_rng(0)
    names = [f"{chr(97 + number % 26)}{number}" for number in range(CITIES)]
    city = random.integers(0, CITIES, ROWS)
    gaps = random.random(ROWS) < 0.2
    return pd.DataFrame(
        {
            "city": np.array(names, dtype=object)[city],
            "x": np.where(gaps, np.nan, random.normal(size=ROWS)),
            "y": [f"class {one % classes}" for one in city],
        }
    )


def learned(table: pd.DataFrame, **roles: str) -> Schema:
    given = roles or {"city": "categorical", "x": "numeric"}
    return learn_inputs(describe_inputs(table, "y", "classification", given), table)


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize(
    "estimator",
    ["ensemble.RandomForestClassifier", "ensemble.HistGradientBoostingClassifier", "linear_model.LogisticRegression"],
)
def test_onnx_looks_up_what_scikit_learn_encodes_by_the_target(
    make_pipeline: Make, classes: int, estimator: str
) -> None:
    table = cities(classes)
    schema = learned(table)
    unfitted = estimators.build(f"sklearn.{estimator}", {}, "classification", 0)
    model = fitting.fit(make_pipeline(schema, unfitted), rows_of(table, schema))
    onnx = export.convert(model, schema)
    reading = ReadOptions(columns={"city": "text", "x": "number", "y": "text"})
    served = Model(onnx, export.signature(onnx, schema, reading))
    asked = pd.concat([table, table.assign(city="nowhere"), table.assign(city=None, x=None)])
    rows = asked.astype(object).where(asked.notna(), None).to_dict("list")
    compared = export.compare(model, to_X(asked, schema), served.predict(rows), schema)
    assert export.stop_if_different(compared, tolerance=1e-6)
    assert (model.predict(to_X(table, schema)) == rows_of(table, schema).y).mean() > 0.9


def test_no_row_is_encoded_by_its_own_target(make_pipeline: Make) -> None:
    """A class drawn by lot cannot be told from the city, though each city has ten rows of it."""
    random = np.random.default_rng(1)
    table = cities(2).assign(y=random.choice(["no", "yes"], ROWS))
    schema = learned(table)
    forest = estimators.build("sklearn.ensemble.RandomForestClassifier", {}, "classification", 0)
    seen = fitting.preprocessed(make_pipeline(schema, forest), rows_of(table, schema))
    encoded = seen[:, 2]  # after x and whether it is missing
    y = rows_of(table, schema).y
    assert abs(np.corrcoef(encoded, y)[0, 1]) < 0.15


def test_classes_of_few_rows_are_no_fault(make_pipeline: Make) -> None:
    table = cities(2).head(60).assign(city=[f"c{number}" for number in range(60)])
    table["y"] = [f"class {number // 3}" for number in range(60)]
    schema = learned(table)
    model = make_pipeline(schema, estimators.build("sklearn.ensemble.RandomForestClassifier", {}, "classification", 0))
    assert fitting.fit(model, rows_of(table, schema)).predict(to_X(table, schema)).shape == (60,)


def test_levels_that_are_spelt_alike_have_numbers_alike() -> None:
    levels = np.array([["engineer"], ["enginer"], ["engineers"], ["nurse"], ["nurses"]], dtype=object)
    encoder = SpellingEncoder(size=2).fit(levels)
    numbers = encoder.transform(levels)
    assert numbers.shape == (5, 2) and numbers.dtype == np.float32
    near, far = np.linalg.norm(numbers[0] - numbers[2]), np.linalg.norm(numbers[0] - numbers[3])
    assert near < far / 3
    assert np.allclose(encoder.transform(np.array([["unseen"]], dtype=object)), numbers.mean(axis=0), atol=1e-4)


@pytest.mark.parametrize("levels", [["a", "b", "c"], ["", " "], ["x"]])
def test_levels_without_three_letters_have_a_number_too(levels: list[str]) -> None:
    column = np.array([[one] for one in levels], dtype=object)
    numbers = SpellingEncoder().fit(column).transform(column)
    assert numbers.shape[0] == len(levels) and np.isfinite(numbers).all()


def test_gaps_are_an_input_of_their_own_where_there_are_enough() -> None:
    table = cities(2)
    column = learned(table).inputs[1]
    assert column.has_gaps
    tensors = encode(column, [1.5, None])
    assert list(tensors) == ["x", "x (missing)"] and list(tensors["x (missing)"]) == [0, 1]
    few = table.assign(x=table["x"].fillna(0.0))
    few.loc[:3, "x"] = np.nan
    assert learned(few).inputs[1].has_gaps is None


def test_a_table_of_nothing_but_numbers_with_gaps_is_served(make_pipeline: Make) -> None:
    table = cities(2).drop(columns="city").assign(z=np.arange(ROWS) % 7)
    schema = learned(table, x="numeric", z="numeric")
    forest = estimators.build("sklearn.ensemble.RandomForestClassifier", {}, "classification", 0)
    model = fitting.fit(make_pipeline(schema, forest), rows_of(table, schema))
    onnx = export.convert(model, schema)
    reading = ReadOptions(columns={"x": "number", "z": "integer", "y": "text"})
    served = Model(onnx, export.signature(onnx, schema, reading))
    rows = {"x": [None, 0.5], "z": [1, 2]}
    asked = pd.DataFrame({"x": [np.nan, 0.5], "z": [1, 2]})
    assert np.allclose(served.predict(rows).probabilities, model.predict_proba(to_X(asked, schema)), atol=1e-6)


def test_gaps_of_times_are_an_input_too() -> None:
    moments = pd.Series(pd.date_range("2024-01-01", periods=40, freq="h")).where(lambda one: one.index % 4 > 0)
    table = pd.DataFrame({"t": moments, "y": ["no", "yes"] * 20})
    (column,) = learned(table, t="datetime").inputs
    assert list(encode(column, [None]))[-1] == "t (missing)"


@pytest.mark.parametrize(
    ("is_short", "words"),
    [
        (None, "not good at all not+good good+at at+all"),
        (True, "not good at all ~_no ~not ~ot_ ~_go ~goo ~ood ~od_ ~_at ~at_ ~_al ~all ~ll_"),
    ],
)
def test_a_text_is_words_and_pairs_or_of_a_short_one_its_letters(is_short: bool | None, words: str) -> None:
    column = Input(name="t", role="text", is_short=is_short)
    assert encode(column, ["Not good, at all!"])["t"][0] == words


def test_pairs_of_words_decide(make_pipeline: Make) -> None:
    random = np.random.default_rng(2)
    is_good = random.random(500) < 0.5
    said = np.where(random.random(500) < 0.5, "good", "bad")
    flips = np.where((said == "good") == is_good, "very", "not")
    filler = [" ".join(random.choice(["ba", "ki", "lu", "not", "very"], 8)) for _ in range(500)]
    text = [f"{more} {flip} {word}" for more, flip, word in zip(filler, flips, said, strict=True)]
    table = pd.DataFrame({"text": text, "y": np.where(is_good, "praise", "blame")})
    schema = learned(table.head(400), text="text")
    forest = estimators.build("sklearn.ensemble.RandomForestClassifier", {}, "classification", 0)
    model = fitting.fit(make_pipeline(schema, forest), rows_of(table.head(400), schema))
    rest = rows_of(table.tail(100), schema)
    assert (model.predict(rest.X) == rest.y).mean() > 0.9
