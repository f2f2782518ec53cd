"""Holds a value of params.yaml against the annotation that a parameters cell gives it."""

import ast
import typing
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from .. import parameters as vocabulary

ALLOWED = (
    *(ast.Expression, ast.Name, ast.Load, ast.Subscript, ast.Tuple, ast.List, ast.Constant),
    *(ast.BinOp, ast.BitOr),
)


class UnknownType(Exception):
    """The annotation is made of other words than builtins, `typing` and those of parameters.py."""


@dataclass(frozen=True)
class Mismatch:
    """Where inside the value, what stands there, and what the annotation asks for."""

    path: list[str]
    shown: str
    expected: str


def mismatch(value: Any, written: str) -> Mismatch | None:
    """The first thing in which the value does not fit the annotation. Raises UnknownType."""
    try:
        _validator(written)(value)
    except ValidationError as error:
        first = error.errors()[0]
        expected = first["msg"].removeprefix("Input should be ").removeprefix("a valid ")
        return Mismatch([str(part) for part in first["loc"]], repr(plain(first["input"])), expected)
    except (NameError, TypeError, ValueError, PydanticUserError) as error:
        raise UnknownType(str(error)) from None
    return None


def plain(value: Any) -> Any:
    """ruamel's own number and text types as Python's."""
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


@cache
def _validator(written: str) -> Callable[[Any], Any]:
    tree = ast.parse(written, mode="eval")
    if not all(isinstance(node, ALLOWED) for node in ast.walk(tree)):
        raise ValueError("only names, [...] and | can be used")
    words = {**vars(typing), **vars(vocabulary)}
    kind = eval(compile(tree, "<annotation>", "eval"), words)  # noqa: S307 - names and subscripts only, see above
    return TypeAdapter(kind, config=ConfigDict(strict=True, allow_inf_nan=False)).validate_python
