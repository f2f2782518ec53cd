"""Writes what can be derived: dependencies, missing parameters, canonical notebooks, and the files
of a new stage.
"""

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap

from bakebook.contract import annotations, notebooks
from bakebook.contract.check import SETTINGS
from bakebook.contract.dependencies import derived, is_derived
from bakebook.contract.project import COMMANDS, Project, executed, load, write_pipeline
from bakebook.contract.yaml_files import dumped
from bakebook.errors import BadInput

STAGE_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
TABLE = "data/interim/table.parquet"
LONGEST_ID = 64  # nbformat's limit of a cell's id
# The cells of a new notebook: type, tag and source
NEW_CELLS = (
    (
        "markdown",
        "",
        "# {title}\n\nWhich question does this notebook answer, and what does it write?",
    ),
    (
        "code",
        "parameters",
        "from bakebook.params import Count, stage\n\n"
        'p = stage("{name}")\nrows: Count = p["rows"]  # rows to show',
    ),
    ("code", "", "from bakebook import artifacts, paths"),
    ("markdown", "", "## The table"),
    ("code", "", "table = artifacts.read_table(paths.TABLE)\ntable.head(rows)"),
)


def sync(root: Path) -> list[str]:
    """Fixes the project's derived parts and returns one line per file that was changed."""
    project = load(root)
    changed = []
    for path in sorted((root / "notebooks").rglob("*.ipynb")):
        if ".ipynb_checkpoints" not in path.parts and _sync_notebook(project, path):
            changed.append(f"wrote {path.relative_to(root).as_posix()}")
    if _sync_pipeline(load(root)):
        changed.append("wrote the derived parts of dvc.yaml")
    return changed


def new(root: Path, name: str) -> list[str]:
    """Writes a notebook, its params section and its stage where they are missing; then `sync`."""
    if not STAGE_NAME.fullmatch(name) or name in (*SETTINGS, *COMMANDS):
        raise BadInput(
            f"'{name}' is not a valid stage name",
            "use lowercase letters, digits and _: nb new my_stage",
        )
    project = load(root)
    path = root / "notebooks" / f"{name}.ipynb"
    changed = []
    deps = []
    if not path.exists():
        deps = [TABLE]
        notebooks.write(notebooks.canonical(_new_notebook(name)), path)
        changed.append(f"wrote notebooks/{name}.ipynb")
    if name not in project.params and _declared(path) == {"rows"}:
        _append(root / "params.yaml", f"\n{name}:\n  rows: 5  # rows to show\n")
        changed.append(f"wrote section '{name}' of params.yaml")
    if name not in project.stages:
        stage = {"cmd": f"nb run {name}", "deps": deps, "outs": [executed(name)]}
        project.stages[name] = CommentedMap(stage)
        write_pipeline(project)
        changed.append(f"wrote stage '{name}' of dvc.yaml")
    return [*changed, *sync(root)]


def _declared(path: Path) -> set[str]:
    cell = notebooks.parameters_cell(notebooks.read(path))
    try:
        return {parameter.name for parameter in notebooks.parameters(cell)} if cell else set()
    except SyntaxError as error:
        what = f"the parameters cell of notebooks/{path.name} is not valid Python ({error.msg})"
        raise BadInput(what, "fix it, then run nb new again") from None


def _sync_notebook(project: Project, path: Path) -> bool:
    """Whether the notebook was changed."""
    notebook = notebooks.canonical(notebooks.read(path))
    if path.parent == project.root / "notebooks":
        with suppress(SyntaxError):  # `nb check` names it
            _declare(project, path.stem, notebook)
    if notebooks.dumps(notebook).encode() == path.read_bytes():
        return False
    notebooks.write(notebook, path)
    return True


def _declare(project: Project, stage: str, notebook: notebooks.Notebook) -> None:
    """Adds to the parameters cell a line for each parameter that params.yaml has and the cell does
    not.
    """
    cell = notebooks.parameters_cell(notebook)
    values = project.params.get(stage)
    if cell is None or not isinstance(values, dict):
        return
    declared = {parameter.name for parameter in notebooks.parameters(cell)}
    lines = [notebooks.text_of(cell).rstrip("\n")]
    for key in values:
        if key not in declared and notebooks.is_name(key):
            lines.append(
                f'{key}: {annotations.type_name(values[key])} = p["{key}"]{_comment(values, key)}'
            )
    cell["source"] = "\n".join(lines).splitlines(keepends=True)


def _comment(values: Any, key: str) -> str:
    tokens = values.ca.items.get(key)
    has_comment = tokens and tokens[2]
    return f"  {tokens[2].value.strip()}" if has_comment else ""


def _sync_pipeline(project: Project) -> bool:
    """Whether dvc.yaml was changed."""
    before = dumped(project.pipeline)
    for name in project.stages:
        if name in project.notebooks:
            _sync_stage(project, name)
    if dumped(project.pipeline) == before:
        return False
    write_pipeline(project)
    return True


def _sync_stage(project: Project, name: str) -> None:
    stage = project.stages[name]
    try:
        needed = derived(project, name)
    except SyntaxError:
        return
    stage["cmd"] = f"nb run {name}"
    listed = list(stage.get("deps") or [])
    own = [dep for dep in listed if not is_derived(project, str(dep)) and str(dep) not in needed]
    if listed != [*own, *needed]:
        stage["deps"] = [*own, *needed]
    if name in project.params and name not in (stage.get("params") or []):
        params = [*(stage.pop("params", None) or []), name]
        stage.insert(list(stage).index("deps") + 1, "params", params)
    if executed(name) not in project.files(name, "outs"):
        stage["outs"] = [*(stage.get("outs") or []), executed(name)]


def _append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(text)


def _new_notebook(name: str) -> notebooks.Notebook:
    title = name.replace("_", " ").capitalize()
    cells = []
    for number, (type_, tag, source) in enumerate(NEW_CELLS):
        cells.append(
            {
                "cell_type": type_,
                "id": f"{name}-{number}"[-LONGEST_ID:],
                "metadata": {"tags": [tag]} if tag else {},
                "source": source.format(title=title, name=name),
            }
        )
    return {"cells": cells}
