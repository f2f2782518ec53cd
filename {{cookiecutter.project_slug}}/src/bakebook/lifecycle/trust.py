"""Which labels teach: rules for those that a careful person would leave out, each of which can be
switched off (`params.yaml`, `retrain: rules`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property

import numpy as np
from pydantic_core import to_json
from scipy.stats import mannwhitneyu

from bakebook.contracts import Signature
from bakebook.database.queries import Row
from bakebook.lifecycle.agreement import EXTREME, MAD, losses, out_of_fold
from bakebook.monitoring.features import features
from bakebook.monitoring.inputs import as_table
from bakebook.params import Rule

FEWEST_LABELS = 10  # of a person, or in a burst, about which anything can be said
FEWEST_OTHERS = 30  # labels of others that say what is usual
MOST_OF_OTHERS = 0.5  # as many as this share of the others' labels are one against all
MOST_BLOCKS = 30  # the largest ones, which are looked at
PAUSE = timedelta(minutes=1)  # that ends a burst
P = 0.001  # by which labels are unlike the others', for all blocks together
SUPERIORITY = 0.75  # the probability that one of theirs is harder to agree with than another
UNLIKELY = 0.05  # a probability of the label that no model could agree with
MOST_UNLIKELY = 0.2  # the share of a class's labels; with more, the model does not know it
LARGEST = 1e30  # number that a forest can hold


@dataclass(frozen=True)
class Trusted:
    """The labelled predictions that teach, and how many each rule leaves out."""

    rows: list[Row]
    left_out: dict[str, int]

    def __str__(self) -> str:
        said = f"{len(self.rows)} labels"
        if not self.left_out:
            return said
        parts = ", ".join(f"{count} {rule}" for rule, count in self.left_out.items())
        return f"{said}, without {parts}"


def trusted(
    rows: Sequence[Row],
    signature: Signature,
    whole: Sequence[str],
    starts: Sequence[datetime],
    rules: Sequence[Rule],
) -> Trusted:
    """The labels that teach, in their order. `whole` are the columns of whole numbers; `starts` is
    when the watched windows begin, in UTC. Rules apply in the order of RULES, each to what the ones
    before leave.
    """
    labels = Labels(list(rows), signature, frozenset(whole), list(starts))
    left_out: dict[str, int] = {}
    for name, rule in RULES.items():
        if name not in rules or not len(labels):
            continue
        is_left_out = rule(labels)
        if count := int(is_left_out.sum()):
            left_out[name] = count
            labels = labels.take(~is_left_out)
    return Trusted(labels.rows, left_out)


@dataclass(frozen=True)
class Labels:
    """n labelled predictions, the columns of whole numbers, and the watched windows."""

    rows: list[Row]
    signature: Signature
    whole: frozenset[str]
    starts: list[datetime]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: np.ndarray) -> "Labels":
        rows = [row for row, is_chosen in zip(self.rows, chosen, strict=True) if is_chosen]
        return replace(self, rows=rows)

    @property
    def is_number(self) -> bool:
        """Whether the target is a number."""
        return self.signature.classes is None

    @cached_property
    def window(self) -> np.ndarray:
        """The place (n,) of each prediction's window; -1 before the first."""
        starts = np.array([_naive(start) for start in self.starts], "datetime64[us]")
        made_at = np.array([_naive(row["made_at"]) for row in self.rows], "datetime64[us]")
        return np.searchsorted(starts, made_at, side="right") - 1

    @cached_property
    def questions(self) -> list[bytes]:
        """A text (n,) that predictions with equal inputs share."""
        return [to_json(dict(sorted(row["inputs"].items()))) for row in self.rows]

    @property
    def values(self) -> list[str]:
        return [str(row["label"]) for row in self.rows]

    @cached_property
    def y(self) -> np.ndarray:
        """Numbers, or classes as text."""
        return np.array(self.values, float if self.is_number else str)

    @cached_property
    def X(self) -> np.ndarray:
        """The inputs as numbers, and the window: what is true may change from one to the next."""
        inputs = as_table([row["inputs"] for row in self.rows], self.signature)
        found = np.column_stack([features(inputs, self.signature), self.window])
        return np.clip(found, -LARGEST, LARGEST)


