"""Whether the parameters of params.yaml are those that the notebook declares."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bakebook.contract import annotations, notebooks
from bakebook.contract.project import Project
from bakebook.errors import did_you_mean

CELL = 'a line `p = stage("{stage}")` and one `name: type = p["name"]` for each parameter'

# YAML reads nothing as null
EMPTY = {"dict": "{}", "list": "[]"}


@dataclass(frozen=True)
class Fault:
    """Something in the project's files that does not agree: where,
    what, and what to do about it.
    """

    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what} → {self.remedy}"


Faults = Iterator[Fault]


def check_parameters(project: Project, name: str) -> Faults:
    where = f"notebooks/{name}.ipynb"
    cell = notebooks.parameters_cell(project.notebooks[name])
    values = project.params.get(name)
    if values is None and (name in project.params or cell is None):
        values = {}
    if values is None:
        unused = set(project.params) - set(project.stages)
        remedy = did_you_mean(name, unused) or "add it with the values of the parameters cell"
        yield Fault("params.yaml", f"has no section '{name}'", remedy)
        return
    if not isinstance(values, dict):
        yield Fault(
            place(project.params, name),
            f"section '{name}' is not a mapping",
            "write one `name: value` per line",
        )
        return
    if cell is None:
        if values:
            yield Fault(
                where,
                "has no cell tagged 'parameters'",
                f"tag the cell with {CELL.format(stage=name)}",
            )
        return
    section = notebooks.section(cell)
    if section is None:
        yield Fault(where, "its parameters cell has no stage", f'write p = stage("{name}")')
    elif section != name:
        yield Fault(
            where, f"its parameters cell takes stage '{section}'", f'write p = stage("{name}")'
        )
    declared = {parameter.name: parameter for parameter in notebooks.parameters(cell)}
    yield from _set_names(name, values, declared)
    yield from _declared_names(project, name, values, declared)
    for key in values:
        if key in declared:
            yield from _value(name, values, declared[key])


def _set_names(stage: str, values: Any, declared: dict[str, notebooks.Parameter]) -> Faults:
    """Names that params.yaml sets and the notebook does not declare."""
    for key in values:
        where = place(values, key)
        if not notebooks.is_name(key):
            shown = repr(annotations.plain(key))
            yield Fault(
                where, f"{shown} in section '{stage}' is not a valid Python name", "rename it"
            )
        elif key not in declared:
            unset = set(declared) - set(values)
            remedy = did_you_mean(key, unset) or "remove it, or nb sync to declare it"
            yield Fault(where, f"unknown parameter '{key}' in section '{stage}'", remedy)


def _declared_names(
    project: Project, stage: str, values: Any, declared: dict[str, notebooks.Parameter]
) -> Faults:
    """Names that the notebook declares and params.yaml does not set, or that take another value."""
    notebook = f"notebooks/{stage}.ipynb"
    for key, parameter in declared.items():
        if key not in values:
            unknown = set(map(str, values)) - set(declared)
            remedy = did_you_mean(key, unknown) or "add it"
            what = f"section '{stage}' has no '{key}', which the notebook declares"
            yield Fault(place(project.params, stage), what, remedy)
        correct = f'write p["{key}"]'
        if parameter.key is None:
            yield Fault(notebook, f"'{key}' has a value of its own in the parameters cell", correct)
        elif parameter.key != key:
            yield Fault(notebook, f"'{key}' takes p[\"{parameter.key}\"]", correct)


def _value(stage: str, values: Any, parameter: notebooks.Parameter) -> Faults:
    key = parameter.name
    value = values[key]
    notebook = f"notebooks/{stage}.ipynb"
    if parameter.annotation is None:
        type_ = annotations.type_name(value)
        yield Fault(
            notebook, f"parameter '{key}' has no type", f'write {key}: {type_} = p["{key}"]'
        )
        return
    annotation = ast.unparse(parameter.annotation)
    try:
        found = annotations.mismatch(value, annotation)
    except annotations.UnknownType as error:
        what = f"parameter '{key}' has the unknown type '{annotation}' ({error})"
        yield Fault(notebook, what, "src/bakebook/params.py lists the types")
        return
    if value is None and annotation.startswith(tuple(EMPTY)):
        empty = EMPTY[annotation[:4]]
        what = f"{stage}.{key} is empty"
        yield Fault(place(values, key), what, f"write {key}: {empty}")
    elif found:
        parameter_path = ".".join([stage, key, *found.path])
        what = f"{parameter_path} is {found.shown} but should be {found.expected}"
        yield Fault(place(values, key), what, f"fix it ({annotation})")


def place(mapping: Any, key: Any, file: str = "params.yaml") -> str:
    """File and line of a key of a ruamel mapping, or of the mapping itself when it does not have
    the key.
    """
    line = mapping.lc.key(key)[0] if key in mapping else mapping.lc.line
    return f"{file}:{line + 1}"
