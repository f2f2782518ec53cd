"""The files by which stages and the service agree: typed, frozen and versioned."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from bakebook.params import InputRole, Search, Severity, Split, Task

Bound = int | float | str  # a number, or a time in ISO 8601
Version = Literal["1"]
Plain = bool | int | float | str | None  # a value that YAML and JSON have too


class Contract(BaseModel):
    """What all contracts share: nothing can be changed, and nothing unknown is accepted."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class ReadOptions(Contract):
    """How a source is read: the section `ingest` of params.yaml, kept in `reading.json` for the
    service.
    """

    version: Version = "1"
    file_format: str = "csv"
    encoding: str = "utf-8"
    delimiter: str = ","
    decimal: str = "."
    sheet: str = ""  # of a workbook; empty: the first; '*': all
    skip_rows: int = 0  # above the header
    header_rows: int = 1
    footer_rows: int = 0  # below the table
    missing: tuple[str, ...] = ("",)  # markers; `age=-1` is one in the column age only
    # Dtype of each column; empty: every column is text
    columns: dict[str, str] = Field(default_factory=dict)

    def of(self, column: str) -> "ReadOptions":
        """The options of one column: its own markers count there as those of all columns do."""
        markers = tuple(marker.removeprefix(f"{column}=") for marker in self.missing)
        return self.model_copy(update={"missing": markers})


class Input(Contract):
    """One column that the model learns from, and what the training rows showed of it."""

    name: str
    role: InputRole
    minimum: Bound | None = None
    maximum: Bound | None = None
    offset: int | None = None  # subtracted first: 32 bits cannot tell great numbers apart
    levels: tuple[str, ...] | None = None  # the categories that were seen
    order: tuple[str, ...] | None = None  # of categories that have one, the least first
    parts: tuple[str, ...] | None = None  # the parts of a time that vary
    is_short: bool | None = None  # true, of a text: its letters are inputs beside its words
    has_gaps: bool | None = None  # true: that a value is missing is an input, too
    only_read: bool | None = None  # true: only derived columns read it


class Derived(Contract):
    """One column that a function of `columns.py` computes."""

    name: str
    reads: tuple[str, ...]
    learned: object = None  # from the training rows, for the function
    input: Input | None = None  # in a signature; None: only other derived columns read it


class Schema(Contract):
    """`schema.json`: what goes into the model, what comes out, and which rows belong together.
    `classes` is None when a number is predicted.
    """

    version: Version = "1"
    target: str
    task: Task
    split: Split = "random"
    split_by: str = ""  # the column of a group or time split
    classes: tuple[str, ...] | None = None
    inputs: tuple[Input, ...]
    # Columns that are not inputs: their roles
    excluded: dict[str, str] = Field(default_factory=dict)
    # How the inputs are computed that the table does not have, one after the other
    derived: tuple[Derived, ...] = ()


class FeedbackRows(Contract):
    """`feedback.json`: which rows of the table are labelled predictions, by their places.

    Those that were drawn at random are `sample`: they may test. The others teach. `lacking` are the
    columns that the service does not ask for.
    """

    version: Version = "1"
    rows: tuple[int, ...] = ()
    sample: tuple[int, ...] = ()
    lacking: tuple[str, ...] = ()


class SplitReport(Contract):
    """`split.json`: how many rows train and test, and what a reader of the scores must know."""

    version: Version = "1"
    train_rows: int
    test_rows: int
    test_sha256: str = ""  # of the test rows as the table has them, by which scores are comparable
    rows_without_target: int
    warnings: tuple[str, ...] = ()


class CrossValidation(Contract):
    """`cross_validation.json`: the score of a model in folds of the training rows, by which models
    are compared.
    """

    scoring: str  # scikit-learn's name of the score
    mean: float
    spread: float  # standard deviation over the folds
    folds: tuple[float, ...]

    def __str__(self) -> str:
        return f"{self.mean:.4f} ± {self.spread:.4f}"


