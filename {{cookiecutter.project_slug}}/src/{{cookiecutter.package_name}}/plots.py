"""The figures: each takes a small table, states its finding in the title, and is drawn without global state."""

import logging
from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # a new user's first figure tells of a cache
BLUE, ORANGE, GREY = "#2f6f9f", "#d9822b", "#8a8f98"


def target(column: pd.Series) -> Figure:
    """Rows of each class."""
    counts = column.value_counts().sort_index()
    share = counts.max() / counts.sum()

    def draw(axes: Axes) -> None:
        bars = axes.barh(counts.index.astype(str), counts.to_numpy(), color=BLUE)
        axes.bar_label(bars, padding=3)
        axes.set(xlabel="rows", title=f"{counts.idxmax()} is the most frequent {column.name}: {share:.0%} of the rows")

    return _figure(draw, height=0.6 + 0.5 * len(counts) + 0.9)


def distributions(table: pd.DataFrame, by: str) -> Figure:
    """A histogram of every numeric column, coloured by class."""
    names = table.drop(columns=by).select_dtypes("number").columns
    across, down = 4, -(-len(names) // 4)
    figure, grid = plt.subplots(down, across, figsize=(11, 2.1 * down), layout="constrained", squeeze=False)
    groups = [group for _, group in table.groupby(by)]
    for axes, name in zip(grid.flat, names, strict=False):
        axes.hist([group[name].dropna() for group in groups], bins=20, stacked=True)
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=8)
    for axes in grid.flat[len(names) :]:
        axes.set_visible(False)
    figure.legend([str(name) for name in sorted(table[by].dropna().unique())], loc="lower right", title=by)
    figure.suptitle(f"{len(names)} measurements, coloured by {by} (rows per bin)")
    plt.close(figure)
    return figure


def correlations(table: pd.DataFrame) -> Figure:
    """Pearson's correlation of every pair of numeric columns."""
    matrix = table.select_dtypes("number").corr()
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


def confusion(counts: pd.DataFrame) -> Figure:
    """The confusion matrix with its counts."""
    right, total = counts.to_numpy().trace(), counts.to_numpy().sum()

    def draw(axes: Axes) -> None:
        axes.imshow(counts, cmap="Blues")
        axes.set_xticks(range(len(counts)), counts.columns)
        axes.set_yticks(range(len(counts)), counts.index)
        for row in range(len(counts)):
            for column in range(len(counts)):
                value = counts.iat[row, column]
                colour = "white" if value > counts.to_numpy().max() / 2 else "black"
                axes.text(column, row, str(value), ha="center", va="center", color=colour)
        axes.set(xlabel="predicted", ylabel="actual", title=f"{right} of {total} test rows are predicted right")

    return _figure(draw, width=5.5, height=4.6)


def roc(curves: pd.DataFrame, roc_auc: float) -> Figure:
    """The ROC curve of each class against the rest."""

    def draw(axes: Axes) -> None:
        for name, curve in curves.groupby("class"):
            axes.plot(curve["false_positive_rate"], curve["true_positive_rate"], label=str(name))
        axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="chance")
        axes.set(
            xlabel="false positive rate", ylabel="true positive rate", title=f"Area under the curve: {roc_auc:.3f}"
        )
        axes.legend()

    return _figure(draw, width=5.5, height=4.6)


def calibration(curve: pd.DataFrame, error: float) -> Figure:
    """Confidence against the share that was right."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="perfect")
        axes.plot(curve["confidence"], curve["right"], marker="o", color=BLUE, label="model")
        title = f"Confidence is off by {error:.2f} on average"
        axes.set(xlabel="confidence of the prediction", ylabel="share predicted right", title=title)
        axes.legend()

    return _figure(draw, width=5.5, height=4.6)


def importance(table: pd.DataFrame) -> Figure:
    """Permutation importance of each input, the greatest on top."""
    shown = table.iloc[::-1]

    def draw(axes: Axes) -> None:
        axes.barh(shown["input"], shown["importance"], xerr=shown["spread"], color=BLUE, ecolor=ORANGE)
        title = f"Without {table['input'].iat[0]} the model loses most"
        axes.set(xlabel="fall of macro F1 when the input is shuffled", title=title)

    return _figure(draw, height=0.9 + 0.3 * len(table))


def _figure(draw: Callable[[Axes], None], width: float = 7.0, height: float = 4.0) -> Figure:
    """A closed figure: the notebook shows it once, as the cell's last expression."""
    figure, axes = plt.subplots(figsize=(width, height), layout="constrained")
    draw(axes)
    axes.spines[["top", "right"]].set_visible(False)
    plt.close(figure)
    return figure
