"""The contract: a stage, its notebook, its parameters and its dependencies say the same."""

import ast
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from ..errors import BadInput, did_you_mean
from . import annotations, imports, notebooks
from .project import Project

Faults = Iterator[str]
RUNNER = "pipeline"  # the section of params.yaml that speaks to `nb run`, not to a stage
SETTINGS = {"stage_timeout": "Positive"}
CELL = 'a line `p = stage("{stage}")` and one `name: type = p["name"]` for each parameter'


def check(project: Project, stages: list[str] | None = None) -> list[str]:
    """One line per fault, `where: what → what to do`, of the named stages or of the whole project.

    Only the whole project's check minds outputs left in a notebook: they do not change what a stage does.
    """
    if stages is not None:
        return [*_settings(project), *(fault for name in stages for fault in _check_stage(project, name))]
    names = list(dict.fromkeys([*project.stages, *project.notebooks]))
    found = [fault for name in names for fault in _check_stage(project, name)]
    form = [fault for name in project.notebooks for fault in _form(project, name)]
    return [*_settings(project), *_sections(project), *found, *form]


def _check_stage(project: Project, name: str) -> Faults:
    if name not in project.stages:
        known = did_you_mean(name, project.stages)
        if name in project.notebooks:
            yield f"notebooks/{name}.ipynb: has no stage in dvc.yaml → nb new {name}, or move it to exploratory/"
        else:
            yield f"dvc.yaml: has no stage '{name}'{known or f' → nb new {name}'}"
        return
    if name not in project.notebooks:
        if name in project.notebook_stages():
            known = did_you_mean(name, set(project.notebooks) - set(project.stages))
            where = f"dvc.yaml:{_line(project.stages, name)}"
            yield f"{where}: stage '{name}' has no notebook notebooks/{name}.ipynb{known or ' → restore it from git'}"
        return
    yield from _command(project, name)
    notebook = project.notebooks[name]
    if notebook.get("nbformat") != 4 or not all(cell.get("id") for cell in notebook["cells"]):
        yield f"notebooks/{name}.ipynb: is of an older format, without ids of its cells → nb sync"
    try:
        needed = derived(project, name)
    except SyntaxError as error:
        module = str(error.filename)
        place = module if module.startswith("src/") else f"notebooks/{name}.ipynb"
        yield f"{place}: '{(error.text or '').strip()}' is no valid Python ({error.msg}) → mend it"
        return
    yield from _parameters(project, name)
    yield from _dependencies(project, name, needed)
    yield from _listed(project, name)


def _sections(project: Project) -> Faults:
    for name in project.params:
        if name not in project.stages and name != RUNNER:
            known = did_you_mean(str(name), project.stages)
            where = f"params.yaml:{_line(project.params, name)}"
            yield f"{where}: section '{name}' belongs to no stage{known or ' → remove it'}"


def _settings(project: Project) -> Faults:
    values = project.params.get(RUNNER) or {}
    if not isinstance(values, dict):
        line = _line(project.params, RUNNER)
        yield f"params.yaml:{line}: section '{RUNNER}' is no mapping → write one name: value a line"
        return
    for key in values:
        where = f"params.yaml:{_line(values, key)}"
        if key not in SETTINGS:
            known = did_you_mean(str(key), SETTINGS) or f" → write one of: {', '.join(SETTINGS)}"
            yield f"{where}: unknown setting '{key}' in section '{RUNNER}'{known}"
        elif found := annotations.mismatch(values[key], SETTINGS[key]):
            yield f"{where}: {RUNNER}.{key} is {found.shown} but should be {found.expected} → mend it"


def _command(project: Project, name: str) -> Faults:
    command = project.stages[name].get("cmd")
    if command != f"nb run {name}":
        line = _line(project.stages[name], "cmd")
        yield f"dvc.yaml:{line}: stage '{name}' runs '{command}' instead of 'nb run {name}' → nb sync"


def _parameters(project: Project, name: str) -> Faults:
    where = f"notebooks/{name}.ipynb"
    cell = notebooks.parameters_cell(project.notebooks[name])
    values = project.params.get(name)
    if values is None and (name in project.params or cell is None):
        values = {}
    if values is None:
        known = did_you_mean(name, set(project.params) - set(project.stages))
        yield f"params.yaml: has no section '{name}'{known or ' → add it with the values of the parameters cell'}"
        return
    if not isinstance(values, dict):
        line = _line(project.params, name)
        yield f"params.yaml:{line}: section '{name}' is no mapping → write one name: value a line"
        return
    if cell is None:
        if values:
            yield f"{where}: has no cell tagged 'parameters' → tag the cell with {CELL.format(stage=name)}"
        return
    if notebooks.section(cell) != name:
        yield f"{where}: its parameters cell takes stage '{notebooks.section(cell)}' → write p = stage(\"{name}\")"
    declared = {parameter.name: parameter for parameter in notebooks.parameters(cell)}
    yield from _names(project, name, values, declared)
    for key in values:
        if key in declared:
            yield from _value(name, values, declared[key])


