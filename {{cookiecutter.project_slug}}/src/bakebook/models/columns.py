"""Columns of a project's own, each computed from the others row by row: one code for training and
for the service.

It needs only numpy, and no module of the project.
"""

import hashlib
import inspect
import json
import math
import types
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

from bakebook.contracts import Derived
from bakebook.errors import BadInput, first_line
from bakebook.models.column_values import as_type, checked

LEARNED = "learned"  # the parameter that takes what was learned from the training rows
TYPES = (int, float, bool, str, datetime)
ONE_ROW = "a function of columns.py is given the values of one row at a time"


class NotComputed(BadInput):
    """A column cannot be computed for a row (counted from 0)."""

    def __init__(self, column: "Column", row: int, reason: str) -> None:
        read = ", ".join(column.reads)
        what = f"columns.py: {column.name} cannot be computed from {read} in row {row}: {reason}"
        super().__init__(what, f"fix the function; {ONE_ROW}")
        self.column = column
        self.row = row
        self.reason = reason


@dataclass(frozen=True)
class Argument:
    """What a function is given: a column, as values of a type."""

    column: str
    type: type
    takes_missing: bool  # as None; otherwise the result is missing without a call


@dataclass(frozen=True)
class Learning:
    """A function of whole columns of the training rows, given as lists."""

    function: Callable[..., Any]
    arguments: tuple[Argument, ...]


@dataclass(frozen=True)
class Column:
    """A column that a function computes. Called, it computes one value, so that a notebook or test
    can try it.
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple[Argument, ...]
    type: type
    learning: Learning | None = None

    def __call__(self, *values: Any, **named: Any) -> Any:
        return self.function(*values, **named)

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns that one row's value is computed from."""
        return tuple(argument.column for argument in self.arguments)

    @property
    def needs(self) -> tuple[str, ...]:
        """Every column that training must have: those that it reads, and those that it learns
        from.
        """
        learned_from = self.learning.arguments if self.learning else ()
        return tuple(dict.fromkeys([*self.reads, *(one.column for one in learned_from)]))

    def compute(self, columns: Mapping[str, Iterable[Any]], learned: object = None) -> list[Any]:
        """One value per row: None where it is missing. Raises NotComputed for the first row that
        fails.
        """
        given = [as_type(columns[argument.column], argument.type) for argument in self.arguments]
        named = {LEARNED: learned} if self.learning else {}
        computed = []
        for row, values in enumerate(zip(*given, strict=True)):
            try:
                computed.append(self._value(values, named))
            except Exception as error:  # whatever the function raises
                reason = first_line(error)
                if not isinstance(error, ValueError):
                    reason = f"{type(error).__name__}: {reason}"
                raise NotComputed(self, row, reason) from None
        return computed

    def learn(self, columns: Mapping[str, Iterable[Any]]) -> object:
        """What the training rows show, as it stands in the signature; None where nothing is
        learned. Raises BadInput where it is not plain JSON.
        """
        if self.learning is None:
            return None
        given = [as_type(columns[one.column], one.type) for one in self.learning.arguments]
        try:
            return json.loads(json.dumps(self.learning.function(*given), allow_nan=False))
        except Exception as error:  # whatever the function raises
            what = f"columns.py: {self.name} cannot learn from the training rows"
            remedy = "return numbers, texts, lists or mappings of texts to these"
            raise BadInput(f"{what} ({first_line(error)})", remedy) from None

    def _value(self, values: tuple[Any, ...], named: Mapping[str, object]) -> Any:
        for value, argument in zip(values, self.arguments, strict=True):
            if value is None and not argument.takes_missing:
                return None
        return checked(self.function(*values, **named), self.type)


