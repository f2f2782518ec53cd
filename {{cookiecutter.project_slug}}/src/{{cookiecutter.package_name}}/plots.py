"""The figures: each takes a small table, states its finding in the title, and is drawn without global state."""

import logging
from collections.abc import Callable, Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import classification
from .features import Schema

logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # a new user's first figure tells of a cache
BLUE, ORANGE, GREY = "#2f6f9f", "#d9822b", "#8a8f98"
MANY = 20  # classes or columns beyond which names and counts are no longer readable


def target(column: pd.Series) -> Figure:
    """Rows of each class, or a histogram of the number to predict."""
    counts = column.value_counts().sort_index()
    if pd.api.types.is_float_dtype(column) or len(counts) > MANY:
        return _histogram(column)
    share = counts.max() / counts.sum()

    def draw(axes: Axes) -> None:
        bars = axes.barh(counts.index.astype(str), counts.to_numpy(), color=BLUE)
        axes.bar_label(bars, padding=3)
        axes.set(xlabel="rows", title=f"{counts.idxmax()} is the most frequent {column.name}: {share:.0%} of the rows")

    return _figure(draw, height=0.6 + 0.5 * len(counts) + 0.9)


def distributions(table: pd.DataFrame, by: str) -> Figure:
    """A histogram of the first numeric columns, coloured by class where there are few."""
    names = table.drop(columns=by).select_dtypes("number").columns[:MANY]
    across, down = 4, max(1, -(-len(names) // 4))
    few = table[by].nunique() <= 10
    groups = list(table.groupby(by)) if few else [("all rows", table)]
    figure, grid = plt.subplots(down, across, figsize=(11, 2.1 * down), layout="constrained", squeeze=False)
    for axes, name in zip(grid.flat, names, strict=False):
        axes.hist([group[name].dropna() for _, group in groups], bins=20, stacked=True)
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=8)
    for axes in grid.flat[len(names) :]:
        axes.set_visible(False)
    figure.legend([str(name) for name, _ in groups], loc="lower right", title=by if few else None)
    figure.suptitle(f"{len(names)} measurements{f', coloured by {by}' if few else ''} (rows per bin)")
    plt.close(figure)
    return figure


def correlations(table: pd.DataFrame) -> Figure:
    """Pearson's correlation of every pair of numeric columns."""
    numbers = table.select_dtypes("number")
    matrix = numbers.loc[:, numbers.nunique() > 1].iloc[:, :MANY].corr()
    if len(matrix) < 2:
        return _figure(_no_pairs)
    strength = matrix.abs().to_numpy(copy=True)
    np.fill_diagonal(strength, 0)
    row, column = divmod(int(strength.argmax()), len(strength))
    first, second = str(matrix.columns[row]), str(matrix.columns[column])
    finding = f"{first} and {second} go together most: r = {matrix.to_numpy()[row, column]:.2f}"

    def draw(axes: Axes) -> None:
        image = axes.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1)
        axes.set_xticks(range(len(matrix)), matrix.columns, rotation=90, fontsize=8)
        axes.set_yticks(range(len(matrix)), matrix.columns, fontsize=8)
        axes.set_title(finding)
        axes.figure.colorbar(image, label="Pearson's r")

    return _figure(draw, width=8, height=6.5)


def _no_pairs(axes: Axes) -> None:
    axes.set_title("Fewer than two columns are numbers")


def predictions(rows: pd.DataFrame, schema: Schema) -> Figure:
    """What was predicted beside what was true, of each test row: a confusion matrix, or a cloud of points."""
    if schema["task"] == "classification":
        return confusion(classification.confusion_counts(rows, schema["classes"]))
    near = (rows["predicted"] - rows["actual"]).abs().median()

    def draw(axes: Axes) -> None:
        bounds = [rows.min().min(), rows.max().max()]
        axes.plot(bounds, bounds, color=GREY, linestyle=":", label="perfect")
        axes.scatter(rows["predicted"], rows["actual"], s=12, alpha=0.5, color=BLUE, linewidths=0)
        title = f"Half of the predictions are off by less than {near:.3g}"
        axes.set(xlabel=f"predicted {schema['target']}", ylabel=f"actual {schema['target']}", title=title)
        axes.legend()

    return _figure(draw, width=5.5, height=4.6)


