"""What `nb monitor` found out, as `reports/monitor.json` has it."""

from datetime import datetime

from pydantic import Field

from bakebook.contracts import Contract, Interval, Version


class Measured(Contract):
    """A score of the predictions that have a label, or one that is estimated without labels."""

    score: float
    interval: Interval | None = None
    rows: int  # with a label; of an estimate, those that were drawn at random for it


class Window(Contract):
    """The predictions of one stretch of time, or of so many rows. Times are in UTC."""

    start: datetime
    end: datetime
    predictions: int
    labels: int  # of the random sample
    other_labels: int  # which teach, and do not measure
    unfamiliar: int  # predictions with an input that the training did not show
    latency_ms: float | None = None  # median
    slow_ms: float | None = None  # which 95 of 100 predictions stay below
    models: tuple[str, ...] = ()  # that answered, in the order of their first answer
    measured: dict[str, Measured] = Field(default_factory=dict)
    estimated: dict[str, Measured] = Field(default_factory=dict)


class Criterion(Contract):
    """A score, the threshold that it must not fall below (of an error: exceed), and the score of
    the training. An alarm is raised when `evidence` reaches `limit`, the number of criteria divided
    by alpha.
    """

    threshold: float
    training: float | None = None
    evidence: float = 1.0
    limit: float = 20.0
    is_alarm: bool = False


class Change(Contract):
    """How a distribution differs between the reference and the window that is compared.

    `distance` is between 0 and 1: Kolmogorov and Smirnov's of numbers, the total variation of
    categories, 2 AUC - 1 of a classifier that tells the rows apart. `p` is corrected for the number
    of columns (Holm).
    """

    name: str
    distance: float
    p: float
    is_changed: bool


class InputQuality(Contract):
    """The shares of that window's values that are missing, or that the training did not show;
    `usually_missing` is the share among the reference.
    """

    name: str
    missing: float
    usually_missing: float
    unseen: float


class Drift(Contract):
    """What has changed in the predictions since `first`: it explains a fallen score, and is no
    alarm by itself.
    """

    first: datetime | None = None
    rows: int = 0
    reference_rows: int = 0
    outputs: tuple[Change, ...] = ()
    together: Change | None = None  # by a classifier of all inputs
    told_by: tuple[str, ...] = ()  # where only it sees a change: the inputs that it sees it by
    inputs: tuple[Change, ...] = ()


class Monitoring(Contract):
    """`monitor.json`."""

    version: Version = "1"
    model: str  # the first letters of the sha256
    alpha: float
    windows: tuple[Window, ...] = ()
    criteria: dict[str, Criterion] = Field(default_factory=dict)
    quality: tuple[InputQuality, ...] = ()
    drift: Drift = Drift()
    future: int = 0  # predictions that are in no window, because a clock was ahead

    @property
    def alarms(self) -> list[str]:
        """The scores that fell below their thresholds."""
        return [name for name, one in self.criteria.items() if one.is_alarm]
