"""A score over the windows as an SVG: measured and estimated, beside threshold and training."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from bakebook.monitoring.results import Criterion, Measured, Monitoring, Window

WIDTH = 560
HEIGHT = 300
LEFT = 50
RIGHT = 20
TOP = 30
BOTTOM = 45
MOST_LABELS = 7  # below the axis
STEPS = 5  # of the scale
HEADROOM = 1.1  # of an error's scale
MEASURED = "#1f6feb"
ESTIMATED = "#8a63d2"
THRESHOLD = "#cf222e"
TRAINING = "#7d8590"
INK = "currentColor"


@dataclass(frozen=True)
class _Scale:
    """Where windows and scores are in the picture."""

    windows: int
    top: float  # the greatest score

    def x(self, place: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (place + 0.5) / self.windows

    def y(self, score: float) -> float:
        share = min(max(score / self.top, 0.0), 1.0)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share


def chart(found: Monitoring, name: str) -> str:
    """The windows' scores; empty without a window."""
    if not found.windows:
        return ""
    criterion = found.criteria[name]
    scale = _Scale(len(found.windows), _top(found, name, criterion))
    parts = [
        *_axes(scale, found.windows),
        *_changes(scale, found.windows),
        *_level(scale, criterion.threshold, "threshold", THRESHOLD, "6 4"),
    ]
    if criterion.training is not None:
        parts += _level(scale, criterion.training, "training", TRAINING, "2 4")
    parts += _series(scale, [one.estimated.get(name) for one in found.windows], ESTIMATED, "5 4")
    parts += _series(scale, [one.measured.get(name) for one in found.windows], MEASURED, "")
    title = f"{name} of each window: measured, estimated, threshold and training"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' width="100%" font-family="system-ui, sans-serif"'
        f' font-size="12"><title>{escape(title)}</title>{"".join(parts)}{_legend()}</svg>'
    )


def _top(found: Monitoring, name: str, criterion: Criterion) -> float:
    """1 for a share; of an error the greatest that is shown."""
    shown = [criterion.threshold, criterion.training or 0.0]
    for window in found.windows:
        for one in (window.measured.get(name), window.estimated.get(name)):
            if one:
                shown.append(one.interval.high if one.interval else one.score)
    greatest = max(shown)
    return 1.0 if greatest <= 1 and criterion.threshold <= 1 else greatest * HEADROOM


def _axes(scale: _Scale, windows: Sequence[Window]) -> list[str]:
    parts = []
    for step in range(STEPS + 1):
        value = scale.top * step / STEPS
        y = scale.y(value)
        parts.append(_line(LEFT, y, WIDTH - RIGHT, y, INK, "", opacity=0.2))
        parts.append(_text(LEFT - 6, y + 4, f"{value:.3g}", "end", INK))
    every = -(-len(windows) // MOST_LABELS)
    for place in range(0, len(windows), every):
        shown = f"{windows[place].start:%Y-%m-%d}"
        parts.append(_text(scale.x(place), HEIGHT - BOTTOM + 16, shown, "middle", INK, size=10))
    return parts


def _changes(scale: _Scale, windows: Sequence[Window]) -> list[str]:
    """A line where another model began to answer."""
    parts = []
    last = ""
    for place, window in enumerate(windows):
        for number, model in enumerate(window.models):
            if last and model != last:
                x = scale.x(place - 0.5 + number / len(window.models))
                parts.append(_line(x, TOP, x, HEIGHT - BOTTOM, TRAINING, ""))
                parts.append(_text(x + 3, TOP + 10, f"model {model[:7]}", "start", size=10))
            last = model
    return parts


def _level(scale: _Scale, value: float, label: str, colour: str, dash: str) -> list[str]:
    y = scale.y(value)
    text = _text(WIDTH - RIGHT, y - 4, f"{label} {value:.3g}", "end", colour)
    return [_line(LEFT, y, WIDTH - RIGHT, y, colour, dash), text]


def _series(scale: _Scale, scores: Sequence[Measured | None], colour: str, dash: str) -> list[str]:
    """Points with their intervals; the line between them is broken where a window has none."""
    parts = []
    before: tuple[float, float] | None = None
    for place, one in enumerate(scores):
        if one is None:
            before = None
            continue
        x = scale.x(place + (0.08 if dash else 0))
        y = scale.y(one.score)
        if before:
            parts.append(_line(*before, x, y, colour, dash, width=2))
        if one.interval:
            low = scale.y(one.interval.low)
            high = scale.y(one.interval.high)
            parts.append(_line(x, low, x, high, colour, "", opacity=0.5))
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>')
        before = (x, y)
    return parts


def _legend() -> str:
    measured = _text(LEFT, 16, "● measured, with its 95 % interval", "start", MEASURED)
    estimated = _text(LEFT + 230, 16, "● estimated without labels", "start", ESTIMATED)
    return measured + estimated


def _line(
    x1: float,
    y1: float,
    x2: float,
    y2: float,
    colour: str,
    dash: str,
    width: float = 1,
    opacity: float = 1,
) -> str:
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"'
        f' stroke-width="{width}" opacity="{opacity}"{dashes}/>'
    )


def _text(
    x: float, y: float, text: str, anchor: str, colour: str = TRAINING, size: int = 12
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"'
        f' font-size="{size}">{escape(text)}</text>'
    )
