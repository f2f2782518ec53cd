"""The figures. Each takes a small table and states its finding in the title."""

import logging
import textwrap
from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bakebook.contracts import Metrics, Schema

BLUE = "#2f6f9f"
ORANGE = "#d9822b"
GREY = "#8a8f98"
CLEAR = 2.0  # standard deviations from which a difference is no chance
LETTERS_PER_INCH = 9  # of a title
NARROW = 38  # letters of a title above a plot with long names beside it
MOST_NAMES = 20  # classes or columns beyond which names and counts are no longer readable
SMALL = {"width": 5.5, "height": 4.6}  # inches


def target(column: pd.Series) -> Figure:
    """Rows of each class, or a histogram of the number to predict."""
    counts = column.value_counts().sort_index()
    if pd.api.types.is_float_dtype(column) or len(counts) > MOST_NAMES:
        return _histogram(column)
    share = counts.max() / counts.sum()

    def draw(axes: Axes) -> None:
        bars = axes.barh(counts.index.astype(str), counts.to_numpy(), color=BLUE)
        axes.bar_label(bars, padding=3)
        axes.set_xlabel("rows")
        axes.set_title(
            f"{counts.idxmax()} is the most frequent {column.name}: {share:.0%} of the rows"
        )

    return _figure(draw, height=1.5 + 0.5 * len(counts))


def correlations(table: pd.DataFrame) -> Figure:
    """Pearson's correlation of every pair of numeric columns."""
    numbers = table.select_dtypes("number")
    varying = numbers.loc[:, numbers.nunique() > 1]
    matrix = varying.iloc[:, :MOST_NAMES].corr()
    if len(matrix) < 2:
        return _figure(lambda axes: axes.set_title("Fewer than two columns are numbers"))
    title = _strongest_pair(matrix)

    def draw(axes: Axes) -> None:
        image = axes.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1)
        axes.set_xticks(range(len(matrix)), matrix.columns, rotation=90, fontsize=8)
        axes.set_yticks(range(len(matrix)), matrix.columns, fontsize=8)
        axes.set_title(title)
        axes.figure.colorbar(image, label="Pearson's r")

    return _figure(draw, width=8, height=6.5)


def confusion_matrix(rows: pd.DataFrame, schema: Schema, metrics: Metrics) -> Figure:
    """The confusion matrix, with all counts unless there are too many classes."""
    classes = list(schema.classes or ())
    counts = pd.crosstab(rows["actual"], rows["predicted"]).reindex(classes, fill_value=0)
    counts = counts.reindex(columns=classes, fill_value=0)
    values = counts.to_numpy()
    interval = metrics.intervals.get("accuracy")
    share = f"\n95 % interval {interval.low:.0%} to {interval.high:.0%}" if interval else ""
    size = max(SMALL["width"], 0.3 * len(counts))
    shown = values > 0 if len(counts) > MOST_NAMES else values >= 0

    def draw(axes: Axes) -> None:
        axes.imshow(counts, cmap="Blues")
        axes.set_xticks(range(len(counts)), counts.columns, rotation=0 if len(counts) <= 6 else 90)
        axes.set_yticks(range(len(counts)), counts.index)
        for row, column in np.argwhere(shown):
            value = values[row, column]
            colour = "white" if value > values.max() / 2 else "black"
            axes.text(column, row, str(value), ha="center", va="center", color=colour)
        axes.set_xlabel("predicted")
        axes.set_ylabel("actual")
        axes.set_title(
            f"{values.trace()} of {values.sum()} test rows are predicted correctly{share}"
        )

    return _figure(draw, width=size, height=size * 0.84)


