"""Whether `train.estimator` exists, fits the task and has the hyperparameters that are set: read
from its library's files, because importing one takes seconds.
"""

import ast
import re
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bakebook.contract.imports import top_level_names
from bakebook.contract.parameters import Fault, Faults, place
from bakebook.contract.project import Project
from bakebook.errors import BadInput, did_you_mean
from bakebook.params import GROUPS

STAGE = "train"
OTHER_TASK = {"classification": "Regressor", "regression": "Classifier"}
SUFFIX = {"classification": "Classifier", "regression": "Regressor"}
SEARCHES_OF_A_SPACE = ("grid", "random", "optuna")
SIGNATURE = re.compile(r"    def __init__\(.*?\)(?: -> None)?:$", re.DOTALL | re.MULTILINE)
LIST = "nb estimators lists them"


def check_estimator(project: Project) -> Faults:
    """The first fault of section `train` that the estimator's source shows."""
    settings = project.params.get(STAGE)
    if not isinstance(settings, dict):
        return
    path = settings.get("estimator")
    if not isinstance(path, str) or not path:
        return  # its type is checked elsewhere
    task = (project.params.get("prepare") or {}).get("task")
    found = _fault(project, path, task)
    if found:
        yield Fault(place(settings, "estimator"), *found)
        return
    for name in ("hyperparameters", "search_space"):
        if name == "hyperparameters" or settings.get("search") in SEARCHES_OF_A_SPACE:
            yield from _names(project, path, name, settings.get(name))


def check_path(project: Project, path: str) -> None:
    """Raises BadInput where there is no such estimator, or where it does not fit the task."""
    if found := _fault(project, path, (project.params.get("prepare") or {}).get("task")):
        raise BadInput(*found)


def _fault(project: Project, path: str, task: object) -> tuple[str, str] | None:
    """What is wrong with the dotted path and the remedy; None where nothing is, or where the
    library's files do not show it.
    """
    module, _, name = path.rpartition(".")
    library = module.partition(".")[0]
    folder = _folder(project, library)
    if folder is None:
        if not library and (known := _folder(project, "sklearn")):
            return f"there is no estimator '{path}'", _nearest(known, f"sklearn.{path}", set())
        if library in GROUPS:
            return f"{library} is not installed", f"uv sync --group {library}"
        libraries = ("sklearn", *GROUPS, project.package)
        return f"there is no estimator '{path}'", did_you_mean(library, libraries) or LIST
    if library == project.package and (missing := _missing_group(_file(folder, module))):
        return f"{path} needs {missing}, which is not installed", f"uv sync --group {missing}"
    defined = _defined(_file(folder, module))
    if defined is not None and name not in defined:
        return f"there is no estimator '{path}'", _nearest(folder, path, defined)
    other = OTHER_TASK.get(str(task))
    if other and name.endswith(other):
        twin = f"{name.removesuffix(other)}{SUFFIX[str(task)]}"
        remedy = f"{module}.{twin}" if defined and twin in defined else LIST
        return f"{path} is a {other.lower()}, and prepare.task is {task}", remedy
    return None


def _names(project: Project, path: str, section: str, values: Any) -> Faults:
    """Names that are no hyperparameters of the estimator."""
    known = hyperparameters_of(project, path)
    if known is None or not isinstance(values, dict):
        return
    for name in values:
        if name not in known:
            what = f"{path.rpartition('.')[2]} has no hyperparameter '{name}'"
            remedy = did_you_mean(name, known - set(values)) or "remove it: a default is taken"
            yield Fault(place(values, name), f"train.{section}: {what}", remedy)


def _folder(project: Project, library: str) -> Path | None:
    """The folder of the project's own package or of an installed library."""
    if library == project.package:
        return project.root / "src" / library
    with suppress(ImportError, ValueError):
        spec = find_spec(library)
        if spec and spec.origin:
            return Path(spec.origin).parent
    return None


def _file(folder: Path, module: str) -> Path | None:
    """The file of a module below the library's folder."""
    place = folder.joinpath(*module.split(".")[1:])
    for file in (place / "__init__.py", place.with_suffix(".py")):
        if file.is_file():
            return file
    return None


def _defined(file: Path | None) -> set[str] | None:
    """The names that a module defines or imports; None where only running it shows them."""
    if file is None:
        return set()
    tree = _tree(file)
    if tree is None:
        return None
    names = set(_bound(tree))
    return None if names & {"*", "__getattr__"} else names


def _bound(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom | ast.Import):
            yield from (one.asname or one.name for one in node.names)
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def _tree(file: Path) -> ast.Module | None:
    with suppress(OSError, SyntaxError, ValueError):
        return ast.parse(file.read_bytes())
    return None


def _nearest(folder: Path, path: str, defined: set[str]) -> str:
    """The estimator that was probably meant: in the same module, or of the same name elsewhere."""
    module, _, name = path.rpartition(".")
    classes = [one for one in defined if one[:1].isupper()]
    near = did_you_mean(name, classes, cutoff=0.8)
    if near:
        return near.replace("'", f"'{module}.", 1)
    for file in sorted(folder.glob("*/__init__.py")):
        names = _defined(file) or set()
        if name in names:
            return f"did you mean '{folder.name}.{file.parent.name}.{name}'?"
    return LIST


def _missing_group(file: Path | None) -> str | None:
    tree = _tree(file) if file else None
    imported = top_level_names(tree.body) if tree else set()
    missing = [group for group in GROUPS if group in imported and find_spec(group) is None]
    return missing[0] if missing else None


def hyperparameters_of(project: Project, path: str) -> set[str] | None:
    """The names that the class takes; None where its source does not show them."""
    module, _, name = path.rpartition(".")
    folder = _folder(project, module.partition(".")[0])
    source = _source(folder, module, name) if folder else None
    signature = SIGNATURE.search(source) if source else None
    if signature is None:
        return None
    text = "\n".join(line[4:] for line in signature[0].splitlines())
    function = ast.parse(f"{text} pass").body[0]
    assert isinstance(function, ast.FunctionDef)  # noqa: S101 - by the pattern
    arguments = function.args
    if arguments.kwarg or arguments.vararg:
        return None
    return {one.arg for one in (*arguments.args, *arguments.kwonlyargs)} - {"self"}


def _source(folder: Path, module: str, name: str) -> str | None:
    """The text of a class, in the module or where the module imports it from."""
    file = _file(folder, module)
    if file is None:
        return None
    text = file.read_text(encoding="utf-8", errors="replace")
    found = re.search(rf"^class {name}\b.*?(?=^[^\s)]|\Z)", text, re.DOTALL | re.MULTILINE)
    if found:
        return found[0]
    origin = _origin(ast.parse(text), module, name)
    return _source(folder, origin, name) if origin and origin != module else None


def _origin(tree: ast.Module, package: str, name: str) -> str | None:
    """The module from which a package imports the name."""
    for node in tree.body:
        if not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        if any(one.name == name for one in node.names):
            return f"{package}.{node.module}" if node.level else node.module
    return None
