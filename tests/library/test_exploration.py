"""The figures of the exploratory notebook, on every dtype and on tables with little in them."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import project_module

from bakebook.models.schema import describe_inputs, learn_inputs, to_X_y

ROLES = {
    "number": "numeric",
    "curve": "numeric",
    "day": "datetime",
    "town": "categorical",
    "flag": "boolean",
    "words": "text",
    "key": "identifier",
}


@pytest.fixture
def mixed() -> pd.DataFrame:
    chance = np.random.default_rng(0)
    rows = 300
    curve = chance.uniform(-1, 1, rows)
    return pd.DataFrame(
        {
            "number": np.where(chance.random(rows) < 0.3, np.nan, chance.normal(0, 1, rows)),
            "curve": curve,
            "day": pd.to_datetime("2024-01-01") + pd.to_timedelta(chance.integers(0, 400, rows), "D"),
            "town": chance.choice(["Foix", "Pau", None], rows),
            "flag": chance.choice([True, False], rows),
            "words": [f"row {place} of many" for place in range(rows)],
            "key": range(rows),
            "class": np.where(curve**2 > 0.3, "far", "near"),
            "amount": curve**2 + chance.normal(0, 0.05, rows),
        }
    )


def visible(figure: Any) -> dict[str, Any]:
    """The plots of a figure by their titles."""
    return {axes.get_title(): axes for axes in figure.axes if axes.get_visible()}


def test_each_column_has_a_plot_that_says_what_is_missing(mixed: pd.DataFrame) -> None:
    figure = project_module("exploration").columns(mixed.drop(columns="amount"), ROLES, "class")
    found = visible(figure)
    share = mixed["number"].isna().mean()
    assert f"number, {share:.0%} missing" in found
    assert {"curve", "day", "flag", "words"} <= set(found) and "key" not in found
    assert figure.get_suptitle() == "6 of 6 columns; 1 left out (identifiers, constants, empty columns)"


@pytest.mark.parametrize(("target", "task"), [("class", "classification"), ("amount", "regression")])
def test_what_is_not_linear_is_found_and_unique_texts_are_not(mixed: pd.DataFrame, target: str, task: Any) -> None:
    exploration = project_module("exploration")
    table = mixed.drop(columns="amount" if target == "class" else "class")
    schema = learn_inputs(describe_inputs(table, target, task, ROLES), table)
    X, y = to_X_y(table, schema)
    found = exploration.information(X, y, schema)
    assert found.loc[0, "input"] == "curve"
    assert found.loc[0, "information"] > 5 * found.loc[1, "information"]
    assert "words" not in set(found["input"])
    figure = exploration.strongest(table, found, target)
    assert figure.get_suptitle() == f"curve says most about {target}"
    assert {"curve", "number", "town", "flag"} <= set(visible(figure))


def test_a_table_with_one_column_and_gaps_has_figures_too(mixed: pd.DataFrame) -> None:
    exploration = project_module("exploration")
    table = mixed[["town", "class"]]
    figure = exploration.columns(table, {"town": "categorical"}, "class")
    assert len(visible(figure)) == 1
    empty = exploration.strongest(table, pd.DataFrame({"input": []}), "class")
    assert empty.get_suptitle() == "No input to compare with class"
