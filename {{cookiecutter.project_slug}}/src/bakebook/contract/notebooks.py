"""Notebooks as JSON: their code, their parameters cell, their canonical form and that of an
executed one.
"""

import ast
import hashlib
import json
import keyword
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakebook.errors import BadInput
from bakebook.files import write_text

JsonObject = dict[str, Any]
Notebook = JsonObject  # as nbformat describes it
Cell = JsonObject
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
# What a person means by a cell's metadata; editors add what they need for themselves, Colab even
# the name of the person who ran the cell
KEPT_METADATA = {"deletable", "editable", "format", "jupyter", "name", "slideshow", "tags"}
KEPT_OF_JUPYTER = {"source_hidden"}
KEPT_OF_EXECUTED = {"kernelspec", "language_info"}
PAIRING = "jupytext"  # its metadata: the other file that it writes
# What differs between runs or places, and what replaces it
VOLATILE_TEXT = {
    r"\b0x[0-9a-fA-F]{6,16}\b": "0x…",
    # Shortened by reprlib: <function f...x7f12>
    r"(?<=\.\.\.)x?[0-9a-fA-F]{6,16}(?=>|&gt;)": "0x…",
    r"(?<![^\s\"'(])[^\s\"'(]*ipykernel_\d+[/\\]\d+\.py": "cell.py",
}


@dataclass(frozen=True)
class Parameter:
    """One line of a parameters cell: `name: annotation = p["key"]`."""

    name: str
    key: str | None
    annotation: ast.expr | None


def read(path: Path) -> Notebook:
    """The notebook in a file. Raises BadInput when it is not a notebook of Python."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        notebook = None
    where = f"notebooks/{path.as_posix().rpartition('/notebooks/')[2]}"
    if isinstance(notebook, dict) and "worksheets" in notebook:
        remedy = f"jupyter nbconvert --to notebook --inplace {where}"
        raise BadInput(f"{where} is of nbformat 3, which Jupyter no longer writes", remedy)
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list) or not all(_is_cell(cell) for cell in cells):
        raise BadInput(
            f"{where} cannot be read as a notebook", f"git restore {where}, or remove it"
        )
    language = _language(notebook)
    if language.lower() not in ("", "python"):
        remedy = "translate it to Python, or move it out of notebooks/"
        raise BadInput(f"{where} is written in {language}; stages are Python", remedy)
    return notebook


def write(notebook: Notebook, path: Path) -> None:
    """Writes the file as a whole, in the form in which Jupyter writes it."""
    write_text(dumps(notebook), path)


def dumps(notebook: Notebook) -> str:
    """Jupyter's own form: sorted keys, one space of indentation, a newline at the end."""
    return json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def text_of(cell: Cell) -> str:
    """A cell's text as it stands in the file."""
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def python_of(cell: Cell) -> str:
    """A cell's Python; IPython's magics and shell lines, and a whole cell of another language,
    become `pass`.
    """
    text = text_of(cell)
    if re.match(r"%%(?!time\b|timeit\b|capture\b)", text):
        return "pass"
    try:
        ast.parse(text)
    except SyntaxError:
        return re.sub(r"^([^\S\n]*)[%!].*$", r"\1pass", text, flags=re.MULTILINE)
    return text  # a line that begins with % may continue the one before


def is_name(key: object) -> bool:
    """Whether Python can assign to it."""
    return isinstance(key, str) and key.isidentifier() and not keyword.iskeyword(key)


def statements(notebook: Notebook) -> list[ast.stmt]:
    """The statements of all code cells. Raises SyntaxError."""
    found: list[ast.stmt] = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            found += ast.parse(python_of(cell)).body
    return found


def parameters_cell(notebook: Notebook) -> Cell | None:
    """The code cell tagged `parameters`."""
    for cell in notebook["cells"]:
        is_code = cell["cell_type"] == "code"
        if is_code and "parameters" in cell.get("metadata", {}).get("tags", []):
            return cell
    return None


def parameters(cell: Cell) -> list[Parameter]:
    """The parameters that a parameters cell declares: each assignment except `p = stage(...)`."""
    found = []
    for statement in ast.parse(python_of(cell)).body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            found.append(
                Parameter(statement.target.id, _key(statement.value), statement.annotation)
            )
        elif isinstance(statement, ast.Assign) and not isinstance(statement.value, ast.Call):
            names = [target.id for target in statement.targets if isinstance(target, ast.Name)]
            found += [Parameter(name, _key(statement.value), None) for name in names]
    return found


