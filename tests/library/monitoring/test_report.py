"""What the report says, and that its picture is well-formed."""

from datetime import datetime
from xml.etree import ElementTree as ET

import pytest

from bakebook.contracts import Interval
from bakebook.monitoring import report
from bakebook.monitoring.results import Criterion, Measured, Monitoring, Window

SVG = "{http://www.w3.org/2000/svg}"


def measured(score: float) -> Measured:
    return Measured(score=score, interval=Interval(low=score - 0.1, high=score + 0.1), rows=50)


def monitoring(*scores: float | None, is_alarm: bool = False, models: tuple[str, ...] = ("one",)) -> Monitoring:
    windows = []
    for month, score in enumerate(scores, start=1):
        start, end = datetime(2026, month, 1), datetime(2026, month + 1, 1)
        found = {} if score is None else {"f1_macro": measured(score)}
        labels = 0 if score is None else 50
        windows.append(
            Window(
                start=start,
                end=end,
                predictions=100,
                labels=labels,
                other_labels=0,
                unfamiliar=0,
                models=models if month == 2 else models[:1],
                measured=found,
                estimated={"f1_macro": measured(0.8)},
            )
        )
    criteria = {"f1_macro": Criterion(threshold=0.55, training=0.82, is_alarm=is_alarm)}
    return Monitoring(model="one", alpha=0.05, windows=tuple(windows), criteria=criteria)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (monitoring(), "There are no predictions yet."),
        (monitoring(None), "No alarm, and no label to measure a score with."),
        (monitoring(0.8), "No alarm."),
        (monitoring(0.8, 0.5), "No alarm: f1_macro was last worse than the threshold, maybe by chance."),
        (monitoring(0.8, 0.3, is_alarm=True), "Alarm: f1_macro has fallen below 0.55."),
    ],
)
def test_the_verdict_is_one_sentence(found: Monitoring, sentence: str) -> None:
    assert report.verdict(found) == sentence
    assert f"<h1>{sentence}</h1>" in report.page(found)


def test_the_chart_shows_each_measured_window_and_where_another_model_began() -> None:
    found = monitoring(0.8, None, 0.4, models=("one", "another"))
    drawn = ET.fromstring(report.charts(found))  # noqa: S314 - our own
    circles = [one for one in drawn.iter(f"{SVG}circle") if one.get("fill") == "#1f6feb"]
    texts = [one.text for one in drawn.iter(f"{SVG}text")]
    assert len(circles) == 2
    assert {"threshold 0.55", "training 0.82", "model another", "2026-03-01"} <= set(texts)
    heights = [float(one.get("cy", 0)) for one in circles]
    assert heights[0] < heights[1]  # the lower score is further down


def test_a_threshold_that_was_never_met_is_said() -> None:
    found = monitoring(0.5, is_alarm=True)
    never = {"f1_macro": Criterion(threshold=0.9, training=0.82, is_alarm=True)}
    assert "The threshold is 0.55, and the test rows gave 0.82." in report.facts(found)[1]
    said = report.facts(found.model_copy(update={"criteria": never}))[1]
    assert "The threshold is 0.9, which the test rows did not reach either: they gave 0.82." in said


@pytest.mark.parametrize("found", [monitoring(), monitoring(0.8)])
def test_a_clock_that_was_ahead_is_said(found: Monitoring) -> None:
    ahead = found.model_copy(update={"future": 3})
    assert any("3 predictions are dated in the future" in text for text in report.facts(ahead))
    assert "in the future" not in "".join(report.facts(found))


def test_a_page_escapes_what_it_shows() -> None:
    found = monitoring(0.8)
    window = found.windows[0].model_copy(update={"models": ("<script>",)})
    page = report.page(found.model_copy(update={"windows": (window,)}))
    assert "<script>" not in page and "&lt;script&gt;" in page


def test_a_report_without_windows_has_words_and_no_empty_table() -> None:
    page = report.page(monitoring())
    assert "<table" not in page and "<svg" not in page
    assert report.windows_table(monitoring()) == "There are no predictions yet."