def confusion(counts: pd.DataFrame) -> Figure:
    """The confusion matrix, with its counts unless there are too many classes to read them."""
    right, total = counts.to_numpy().trace(), counts.to_numpy().sum()
    size = max(5.5, 0.3 * len(counts))

    def draw(axes: Axes) -> None:
        axes.imshow(counts, cmap="Blues")
        axes.set_xticks(range(len(counts)), counts.columns, rotation=0 if len(counts) <= 6 else 90)
        axes.set_yticks(range(len(counts)), counts.index)
        for row, column in np.argwhere(counts.to_numpy() > 0 if len(counts) > MANY else counts.to_numpy() >= 0):
            value = counts.iat[row, column]
            colour = "white" if value > counts.to_numpy().max() / 2 else "black"
            axes.text(column, row, str(value), ha="center", va="center", color=colour)
        axes.set(xlabel="predicted", ylabel="actual", title=f"{right} of {total} test rows are predicted right")

    return _figure(draw, width=size, height=size * 0.84)


def errors(rows: pd.DataFrame, schema: Schema, scores: Mapping[str, float]) -> Figure:
    """The ROC curve of each class against the rest, or the residuals beside the predictions."""

    def roc(axes: Axes) -> None:
        for name, curve in rows.groupby("class", sort=False):
            axes.plot(curve["false_positive_rate"], curve["true_positive_rate"], label=str(name))
        axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="chance")
        title = f"Area under the curve: {scores.get('roc_auc', np.nan):.3f}"
        axes.set(xlabel="false positive rate", ylabel="true positive rate", title=title)
        if rows["class"].nunique() <= MANY:
            axes.legend()

    def residuals(axes: Axes) -> None:
        axes.axhline(0, color=GREY, linestyle=":")
        axes.scatter(rows["predicted"], rows["residual"], s=12, alpha=0.5, color=BLUE, linewidths=0)
        title = f"The model explains {scores.get('r2', np.nan):.0%} of the variance"
        axes.set(xlabel=f"predicted {schema['target']}", ylabel="actual minus predicted", title=title)

    return _figure(roc if schema["task"] == "classification" else residuals, width=5.5, height=4.6)


def calibration(rows: pd.DataFrame, schema: Schema, scores: Mapping[str, float]) -> Figure:
    """Confidence against the share that was right, or the error of each tenth of the predictions."""

    def confidence(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="perfect")
        axes.plot(rows["confidence"], rows["right"], marker="o", color=BLUE, label="model")
        title = f"Confidence is off by {scores['calibration_error']:.2f} on average"
        axes.set(xlabel="confidence of the prediction", ylabel="share predicted right", title=title)
        axes.legend()

    def tenths(axes: Axes) -> None:
        axes.bar(range(1, len(rows) + 1), rows["error"], color=BLUE)
        worst = int(rows["error"].to_numpy().argmax()) + 1
        title = f"The error is greatest in part {worst} of {len(rows)}"
        axes.set(xlabel=f"tenths of the predictions, by predicted {schema['target']}", ylabel="mean error", title=title)

    return _figure(confidence if schema["task"] == "classification" else tenths, width=5.5, height=4.6)


def importance(table: pd.DataFrame, schema: Schema) -> Figure:
    """Permutation importance of the inputs that matter most, the greatest on top."""
    shown = table.head(MANY).iloc[::-1]
    score = "macro F1" if schema["task"] == "classification" else "R²"

    def draw(axes: Axes) -> None:
        axes.barh(shown["input"], shown["importance"], xerr=shown["spread"], color=BLUE, ecolor=ORANGE)
        title = f"Without {table['input'].iat[0]} the model loses most"
        axes.set(xlabel=f"fall of {score} when the input is shuffled", title=title)

    return _figure(draw, height=0.9 + 0.3 * len(shown))


def _histogram(column: pd.Series) -> Figure:
    def draw(axes: Axes) -> None:
        axes.hist(column.dropna(), bins=40, color=BLUE)
        title = f"Half of the rows lie between {column.quantile(0.25):.4g} and {column.quantile(0.75):.4g}"
        axes.set(xlabel=str(column.name), ylabel="rows", title=title)

    return _figure(draw)


def _figure(draw: Callable[[Axes], None], width: float = 7.0, height: float = 4.0) -> Figure:
    """A closed figure: the notebook shows it once, as the cell's last expression."""
    figure, axes = plt.subplots(figsize=(width, height), layout="constrained")
    draw(axes)
    axes.spines[["top", "right"]].set_visible(False)
    plt.close(figure)
    return figure
