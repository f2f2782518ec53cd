"""Preprocessing and the scikit-learn pipeline: how each input is filled, scaled and encoded."""

import re
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler, TargetEncoder

from bakebook.contracts import Schema
from bakebook.models.encoding import tensor_types
from bakebook.models.schema import is_target_encoded
from bakebook.models.spelling import SpellingEncoder

WORD = r"[^ ]+"
MOST_WORDS = 1000  # of a text: the most frequent
# Estimators whose numbers are not standardised: trees only compare numbers, and in ONNX's 32 bits
# standardised ones could move to the other side of a threshold; naive Bayes rejects negative ones.
UNSCALED = re.compile(r"Forest|Tree|Boost|Bagging|LGBM|XGB|naive_bayes|Dummy")


def pipeline(schema: Schema, estimator: BaseEstimator) -> Pipeline:
    """Preprocessing and estimator as one model, so that neither can be used without the other."""
    class_ = type(estimator)
    is_scaled = not UNSCALED.search(f"{class_.__module__}.{class_.__name__}")
    steps = [("preprocessor", preprocessor(schema, scale=is_scaled)), ("estimator", estimator)]
    return Pipeline(steps)


def preprocessor(schema: Schema, *, scale: bool) -> ColumnTransformer:
    """Fills and optionally standardises numbers, encodes categories by level or, where there are
    many, by target and spelling, weights the words of texts (TF-IDF).
    """
    numbers = []
    one_hot = []
    target_encoded = []
    texts = []
    for column in schema.inputs:
        for name, type_ in tensor_types(column).items():
            if type_ == "number":
                numbers.append(name)
            elif type_ == "text":
                texts.append(name)
            elif is_target_encoded(column):
                target_encoded.append(name)
            else:
                one_hot.append(name)
    steps: list[Any] = [
        ("number", number_steps(scale), numbers),
        (
            "category",
            OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32),
            one_hot,
        ),
    ]
    if target_encoded:
        steps.append(("target encoded", target_encoder_steps(schema), target_encoded))
        steps.append(("spelling", SpellingEncoder(), target_encoded))
    for place, name in enumerate(texts):
        steps.append((f"text {place}", word_weights(normalize=scale), name))
    used = [step for step in steps if len(step[2])]
    return ColumnTransformer(used, sparse_threshold=0, verbose_feature_names_out=False)


def number_steps(scale: bool) -> Pipeline:
    """Fills missing numbers and optionally standardises them."""
    steps: list[Any] = [SimpleImputer(strategy=lower_median)]
    if scale:
        steps.append(StandardScaler())
    return make_pipeline(*steps)


def target_encoder_steps(schema: Schema) -> Pipeline:
    """Target encoding, a number for each class where there are more than two; no row is encoded by
    its own target. In 32 bits, as ONNX computes it: 64 bits could fall on the other side of a
    tree's threshold.
    """
    from skl2onnx.sklapi import CastTransformer  # takes a second, and few tables need it

    type_ = "auto" if schema.classes else "continuous"
    encoder = TargetEncoder(target_type=type_, cv=KFold(5, shuffle=True, random_state=0))
    return make_pipeline(encoder, CastTransformer(dtype=np.float32))


def lower_median(values: np.ndarray) -> np.floating:
    """The median, but always one of the values: a tree's threshold can equal the mean of two, which
    ONNX's 32 bits may round to its other side.
    """
    return np.percentile(values, 50, method="lower") if len(values) else np.float32(0)


def word_weights(*, normalize: bool) -> TfidfVectorizer:
    """TF-IDF weights of words separated by one space; only linear models need normalised ones."""
    return TfidfVectorizer(
        lowercase=False,
        token_pattern=WORD,
        max_features=MOST_WORDS,
        norm="l2" if normalize else None,
        dtype=np.float32,
    )
