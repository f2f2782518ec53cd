"""Which modules of the package a notebook imports, directly or through others: what its stage depends on."""

import ast
from functools import cache
from pathlib import Path


def modules(statements: list[ast.stmt], package: Path) -> set[Path]:
    """The files of `package` that the statements import, transitively."""
    found: set[Path] = set()
    waiting = _imported(ast.Module(statements, []), package.parent, package.parent, package.name)
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting |= _imported_by(path, package)
    return found


def third_party(statements: list[ast.stmt]) -> set[str]:
    """The top names of all absolute imports."""
    names: set[str] = set()
    for node in ast.walk(ast.Module(statements, [])):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names.add(node.module.split(".")[0])
    return names


@cache
def _imported_by(path: Path, package: Path) -> set[Path]:
    tree = ast.parse(path.read_bytes(), filename=f"src/{path.relative_to(package.parent).as_posix()}")
    return _imported(tree, path.parent, package.parent, package.name)


def _imported(tree: ast.Module, folder: Path, source: Path, package: str) -> set[Path]:
    found: set[Path] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == package:
                    found |= _files(source, alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            start, parts = _origin(node, folder, source)
            if node.level or parts[0] == package:
                for alias in node.names:
                    found |= _files(start, [*parts, alias.name])
    return found


def _origin(node: ast.ImportFrom, folder: Path, source: Path) -> tuple[Path, list[str]]:
    parts = node.module.split(".") if node.module else []
    if not node.level:
        return source, parts
    base = folder.joinpath(*[".."] * (node.level - 1)).resolve()
    if source.resolve() not in (base, *base.parents) or base == source.resolve():
        raise SyntaxError("a relative import reaches out of the package")
    return source, [*base.relative_to(source.resolve()).parts, *parts]


def _files(source: Path, parts: list[str]) -> set[Path]:
    """The files that `import a.b.c` executes: each package's `__init__.py` on the way, and the module."""
    found = set()
    for end in range(1, len(parts) + 1):
        place = source.joinpath(*parts[:end])
        candidates = (place / "__init__.py", place.with_name(place.name + ".py"))
        found |= {path for path in candidates if path.is_file()}
    return found