def roc(rows: pd.DataFrame, schema: Schema, metrics: Metrics) -> Figure:
    """The ROC curve of each class against the rest."""
    area = metrics.model.get("roc_auc", np.nan)
    interval = metrics.intervals.get("roc_auc", "")
    curves = list(rows.groupby("class", sort=False))

    def draw(axes: Axes) -> None:
        for number, (name, curve) in enumerate(curves):
            # Curves that coincide stay visible: each is thinner than the one below it.
            width = 1.5 + 1.5 * (len(curves) - number) if len(curves) <= 6 else 1.5
            axes.plot(
                curve["false_positive_rate"],
                curve["true_positive_rate"],
                label=str(name),
                linewidth=width,
            )
        axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="chance")
        axes.set_xlabel("false positive rate")
        axes.set_ylabel("true positive rate")
        axes.set_title(
            f"Mean area under the curve: {area:.3f} {interval}" if curves else "No class to compare"
        )
        if len(curves) <= MOST_NAMES:
            axes.legend()

    return _figure(draw, **SMALL)


def calibration(rows: pd.DataFrame, schema: Schema, metrics: Metrics) -> Figure:
    """Accuracy by confidence."""
    error = metrics.model.get("calibration_error", np.nan)
    perfect = metrics.perfect_calibration_error or 0.0
    finding = f"Confidence is off by {error:.2f} on average"
    reason = "which chance explains" if error <= perfect else f"by chance at most {perfect:.2f}"

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="perfect")
        axes.plot(rows["confidence"], rows["accuracy"], marker="o", color=BLUE, label="model")
        axes.set_xlabel("confidence of the prediction")
        axes.set_ylabel("share of correct predictions")
        axes.set_title(f"{finding}, {reason}")
        axes.legend()

    return _figure(draw, **SMALL)


def actual_and_predicted(rows: pd.DataFrame, schema: Schema, metrics: Metrics) -> Figure:
    """The actual number of each test row beside its prediction."""
    median_error = (rows["predicted"] - rows["actual"]).abs().median()
    bounds = [rows.min().min(), rows.max().max()]

    def draw(axes: Axes) -> None:
        axes.plot(bounds, bounds, color=GREY, linestyle=":", label="perfect")
        axes.scatter(rows["predicted"], rows["actual"], s=12, alpha=0.5, color=BLUE, linewidths=0)
        axes.set_xlabel(f"predicted {schema.target}")
        axes.set_ylabel(f"actual {schema.target}")
        axes.set_title(f"Half of the predictions are off by less than {median_error:.3g}")
        axes.legend()

    return _figure(draw, **SMALL)


def residuals(rows: pd.DataFrame, schema: Schema, metrics: Metrics) -> Figure:
    """The residual of each test row beside its prediction."""
    r2 = metrics.model.get("r2", np.nan)
    interval = metrics.intervals.get("r2")
    bounds = f"\n95 % interval {interval.low:.0%} to {interval.high:.0%}" if interval else ""
    title = f"The model explains {r2:.0%} of the variance{bounds}"
    if r2 <= 0:
        title = "The model is no better than the mean"

    def draw(axes: Axes) -> None:
        axes.axhline(0, color=GREY, linestyle=":")
        axes.scatter(rows["predicted"], rows["residual"], s=12, alpha=0.5, color=BLUE, linewidths=0)
        axes.set_xlabel(f"predicted {schema.target}")
        axes.set_ylabel("actual minus predicted")
        axes.set_title(title)

    return _figure(draw, **SMALL)


def error_by_decile(rows: pd.DataFrame, schema: Schema, metrics: Metrics) -> Figure:
    """The mean absolute error of each decile of the predictions."""
    errors = rows["error"].to_numpy()
    worst = int(errors.argmax())
    title = f"The error is greatest in decile {worst + 1} of {len(rows)}"
    if errors[worst] - np.median(errors) <= CLEAR * rows["spread"].iloc[worst]:
        title = "No decile has an error that is clearly greater"

    def draw(axes: Axes) -> None:
        axes.bar(range(1, len(rows) + 1), rows["error"], color=BLUE)
        axes.set_xlabel(f"deciles of the predictions, by predicted {schema.target}")
        axes.set_ylabel("mean absolute error")
        axes.set_title(title)

    return _figure(draw, **SMALL)