def section(cell: Cell) -> str | None:
    """The stage that a parameters cell asks for: `train` in `p = stage("train")`."""
    for node in ast.walk(ast.parse(python_of(cell))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            first = node.args[0]
            if node.func.id == "stage":
                return str(first.value) if isinstance(first, ast.Constant) else None
    return None


def canonical(notebook: Notebook) -> Notebook:
    """The notebook as it stands in git: no outputs, no counts, stable ids, nothing volatile."""
    cells = [_canonical_cell(cell, number) for number, cell in enumerate(notebook["cells"])]
    metadata = {"kernelspec": KERNEL} | _pairing(notebook)
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def normalised(executed: Notebook, root: Path) -> Notebook:
    """An executed notebook without what differs between runs: times,
    random ids, addresses, places.
    """
    patterns = volatile_text(root)
    cells = []
    for cell in executed["cells"]:
        metadata = _stable_metadata(cell["metadata"])
        is_injected = "injected-parameters" in metadata.get("tags", [])
        stable = {
            **cell,
            "id": "injected-parameters" if is_injected else cell["id"],
            "metadata": metadata,
        }
        if cell["cell_type"] == "code":
            stable["outputs"] = _stable_outputs(cell["outputs"], patterns)
        cells.append(stable)
    metadata = {
        name: value for name, value in executed["metadata"].items() if name in KEPT_OF_EXECUTED
    }
    return {**executed, "cells": cells, "metadata": metadata}


def volatile_text(root: Path) -> dict[str, str]:
    """Regular expressions of what an output may contain of this run and this place, and what
    replaces each.
    """
    places = {}
    for path, name in ((Path(sys.prefix), "environment"), (root, ".")):
        for form in _forms(path):
            places[form] = name
    patterns = dict(VOLATILE_TEXT)
    for form in sorted(places, key=len, reverse=True):  # one place may lie in the other
        patterns[rf"(?<![\w.-]){re.escape(form)}(?![\w.-])"] = places[form]
    return patterns


def heading(notebook: Notebook, index: int) -> str:
    """The heading above a cell."""
    for cell in reversed(notebook["cells"][: index + 1]):
        text = text_of(cell)
        if cell["cell_type"] == "markdown" and text.startswith("#"):
            return text.split("\n")[0].lstrip("# ")
    return ""


def _forms(path: Path) -> set[str]:
    """How a path may stand in an output: as the system writes it, with slashes, or with doubled
    backslashes.
    """
    return {str(path), path.as_posix(), str(path).replace("\\", "\\\\")}


def _is_cell(cell: object) -> bool:
    """The little of nbformat's schema that this library relies on."""
    if not isinstance(cell, dict) or not isinstance(cell.get("metadata", {}), dict):
        return False
    return isinstance(cell.get("cell_type"), str) and isinstance(cell.get("source"), str | list)


def _key(value: ast.expr | None) -> str | None:
    if isinstance(value, ast.Subscript) and isinstance(value.slice, ast.Constant):
        return str(value.slice.value)
    return None


def _canonical_cell(cell: Cell, number: int) -> Cell:
    text = text_of(cell)
    computed_id = hashlib.md5(f"{number}{text}".encode(), usedforsecurity=False).hexdigest()[:8]
    stable = {
        "cell_type": cell["cell_type"],
        "id": cell.get("id") or computed_id,
        "metadata": _stable_metadata(cell.get("metadata", {})),
        "source": text.splitlines(keepends=True),
    }
    if cell["cell_type"] == "markdown" and cell.get("attachments"):
        stable["attachments"] = cell["attachments"]
    if cell["cell_type"] == "code":
        stable |= {"execution_count": None, "outputs": []}
    return stable


def _language(notebook: Notebook) -> str:
    """The language that a notebook says it is written in; empty where it does not."""
    metadata = notebook.get("metadata") or {}
    kernel = metadata.get("kernelspec") or {}
    info = metadata.get("language_info") or {}
    return str(kernel.get("language") or info.get("name") or "")


def _pairing(notebook: Notebook) -> JsonObject:
    """The metadata by which jupytext pairs the notebook with a text file."""
    pairing = (notebook.get("metadata") or {}).get(PAIRING)
    if not isinstance(pairing, dict):
        return {}
    kept = {name: value for name, value in pairing.items() if name != "text_representation"}
    return {PAIRING: kept} if kept else {}


def _stable_metadata(metadata: JsonObject) -> JsonObject:
    """What a person means, without what is empty."""
    kept = {
        name: value for name, value in metadata.items() if name in KEPT_METADATA and value != []
    }
    if isinstance(kept.get("jupyter"), dict):
        kept["jupyter"] = {
            name: value for name, value in kept["jupyter"].items() if name in KEPT_OF_JUPYTER
        }
    return {name: value for name, value in kept.items() if value != {}}


def _stable_outputs(outputs: list[Any], patterns: dict[str, str]) -> list[Any]:
    return [_stable_value(output, patterns) for output in outputs if not _is_progress_bar(output)]


def _is_progress_bar(output: JsonObject) -> bool:
    """Whether the output is IPython's progress bar, meaningless once the cell has run."""
    html = output.get("data", {}).get("text/html", "")
    return "".join(html).startswith("<progress")


def _stable_value(value: object, patterns: dict[str, str]) -> object:
    if isinstance(value, str):
        for pattern, replacement in patterns.items():
            value = re.sub(pattern, replacement, value)
        return value
    if isinstance(value, list):
        return [_stable_value(one, patterns) for one in value]
    if isinstance(value, dict):
        return {
            name: one if name == "image/png" else _stable_value(one, patterns)
            for name, one in value.items()
        }
    return value
