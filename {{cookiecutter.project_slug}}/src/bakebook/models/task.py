"""What the project implements for each task: scores, a baseline, plots."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from bakebook.contracts import Interval, Metrics, Schema
from bakebook.params import Task as TaskName, Threshold

if TYPE_CHECKING:
    from matplotlib.figure import Figure


LETTERS_PER_INCH = 13  # of a caption


@dataclass(frozen=True)
class Holdout:
    """A fitted model and the rows that it never saw: X (n, tensors) and y (n,).

    `blocks` (n,) has the same number for rows that are related; None where all are independent.
    """

    model: Any
    X: pd.DataFrame
    y: pd.Series
    schema: Schema
    blocks: np.ndarray | None = None


@dataclass(frozen=True)
class Score:
    """A score of y (n,), y_pred (n,) and y_score (n, classes); y_score is None for a number."""

    compute: Callable[[np.ndarray, np.ndarray, Any], float]
    more_is_better: bool


@dataclass(frozen=True)
class Plot:
    """A figure, the table it is drawn from, and how `dvc plots` shows that table."""

    name: str  # of reports/plots/NAME.csv and NAME.png
    title: str
    caption: str  # what to look for
    template: str  # of DVC
    x: str
    y: str
    table: Callable[..., pd.DataFrame]  # of a Holdout
    draw: "Callable[[pd.DataFrame, Schema, Metrics], Figure]"

    @property
    def csv(self) -> str:
        return f"{self.name}.csv"

    @property
    def png(self) -> str:
        return f"{self.name}.png"

    def figure(self, table: pd.DataFrame, schema: Schema, metrics: Metrics) -> "Figure":
        """The figure with its caption below."""
        figure = self.draw(table, schema, metrics)
        width = int(figure.get_figwidth() * LETTERS_PER_INCH)
        figure.supxlabel(textwrap.fill(self.caption, width), fontsize=8, color="#555555")
        return figure

    def for_dvc(self) -> dict[str, object]:
        """The entry of dvc.yaml."""
        content: dict[str, object] = {
            "template": self.template,
            "x": self.x,
            "y": {f"reports/plots/{self.csv}": self.y},
        }
        if self.template == "confusion":
            content |= {"x_label": self.x, "y_label": self.y}
        return {self.title: content}


@dataclass(frozen=True)
class FirstModel:
    """What `nb data use` writes for a new table of at least so many rows."""

    rows: int
    estimator: str
    hyperparameters: Mapping[str, object]
    search_space: Mapping[str, Sequence[object]]


FOREST: Mapping[str, object] = {"n_estimators": 100, "min_samples_leaf": 2}
FOREST_SPACE: Mapping[str, Sequence[object]] = {
    "n_estimators": [50, 100, 200],
    "max_depth": [3, 6, 12],
    "min_samples_leaf": [1, 2, 4],
}
BOOSTING: Mapping[str, object] = {
    "max_iter": 100,
    "learning_rate": 0.1,
    "max_leaf_nodes": 15,
    "min_samples_leaf": 20,
}
BOOSTING_SPACE: Mapping[str, Sequence[object]] = {
    "learning_rate": [0.03, 0.1, 0.2],
    "max_leaf_nodes": [7, 15, 31],
    "min_samples_leaf": [5, 20, 50],
}


def forest_or_boosting(kind: str, rows: int) -> tuple[FirstModel, ...]:
    """Of a kind, Classifier or Regressor: a forest, and boosting from so many rows on."""
    forest = f"sklearn.ensemble.RandomForest{kind}"
    boosting = f"sklearn.ensemble.HistGradientBoosting{kind}"
    return (
        FirstModel(0, forest, FOREST, FOREST_SPACE),
        FirstModel(rows, boosting, BOOSTING, BOOSTING_SPACE),
    )


class Task(Protocol):
    """What is predicted: classes or numbers."""

    name: TaskName
    scores: Mapping[str, Score]
    scoring: str  # scikit-learn's name of the score that importance measures
    scoring_label: str
    baseline_text: str  # what the baseline predicts, for each score
    first_models: tuple[FirstModel, ...]  # what `nb data use` writes for a new table
    first_criteria: Mapping[str, Threshold]
    first_watched: Mapping[str, Threshold]  # the same for `nb monitor`
    predictions: Plot  # what was predicted beside the truth
    errors: Plot  # where predictions are wrong
    confidence: Plot  # how far a prediction can be trusted
    importance: Plot  # how much each input matters
    slices: Plot  # in which part of the rows the errors are greatest

    @property
    def plots(self) -> tuple[Plot, ...]:
        """Every plot of the task, in the order of the notebook."""
        ...

    def baseline(self, y_train: pd.Series, y_test: pd.Series, schema: Schema) -> dict[str, float]:
        """What the best guess that ignores the inputs reaches in each score."""
        ...

    def evaluate(self, model: object, X: pd.DataFrame, y: pd.Series) -> dict[str, float]:
        """Every score that the rows allow, rounded to six digits."""
        ...

    def intervals(self, holdout: Holdout, random_state: int) -> dict[str, Interval]:
        """The 95 % interval of every score that the rows allow."""
        ...

    def details(self, holdout: Holdout) -> dict[str, object]:
        """The fields of Metrics that only this task has."""
        ...

    def describe_details(self, metrics: Metrics, schema: Schema) -> str:
        """The details as Markdown for the model card."""
        ...


def first_model(task: Task, rows: int) -> FirstModel:
    """What a task begins with on so many rows."""
    return [one for one in task.first_models if rows >= one.rows][-1]


def rounded(scores: Mapping[str, float]) -> dict[str, float]:
    """The finite scores, rounded to six digits."""
    return {name: round(float(value), 6) for name, value in scores.items() if np.isfinite(value)}
