"""What goes into the model: the schema of its inputs, X and y, and the preprocessing."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler, TargetEncoder

from . import encoding
from .errors import BadInput, did_you_mean
from .parameters import LEFT_OUT

Schema = dict[str, Any]
TYPES = {"numeric": "number", "boolean": "boolean", "datetime": "datetime", "categorical": "category", "text": "text"}
FEW_LEVELS = 30  # up to these, a category is one-hot encoded; beyond, each level is replaced by what it says of y
MOST_LEVELS = {"target": 2000, "one-hot": 100}  # the most frequent are kept, the others are one
UNSCALED = re.compile(r"Forest|Tree|Boost|Bagging|LGBM|XGB|naive_bayes|Dummy")
MOST_WORDS = 1000  # of a text: the most frequent


def describe_inputs(table: pd.DataFrame, target: str, task: str, roles: Mapping[str, str]) -> Schema:
    """The contract of all later stages: {target, task, inputs: [{name, type}], left_out: {name: role}}."""
    columns = [str(name) for name in table.columns]
    if target not in columns:
        raise BadInput(f"the table has no column '{target}' → set prepare.target to one of {', '.join(columns)}")
    for name in roles:
        if name not in columns or name == target:
            what = "is the target" if name == target else f"is no column{did_you_mean(name, columns)}"
            raise BadInput(f"prepare.roles has '{name}', which {what} → nb data use, or take it out")
    for name in columns:
        if name not in roles and name != target:
            raise BadInput(f"prepare.roles says nothing of column '{name}' → nb data use, or add its role")
    used = {name: role for name, role in roles.items() if role not in LEFT_OUT}
    if not used:
        raise BadInput("no column is left to learn from → give one of prepare.roles another role")
    return {
        "target": target,
        "task": task,
        "inputs": [{"name": name, "type": _type(name, role, table[name])} for name, role in used.items()],
        "left_out": {name: role for name, role in roles.items() if role in LEFT_OUT},
    }


def learn_inputs(schema: Schema, train: pd.DataFrame) -> Schema:
    """The schema with what the train rows tell: classes, the levels of categories, the parts of times that vary."""
    target = train[schema["target"]]
    classes = sorted({encoding.as_text(value) for value in target}, key=_by_number) if _is_classes(schema) else None
    if classes is not None and len(classes) < 2:
        raise BadInput(f"column '{schema['target']}' has fewer than two classes → choose another prepare.target")
    used = [column for column in schema["inputs"] if not _is_blank(train[column["name"]])]
    gone = {column["name"]: "empty" for column in schema["inputs"] if column not in used}
    if not used:
        raise BadInput("no column has a value among the train rows → choose another prepare.split")
    learned = [_learned(column, train[column["name"]], classes) for column in used]
    names = [name for column in learned for name in encoding.tensor_types(column)]
    for name in names:
        if names.count(name) > 1:
            raise BadInput(f"two inputs of the model would be called '{name}' → rename a column of the table")
    return {**schema, "classes": classes, "inputs": learned, "left_out": {**schema["left_out"], **gone}}


def inputs(table: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """X: the tensors of all inputs, as the served model gets them (`encoding`), side by side."""
    columns: dict[str, np.ndarray] = {}
    for column in schema["inputs"]:
        columns |= encoding.encode(column, table[column["name"]].to_numpy())
    return pd.DataFrame(columns, index=table.index)


def inputs_and_labels(table: pd.DataFrame, schema: Schema) -> tuple[pd.DataFrame, pd.Series]:
    """X and y of all rows; what reads the table in this very call does not keep it in memory beside them."""
    return inputs(table, schema), labels(table, schema)


def labels(table: pd.DataFrame, schema: Schema) -> pd.Series:
    """y: the place of each row's class among `schema["classes"]`, or the number to predict."""
    target = table[str(schema["target"])]
    if not _is_classes(schema):
        return target.astype("float64")
    places = {name: place for place, name in enumerate(schema["classes"])}
    return target.map(lambda value: places[encoding.as_text(value)]).astype("int64")


def preprocessor(schema: Schema, *, scale: bool) -> ColumnTransformer:
    """Fills and optionally standardises numbers, encodes categories, weighs the words of texts (TF-IDF)."""
    numbers: list[Any] = [SimpleImputer(strategy=lower_median)] + ([StandardScaler()] if scale else [])
    kinds = {name: kind for column in schema["inputs"] for name, kind in encoding.tensor_types(column).items()}
    many = {c["name"] for c in schema["inputs"] if c["type"] == "category" and _is_target_encoded(c, schema)}
    named = {kind: [name for name in kinds if kinds[name] == kind] for kind in ("number", "category", "text")}
    few = [name for name in named["category"] if name not in many]
    steps = [
        ("number", make_pipeline(*numbers), named["number"]),
        ("category", OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32), few),
        ("many", _target_encoder() if many else "drop", [name for name in named["category"] if name in many]),
        *((f"text {place}", words(scale), name) for place, name in enumerate(named["text"])),
    ]
    return ColumnTransformer(
        [step for step in steps if len(step[2])], sparse_threshold=0, verbose_feature_names_out=False
    )