def importance(table: pd.DataFrame, score: str) -> Figure:
    """Permutation importance of the inputs that matter most, the greatest on top."""
    shown = table.head(MOST_NAMES).iloc[::-1]
    title = _dependence(table)

    def draw(axes: Axes) -> None:
        axes.barh(
            shown["input"],
            shown["importance"],
            xerr=CLEAR * shown["spread"],
            color=BLUE,
            ecolor=ORANGE,
        )
        axes.set_xlabel(f"drop of {score} when the input is shuffled")
        axes.set_title(title)

    return _figure(draw, height=0.9 + 0.3 * len(shown))


def slices(table: pd.DataFrame, label: str) -> Figure:
    """The parts of the test rows in which the model errs most, the clearest on top."""
    shown = table.head(MOST_NAMES).iloc[::-1]
    title = "No part is clearly worse than the rest"
    if table["is_clear"].any():
        title = textwrap.fill(f"The error is greatest where {table['segment'].iloc[0]}", NARROW)

    def draw(axes: Axes) -> None:
        pairs = zip(shown["segment"], shown["rows"], strict=True)
        names = [f"{segment} ({rows} rows)" for segment, rows in pairs]
        spread = CLEAR * shown["spread"]
        axes.barh(names, shown["error"], xerr=spread, color=BLUE, ecolor=ORANGE)
        axes.plot(shown["elsewhere"], names, "o", color=GREY, markersize=4, clip_on=False)
        axes.set_xlim(left=0)
        axes.set_xlabel(label)
        axes.set_title(title)

    return _figure(draw, height=0.9 + 0.3 * max(len(shown), 1))


def _dependence(table: pd.DataFrame) -> str:
    """On which input the model depends most, where that is no chance."""
    values = table["importance"].to_numpy()
    spreads = table["spread"].to_numpy()
    if values[0] <= CLEAR * spreads[0]:
        return "The model depends on no input more than by chance"
    rivals = np.flatnonzero(values[0] - values <= CLEAR * np.hypot(spreads[0], spreads))
    names = table["input"].iloc[rivals]
    if len(rivals) == 1:
        return f"The model depends most on {names.iat[0]}"
    return f"The model depends most on {names.iat[0]}; {len(rivals) - 1} more may matter as much"


def _strongest_pair(matrix: pd.DataFrame) -> str:
    """The pair of columns with the strongest correlation, as a sentence."""
    strength = matrix.abs().to_numpy(copy=True)
    np.fill_diagonal(strength, 0)
    row, column = divmod(int(strength.argmax()), len(strength))
    r = matrix.to_numpy()[row, column]
    return f"{matrix.columns[row]} and {matrix.columns[column]} correlate most: r = {r:.2f}"


def _histogram(column: pd.Series) -> Figure:
    lower = column.quantile(0.25)
    upper = column.quantile(0.75)

    def draw(axes: Axes) -> None:
        axes.hist(column.dropna(), bins=40, color=BLUE)
        axes.set_xlabel(str(column.name))
        axes.set_ylabel("rows")
        axes.set_title(f"Half of the rows lie between {lower:.4g} and {upper:.4g}")

    return _figure(draw)


def _figure(draw: Callable[[Axes], object], width: float = 7.0, height: float = 4.0) -> Figure:
    """A closed figure: the notebook shows it once, as the cell's last expression."""
    logger = logging.getLogger("matplotlib.font_manager")
    level = logger.level
    logger.setLevel(logging.ERROR)  # the first figure of a new user would report a font cache
    try:
        figure, axes = plt.subplots(figsize=(width, height), layout="constrained")
        draw(axes)
        lines = axes.get_title().splitlines()
        wrapped = [textwrap.fill(line, int(width * LETTERS_PER_INCH)) for line in lines]
        axes.set_title("\n".join(wrapped))
        axes.spines[["top", "right"]].set_visible(False)
        plt.close(figure)
    finally:
        logger.setLevel(level)
    return figure
