"""What the monitor found, for people: sentences, tables, and a page that needs nothing else."""

from datetime import datetime, time as time_of_day
from html import escape

import pandas as pd

from bakebook.monitoring.chart import chart
from bakebook.monitoring.influence import ERRORS
from bakebook.monitoring.results import Change, Criterion, Drift, Measured, Monitoring

MIDNIGHT = time_of_day()
MOST_SHOWN = 10  # inputs in a table
MOST_NAMED = 3  # in a sentence
NOTHING = "There are no predictions yet."
TOO_FEW = "No window has enough predictions to compare them with the training."
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
svg { max-width: 50rem }
table { border-collapse: collapse; display: block; overflow-x: auto }
td, th { padding: .3rem .6rem; text-align: left; border-bottom: 1px solid #ddd }
td { white-space: nowrap }
"""


def verdict(found: Monitoring) -> str:
    """Whether there is an alarm, in one sentence."""
    if found.alarms:
        return f"Alarm: {alarm(found)}."
    if not found.windows:
        return NOTHING
    if not any(one.labels for one in found.windows):
        return "No alarm, and no label to measure a score with."
    low = [name for name in found.criteria if _is_low(found, name)]
    if low:
        return f"No alarm: {' and '.join(low)} was last worse than the threshold, maybe by chance."
    return "No alarm."


def alarm(found: Monitoring) -> str:
    """The scores that fell below their thresholds; empty without an alarm."""
    return " and ".join(_fallen(found, name) for name in found.alarms)


def facts(found: Monitoring) -> list[str]:
    """What a reader must know beside the verdict, a sentence each."""
    if not found.windows:
        return [
            "The service stores each prediction; the next report shows them.",
            *_future(found),
        ]
    last = found.windows[-1]
    sentences = [
        f"The last window, from {_moment(last.start)}, has {last.predictions} predictions and"
        f" {last.labels} labels of the random sample.",
        *_future(found),
    ]
    for name in found.criteria:
        sentences.append(_score_sentence(found, name))
    sentences.append(_drift_sentence(found))
    return sentences


def _future(found: Monitoring) -> list[str]:
    if not found.future:
        return []
    return [
        f"{found.future} predictions are dated in the future and take no part: the clock of a"
        " service was wrong."
    ]


def windows_table(found: Monitoring) -> pd.DataFrame | str:
    """One row per window, the newest first."""
    if not found.windows:
        return NOTHING
    rows = []
    for one in found.windows[::-1]:
        row: dict[str, object] = {
            "from": _moment(one.start),
            "predictions": one.predictions,
            "labels": one.labels,
            "unfamiliar": one.unfamiliar,
            "median ms": _milliseconds(one.latency_ms),
            "95 of 100 below, ms": _milliseconds(one.slow_ms),
        }
        for name in found.criteria:
            row[f"{name} measured"] = _shown(one.measured.get(name))
            row[f"{name} estimated"] = _shown(one.estimated.get(name))
        row["model"] = ", ".join(one.models)
        rows.append(row)
    return pd.DataFrame(rows)


def drift_table(found: Monitoring) -> pd.DataFrame | str:
    """The changes since the training, the model's own outputs first."""
    if found.drift.together is None:
        return TOO_FEW
    drift = found.drift
    changes = [*drift.outputs, found.drift.together, *drift.inputs[:MOST_SHOWN]]
    return pd.DataFrame([_row(one) for one in changes])


def quality_table(found: Monitoring) -> pd.DataFrame | str:
    """The inputs with the most faults."""
    if not found.quality:
        return NOTHING
    rows = []
    for one in found.quality[:MOST_SHOWN]:
        rows.append(
            {
                "input": one.name,
                "missing": f"{one.missing:.1%}",
                "usually missing": f"{one.usually_missing:.1%}",
                "new, or out of range": f"{one.unseen:.1%}",
            }
        )
    return pd.DataFrame(rows)


def charts(found: Monitoring) -> str:
    """A chart of each score."""
    return "\n".join(chart(found, name) for name in found.criteria)


def page(found: Monitoring) -> str:
    """The report as one HTML page."""
    sentences = "".join(f"<p>{escape(text)}</p>\n" for text in facts(found))
    tables = {
        "Windows": windows_table(found),
        "What has changed since the training": drift_table(found),
        "Missing and new values": quality_table(found),
    }
    shown = "".join(_section(title, table) for title, table in tables.items())
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(verdict(found))}</title>\n<style>{STYLE}</style>\n"
        f"<h1>{escape(verdict(found))}</h1>\n{sentences}{charts(found)}\n{shown}</html>\n"
    )


def _section(title: str, table: pd.DataFrame | str) -> str:
    if isinstance(table, str):
        return ""
    return f"<h2>{escape(title)}</h2>\n{table.to_html(index=False, border=0)}\n"


def _is_low(found: Monitoring, name: str) -> bool:
    """Whether the last measured score is worse than its threshold."""
    last = _last_measured(found, name)
    if last is None:
        return False
    gain = last.score - found.criteria[name].threshold
    return gain > 0 if name in ERRORS else gain < 0


def _last_measured(found: Monitoring, name: str) -> Measured | None:
    for window in found.windows[::-1]:
        if name in window.measured:
            return window.measured[name]
    return None


def _fallen(found: Monitoring, name: str) -> str:
    how = "has risen above" if name in ERRORS else "has fallen below"
    return f"{name} {how} {found.criteria[name].threshold:.3g}"


def _score_sentence(found: Monitoring, name: str) -> str:
    one = found.criteria[name]
    last = _last_measured(found, name)
    limit = f"The threshold is {one.threshold:.3g}{_trained(one, name)}."
    if last is None:
        return f"{name} was never measured. {limit}"
    return f"{name} was last measured as {_shown(last)}. {limit}"


def _trained(one: Criterion, name: str) -> str:
    """The score of the training, beside a threshold."""
    if one.training is None:
        return ""
    gain = one.training - one.threshold
    if gain > 0 if name in ERRORS else gain < 0:
        return f", which the test rows did not reach either: they gave {one.training:.3g}"
    return f", and the test rows gave {one.training:.3g}"


def _drift_sentence(found: Monitoring) -> str:
    drift = found.drift
    if drift.together is None:
        return TOO_FEW
    since = f"{drift.first:%Y-%m-%d}"
    changed = [one.name for one in (*drift.outputs, *drift.inputs) if one.is_changed]
    if not changed and not drift.together.is_changed:
        return f"Since {since}, outputs and inputs are distributed as in the training."
    named = ", ".join(changed[:MOST_NAMED]) or _together(drift)
    more = f" and {len(changed) - MOST_NAMED} more" if len(changed) > MOST_NAMED else ""
    return f"Since {since}, these are distributed differently than in the training: {named}{more}."


def _together(drift: Drift) -> str:
    by = f", above all {', '.join(drift.told_by)}" if drift.told_by else ""
    return f"only all inputs together{by}"


def _milliseconds(time: float | None) -> object:
    return "" if time is None else time


def _row(one: Change) -> dict[str, object]:
    return {
        "what": one.name,
        "changed": "yes" if one.is_changed else "no",
        "distance": f"{one.distance:.2f}",
        "p": f"{one.p:.2g}",
    }


def _moment(time: datetime) -> str:
    """A day, or a minute of it."""
    return f"{time:%Y-%m-%d}" if time.time() == MIDNIGHT else f"{time:%Y-%m-%d %H:%M}"


def _shown(one: Measured | None) -> str:
    if one is None:
        return ""
    return f"{one.score:.3f}" + (f" {one.interval}" if one.interval else "")
