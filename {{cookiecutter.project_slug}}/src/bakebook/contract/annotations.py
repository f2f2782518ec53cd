"""Checks a value of params.yaml against the annotation that a parameters cell gives it."""

import ast
import typing
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from bakebook import params as vocabulary

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
        first = error.errors()[0]
        expected = first["msg"].removeprefix("Input should be ").removeprefix("a valid ")
        path = tuple(str(part) for part in first["loc"])
        return Mismatch(path, repr(plain(first["input"])), expected)
    except (NameError, SyntaxError, TypeError, ValueError, PydanticUserError) as error:
        raise UnknownType(str(error)) from None
    return None


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