def _target_encoder() -> Pipeline:
    """In 32 bits as in ONNX: a mean of 64 could lie on the other side of a threshold."""
    from skl2onnx.sklapi import CastTransformer

    return make_pipeline(TargetEncoder(random_state=0), CastTransformer(dtype=np.float32))


def lower_median(values: np.ndarray) -> np.floating:
    """The median, but always one of the values: between two, it could lie on the threshold of a tree."""
    return np.percentile(values, 50, method="lower") if len(values) else np.float32(0)


def words(normalize: bool) -> TfidfVectorizer:
    """The weights of the words of a text that `encoding` has tidied. Normalised, ONNX rounds the last bit otherwise."""
    apart, norm = r"[^ ]+", "l2" if normalize else None
    return TfidfVectorizer(lowercase=False, token_pattern=apart, max_features=MOST_WORDS, norm=norm, dtype=np.float32)


def pipeline(schema: Schema, estimator: Any) -> Pipeline:
    """Preprocessing and estimator as one model, so that neither can be used without the other.

    Numbers are standardised, but for trees, which only mind their order (and whose thresholds ONNX would round), and
    for naive Bayes, which wants none below zero.
    """
    scale = not UNSCALED.search(f"{type(estimator).__module__}.{type(estimator).__name__}")
    return Pipeline([("preprocessor", preprocessor(schema, scale=scale)), ("estimator", estimator)])


def columns_left_out(schema: Schema) -> pd.DataFrame:
    """What the model does not learn from, and why."""
    return pd.DataFrame(list(schema["left_out"].items()), columns=["column", "role"])


def _is_classes(schema: Schema) -> bool:
    return schema["task"] == "classification"


def _type(name: str, role: str, column: pd.Series) -> str:
    if role not in TYPES:
        raise BadInput(f"prepare.roles.{name} is '{role}' → choose from {', '.join((*TYPES, *LEFT_OUT))}")
    numeric = pd.api.types.is_numeric_dtype(column)
    time = pd.api.types.is_datetime64_any_dtype(column)
    two = role != "boolean" or column.dropna().isin([True, False, 0, 1]).all()
    fits = {"numeric": numeric, "datetime": time, "categorical": not time, "boolean": two}
    if not fits.get(role, True):
        raise BadInput(f"column '{name}' is not {role}: it holds {column.dtype} → set its kind in ingest.columns")
    return TYPES[role]


def _is_blank(values: pd.Series) -> bool:
    """Whether nothing can be learned from it: no value, or texts without a word."""
    found = values.dropna()
    return found.empty or (pd.api.types.is_string_dtype(found) and not found.astype(str).str.strip().any())


def _by_number(name: str) -> tuple[float, str]:
    try:
        return float(name), name
    except ValueError:
        return float("inf"), name


def _learned(column: dict[str, Any], values: pd.Series, classes: list[str] | None) -> dict[str, Any]:
    if column["type"] == "category":
        counts = pd.Series([encoding.as_text(value) for value in values.to_numpy()]).value_counts()
        one_hot = len(counts) <= FEW_LEVELS or (classes is not None and len(classes) > 2)
        most = MOST_LEVELS["one-hot" if one_hot else "target"]
        kept = counts.reset_index().sort_values(["count", "index"], ascending=[False, True]).head(most)["index"]
        return {**column, "levels": sorted(kept)}
    if column["type"] == "datetime":
        parts = encoding.parts_of_time(values.to_numpy())
        varying = [part for part, found in parts.items() if len(np.unique(found[~np.isnan(found)])) > 1]
        return {**column, "parts": varying or ["days"], **_bounds(values)}
    return {**column, **_bounds(values)} if column["type"] == "number" else column


def _bounds(values: pd.Series) -> dict[str, Any]:
    """The least and the greatest value that the model learned from."""
    found = values.dropna()
    if found.empty:
        return {}
    ends = found.min(), found.max()
    least, greatest = (end.isoformat() if isinstance(end, pd.Timestamp) else end.item() for end in ends)
    return {"least": least, "greatest": greatest}


def _is_target_encoded(column: Mapping[str, Any], schema: Schema) -> bool:
    """skl2onnx converts the target encoding of a number or of two classes."""
    return len(column["levels"]) > FEW_LEVELS and (schema["classes"] is None or len(schema["classes"]) == 2)
