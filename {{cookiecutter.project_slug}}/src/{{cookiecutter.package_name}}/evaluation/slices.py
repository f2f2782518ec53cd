"""Where a model errs most: for each input, the part of the test rows with the greatest error."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bakebook.contracts import Input, Metrics, Schema
from bakebook.models.encoding import MISSING, UNKNOWN, tensor_types
from bakebook.models.task import Holdout, Plot

from .. import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEWEST_ROWS = 10  # of a part, and of the rows outside it
QUARTERS = 4
CHANCE = 0.05  # that any part of all seems clearly worse when none is
COLUMNS = ["segment", "rows", "error", "elsewhere", "spread", "is_clear"]

Errors = Callable[[Holdout], np.ndarray]  # of each row (n,)
Found = tuple[str, int, float, float, float]
Part = tuple[str, np.ndarray]  # its name, and which rows belong to it (n,)


def slices_plot(errors: Errors, label: str) -> Plot:
    """The plot of a task by the error that people call `label`."""

    def draw(table: pd.DataFrame, schema: Schema, metrics: Metrics) -> "Figure":
        return plots.slices(table, label)

    return Plot(
        name="slices",
        title="Error by segment",
        caption=(
            "For each input, the category, quarter or part of a time with the greatest error. The"
            " lines are two standard errors; a dot is the error of all other rows."
        ),
        template="bar_horizontal",
        x="error",
        y="segment",
        table=partial(worst, errors=errors),
        draw=draw,
    )


def worst(holdout: Holdout, *, errors: Errors) -> pd.DataFrame:
    """The worst part of each input, the one that stands out most first: segment, rows, error,
    elsewhere (the error of the other rows), spread (the standard error of their difference), and
    whether it is clear beside the number of parts that were compared (Bonferroni).
    """
    found = errors(holdout)
    blocks = np.arange(len(found)) if holdout.blocks is None else holdout.blocks
    rows: list[Found] = []
    compared = 0
    for column in holdout.schema.inputs:
        candidates: list[Found] = []
        for name, inside in _parts(column, holdout.X):
            if FEWEST_ROWS <= inside.sum() <= len(inside) - FEWEST_ROWS:
                candidates.append((name, *_difference(found, inside, blocks)))
        compared += len(candidates)
        rows += sorted(candidates, key=_clearness)[-1:]
    rows.sort(key=_clearness, reverse=True)
    table = pd.DataFrame(rows, columns=COLUMNS[:-1])
    limit = NormalDist().inv_cdf(1 - CHANCE / max(compared, 1))
    gap = table["error"] - table["elsewhere"]
    table["is_clear"] = gap > limit * table["spread"]
    return table.round(6)


def _difference(
    errors: np.ndarray, inside: np.ndarray, blocks: np.ndarray
) -> tuple[int, float, float, float]:
    """Rows, mean error inside and outside, and the standard error of the difference; related rows
    count once.
    """
    means, variances = [], []
    for part in (inside, ~inside):
        independent = len(np.unique(blocks[part]))
        means.append(errors[part].mean())
        variances.append(errors[part].var() / max(independent - 1, 1))
    return int(inside.sum()), means[0], means[1], float(np.sqrt(sum(variances)))


def _clearness(row: Found) -> float:
    """The difference in standard errors: infinite where all rows inside and all outside are alike,
    and it is worse inside.
    """
    _, _, error, elsewhere, spread = row
    gap = error - elsewhere
    if spread:
        return gap / spread
    return math.inf if gap > 0 else gap


def _parts(column: Input, X: pd.DataFrame) -> Iterator[Part]:
    """The parts of the rows by one input: categories, quarters of a number, gaps."""
    for name, kind in tensor_types(column).items():
        values = X[name]
        if kind == "category":
            yield from _categories(column.name, values)
        elif kind == "number" and not name.endswith(f"({MISSING})"):
            is_gap = values.isna().to_numpy()
            yield f"{column.name} is missing", is_gap
            yield from _quarters(name, values + (column.offset or 0), column.role == "boolean")


def _categories(name: str, values: pd.Series) -> Iterator[Part]:
    for level in values.unique():
        inside = (values == level).to_numpy()
        if level == UNKNOWN:
            yield f"{name} is rare or new", inside
        else:
            yield f"{name} = {level}" if level else f"{name} is missing", inside


def _quarters(name: str, values: pd.Series, is_boolean: bool) -> Iterator[Part]:
    """Each value where there are few, else quarters of equal size."""
    if values.nunique() <= QUARTERS:
        for value in sorted(values.dropna().unique()):
            shown = bool(value) if is_boolean else f"{value:g}"
            yield f"{name} = {shown}", (values == value).to_numpy()
        return
    edges = np.unique(np.nanquantile(values, np.linspace(0, 1, QUARTERS + 1)))
    for place, (low, high) in enumerate(pairwise(edges)):
        above = values >= low if place == 0 else values > low
        yield f"{name} {low:.4g} to {high:.4g}", (above & (values <= high)).to_numpy()
