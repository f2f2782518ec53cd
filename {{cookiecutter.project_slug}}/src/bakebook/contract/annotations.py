"""Checks a value of params.yaml against the annotation that a parameters cell gives it."""

import ast
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from bakebook import params as vocabulary

KEY = "[key]"  # pydantic's part of a location: the key itself is wrong
ALLOWED_NODES = (
    ast.Expression,
    ast.Name,
    ast.Load,
    ast.Subscript,
    ast.Tuple,
    ast.List,
    ast.Constant,
    ast.BinOp,
    ast.BitOr,
)


class UnknownType(Exception):
    """The annotation uses other words than builtins, `typing` and those of bakebook.params."""


@dataclass(frozen=True)
class Mismatch:
    """Where inside the value, what stands there, and what the annotation asks for."""

    path: tuple[str, ...]
    shown: str
    expected: str


def mismatch(value: object, annotation: str) -> Mismatch | None:
    """The first way in which the value does not fit the annotation. Raises UnknownType."""
    try:
        _validator(annotation)(value)
    except ValidationError as error:
        faults = error.errors()
        path = _path(value, faults[0]["loc"])
        same = [fault for fault in faults if _path(value, fault["loc"]) == path]
        wanted = [_expected(fault["msg"]) for fault in same]
        expected = " or ".join(dict.fromkeys(wanted))
        return Mismatch(path, repr(plain(faults[0]["input"])), expected)
    except (NameError, SyntaxError, TypeError, ValueError, PydanticUserError) as error:
        raise UnknownType(str(error)) from None
    return None


def _expected(message: str) -> str:
    return message.removeprefix("Input should be ").removeprefix("a valid ")


def _path(value: object, location: Sequence[int | str]) -> tuple[str, ...]:
    """Where a fault is inside the value, without the names that pydantic gives the alternatives of
    a union.
    """
    found = []
    for part in location:
        is_inside = isinstance(value, Mapping | list) and part != KEY
        if is_inside:
            try:
                value = value[part]  # type: ignore[index, call-overload]
            except (KeyError, IndexError, TypeError):
                continue
        elif part != KEY:
            break
        found.append(str(part))
    return tuple(found)


def plain(value: object) -> object:
    """ruamel's own number and text types as Python's."""
    for type_ in (bool, int, float, str):
        if isinstance(value, type_):
            return type_(value)
    return value


def type_name(value: object) -> str:
    """The name of the builtin type behind ruamel's own; `object` for null and others."""
    for type_ in (bool, int, float, str, list, dict):
        if isinstance(value, type_):
            return type_.__name__
    return "object"


@cache
def _validator(annotation: str) -> Callable[[object], object]:
    tree = ast.parse(annotation, mode="eval")
    if not all(isinstance(node, ALLOWED_NODES) for node in ast.walk(tree)):
        raise ValueError("only names, [...] and | can be used")
    words = {**vars(typing), **vars(vocabulary)}
    code = compile(tree, "<annotation>", "eval")  # names and subscripts only
    type_ = eval(code, words)  # noqa: S307
    config = ConfigDict(strict=True, allow_inf_nan=False)
    return TypeAdapter(type_, config=config).validate_python