class Trained(Contract):
    """`trained.json`: the estimator that was trained, as params.yaml could ask for it.

    `hyperparameters` are those that were set or searched, and others that differ from the library's
    defaults, without the seed; what is no plain value stands as text in `others`.
    """

    version: Version = "1"
    search: Search
    estimator: str
    hyperparameters: dict[str, Plain]
    others: dict[str, str] = Field(default_factory=dict)
    threshold: float | None = None  # from which probability on the second class is predicted


class ModelFile(Contract):
    """The served file and the hash that ties a signature to it."""

    file: str
    sha256: str
    bytes: int


class Example(Contract):
    """A row with the known answer of the model."""

    inputs: dict[str, object]
    predicted: str | float
    probabilities: dict[str, float] | None = None


class Signature(Contract):
    """`signature.json`: what a caller must know of a model, and how a file of rows is read.

    A caller sends `inputs`; the model's other inputs, `derived`, are computed from these by the
    `columns.py` that came with the model.
    """

    version: Version = "1"
    model: ModelFile
    target: str
    target_dtype: str = "text"
    task: Task
    classes: tuple[str, ...] | None = None
    threshold: float | None = None  # from which probability on the second class is predicted
    inputs: tuple[Input, ...]
    derived: tuple[Derived, ...] = ()
    columns_sha256: str | None = None  # of columns.py, if there are derived columns
    reading: ReadOptions
    examples: tuple[Example, ...] = ()


Verdict = Literal["met", "met within chance", "not met"]


class Criterion(Contract):
    """One success criterion beside the score that was reached.

    It is met when the whole interval of the score is on the right side of the threshold, and met
    within chance when only the score itself is.
    """

    bound: Literal["at least", "at most"]
    threshold: float
    is_baseline: bool = False  # the threshold is what the baseline reaches, and must be exceeded
    score: float | None = None
    verdict: Verdict


class Success(Contract):
    """Whether all success criteria are met: the worst of their verdicts."""

    passed: bool  # all are met, and none within chance
    verdict: Verdict
    criteria: dict[str, Criterion]


class Interval(Contract):
    """Where a score lies with 95 % confidence, given how few rows test it."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"[{self.low:.3f}, {self.high:.3f}]"


class RowCounts(Contract):
    """How many rows a model was trained and tested on."""

    train: int
    test: int


class Metrics(Contract):
    """`metrics.json`: the scores of the model, with their intervals, and of a baseline.

    `cross_validation` is the score by which models are compared; the others are of the test rows.
    `f1`, `support` and `rarer_class` are for classes, `target` for numbers.
    """

    version: Version = "1"
    rows: RowCounts
    model: dict[str, float]
    intervals: dict[str, Interval] = Field(default_factory=dict)
    baseline: dict[str, float]
    cross_validation: CrossValidation | None = None
    f1: dict[str, float] | None = None  # of each class that has test rows or was predicted
    support: dict[str, int] | None = None  # test rows of each class
    # What a perfectly calibrated model stays below in 95 of 100 samples of as many rows
    perfect_calibration_error: float | None = None
    # Of two classes, that of which precision, recall and average_precision are
    rarer_class: str | None = None
    threshold: float | None = None  # from which probability on the second class is predicted
    target: dict[str, float] | None = None  # min, median and max among the test rows
    warnings: tuple[str, ...] = ()
    success: Success


class ExpectationResult(Contract):
    """The outcome of one expectation; `rows` are the first that break it, counted from 0."""

    expectation: str
    column: str | None = None
    severity: Severity
    success: bool
    expected: object = None
    observed: object = None
    unexpected: int | None = None
    rows: list[object] | None = None
    problem: str | None = None


class ValidationResult(Contract):
    """`validation.json`: the outcome of every expectation of the suite."""

    version: Version = "1"
    success: bool
    rows: int
    columns: int
    expectations: int
    failed: dict[Severity, int]
    results: tuple[ExpectationResult, ...]


def as_json(content: object) -> object:
    """A contract as plain values without the fields that are not set; anything else as it is."""
    if isinstance(content, Contract):
        return content.model_dump(mode="json", exclude_none=True)
    if isinstance(content, Mapping):
        return {name: as_json(value) for name, value in content.items()}
    return content
