"""The measured score of each window, from the labels of the random sample."""

from collections.abc import Mapping

import numpy as np
from scipy.special import expit, logit

from bakebook.contracts import Interval
from bakebook.errors import BadInput, did_you_mean
from bakebook.models.intervals import exact_share
from bakebook.monitoring import alarm
from bakebook.monitoring.influence import ERRORS, OTHER, SCORES, Rows, with_right_rows
from bakebook.monitoring.observations import Labelled
from bakebook.monitoring.reference import Reference
from bakebook.monitoring.results import Criterion, Measured
from bakebook.params import Threshold

WIDTH = 1.96  # standard errors on each side of a 95 % interval
DIGITS = 6


def thresholds(criteria: Mapping[str, Threshold], reference: Reference) -> dict[str, float]:
    """The number for each score. Raises BadInput for a score that cannot be watched."""
    is_number = reference.signature.classes is None
    found = {}
    for name, value in criteria.items():
        known = [one for one in SCORES if (one in ERRORS) == is_number]
        if name not in known:
            remedy = did_you_mean(name, known) or f"choose from {', '.join(known)}"
            raise BadInput(f"monitor.criteria: '{name}' cannot be watched", remedy)
        baseline = reference.metrics.baseline.get(name)
        if value == "baseline" and baseline is None:
            what = f"monitor.criteria.{name} is 'baseline', and a guess has no {name}"
            raise BadInput(what, "write a number")
        found[name] = float(baseline if value == "baseline" else value)  # type: ignore[arg-type]
        if not np.isfinite(found[name]) or (is_number and found[name] <= 0):
            what = f"monitor.criteria.{name} is {found[name]:g}, which no score is worse than"
            raise BadInput(what, "write a number above 0" if is_number else "write a number")
    return found


def measured(rows: Labelled, names: Mapping[str, float]) -> dict[str, Measured]:
    """The scores of the labels of the random sample; nothing without one."""
    labelled = _of_sample(rows)
    count = len(labelled[0])
    if not count:
        return {}
    found = {}
    for name in names:
        score, _ = SCORES[name](*labelled)
        interval = interval_of(name, labelled)
        found[name] = Measured(score=round(score, DIGITS), interval=interval, rows=count)
    return found


def interval_of(name: str, rows: Rows) -> Interval | None:
    """The 95 % interval of a score by its influences, on the scale of the logit (of an error: the
    logarithm) where it is closer to normal; None for a single row.
    """
    count = len(rows[0])
    score, _ = SCORES[name](*rows)
    if count < 2:
        return None
    if name not in ERRORS and score in (0, 1):
        return exact_share(round(score * count), count)
    is_error = name in ERRORS
    seen, influence = SCORES[name](*(rows if is_error else with_right_rows(rows)))
    error = float(np.sqrt(np.mean(influence**2) / count))
    if is_error:
        factor = np.exp(WIDTH * error / score) if score else 1.0
        return Interval(low=round(score / factor, DIGITS), high=round(score * factor, DIGITS))
    seen = min(max(seen, 1 / count), 1 - 1 / count)
    half = WIDTH * error / (seen * (1 - seen))
    low, high = expit(logit(score) + np.array([-half, half]))
    return Interval(low=round(float(low), DIGITS), high=round(float(high), DIGITS))


def judged(
    rows: Labelled, reference: Reference, limits: Mapping[str, float], alpha: float
) -> dict[str, Criterion]:
    """Whether each score of the model that answers now has fallen below its threshold; the
    probability of any wrong alarm is at most `alpha`.
    """
    own = rows.take(rows.model == reference.version)
    known = reference.signature.classes
    windows = []
    for number in range(rows.first, rows.last + 1):
        truth, predicted = _of_sample(own.take(own.window == number))
        if known is not None:
            truth = np.where(truth < len(known), truth, OTHER)
        windows.append((truth, predicted))
    before = max(0, rows.first - rows.begin)
    found = {}
    for name, limit in limits.items():
        rule = alarm.Rule(name, limit, alpha / len(limits))
        evidence = alarm.evidence(windows, rule, before)
        found[name] = Criterion(
            threshold=limit,
            training=reference.metrics.model.get(name),
            evidence=round(evidence, DIGITS),
            limit=1 / rule.alpha,
            is_alarm=evidence >= 1 / rule.alpha,
        )
    return found


def _of_sample(rows: Labelled) -> Rows:
    return rows.truth[rows.is_sample], rows.predicted[rows.is_sample]
