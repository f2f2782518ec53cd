"""The pipeline of preprocessing and estimator."""

import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from bakebook.contracts import Schema
from bakebook.models.schema import to_X_y

from {{cookiecutter.package_name}} import features


def test_numbers_are_standardised_for_linear_models_but_not_for_forests(schema: Schema) -> None:
    linear = features.pipeline(schema, LogisticRegression())
    forest = features.pipeline(schema, RandomForestClassifier())
    assert "StandardScaler" in repr(linear)
    assert "StandardScaler" not in repr(forest)


def test_missing_values_and_unseen_categories_are_accepted(
    table: pd.DataFrame, schema: Schema
) -> None:
    model = fitted(table, schema)
    table.loc[0, "colour"] = "unseen"
    table.loc[1, "size"] = None
    assert len(model.predict(to_X_y(table, schema)[0])) == len(table)


def fitted(table: pd.DataFrame, schema: Schema) -> Pipeline:
    forest = RandomForestClassifier(n_estimators=10, random_state=0)
    return features.pipeline(schema, forest).fit(*to_X_y(table, schema))
