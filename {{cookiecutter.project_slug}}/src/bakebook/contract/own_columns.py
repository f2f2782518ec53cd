"""Whether the functions of `columns.py` can be used by the service too: what they import, read and
return, without running them.
"""

import ast
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakebook.contract.parameters import Fault, Faults
from bakebook.contract.project import Project
from bakebook.contract.purity import Found, impurities
from bakebook.errors import did_you_mean

DECORATOR = "column"
EXPECTATIONS = "expectations/columns.json"
TABLES_OWN = "expectations/suite.json"
LEARNED = "learned"
TYPES = ("int", "float", "bool", "str", "datetime")
# The dtypes of a table whose values a function can take as a type; any can be taken as str
DTYPES = {
    "int": ("integer",),
    "float": ("number", "integer", "amount"),
    "bool": ("boolean",),
    "datetime": ("datetime",),
}


@dataclass(frozen=True)
class OwnColumn:
    """A decorated function, as far as it can be read."""

    name: str
    line: int
    reads: tuple[str, ...]
    types: tuple[str, ...]  # of its parameters
    returns: str
    learns_from: tuple[str, ...]
    takes_learned: bool

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self.reads, *self.learns_from]))


def path_of(project: Project) -> Path:
    """The project's `columns.py`."""
    return project.root / "src" / project.package / "columns.py"


def own_columns(project: Project) -> list[OwnColumn]:
    """The columns that `columns.py` defines; none where it is missing or is not valid Python."""
    return list(_defined(_tree(path_of(project))))


def check_own_columns(project: Project) -> Faults:
    """Every fault of `columns.py`; a file that is not valid Python is a fault of the stages that
    import it.
    """
    path = path_of(project)
    tree = _tree(path)
    shown = path.relative_to(project.root).as_posix()
    for line, what, remedy in (*impurities(tree), *_columns(project, tree)):
        yield Fault(f"{shown}:{line}", what, remedy)
    yield from _expected(project, [column.name for column in _defined(tree)])


def _expected(project: Project, own: list[str]) -> Faults:
    """Expectations about columns that `columns.py` does not define."""
    path = project.root / EXPECTATIONS
    if not path.is_file():
        return
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))["expectations"]
        named = [one.get("kwargs", {}).get("column") for one in listed]
    except (ValueError, KeyError, TypeError, AttributeError):
        yield Fault(EXPECTATIONS, "is no suite of expectations", "git diff shows what changed")
        return
    for name in named:
        if name is not None and name not in own:
            remedy = did_you_mean(name, own) or f"{TABLES_OWN} is for columns of the table"
            yield Fault(EXPECTATIONS, f"expects '{name}', which columns.py does not define", remedy)


def _tree(path: Path) -> ast.Module:
    """The file's statements; none where it is missing or is not valid Python."""
    if path.is_file():
        with suppress(SyntaxError, ValueError):
            return ast.parse(path.read_bytes())
    return ast.Module([], [])


def _defined(tree: ast.Module) -> Iterator[OwnColumn]:
    names = {DECORATOR}  # and what the file calls it
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            names |= {one.asname for one in node.names if one.name == DECORATOR and one.asname}
        elif column := _own_column(node, names):
            yield column


def _columns(project: Project, tree: ast.Module) -> Found:
    dtypes = dict((project.params.get("ingest") or {}).get("columns") or {})
    target = (project.params.get("prepare") or {}).get("target")
    known = {name: str(dtype).split()[0] for name, dtype in dtypes.items()}
    for column in _defined(tree):
        yield from _names(column, known, target)
        yield from _types(column, known)
        if bool(column.learns_from) != column.takes_learned:
            what = f"{column.name} needs both: learn=(…) and a parameter *, {LEARNED}"
            yield column.line, what, "docs/columns.md has an example"
        known.setdefault(column.name, dtype_of(column.returns))


def _names(column: OwnColumn, known: dict[str, str], target: object) -> Found:
    if column.name in known:
        yield column.line, f"{column.name} is already a column", "give it another name"
    if not column.reads:
        yield column.line, f"{column.name} reads no column", "name the columns as its parameters"
    for name in column.needs:
        if name == target:
            what = f"{column.name} reads '{name}', which is the target that the model predicts"
            yield column.line, what, "read other columns"
        elif name not in known:
            others = [one for one in known if one != target]
            remedy = did_you_mean(name, others) or "read a column of the table, or one above it"
            yield column.line, f"{column.name} reads '{name}', which does not exist", remedy


def _types(column: OwnColumn, known: dict[str, str]) -> Found:
    choices = ", ".join(TYPES)
    if column.returns not in TYPES:
        shown = f"returns {column.returns}" if column.returns else "does not say what it returns"
        yield column.line, f"{column.name} {shown}", f"write -> one of {choices}"
    for name, type_ in zip(column.reads, column.types, strict=False):
        if type_ not in TYPES:
            shown = f"has the type {type_}" if type_ else "has no type"
            yield column.line, f"{column.name}: '{name}' {shown}", f"write one of {choices}"
        elif name in known and known[name] not in DTYPES.get(type_, (known[name],)):
            what = f"{column.name} takes '{name}' as {type_}, but its dtype is {known[name]}"
            fitting = [one for one in TYPES if known[name] in DTYPES.get(one, ())]
            yield column.line, what, f"write {' or '.join([*fitting, 'str'])}"


def dtype_of(returns: str) -> str:
    fitting = {"int": "integer", "float": "number", "bool": "boolean", "datetime": "datetime"}
    return fitting.get(returns, "text")


def _own_column(node: ast.stmt, names: set[str]) -> OwnColumn | None:
    """The column that a statement defines, if it does; `names` are those of the decorator."""
    if not isinstance(node, ast.FunctionDef):
        return None
    for decorator in node.decorator_list:
        call = decorator if isinstance(decorator, ast.Call) else None
        function = call.func if call else decorator
        is_named = isinstance(function, ast.Name) and function.id in names
        is_attribute = isinstance(function, ast.Attribute) and function.attr == DECORATOR
        if is_named or is_attribute:
            return _read(node, call)
    return None


def _read(node: ast.FunctionDef, call: ast.Call | None) -> OwnColumn:
    parameters = [*node.args.posonlyargs, *node.args.args]
    named = {one.arg: one.value for one in call.keywords if one.arg} if call else {}
    given = call.args[0] if call and call.args else named.get("name")
    reads = _texts(named.get("reads")) or [one.arg for one in parameters if one.arg != LEARNED]
    return OwnColumn(
        name=_text(given) or node.name,
        line=node.lineno,
        reads=tuple(reads),
        types=tuple(_type(one.annotation) for one in parameters if one.arg != LEARNED),
        returns=_type(node.returns),
        learns_from=tuple(_texts(named.get("learn"))),
        takes_learned=LEARNED in {one.arg for one in (*parameters, *node.args.kwonlyargs)},
    )


def _type(annotation: ast.expr | None) -> str:
    """The name of a type, without `| None`."""
    if annotation is None:
        return ""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        annotation = ast.parse(annotation.value, mode="eval").body
    names = [one.strip() for one in ast.unparse(annotation).split("|")]
    others = [one for one in names if one != "None"]
    return " | ".join(others)


def _text(node: ast.expr | None) -> str:
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return node.value if is_text else ""  # type: ignore[union-attr,return-value]


def _texts(node: Any) -> Sequence[str]:
    """The texts in a list or tuple; `learn` has a function before them."""
    return [text for one in getattr(node, "elts", ()) if (text := _text(one))]