def _names(project: Project, stage: str, values: Any, declared: dict[str, notebooks.Parameter]) -> Faults:
    for key in values:
        where = f"params.yaml:{_line(values, key)}"
        if not notebooks.is_name(key):
            yield f"{where}: {annotations.plain(key)!r} in section '{stage}' is no name that Python can use → rename it"
        elif key not in declared:
            known = did_you_mean(key, set(declared) - set(values))
            known = known or " → remove it, or nb sync to declare it"
            yield f"{where}: unknown parameter '{key}' in section '{stage}'{known}"
    for key, parameter in declared.items():
        if key not in values:
            known = did_you_mean(key, set(map(str, values)) - set(declared))
            where = f"params.yaml:{_line(project.params, stage)}"
            yield f"{where}: section '{stage}' misses '{key}'{known or ', which the notebook declares → add it'}"
        if parameter.key not in (None, key):
            yield f'notebooks/{stage}.ipynb: \'{key}\' takes p["{parameter.key}"] → write p["{key}"]'
        elif parameter.key is None:
            yield f"notebooks/{stage}.ipynb: '{key}' has a value of its own in the parameters cell → write p[\"{key}\"]"


def _value(stage: str, values: Any, parameter: notebooks.Parameter) -> Faults:
    key, value = parameter.name, values[parameter.name]
    if parameter.annotation is None:
        hint = f'{key}: {type(annotations.plain(value)).__name__} = p["{key}"]'
        yield f"notebooks/{stage}.ipynb: parameter '{key}' has no type → write {hint}"
        return
    written = ast.unparse(parameter.annotation)
    try:
        found = annotations.mismatch(value, written)
    except annotations.UnknownType as error:
        where = f"notebooks/{stage}.ipynb"
        yield f"{where}: parameter '{key}' has the unknown type '{written}' ({error}) → see parameters.py"
        return
    if found:
        place = ".".join([stage, key, *found.path])
        what = f"{place} is {found.shown} but should be {found.expected}"
        yield f"params.yaml:{_line(values, key)}: {what} → mend it ({written})"


def _dependencies(project: Project, name: str, needed: list[str]) -> Faults:
    stage, made = project.stages[name], _made(project)
    declared = project.files(name, "deps")
    where = f"dvc.yaml:{_line(stage, 'deps')}"
    for path in needed:
        if path not in declared:
            yield f"{where}: stage '{name}' does not depend on {path}, which its notebook uses → nb sync"
    for number, path in enumerate(declared):
        line = stage["deps"].lc.item(number)[0] + 1
        if path.startswith(f"src/{project.package.name}/") and path not in needed:
            yield f"dvc.yaml:{line}: stage '{name}' depends on {path}, which its notebook does not use → nb sync"
        elif path not in made and not (project.root / path).exists():
            known = did_you_mean(path, made)
            what = f"stage '{name}' depends on {path}, which is not there and which no stage makes"
            yield f"dvc.yaml:{line}: {what}{known or ' → mend the path'}"


def derived(project: Project, name: str) -> list[str]:
    """The deps that follow from the notebook: itself, and the modules it imports. Raises SyntaxError."""
    used = imports.modules(notebooks.syntax(project.notebooks[name]), project.package)
    return [f"notebooks/{name}.ipynb", *sorted(path.relative_to(project.root).as_posix() for path in used)]


def _listed(project: Project, name: str) -> Faults:
    stage = project.stages[name]
    if name in project.params and name not in (stage.get("params") or []):
        yield f"dvc.yaml:{_line(project.stages, name)}: stage '{name}' does not list its params '{name}' → nb sync"
    for entry in stage.get("params") or []:
        if isinstance(entry, str) and entry.split(".")[0] not in project.params:
            known = did_you_mean(entry.split(".")[0], project.params)
            what = f"stage '{name}' lists params '{entry}', which params.yaml lacks"
            yield f"dvc.yaml:{_line(stage, 'params')}: {what}{known or ' → remove it'}"
    if executed(name) not in project.files(name, "outs"):
        yield f"dvc.yaml:{_line(project.stages, name)}: stage '{name}' does not list {executed(name)} in outs → nb sync"


def _form(project: Project, name: str) -> Faults:
    path = project.root / "notebooks" / f"{name}.ipynb"
    if path.read_bytes() != notebooks.dumps(notebooks.canonical(project.notebooks[name])).encode():
        yield f"notebooks/{name}.ipynb: holds outputs or other traces of a run → nb sync"


def executed(name: str) -> str:
    """Where a stage leaves its executed notebook."""
    return f"reports/notebooks/{name}.ipynb"


def require(project: Project, name: str) -> None:
    """Raises BadInput before anything is run: with the stage's first fault, or what it lacks to run."""
    faults = check(project, [name])
    if faults:
        more = f" (and {len(faults) - 1} more: nb check)" if len(faults) > 1 else ""
        raise BadInput(faults[0] + more)
    if name not in project.notebooks:
        raise BadInput(f"stage '{name}' has no notebook, its cmd is not nb run → dvc repro {name}")
    for path in project.files(name, "deps"):
        if not (project.root / path).exists():
            raise BadInput(f"there is no {path} yet, which stage '{name}' needs → dvc repro {name}")


def _made(project: Project) -> set[str]:
    files = {path for name in project.stages for path in project.made(name)}
    return files | {str(parent) for path in files for parent in list(PurePosixPath(path).parents)[:-1]}


def _line(mapping: Any, key: Any) -> int:
    """The line on which a key of a ruamel mapping stands, or the mapping itself when it lacks the key."""
    return (mapping.lc.key(key)[0] if key in mapping else mapping.lc.line) + 1
