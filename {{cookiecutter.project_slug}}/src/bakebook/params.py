"""Reads `params.yaml`, the only place where values are set, as DVC reads it: YAML 1.2.

The types below are the vocabulary of the notebooks' parameters cells; `nb check` compares the
values with them. Any Python annotation works, and `Annotated` or `Literal` express a range or a
choice.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from annotated_types import Ge, Interval, MinLen

from bakebook.errors import BadInput, first_line
from bakebook.paths import PARAMS

Share = Annotated[float, Interval(gt=0, lt=1)]
Positive = Annotated[float, Interval(gt=0)]
Count = Annotated[int, Ge(1)]
Folds = Annotated[int, Ge(2)]
Seed = Annotated[int, Interval(ge=0, lt=2**32)]
Text = Annotated[str, MinLen(1)]
Trials = Annotated[int, Ge(0)]
Rows = Annotated[int, Ge(0)]
Margin = Annotated[float, Interval(ge=0, lt=1)]
Seconds = Annotated[float, Interval(ge=0, lt=float("inf"))]
Window = Literal["day", "week", "month"] | Count  # a stretch of time, or so many predictions
# Which labels do not teach (docs/monitoring.md)
Rule = Literal["unreadable", "late", "contradictory", "duplicate", "labeller", "burst", "outlier"]
Scheduled = Literal["monitor", "retrain"]  # a command that a scheduler runs
# How the rows of a simulation change
Shift = Literal["gradual", "sudden", "inputs", "none"]
SHIFTS: tuple[Shift, ...] = get_args(Shift)

# Of a column of a table; a datetime may be followed by its format
DTYPES = ("number", "integer", "amount", "boolean", "datetime", "text", "folded", "ignore")
IGNORE = "ignore"  # a column that is not read, whatever it holds
Format = Literal["csv", "json lines", "excel", "parquet"]
Score = Literal[
    "accuracy",
    "balanced_accuracy",
    "f1_macro",
    "roc_auc",
    "log_loss",
    "calibration_error",
    "precision",
    "recall",
    "average_precision",
    "mae",
    "rmse",
    "r2",
]
Threshold = float | Literal["baseline"]  # a criterion: a number, or better than the baseline
# Of two classes: the best for train.scoring, a number, or what a missed row of each class costs
Decision = Literal["scoring"] | Share | dict[str | int, Positive]
Severity = Literal["critical", "warning", "info"]
Task = Literal["classification", "regression"]
InputRole = Literal["numeric", "boolean", "datetime", "categorical", "text"]
Role = Literal[
    "numeric", "boolean", "datetime", "categorical", "text", "identifier", "constant", "empty"
]
Orders = Mapping[str, Sequence[str]]  # the categories of columns, the least first
EXCLUDED_ROLES = ("identifier", "constant", "empty")  # columns that a model cannot learn from
Split = Literal["random", "stratified", "group", "time"]
# Dependency groups with estimators, named after what they install
GROUPS = ("lightgbm", "xgboost", "torch")
Search = Literal["none", "grid", "random", "optuna", "automl"]


def read(path: Path = PARAMS) -> dict[str, dict[str, Any]]:
    """All sections of `params.yaml`: {stage: {name: value}}."""
    from ruamel.yaml import YAML  # the service does not need it
    from ruamel.yaml.error import YAMLError

    try:
        sections = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise BadInput(f"{path.name} cannot be read ({_reason(error)})", "nb check") from None
    return sections if isinstance(sections, dict) else {}


def stage(name: str) -> dict[str, object]:
    """The values of one stage, as they stand in `params.yaml` now."""
    sections = read()
    if not isinstance(sections.get(name), dict):
        raise BadInput(f"params.yaml has no section '{name}'", f"add it, or: nb new {name}")
    return sections[name]


def problem_of(error: Exception) -> str:
    """What a YAML parser found, without the lines around it."""
    return first_line(getattr(error, "problem", None) or error)


def line_of(error: Exception) -> int | None:
    """The line at which a YAML parser stopped, from 1."""
    mark = getattr(error, "problem_mark", None)
    return mark.line + 1 if mark else None


def _reason(error: Exception) -> str:
    line = line_of(error)
    problem = problem_of(error)
    return f"line {line}: {problem}" if line else problem
