"""Writes what can be derived: dependencies, missing parameters, canonical notebooks, and the frame of a new stage."""

import io
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap

from ..errors import BadInput
from ..paths import PACKAGE
from . import contract, notebooks
from .outputs import undeclared_reads
from .project import Project, load, writer

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


def sync(root: Path) -> list[str]:
    """Mends the project's derived parts and returns one line per file that was changed."""
    project = load(root)
    changed = [_sync_notebook(project, path) for path in sorted((root / "notebooks").rglob("*.ipynb")) if _ours(path)]
    return [line for line in [*changed, _sync_pipeline(load(root))] if line]


def new(root: Path, name: str) -> list[str]:
    """A notebook, its params section and its stage, where they are missing; then `sync`."""
    if not NAME.fullmatch(name) or name == contract.RUNNER:
        raise BadInput(f"'{name}' is no name for a stage → use small letters, digits and _: nb new my_stage")
    project = load(root)
    path = root / "notebooks" / f"{name}.ipynb"
    changed, deps = [], []
    if not path.exists():
        deps = ["data/raw/table.parquet"]
        notebooks.write(notebooks.canonical(_blank(name)), path)
        changed.append(f"wrote notebooks/{name}.ipynb")
    if name not in project.params and _declared(path) == {"rows"}:
        _append(root / "params.yaml", f"\n{name}:\n  rows: 5  # rows to show\n")
        changed.append(f"wrote section '{name}' of params.yaml")
    if name not in project.stages:
        outs = [contract.executed(name)]
        project.stages[name] = CommentedMap({"cmd": f"nb run {name}", "deps": deps, "outs": outs})
        _write_pipeline(project)
        changed.append(f"wrote stage '{name}' of dvc.yaml")
    return [*changed, *sync(root)]


def add_reads(root: Path) -> list[str]:
    """Adds to each stage's deps what its last run read and does not depend on, and returns one line for each."""
    project, added = load(root), []
    for name in project.stages:
        for path in undeclared_reads(project, name):
            project.stages[name].setdefault("deps", []).insert(0, path)
            added.append(f"added {path} to deps of stage '{name}'")
    if added:
        _write_pipeline(project)
    return added


def _declared(path: Path) -> set[str]:
    cell = notebooks.parameters_cell(notebooks.read(path))
    return {parameter.name for parameter in notebooks.parameters(cell)} if cell else set()


def _ours(path: Path) -> bool:
    return ".ipynb_checkpoints" not in path.parts


def _sync_notebook(project: Project, path: Path) -> str | None:
    notebook = notebooks.canonical(notebooks.read(path))
    if path.parent == project.root / "notebooks":
        with suppress(SyntaxError):  # `nb check` names it
            _declare(project, path.stem, notebook)
    if notebooks.dumps(notebook).encode() == path.read_bytes():
        return None
    notebooks.write(notebook, path)
    return f"wrote {path.relative_to(project.root).as_posix()}"


def _declare(project: Project, stage: str, notebook: notebooks.Notebook) -> None:
    """Adds to the parameters cell a line for each parameter that params.yaml has and the cell has not."""
    cell, values = notebooks.parameters_cell(notebook), project.params.get(stage)
    if cell is None or not isinstance(values, dict):
        return
    declared = {parameter.name for parameter in notebooks.parameters(cell)}
    missing = [key for key in values if key not in declared and notebooks.is_name(key)]
    lines = [f'{key}: {_type(values[key])} = p["{key}"]{_comment(values, key)}' for key in missing]
    cell["source"] = "\n".join([notebooks.written(cell).rstrip("\n"), *lines]).splitlines(keepends=True)


def _comment(values: Any, key: str) -> str:
    tokens = values.ca.items.get(key)
    return f"  {tokens[2].value.strip()}" if tokens and tokens[2] else ""


def _type(value: Any) -> str:
    """The builtin behind ruamel's own types."""
    return next((kind.__name__ for kind in (bool, int, float, str, list, dict) if isinstance(value, kind)), "object")


def _sync_pipeline(project: Project) -> str | None:
    before = _dumped(project)
    for name in project.stages:
        if name in project.notebooks:
            _sync_stage(project, name)
    if _dumped(project) == before:
        return None
    _write_pipeline(project)
    return "wrote the derived parts of dvc.yaml"


def _sync_stage(project: Project, name: str) -> None:
    stage = project.stages[name]
    try:
        needed = contract.derived(project, name)
    except SyntaxError:
        return
    stage["cmd"] = f"nb run {name}"
    prefix = f"src/{project.package.name}/"
    kept = [dep for dep in stage.get("deps") or [] if not str(dep).startswith(prefix) and str(dep) not in needed]
    if list(stage.get("deps") or []) != [*kept, *needed]:
        stage["deps"] = [*kept, *needed]
    if name in project.params and name not in (stage.get("params") or []):
        listed = [*(stage.pop("params", None) or []), name]
        stage.insert(list(stage).index("deps") + 1, "params", listed)
    if contract.executed(name) not in project.files(name, "outs"):
        stage["outs"] = [*(stage.get("outs") or []), contract.executed(name)]


def _dumped(project: Project) -> str:
    text = io.StringIO()
    writer().dump(project.pipeline, text)
    return text.getvalue()


def _write_pipeline(project: Project) -> None:
    (project.root / "dvc.yaml").write_text(_dumped(project), encoding="utf-8", newline="\n")


def _append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(text)


def _blank(name: str) -> notebooks.Notebook:
    title = name.replace("_", " ").capitalize()
    package = PACKAGE.name
    cells = [
        ("markdown", f"# {title}\n\nWhich question does this notebook answer, and what does it leave behind?"),
        (
            "parameters",
            f"from {package}.parameters import Count, stage\n\n"
            f'p = stage("{name}")\nrows: Count = p["rows"]  # rows to show',
        ),
        ("code", f"from {package} import data, paths"),
        ("markdown", "## The table that was ingested"),
        ("code", "table = data.read_table(paths.TABLE)\ntable.head(rows)"),
    ]
    return {
        "cells": [
            {
                "cell_type": "markdown" if kind == "markdown" else "code",
                "id": f"{name}-{number}"[-64:],
                "metadata": {"tags": ["parameters"]} if kind == "parameters" else {},
                "source": text,
            }
            for number, (kind, text) in enumerate(cells)
        ]
    }