class Columns:
    """All columns of a `columns.py`, in the order in which they stand there, and its source."""

    def __init__(self, module: types.ModuleType, source: bytes) -> None:
        self.source = source
        self.sha256 = hashlib.sha256(source).hexdigest()
        found = [one for one in vars(module).values() if isinstance(one, Column)]
        self.by_name = {one.name: one for one in found}

    @classmethod
    def load(cls, path: Path, sha256: str) -> "Columns":
        """The columns of the file that came with a model. Runs it; raises ValueError when it is
        not the file with this hash.
        """
        source = path.read_bytes()
        if hashlib.sha256(source).hexdigest() != sha256:
            raise ValueError("columns.py is not the file that the signature describes")
        module = types.ModuleType(path.stem)
        module.__file__ = str(path)
        exec(compile(source, str(path), "exec"), vars(module))  # noqa: S102 - the model's own
        return cls(module, source)

    def compute(
        self, steps: Sequence[Derived], columns: Mapping[str, Iterable[Any]]
    ) -> dict[str, list[Any]]:
        """The derived columns by name, one after the other: a later one may read an earlier one."""
        found: dict[str, list[Any]] = {}
        for step in steps:
            known = {**columns, **found}
            found[step.name] = self.by_name[step.name].compute(known, step.learned)
        return found


def column(
    name: str | Callable[..., Any] = "",
    *,
    reads: Sequence[str] = (),
    learn: tuple[Any, ...] = (),
) -> Any:
    """Makes a function a column: its name is the column's, its parameters name the columns that it
    reads.

    `name` and `reads` give other names, such as those with blanks. `learn` is a function and the
    columns that it is given as lists, such as `(mean_by, "Fare", "Pclass")`: it sees the training
    rows only, what it returns is saved with the model, and the decorated function takes that as
    `learned`. Raises BadInput where types are missing.
    """
    if callable(name):
        return _column(name, name.__name__, reads, learn)

    def decorate(function: Callable[..., Any]) -> Column:
        return _column(function, name or function.__name__, reads, learn)

    return decorate


def mean_by(values: list[float], groups: list[str]) -> dict[str, float]:
    """The mean of each group; rows with a missing value or group do not count."""
    found: dict[str, list[float]] = defaultdict(list)
    for value, group in zip(values, groups, strict=True):
        if value is not None and group is not None:
            found[group].append(value)
    return {group: math.fsum(found[group]) / len(found[group]) for group in sorted(found)}


def _column(
    function: Callable[..., Any],
    name: str,
    reads: Sequence[str],
    learn: tuple[Any, ...],
) -> Column:
    where = f"columns.py: {function.__name__}"
    annotated = inspect.signature(function, eval_str=True)
    parameters = [name for name in annotated.parameters if name != LEARNED]
    if not parameters:
        raise BadInput(f"{where} reads no column", "name the columns as its parameters")
    if reads and len(reads) != len(parameters):
        what = f"{where} has {len(parameters)} parameters, but reads {len(reads)} columns"
        raise BadInput(what, "name one column per parameter")
    arguments = []
    for parameter, read in zip(parameters, reads or parameters, strict=True):
        type_, takes_missing = _type(annotated.parameters[parameter].annotation, where)
        arguments.append(Argument(read, type_, takes_missing))
    returned, _ = _type(annotated.return_annotation, where)
    learning = _learning(learn, where) if learn else None
    return Column(name, function, tuple(arguments), returned, learning)


def _learning(learn: tuple[Any, ...], where: str) -> Learning:
    function, *columns = learn
    parameters = inspect.signature(function, eval_str=True).parameters
    if len(parameters) != len(columns):
        what = f"{where} learns from {len(columns)} columns, but {function.__name__} takes"
        raise BadInput(f"{what} {len(parameters)}", "name one column per parameter")
    arguments = []
    for read, parameter in zip(columns, parameters.values(), strict=True):
        values = get_args(parameter.annotation) or (parameter.annotation,)
        type_, _ = _type(values[0], f"{where}: {function.__name__}")
        arguments.append(Argument(read, type_, takes_missing=True))
    return Learning(function, tuple(arguments))


def _type(annotation: Any, where: str) -> tuple[type, bool]:
    """The type that an annotation names, and whether it allows None."""
    choices = [one for one in get_args(annotation) or (annotation,) if one is not types.NoneType]
    if len(choices) != 1 or choices[0] not in TYPES:
        allowed = ", ".join(one.__name__ for one in TYPES)
        raise BadInput(f"{where} has a parameter or result without a type", f"write one: {allowed}")
    return choices[0], len(get_args(annotation)) == 2
