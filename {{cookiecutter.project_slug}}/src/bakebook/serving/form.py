"""The form of the page that predicts, made from the signature: a person reads and types what the
table would have.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bakebook.contracts import Input, Signature
from bakebook.serving.schemas import Row, describe
from bakebook.tables.values import as_text, as_time


@dataclass(frozen=True)
class FormField:
    """One field: its input, a hint, what was typed and what is wrong with it."""

    id: str
    name: str
    role: str
    hint: str
    value: str
    fault: str
    levels: tuple[str, ...]
    yes_or_no: tuple[str, str]  # how the table writes true and false


def fields(
    signature: Signature, values: Mapping[str, str], faults: Mapping[str, str] | None = None
) -> list[FormField]:
    """One field per input, with what was typed and what is wrong with it."""
    found = []
    for place, column in enumerate(signature.inputs):
        minimum = _written(column.minimum, signature, column)
        maximum = _written(column.maximum, signature, column)
        field = FormField(
            id=_field_id(place),
            name=column.name,
            role=column.role,
            hint=describe(column, minimum, maximum),
            value=values.get(column.name, ""),
            fault=(faults or {}).get(column.name, ""),
            levels=column.levels or (),
            yes_or_no=_yes_or_no(signature, column.name),
        )
        found.append(field)
    return found


def typed(signature: Signature, sent: Mapping[str, str]) -> dict[str, str]:
    """What was typed into each field, by the input's name."""
    return {
        column.name: sent.get(_field_id(place), "") for place, column in enumerate(signature.inputs)
    }


def example(signature: Signature) -> dict[str, str]:
    """The first example of the signature, as a person would type it."""
    inputs = signature.examples[0].inputs
    return {
        column.name: _written(inputs[column.name], signature, column) for column in signature.inputs
    }


def values(signature: Signature, written: Mapping[str, str]) -> Row:
    """A row that was typed, read like a row of a file. Raises WrongRows with every fault."""
    # Imports Arrow, which the start does not need
    from bakebook.serving.uploads import converted, texts

    columns = {name: texts([value]) for name, value in written.items()}
    return converted(columns, signature)[0]


def _field_id(place: int) -> str:
    return f"i{place}"


def _yes_or_no(signature: Signature, name: str) -> tuple[str, str]:
    return ("true", "false") if signature.reading.columns[name] == "boolean" else ("1", "0")


def _written(value: Any, signature: Signature, column: Input) -> str:
    """A value as the project's table writes it."""
    if value is None:
        return ""
    if column.role == "boolean":
        true, false = _yes_or_no(signature, column.name)
        return true if value else false
    if column.role == "numeric":
        return as_text(value).replace(".", signature.reading.decimal)
    if column.role == "datetime":
        _, _, format_ = signature.reading.columns[column.name].partition(" ")
        return as_time(value).strftime(format_) if format_ else as_text(value)
    return as_text(value)
