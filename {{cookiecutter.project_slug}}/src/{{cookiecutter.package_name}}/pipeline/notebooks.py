"""Notebooks as JSON: their code, their parameters cell, their canonical form and that of an executed one."""

import ast
import hashlib
import json
import keyword
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BadInput

Notebook = dict[str, Any]
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
VOLATILE = {"ExecuteTime", "collapsed", "execution", "papermill", "scrolled", "trusted"}
# What differs from run to run or from place to place, and what stands for it: a regular expression each.
UNSTEADY = {
    r"\b0x[0-9a-fA-F]{6,16}\b": "0x…",
    r"(?<![^\s\"'(])[^\s\"'(]*ipykernel_\d+[/\\]\d+\.py": "cell.py",
}


@dataclass(frozen=True)
class Parameter:
    """One line of a parameters cell: `name: annotation = p["key"]`."""

    name: str
    key: str | None
    annotation: ast.expr | None


def read(path: Path) -> Notebook:
    """The notebook in a file. Raises BadInput when it is no notebook."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        notebook = None
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list) or not all(map(_is_cell, cells)):
        place = path.as_posix().rpartition("/notebooks/")[2]
        raise BadInput(f"notebooks/{place} is no readable notebook → restore it from git, or remove it")
    return notebook


def write(notebook: Notebook, path: Path) -> None:
    """Writes the file whole or not at all, in the form in which Jupyter writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(dumps(notebook), encoding="utf-8", newline="\n")
    part.replace(path)


def dumps(notebook: Notebook) -> str:
    """Jupyter's own form: keys sorted, one space of indent, a newline at the end."""
    return json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def source(cell: dict[str, Any]) -> str:
    """A cell's Python; IPython's magics and shell lines become `pass`, and so does a whole cell of another language."""
    text = written(cell)
    if re.match(r"%%(?!time\b|timeit\b|capture\b)", text):
        return "pass"
    try:
        ast.parse(text)
    except SyntaxError:
        return re.sub(r"^([^\S\n]*)[%!].*$", r"\1pass", text, flags=re.MULTILINE)
    return text  # a line that begins with % may go on from the one before


def written(cell: dict[str, Any]) -> str:
    """A cell's text as it stands in the file."""
    return cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])


def is_name(key: object) -> bool:
    """Whether Python can assign to it."""
    return isinstance(key, str) and key.isidentifier() and not keyword.iskeyword(key)


def syntax(notebook: Notebook) -> list[ast.stmt]:
    """The statements of all code cells. Raises SyntaxError."""
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return [statement for cell in cells for statement in ast.parse(source(cell)).body]


def parameters_cell(notebook: Notebook) -> dict[str, Any] | None:
    """The cell tagged `parameters`."""
    tagged = [c for c in notebook["cells"] if "parameters" in c.get("metadata", {}).get("tags", [])]
    return tagged[0] if tagged else None


def parameters(cell: dict[str, Any]) -> list[Parameter]:
    """The parameters that a parameters cell declares: each assignment but `p = stage(...)`."""
    found = []
    for statement in ast.parse(source(cell)).body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            found.append(Parameter(statement.target.id, _key(statement.value), statement.annotation))
        elif isinstance(statement, ast.Assign) and not isinstance(statement.value, ast.Call):
            names = [target.id for target in statement.targets if isinstance(target, ast.Name)]
            found += [Parameter(name, _key(statement.value), None) for name in names]
    return found


