"""What Python statements import."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")  # of a statement


def imported_names(statements: list[ast.stmt], folder: Path, source: Path) -> list[str]:
    """What code in `folder` imports, as dotted names: a.b.c for `from a.b import c`.

    Relative imports are resolved within `source`. Raises SyntaxError where one leaves it.
    """
    names = []
    for node in _import_statements(statements):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        else:
            origin = _origin(node, folder, source)
            names += [".".join([*origin, alias.name]) for alias in node.names]
    return names


def top_level_names(statements: list[ast.stmt]) -> set[str]:
    """The first part of each absolute import: mlflow for `from mlflow.entities import Metric`."""
    names: set[str] = set()
    for node in _import_statements(statements):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def unknown_imports(statements: list[ast.stmt], folder: Path, source: Path) -> list[str]:
    """The dotted names that code in `folder` imports from packages below `source` although they do
    not exist; an import in a `try` may fail and is not looked at.
    """
    missing = []
    for node in _import_statements(statements, skipped=ast.Try):
        if isinstance(node, ast.Import):
            imported = [alias.name.split(".") for alias in node.names]
            missing += [".".join(parts) for parts in imported if not _is_module(source, parts)]
            continue
        origin = _origin(node, folder, source)
        if not _is_module(source, origin):
            missing.append(".".join(origin))
        elif (init := source / Path(*origin) / "__init__.py").is_file():
            text = init.read_text(encoding="utf-8")
            names = [alias.name for alias in node.names if not _may_define(text, alias.name)]
            paths = [[*origin, name] for name in names]
            missing += [".".join(parts) for parts in paths if not _is_module(source, parts)]
    return missing


def _may_define(init: str, name: str) -> bool:
    """Whether a package's `__init__.py` may define a name that is not one of its modules; in doubt
    it may.
    """
    return name == "*" or re.search(rf"\b{name}\b|import \*|__getattr__", init) is not None


def _is_module(source: Path, parts: list[str]) -> bool:
    """Whether a dotted name is a module, if its first part is a package below `source` at all."""
    if not (source / parts[0]).is_dir():
        return True
    place = source.joinpath(*parts)
    return place.is_dir() or any(place.parent.glob(f"{place.name}.*"))


def _import_statements(
    body: Iterable[ast.AST], skipped: type[ast.stmt] | tuple[()] = ()
) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports among statements and in blocks of these; expressions, which have none, are not
    visited.
    """
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif not isinstance(node, skipped):
            for block in BLOCKS:
                yield from _import_statements(getattr(node, block, ()), skipped)


def _origin(node: ast.ImportFrom, folder: Path, source: Path) -> list[str]:
    """The parts of the package or module from which names are imported."""
    parts = node.module.split(".") if node.module else []
    if not node.level:
        return parts
    base = folder
    for _ in range(node.level - 1):
        base = base.parent
    if not base.is_relative_to(source) or base == source:
        raise SyntaxError("a relative import leaves the package")
    return [*base.relative_to(source).parts, *parts]
