"""What a simulation found, as `reports/simulation.json` has it, in sentences and as a figure."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bakebook.contracts import Contract, Version
from bakebook.monitoring.influence import ERRORS
from bakebook.monitoring.results import Measured
from bakebook.params import Shift

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE = "#1f6feb"
VIOLET = "#8a63d2"
RED = "#cf222e"
GREY = "#7d8590"
MEASURED = {"color": BLUE, "marker": "o", "label": "measured, with its 95 % interval"}
ESTIMATED = {
    "color": VIOLET,
    "marker": ".",
    "linestyle": "--",
    "label": "estimated, without labels",
}
ALARM = {"color": RED, "marker": "o", "linestyle": "", "label": "alarm"}
BETWEEN = 0.5  # of a month, after which the next one begins
TOP = 0.02  # of the figure's height
HEADROOM = 1.05
SIZE = (9.0, 4.8)  # inches
TITLE = {
    "gradual": "inputs and target are related differently, month by month more",
    "sudden": "inputs and target are related differently from the middle on",
    "inputs": "the inputs move, their relation to the target stays",
    "none": "nothing changes",
}


class Month(Contract):
    """The predictions of one month: `measured` by their labels, `estimated` without any in that
    month. `model` is the one that answered at its end.
    """

    number: int
    measured: Measured | None = None
    estimated: Measured | None = None
    is_alarm: bool
    model: str


class Simulation(Contract):
    """`simulation.json`. `retrained` are the months at whose end a new model was promoted,
    `refused` those at whose end one was not.
    """

    version: Version = "1"
    shift: Shift
    seed: int
    predictions: int  # in each month
    score: str
    threshold: float
    training: float | None = None
    months: list[Month]
    retrained: list[int]
    refused: list[int]
    requests: int
    failures: dict[str, int]  # how many for each reason
    audit: list[dict[str, Any]]

    @property
    def scores(self) -> dict[int, Measured]:
        """The measured score of each month that has one."""
        return {one.number: one.measured for one in self.months if one.measured}


def sentences(found: Simulation) -> list[str]:
    """What happened."""
    lines = [f"{len(found.months)} months of {found.predictions} predictions: {TITLE[found.shift]}"]
    if scores := {month: one.score for month, one in found.scores.items()}:
        worst = (max if found.score in ERRORS else min)(scores, key=scores.__getitem__)
        told = sorted({min(scores), worst, max(scores)})
        shown = ", ".join(f"{scores[month]:.2f} in month {month}" for month in told)
        lines.append(f"{found.score} was {shown}; the threshold is {found.threshold:.3g}")
    alarms = [month.number for month in found.months if month.is_alarm]
    lines.append(f"alarms: {_listed(alarms)}; retrained: {_listed(found.retrained)}")
    if found.refused:
        lines.append(f"a new model was not promoted: {_listed(found.refused)}")
    lines.append(f"{sum(found.failures.values())} of {found.requests} requests failed")
    return [*lines, *(f"  {count}: {reason}" for reason, count in found.failures.items())]


def _listed(numbers: list[int]) -> str:
    return f"month {', '.join(map(str, numbers))}" if numbers else "none"


def figure(found: Simulation) -> "Figure":
    """The score of each month, measured and estimated, beside threshold and training."""
    from matplotlib.figure import Figure

    picture = Figure(figsize=SIZE, layout="constrained")
    axes = picture.subplots()
    axes.axhline(found.threshold, color=RED, linestyle="--", linewidth=1, label="threshold")
    if found.training is not None:
        axes.axhline(found.training, color=GREY, linestyle=":", linewidth=1, label="test rows")
    for number in found.retrained:
        axes.axvline(number + BETWEEN, color=GREY, linewidth=1)
        is_right = number > len(found.months) / 2
        axes.text(
            number + BETWEEN,
            TOP,
            " retrained and promoted ",
            transform=axes.get_xaxis_transform(),  # x in months, y as a share of the height
            horizontalalignment="right" if is_right else "left",
            color=GREY,
            fontsize=9,
        )
    _draw(axes, {one.number: one.estimated for one in found.months}, ESTIMATED)
    _draw(axes, dict(found.scores), MEASURED)
    bands = {month: one.interval for month, one in found.scores.items() if one.interval}
    low, high = ([getattr(one, end) for one in bands.values()] for end in ("low", "high"))
    axes.fill_between(list(bands), low, high, color=BLUE, alpha=0.15, linewidth=0)
    alarms = {one.number: one.measured for one in found.months if one.is_alarm}
    _draw(axes, alarms, ALARM)
    axes.set_xticks([one.number for one in found.months])
    axes.set_xlabel(f"month, of {found.predictions} predictions")
    axes.set_ylabel(found.score)
    if found.score not in ERRORS:
        axes.set_ylim(0, HEADROOM)
    axes.set_title(f"Simulated production: {TITLE[found.shift]}", loc="left", fontsize=11)
    axes.legend(loc="upper left" if found.score in ERRORS else "lower left", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return picture


def _draw(axes: "Axes", given: Mapping[int, Measured | None], style: Mapping[str, Any]) -> None:
    points = {number: one.score for number, one in given.items() if one}
    axes.plot(list(points), list(points.values()), **style)
