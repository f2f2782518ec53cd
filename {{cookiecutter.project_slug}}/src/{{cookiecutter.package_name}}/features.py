"""What goes into the model: the schema of its inputs, the split, and the preprocessing."""

from typing import Any

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from .errors import BadInput

Schema = dict[str, Any]


def describe_inputs(table: pd.DataFrame, target: str) -> Schema:
    """The contract of all later stages: {target, classes, inputs: [{name, type: number or category}]}."""
    if target not in table.columns:
        raise BadInput(f"the table has no column '{target}' → set prepare.target to one of {', '.join(table.columns)}")
    classes = sorted(table[target].dropna().astype(str).unique())
    if len(classes) < 2:
        raise BadInput(f"column '{target}' has fewer than two classes → choose another prepare.target")
    columns = table.columns.drop(target)
    return {
        "target": target,
        "classes": classes,
        "inputs": [{"name": name, "type": _type(table[name])} for name in columns],
    }


def split(
    table: pd.DataFrame, schema: Schema, test_size: float, random_state: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train and test rows, with the classes in the same proportions; rows without a target are left out."""
    rows = table.dropna(subset=[schema["target"]])
    train, test = train_test_split(
        rows, test_size=test_size, random_state=random_state, stratify=rows[schema["target"]]
    )
    return train.sort_index().reset_index(drop=True), test.sort_index().reset_index(drop=True)


def inputs(table: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """X: the input columns in the schema's order; numbers as float64, categories as text, a missing one as ''."""
    columns = {column["name"]: _values(table[column["name"]], column["type"]) for column in schema["inputs"]}
    return pd.DataFrame(columns, index=table.index)


def labels(table: pd.DataFrame, schema: Schema) -> pd.Series:
    """y: the target as text."""
    return pd.Series(table[schema["target"]], dtype=object).astype(str).astype(object)


def preprocessor(schema: Schema, scale: bool) -> ColumnTransformer:
    """Fills and optionally standardises numbers, one-hot encodes categories; unseen categories become zeros."""
    steps: list[Any] = [SimpleImputer(strategy="median")] + ([StandardScaler()] if scale else [])
    return ColumnTransformer(
        [
            ("number", make_pipeline(*steps), _names(schema, "number")),
            ("category", OneHotEncoder(handle_unknown="ignore", sparse_output=False), _names(schema, "category")),
        ],
        verbose_feature_names_out=False,
    )


def pipeline(schema: Schema, estimator: Any, scale: bool) -> Pipeline:
    """Preprocessing and estimator as one model, so that neither can be used without the other."""
    return Pipeline([("preprocessor", preprocessor(schema, scale)), ("estimator", estimator)])


def class_counts(train: pd.DataFrame, test: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Rows of each class in either part."""
    target = schema["target"]
    return pd.DataFrame({"train": train[target].value_counts(), "test": test[target].value_counts()}).sort_index()


def _type(column: pd.Series) -> str:
    return "number" if pd.api.types.is_numeric_dtype(column) else "category"


def _values(column: pd.Series, type_: str) -> pd.Series:
    if type_ == "number":
        return column.astype("float64")
    return column.astype(object).where(column.notna(), "").astype(str).astype(object)


def _names(schema: Schema, type_: str) -> list[str]:
    return [column["name"] for column in schema["inputs"] if column["type"] == type_]
