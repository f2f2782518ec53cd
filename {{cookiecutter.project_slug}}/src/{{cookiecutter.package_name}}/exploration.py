"""The figures of the exploratory notebook: every column as what it is, and the target against the
inputs that say most about it.
"""

from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator
from matplotlib.figure import Figure
from sklearn.feature_selection import mutual_info_classif, mutual_info_regression

from bakebook.contracts import Schema

from .plots import BLUE, ORANGE

MOST_COLUMNS = 24  # that a figure shows
MOST_LEVELS = 8  # categories of a column that are shown by themselves
MOST_ROWS = 5_000  # on which information is measured, and that are drawn as points
BINS = 20
FEWEST_REPEATS = 5  # of the values of a category, on average
MOST_DATES = 4  # below a plot
ACROSS = 4
SKIPPED = ("identifier", "constant", "empty")
OTHERS = "(others)"
NATS_PER_BIT = np.log(2)


def columns(table: pd.DataFrame, roles: Mapping[str, str], target: str) -> Figure:
    """One small plot per column by its role, with its share of missing values; identifiers,
    constants and empty columns are left out.
    """
    names = [str(name) for name in table.columns if name != target]
    shown = [name for name in names if roles.get(name) not in SKIPPED]
    skipped = len(names) - len(shown)

    def draw(axes: Axes, name: str) -> None:
        _draw_column(axes, table[name], roles.get(name, ""))

    title = f"{min(len(shown), MOST_COLUMNS)} of {len(shown)} columns"
    if skipped:
        title += f"; {skipped} left out (identifiers, constants, empty columns)"
    return _grid(shown[:MOST_COLUMNS], draw, title)


def report(table: pd.DataFrame) -> object:
    """skrub's interactive report of the table, or a sentence that says how to get it."""
    try:
        from skrub import TableReport
    except ImportError:
        return "skrub is not installed: uv sync --group skrub, then restart the kernel."
    return TableReport(table, verbose=0)


def information(X: pd.DataFrame, y: pd.Series, schema: Schema) -> pd.DataFrame:
    """The mutual information of each input with the target, in bits, the greatest first: input,
    information.

    It finds any dependence, not only a linear one (Kraskov et al., Phys. Rev. E 69, 2004); 0 means
    that the input alone says nothing. Columns whose values hardly repeat, such as texts, are left
    out: each value alone would seem to say everything.
    """
    rows = X.sample(min(len(X), MOST_ROWS), random_state=0)
    is_number = {name: pd.api.types.is_numeric_dtype(rows[name]) for name in rows}
    most_levels = len(rows) / FEWEST_REPEATS
    names = [name for name in rows if is_number[name] or rows[name].nunique() <= most_levels]
    codes = pd.DataFrame({name: _codes(rows[name]) for name in names})
    is_category = [not is_number[name] for name in names]
    measure = mutual_info_regression if schema.classes is None else mutual_info_classif
    found = np.zeros(0)
    if names:
        found = measure(codes, y.loc[rows.index], discrete_features=is_category, random_state=0)
    table = pd.DataFrame({"input": names, "information": found / NATS_PER_BIT})
    table = table.sort_values("information", ascending=False, kind="stable", ignore_index=True)
    return table.round({"information": 3})


def strongest(
    table: pd.DataFrame, informative: pd.DataFrame, target: str, most: int = ACROSS * 2
) -> Figure:
    """The target against the inputs that say most about it."""
    names = [name for name in informative["input"] if name in table][:most]
    is_class = not pd.api.types.is_float_dtype(table[target]) and table[target].nunique() <= BINS
    rows = table.sample(min(len(table), MOST_ROWS), random_state=0)

    def draw(axes: Axes, name: str) -> None:
        if is_class:
            _draw_by_class(axes, rows[name], rows[target])
        else:
            _draw_number_by(axes, rows[name], rows[target])
        axes.set_title(name, fontsize=9)

    best = f"{names[0]} says most about {target}" if names else f"No input to compare with {target}"
    return _grid(names, draw, best)


def _draw_column(axes: Axes, column: pd.Series, role: str) -> None:
    if role == "text":
        axes.hist(column.dropna().astype(str).str.count(r"\S+"), bins=BINS, color=BLUE)
        axes.set_xlabel("words", fontsize=8)
    elif role == "categorical" or not _has_order(column):
        counts = _levels(column).value_counts()
        axes.barh(counts.index[::-1], counts.to_numpy()[::-1], color=BLUE)
    else:
        axes.hist(column.dropna(), bins=BINS, color=BLUE)
        if pd.api.types.is_datetime64_any_dtype(column):
            axes.xaxis.set_major_locator(AutoDateLocator(maxticks=MOST_DATES))
    missing = column.isna().mean()
    note = f", {missing:.0%} missing" if missing else ""
    axes.set_title(f"{column.name}{note}", fontsize=9, color=ORANGE if missing > 0.2 else "black")


def _draw_by_class(axes: Axes, column: pd.Series, target: pd.Series) -> None:
    """Boxes of a number, or shares of the classes in each category."""
    if _has_order(column) and not pd.api.types.is_datetime64_any_dtype(column):
        classes = sorted(target.dropna().unique())
        groups = [column[target == name].dropna() for name in classes]
        axes.boxplot(groups, tick_labels=[str(name) for name in classes])
        return
    shares = pd.crosstab(_levels(column), target, normalize="index")
    left = np.zeros(len(shares))
    for name in shares:
        axes.barh(shares.index.astype(str), shares[name], left=left, label=str(name))
        left += shares[name].to_numpy()
    axes.legend(fontsize=7)


def _draw_number_by(axes: Axes, column: pd.Series, target: pd.Series) -> None:
    """Points, or boxes for each category."""
    if _has_order(column):
        axes.scatter(column, target, s=4, alpha=0.4, color=BLUE)
        return
    levels = _levels(column)
    groups = [(name, target[levels == name].dropna()) for name in levels.value_counts().index]
    axes.boxplot([values for _, values in groups], tick_labels=[name for name, _ in groups])
    axes.tick_params(axis="x", rotation=45)


def _levels(column: pd.Series) -> pd.Series:
    """The most frequent values as text; all others are one."""
    texts = column.astype(object).where(column.notna(), "(missing)").astype(str).str.slice(0, 20)
    frequent = texts.value_counts().index[:MOST_LEVELS]
    return texts.where(texts.isin(frequent), OTHERS)


def _has_order(column: pd.Series) -> bool:
    is_number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    return is_number or pd.api.types.is_datetime64_any_dtype(column)


def _codes(column: pd.Series) -> pd.Series:
    """Numbers without gaps: categories by their place, a missing number as the median."""
    if pd.api.types.is_numeric_dtype(column):
        return column.fillna(column.median()).fillna(0)
    return pd.Series(pd.factorize(column)[0], index=column.index)


def _grid(names: Sequence[str], draw: Callable[[Axes, str], None], title: str) -> Figure:
    down = max(1, -(-len(names) // ACROSS))
    figure, grid = plt.subplots(
        down, ACROSS, figsize=(11, 2.3 * down), layout="constrained", squeeze=False
    )
    for axes in grid.flat[len(names) :]:
        axes.set_visible(False)
    for axes, name in zip(grid.flat, names, strict=False):
        draw(axes, name)
        axes.tick_params(labelsize=7)
    figure.suptitle(title)
    plt.close(figure)
    return figure