def section(cell: dict[str, Any]) -> str | None:
    """The stage that a parameters cell asks for: `train` in `p = stage("train")`."""
    for node in ast.walk(ast.parse(source(cell))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "stage" and node.args:
            return str(node.args[0].value) if isinstance(node.args[0], ast.Constant) else None
    return None


def canonical(notebook: Notebook) -> Notebook:
    """The notebook as it stands in git: no outputs, no counts, stable ids, nothing volatile."""
    cells = [_canonical_cell(cell, number) for number, cell in enumerate(notebook["cells"])]
    return {"cells": cells, "metadata": {"kernelspec": KERNEL}, "nbformat": 4, "nbformat_minor": 5}


def normalised(executed: Notebook, root: Path) -> Notebook:
    """An executed notebook without what differs from run to run: times, random ids, addresses, places."""
    patterns, cells = unsteady(root), []
    for cell in executed["cells"]:
        metadata = _steady(cell["metadata"])
        identity = "injected-parameters" if "injected-parameters" in metadata.get("tags", []) else cell["id"]
        cells.append({**cell, "id": identity, "metadata": metadata} | _steady_outputs(cell, patterns))
    return {**executed, "cells": cells, "metadata": _steady(executed["metadata"])}


def unsteady(root: Path) -> dict[str, str]:
    """The regular expressions of what an output may hold of this run and this place, and what stands for each."""
    places = {form: name for path, name in ((Path(sys.prefix), "environment"), (root, ".")) for form in _forms(path)}
    ordered = sorted(places, key=len, reverse=True)  # one place may lie in the other
    return UNSTEADY | {rf"(?<![\w.-]){re.escape(form)}(?![\w.-])": places[form] for form in ordered}


def _forms(path: Path) -> set[str]:
    """How a path may stand in an output: as the system writes it, with slashes, or with doubled backslashes."""
    return {str(path), path.as_posix(), str(path).replace("\\", "\\\\")}


def heading(notebook: Notebook, index: int) -> str:
    """The heading that the cell stands under."""
    for cell in reversed(notebook["cells"][: index + 1]):
        if cell["cell_type"] == "markdown" and source(cell).startswith("#"):
            return source(cell).split("\n")[0].lstrip("# ")
    return ""


def _is_cell(cell: Any) -> bool:
    """The little of nbformat's schema that this package relies on."""
    if not isinstance(cell, dict) or not isinstance(cell.get("metadata", {}), dict):
        return False
    return isinstance(cell.get("cell_type"), str) and isinstance(cell.get("source"), str | list)


def _key(value: ast.expr | None) -> str | None:
    if isinstance(value, ast.Subscript) and isinstance(value.slice, ast.Constant):
        return str(value.slice.value)
    return None


def _canonical_cell(cell: dict[str, Any], number: int) -> dict[str, Any]:
    text = written(cell)
    identity = cell.get("id") or hashlib.md5(f"{number}{text}".encode(), usedforsecurity=False).hexdigest()[:8]
    kept = {
        "cell_type": cell["cell_type"],
        "id": identity,
        "metadata": _steady(cell.get("metadata", {})),
        "source": text.splitlines(keepends=True),
    }
    if cell["cell_type"] == "markdown" and cell.get("attachments"):
        kept["attachments"] = cell["attachments"]
    return kept | ({"execution_count": None, "outputs": []} if cell["cell_type"] == "code" else {})


def _steady(metadata: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metadata.items() if name not in VOLATILE}


def _steady_outputs(cell: dict[str, Any], patterns: dict[str, str]) -> dict[str, Any]:
    if cell["cell_type"] != "code":
        return {}
    return {"outputs": [_replaced(output, patterns) for output in cell["outputs"] if not _is_bar(output)]}


def _is_bar(output: dict[str, Any]) -> bool:
    """Whether it is IPython's bar, which has nothing more to say once the cell has run."""
    return "".join(output.get("data", {}).get("text/html", "")).startswith("<progress")


def _replaced(value: Any, patterns: dict[str, str]) -> Any:
    if isinstance(value, str):
        for pattern, steady in patterns.items():
            value = re.sub(pattern, steady, value)
    elif isinstance(value, list):
        return [_replaced(one, patterns) for one in value]
    elif isinstance(value, dict):
        return {name: one if name == "image/png" else _replaced(one, patterns) for name, one in value.items()}
    return value
