"""From a table and its roles to X and y."""

import numpy as np
import pandas as pd
import pytest

from bakebook.contracts import Schema
from bakebook.errors import BadInput
from bakebook.models.schema import describe_inputs, excluded_columns, learn_inputs, to_X


def test_an_unknown_target_is_refused_with_the_columns(table: pd.DataFrame) -> None:
    with pytest.raises(BadInput, match="size, noise, colour, kind"):
        describe_inputs(table, "kin", "classification", {})


def test_a_column_without_a_role_is_refused(table: pd.DataFrame) -> None:
    with pytest.raises(BadInput, match="has no role for column 'noise'"):
        describe_inputs(table, "kind", "classification", {"size": "numeric"})


def test_an_unknown_role_is_refused_with_the_choices(table: pd.DataFrame) -> None:
    roles = {"size": "number", "noise": "numeric", "colour": "categorical"}
    with pytest.raises(BadInput, match="choose from numeric, boolean, datetime"):
        describe_inputs(table, "kind", "classification", roles)


def test_a_column_that_is_blank_in_training_is_excluded(table: pd.DataFrame) -> None:
    table["late"] = np.where(np.arange(60) < 50, np.nan, 1.0)
    roles = {"size": "numeric", "noise": "numeric", "colour": "categorical", "late": "numeric"}
    described = describe_inputs(table, "kind", "classification", roles)
    assert learn_inputs(described, table.head(45)).excluded == {"late": "empty"}


def test_without_excluded_columns_a_sentence_is_shown(schema: Schema) -> None:
    assert excluded_columns(schema) == "Every column except the target is an input."


def test_a_schema_cannot_be_changed(schema: Schema) -> None:
    with pytest.raises(ValueError, match="frozen"):
        schema.target = "size"  # type: ignore[misc]


@pytest.mark.parametrize("first", [20240101, 1_700_000_000, 2**24 - 1, -(2**31)])
def test_whole_numbers_beyond_32_bits_stay_apart(first: int) -> None:
    table = pd.DataFrame({"n": first + np.arange(50), "kind": np.arange(50) % 2})
    schema = learn_inputs(describe_inputs(table, "kind", "classification", {"n": "numeric"}), table)
    assert to_X(table, schema)["n"].nunique() == 50
    gap = to_X(table.assign(n=table["n"].astype(float).mask(table.index == 3)), schema)["n"]
    assert gap.isna().sum() == 1


def test_small_numbers_are_not_moved(table: pd.DataFrame, schema: Schema) -> None:
    assert [column.offset for column in schema.inputs] == [None] * len(schema.inputs)
