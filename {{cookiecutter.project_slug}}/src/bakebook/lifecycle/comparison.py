"""Whether a model is worse than the champion: both predict the same rows, which neither was trained
on.
"""

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from bakebook.contracts import Interval, Schema
from bakebook.errors import BadInput, CheckFailed, first_few, first_line
from bakebook.lifecycle.candidate import UNCOMPARED, Known
from bakebook.models.held_out import identities
from bakebook.models.intervals import FEWEST_BLOCKS, difference
from bakebook.models.rows import blocks_of, rows_of
from bakebook.models.runtime import Model
from bakebook.models.task import Score

FEWEST_ROWS = 20  # with which two models can be compared
MOST_NAMED = 3
RANDOM_STATE = 0  # of the resamples: the same models are always judged alike


@dataclass(frozen=True)
class Comparison:
    """Two models in one score; `interval` is that of what the candidate gains, below 0 what it
    loses.
    """

    score: str
    candidate: float
    champion: float
    interval: Interval
    rows: int
    is_worse: bool  # or may be, by more than the margin

    def __str__(self) -> str:
        return (
            f"{self.score} {self.candidate:.3f}, the champion {self.champion:.3f}"
            f" on {self.rows} rows that neither was trained on; gain {self.interval}"
        )

    def as_details(self) -> dict[str, object]:
        """For the audit."""
        return asdict(self) | {"interval": [self.interval.low, self.interval.high]}


def compare(
    candidate: Known, champion: Known, test: pd.DataFrame, name: str, score: Score, margin: float
) -> Comparison:
    """The comparison in a score on the test rows of the candidate. It is worse unless the 95 %
    interval of its gain is above -margin; of an error, `margin` is a share of the champion's.

    Raises BadInput when the champion cannot predict this table, CheckFailed without enough rows.
    """
    _stop_unless_alike(candidate, champion, test)
    rows = test[_is_new(test, candidate, champion)]
    if len(rows) < FEWEST_ROWS:
        what = f"only {len(rows)} of {len(test)} test rows are new to the champion"
        raise CheckFailed(f"the models cannot be compared: {what}", UNCOMPARED)
    classes = _all_classes(candidate, champion)
    answers = [_answers(one.model, rows, classes) for one in (candidate, champion)]
    y = _truth(rows, candidate.schema, classes)
    reached, before = (score.compute(y, *one) for one in answers)
    blocks = blocks_of(rows_of(rows, candidate.schema))
    if blocks is not None and len(np.unique(blocks)) < FEWEST_BLOCKS:
        what = f"the test rows are of fewer than {FEWEST_BLOCKS} groups"
        raise CheckFailed(f"the models cannot be compared: {what}", UNCOMPARED)
    better, worse = answers if score.more_is_better else answers[::-1]
    gain = difference(score.compute, y, better, worse, RANDOM_STATE, blocks)
    if not np.isfinite([reached, before, gain.low]).all():
        what = f"{name} cannot be computed for both"
        raise CheckFailed(f"the models cannot be compared: {what}", UNCOMPARED)
    allowed = margin if score.more_is_better else margin * before
    return Comparison(name, float(reached), float(before), gain, len(rows), gain.low < -allowed)


def _stop_unless_alike(candidate: Known, champion: Known, test: pd.DataFrame) -> None:
    known = champion.model.signature
    now = candidate.model.signature
    if (known.target, known.task) != (now.target, now.task):
        what = f"the champion predicts '{known.target}', and this model '{now.target}'"
        raise BadInput(what, UNCOMPARED)
    needed = [one.name for one in known.inputs]
    needed += [champion.schema.split_by] if champion.schema.split == "group" else []
    missing = [name for name in needed if name not in test]
    if missing:
        named = first_few(missing, MOST_NAMED)
        what = f"the table has changed since the champion, which needs the column {named}"
        raise BadInput(what, UNCOMPARED)


def _is_new(test: pd.DataFrame, candidate: Known, champion: Known) -> np.ndarray:
    """A mask (n,) of the rows that the champion does not know. Where rows are equal by chance, one
    that both models know is no copy: the candidate was never given a test row.
    """
    known = identities(test, champion.schema).isin(champion.rows)
    by_chance = identities(test, candidate.schema).isin(candidate.rows)
    return (~known | by_chance).to_numpy()


def _all_classes(candidate: Known, champion: Known) -> list[str] | None:
    own, other = candidate.schema.classes, champion.model.classes
    return None if own is None or other is None else sorted({*own, *other})


def _truth(rows: pd.DataFrame, schema: Schema, classes: list[str] | None) -> np.ndarray:
    y = rows_of(rows, schema).y
    if classes is None or schema.classes is None:
        return y.to_numpy()
    return np.array([classes.index(name) for name in schema.classes])[y.to_numpy()]


def _answers(
    model: Model, rows: pd.DataFrame, classes: list[str] | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """What is predicted (n,), and the probabilities (n, classes) in the order of all classes."""
    try:
        found = model.predict(
            {one.name: rows[one.name].to_numpy() for one in model.signature.inputs}
        )
    except Exception as error:  # whatever a columns.py of the champion raises
        what = f"the champion cannot predict this table's rows ({first_line(error)})"
        raise BadInput(what, UNCOMPARED) from None
    if classes is None or model.classes is None or found.probabilities is None:
        return found.values, None
    places = [classes.index(name) for name in model.classes]
    probabilities = np.zeros((len(rows), len(classes)))
    probabilities[:, places] = found.probabilities
    return pd.Index(classes).get_indexer(pd.Index(found.values)), probabilities
