"""Whether a score has fallen below a threshold: a test that may be read as often as one likes.

For each window the rows from there to the last one are tested, so that good months do not hide a
bad one. Each test is a mixture of likelihood ratios over normal means (Robbins, Annals of
Mathematical Statistics 1970), made for any score by its influences (Waudby-Smith et al., Annals of
Statistics 2024); their weighted mean is the evidence. While the score is not below the threshold,
the evidence ever exceeds 1/alpha with a probability of at most alpha (Ville's inequality; for many
rows), whenever and however often one looks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr, logsumexp

from bakebook.monitoring.influence import ERRORS, SCORES, Rows, with_right_rows

FEWEST_ROWS = 30  # with a label, for one test
MOST_LOG_EVIDENCE = 690.0  # of which the exponential is still a number
USUAL_VARIANCE = 0.25  # of a row's influence, an error's in units of the threshold


@dataclass(frozen=True)
class Rule:
    """What raises an alarm: a score (of SCORES) worse than a threshold; `alpha` is the greatest
    probability of ever raising it wrongly.
    """

    score: str
    threshold: float
    alpha: float


def evidence(windows: Sequence[Rows], rule: Rule, before: int = 0) -> float:
    """The evidence that the score is worse than the threshold since some window: 1 where nothing
    speaks for it, and an alarm from 1/alpha on. `before` is the number of earlier windows: their
    tests are left out, which only makes an alarm rarer.
    """
    tests = [_log_evidence(_since(windows, start), rule) for start in range(len(windows))]
    places = before + np.arange(len(windows))
    weights = -np.log((places + 1) * (places + 2))
    rest = -np.log(before + len(windows) + 1)  # the weight of the windows to come
    total = logsumexp([*(tests + weights), rest])
    return float(np.exp(min(total, MOST_LOG_EVIDENCE)))


def is_alarm(windows: Sequence[Rows], rule: Rule) -> bool:
    """Whether the score fell below the threshold, as far as can be told with certainty."""
    return evidence(windows, rule) >= 1 / rule.alpha


def _since(windows: Sequence[Rows], start: int) -> Rows:
    truth, predicted = zip(*windows[start:], strict=True)
    return np.concatenate(truth), np.concatenate(predicted)


def _log_evidence(rows: Rows, rule: Rule) -> float:
    count = len(rows[0])
    if count < FEWEST_ROWS:
        return 0.0
    is_error = rule.score in ERRORS
    score, influence = SCORES[rule.score](*(rows if is_error else with_right_rows(rows)))
    worse = score - rule.threshold if is_error else rule.threshold - score
    unit = rule.threshold if is_error else 1.0
    total = worse / unit * len(influence)
    variance = float(np.sum((influence / unit) ** 2))
    prior = USUAL_VARIANCE * FEWEST_ROWS
    spread = variance + prior
    ratio = 0.5 * np.log(prior / spread) + total**2 / (2 * spread)
    return float(np.log(2) + ratio + log_ndtr(total / np.sqrt(spread)))