def _naive(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time


def _unreadable(labels: Labels) -> np.ndarray:
    """A fraction where the table has whole numbers."""
    target = labels.signature.target
    has_whole_target = target in labels.whole and labels.is_number

    def is_broken(row: Row) -> bool:
        values = [row["inputs"].get(name) for name in labels.whole if name != target]
        if has_whole_target:
            values.append(float(row["label"]))
        return any(isinstance(value, float) and not value.is_integer() for value in values)

    return np.array([is_broken(row) for row in labels.rows])


def _late(labels: Labels) -> np.ndarray:
    """The prediction is older than the watched windows: its label tells of a time that has gone."""
    return labels.window < 0


def _contradictory(labels: Labels) -> np.ndarray:
    """Equal inputs of one window were given different classes: nobody knows which is true."""
    if labels.is_number:
        return np.zeros(len(labels), bool)
    given: dict[tuple[int, bytes], set[str]] = {}
    keys = list(zip(labels.window.tolist(), labels.questions, strict=True))
    for key, value in zip(keys, labels.values, strict=True):
        given.setdefault(key, set()).add(value)
    return np.array([len(given[key]) > 1 for key in keys])


def _duplicate(labels: Labels) -> np.ndarray:
    """An equal question with an equal answer came later: it counts once."""
    keys = list(zip(labels.questions, labels.values, strict=True))
    last = {key: place for place, key in enumerate(keys)}
    return np.array([last[key] != place for place, key in enumerate(keys)])


def _labeller(labels: Labels) -> np.ndarray:
    """One person's labels, where those of all others agree with each other and not with these."""
    people = np.array([row["labelled_by"] for row in labels.rows])
    return _against_all(labels, [people == name for name in sorted(set(people))])


def _burst(labels: Labels) -> np.ndarray:
    """The same for the labels that one person gave within minutes."""
    return _against_all(labels, list(_bursts(labels.rows)))


def _bursts(rows: Sequence[Row]) -> Iterator[np.ndarray]:
    """A mask (n,) of each run of one person's labels without a pause."""
    order = sorted(range(len(rows)), key=lambda place: _moment(rows[place]))
    run: list[int] = []
    for place in order:
        if run and not _follows(rows[place], rows[run[-1]]):
            yield _mask(run, len(rows))
            run = []
        run.append(place)
    if run:
        yield _mask(run, len(rows))


def _moment(row: Row) -> tuple[str, datetime]:
    return row["labelled_by"], _naive(row["labelled_at"])


def _follows(row: Row, before: Row) -> bool:
    (name, time), (earlier_name, earlier) = _moment(row), _moment(before)
    return name == earlier_name and time - earlier <= PAUSE


def _mask(places: Sequence[int], count: int) -> np.ndarray:
    found = np.zeros(count, bool)
    found[places] = True
    return found


def _against_all(labels: Labels, blocks: Sequence[np.ndarray]) -> np.ndarray:
    """A mask (n,) of the blocks with which a model of all other labels of the same windows does not
    agree, although these agree with each other. A block is a mask (n,), and a minority.
    """
    found = np.zeros(len(labels), bool)
    if len(labels) < FEWEST_LABELS + FEWEST_OTHERS:
        return found
    X, y, window = labels.X, labels.y, labels.window
    largest = sorted(blocks, key=np.sum, reverse=True)[:MOST_BLOCKS]
    for block in largest:
        others = ~block & np.isin(window, window[block])
        most = MOST_OF_OTHERS * others.sum()
        if others.sum() < FEWEST_OTHERS or not FEWEST_LABELS <= block.sum() <= most:
            continue
        theirs = losses(X[others], y[others], X[block], y[block])
        usual = out_of_fold(X[others], y[others])
        test = mannwhitneyu(theirs, usual, alternative="greater")
        superiority = test.statistic / (len(theirs) * len(usual))
        if test.pvalue < P / len(largest) and superiority >= SUPERIORITY:
            found |= block
    return found


def _outlier(labels: Labels) -> np.ndarray:
    """A label with which no model could agree. Those of the random sample stay, which measure the
    model: without its mistakes it would look too good. Where many labels of a class are of this
    kind, it is the model that does not know the class, and they stay too.
    """
    if len(labels) < FEWEST_LABELS + FEWEST_OTHERS:
        return np.zeros(len(labels), bool)
    distances = out_of_fold(labels.X, labels.y)
    is_sample = np.array([bool(row["is_sample"]) for row in labels.rows])
    if labels.is_number:
        return (distances > EXTREME * MAD * np.median(distances)) & ~is_sample
    is_unlikely = distances > 1 - UNLIKELY
    for name in np.unique(labels.y):
        is_of_class = labels.y == name
        if is_unlikely[is_of_class].mean() > MOST_UNLIKELY:
            is_unlikely[is_of_class] = False
    return is_unlikely & ~is_sample


RULES: Mapping[Rule, Callable[[Labels], np.ndarray]] = {
    "unreadable": _unreadable,
    "late": _late,
    "contradictory": _contradictory,
    "duplicate": _duplicate,
    "labeller": _labeller,
    "burst": _burst,
    "outlier": _outlier,
}
