"""Categories that have an order: as a Parquet file declares it, or as a person says in prepare.orders."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from bakebook.contracts import ReadOptions, Schema
from bakebook.errors import BadInput
from bakebook.models import estimators, export, fitting
from bakebook.models.rows import rows_of
from bakebook.models.runtime import Model
from bakebook.models.schema import describe_inputs, learn_inputs, to_X
from bakebook.tables.orders import declared_orders

Make = Callable[..., Pipeline]
SIZES = ["tiny", "small", "medium", "large", "huge"]
READING = ReadOptions(file_format="parquet", columns={"size": "text", "x": "number", "y": "text"})


def people(rows: int = 400) -> pd.DataFrame:
    random = np.random.default_rng(0)
    place = random.integers(0, len(SIZES), rows)
    size = pd.Categorical.from_codes(place, SIZES, ordered=True)
    return pd.DataFrame({"size": size, "x": random.normal(size=rows), "y": np.where(place > 2, "yes", "no")})


def as_read(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(size=table["size"].astype(object).where(table["size"].notna(), None))


def learned(table: pd.DataFrame, orders: dict[str, list[str]] | None = None) -> Schema:
    roles = {"size": "categorical", "x": "numeric"}
    return learn_inputs(describe_inputs(table, "y", "classification", roles, orders=orders), table)


def test_parquet_says_the_order(tmp_path: Path) -> None:
    people().to_parquet(tmp_path / "people.parquet")
    assert declared_orders(tmp_path / "people.parquet", READING) == {"size": SIZES}
    (tmp_path / "parts").mkdir()
    for part in ("1", "2"):
        people().to_parquet(tmp_path / "parts" / f"{part}.parquet")
    assert declared_orders(tmp_path / "parts", READING) == {"size": SIZES}


def test_categories_without_an_order_have_none(tmp_path: Path) -> None:
    table = people()
    table.assign(size=table["size"].astype(pd.CategoricalDtype(ordered=False))).to_parquet(tmp_path / "people.parquet")
    assert declared_orders(tmp_path / "people.parquet", READING) == {}
    table.to_csv(tmp_path / "people.csv")
    assert declared_orders(tmp_path / "people.csv", READING.model_copy(update={"file_format": "csv"})) == {}


def test_a_rank_stands_beside_the_category() -> None:
    table = as_read(people())
    schema = learned(table, {"size": SIZES})
    assert schema.inputs[0].levels == tuple(SIZES)
    asked = pd.DataFrame({"size": ["tiny", "huge", "unheard", None], "x": [0.0] * 4})
    ranks = to_X(asked, schema)["size (rank)"]
    assert ranks.dtype == np.float32
    np.testing.assert_array_equal(ranks, [0, 4, np.nan, np.nan])


@pytest.mark.parametrize(
    "estimator", ["ensemble.RandomForestClassifier", "ensemble.HistGradientBoostingClassifier", "svm.SVC"]
)
def test_the_served_model_ranks_as_training_does(make_pipeline: Make, estimator: str) -> None:
    table = as_read(people())
    schema = learned(table, {"size": SIZES})
    unfitted = estimators.build(f"sklearn.{estimator}", {}, "classification", 0)
    model = fitting.fit(make_pipeline(schema, unfitted), rows_of(table, schema))
    onnx = export.convert(model, schema)
    served = Model(onnx, export.signature(onnx, schema, READING))
    asked = pd.concat([table, table.assign(size="unheard"), table.assign(size=None)])
    rows = asked.astype(object).where(asked.notna(), None).to_dict("list")
    export.compare(model, to_X(asked, schema), served.predict(rows), schema)
    assert served.signature.inputs[0].order == tuple(SIZES)


def test_the_order_helps_where_each_category_has_few_rows(make_pipeline: Make) -> None:
    """The mean distance to the true probability, over five tables of 300 rows with 25 grades."""
    grades = [f"grade {one}" for one in np.random.default_rng(0).permutation(25)]
    chance = 1 / (1 + np.exp(0.25 * (12 - np.arange(25))))
    asked = pd.DataFrame({"size": grades, "x": [0.0] * 25})
    wrong: dict[str, list[float]] = {"order": [], "none": []}
    for seed in range(5):
        random = np.random.default_rng(seed)
        place = random.integers(0, 25, 300)
        table = pd.DataFrame({"size": np.array(grades, dtype=object)[place], "x": random.normal(size=300)})
        table["y"] = np.where(random.random(300) < chance[place], "yes", "no")
        for name, orders in {"order": {"size": grades}, "none": None}.items():
            schema = learned(table, orders)
            unfitted = estimators.build("sklearn.linear_model.LogisticRegression", {}, "classification", 0)
            model = fitting.fit(make_pipeline(schema, unfitted), rows_of(table, schema))
            found = model.predict_proba(to_X(asked, schema))[:, 1]
            wrong[name].append(float(np.abs(found - chance).mean()))
    assert np.mean(wrong["order"]) < 0.8 * np.mean(wrong["none"]), wrong


@pytest.mark.parametrize(
    ("orders", "message"),
    [
        ({"sise": SIZES}, "has 'sise', which is not a categorical input → did you mean 'size'"),
        ({"x": ["1", "2"]}, "has 'x', which is not a categorical input → remove it"),
        ({"size": ["tiny"]}, "size needs two or more different categories"),
        ({"size": ["tiny", "tiny"]}, "size needs two or more different categories"),
    ],
)
def test_an_order_that_cannot_be_meant_is_refused(orders: dict[str, list[str]], message: str) -> None:
    with pytest.raises(BadInput) as refused:
        learned(as_read(people()), orders)
    assert message in f"{refused.value.what} → {refused.value.remedy}"
