"""What a split must know about the column to predict: a class or a number."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.metrics import r2_score, recall_score
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from bakebook.contracts import Schema
from bakebook.params import Task
from bakebook.tables.values import as_text

RARE_CLASS = 2  # rows below which a class cannot be in both parts
TREES = 30  # of a small forest
BINS = 10  # of equal size, by which a number to predict is spread evenly over both parts


class Target(Protocol):
    """What a split must know about the column to predict."""

    noun: str
    score_name: str

    def strata(self, target: pd.Series) -> pd.Series: ...
    def is_testable(self, test: pd.Series, train: pd.Series) -> pd.Series: ...
    def summary(self, parts: Mapping[str, pd.Series], schema: Schema) -> pd.DataFrame: ...
    def small_tree(self) -> BaseEstimator: ...
    def small_forest(self) -> BaseEstimator: ...
    def labels(self, target: pd.Series) -> pd.Series: ...
    def score(self, y: np.ndarray, predicted: np.ndarray) -> float: ...


class ClassTarget:
    """A class."""

    noun = "class"
    score_name = "balanced accuracy"

    def strata(self, target: pd.Series) -> pd.Series:
        """The group of each row that both parts should have in the same proportion; missing for a
        rare class.
        """
        names = self.labels(target)
        counts = names.map(names.value_counts())
        return names.where(counts >= RARE_CLASS)

    def is_testable(self, test: pd.Series, train: pd.Series) -> pd.Series:
        """Whether a model that was trained on `train` can predict each value of `test`."""
        return test.isin(train)

    def summary(self, parts: Mapping[str, pd.Series], schema: Schema) -> pd.DataFrame:
        """How the target is distributed in each part."""
        counts = {name: self.labels(part).value_counts() for name, part in parts.items()}
        table = pd.DataFrame(counts).reindex(schema.classes)
        return table.fillna(0).astype(int).rename_axis(schema.target)

    def small_tree(self) -> BaseEstimator:
        """A model that finds out whether one column contains the target."""
        return DecisionTreeClassifier(min_samples_leaf=5, random_state=0, max_leaf_nodes=200)

    def small_forest(self) -> BaseEstimator:
        """A model that shows how much a split flatters."""
        from sklearn.ensemble import RandomForestClassifier  # takes a moment, few tables need it

        return RandomForestClassifier(TREES, random_state=0)

    def labels(self, target: pd.Series) -> pd.Series:
        """The target as the small tree learns it."""
        return target.map(as_text)

    def score(self, y: np.ndarray, predicted: np.ndarray) -> float:
        """1 for a perfect prediction."""
        labels = np.unique(y)
        return float(recall_score(y, predicted, average="macro", labels=labels, zero_division=0))


class NumberTarget:
    """A number."""

    noun = "number"
    score_name = "R²"

    def strata(self, target: pd.Series) -> pd.Series:
        ranks = target.rank(method="first")
        return pd.qcut(ranks, min(BINS, len(target) // RARE_CLASS), labels=False)

    def is_testable(self, test: pd.Series, train: pd.Series) -> pd.Series:
        return pd.Series(True, index=test.index)

    def summary(self, parts: Mapping[str, pd.Series], schema: Schema) -> pd.DataFrame:
        return pd.DataFrame({name: part.describe() for name, part in parts.items()}).round(6)

    def small_tree(self) -> BaseEstimator:
        return DecisionTreeRegressor(min_samples_leaf=5, random_state=0, max_leaf_nodes=200)

    def small_forest(self) -> BaseEstimator:
        from sklearn.ensemble import RandomForestRegressor

        return RandomForestRegressor(TREES, random_state=0)

    def labels(self, target: pd.Series) -> pd.Series:
        return target

    def score(self, y: np.ndarray, predicted: np.ndarray) -> float:
        return float(r2_score(y, predicted))


TARGETS: dict[Task, Target] = {"classification": ClassTarget(), "regression": NumberTarget()}
