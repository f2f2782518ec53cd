"""What code of `columns.py` may use, so that a value follows from its row alone, in the service as
in training, and tomorrow as today.
"""

import ast
import sys
from collections.abc import Iterator

ALLOWED_IMPORTS = {
    "__future__",
    "bakebook",
    "bisect",
    "calendar",
    "cmath",
    "collections",
    "datetime",
    "decimal",
    "difflib",
    "enum",
    "fractions",
    "functools",
    "hashlib",
    "itertools",
    "json",
    "math",
    "numbers",
    "numpy",
    "operator",
    "re",
    "statistics",
    "string",
    "textwrap",
    "typing",
    "unicodedata",
    "zoneinfo",
}
ALLOWED_OF_LIBRARY = "bakebook.models.columns"
# Names and attributes that give another value the next time, or in another place
IMPURE = {
    "__import__",
    "default_rng",
    "eval",
    "exec",
    "fromfile",
    "genfromtxt",
    "globals",
    "input",
    "loadtxt",
    "memmap",
    "now",
    "open",
    "random",
    "today",
    "utcnow",
}
BETWEEN_ROWS = "a value must follow from its own row alone"

Found = Iterator[tuple[int, str, str]]  # line, what, remedy


def impurities(tree: ast.Module) -> Found:
    """Imports that the service does not have, and calls that do not depend on the row alone."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _import(node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            yield from _import(node.lineno, "." * node.level + (node.module or ""))
        elif isinstance(node, ast.Global | ast.Nonlocal):
            yield node.lineno, f"keeps '{node.names[0]}' between rows", BETWEEN_ROWS
        elif isinstance(node, ast.Attribute) and node.attr in IMPURE:
            yield node.lineno, f"uses {ast.unparse(node)}, which differs between runs", BETWEEN_ROWS
        elif isinstance(node, ast.Name) and node.id in IMPURE and isinstance(node.ctx, ast.Load):
            yield node.lineno, f"uses {node.id}, which depends on more than the row", BETWEEN_ROWS


def _import(line: int, name: str) -> Found:
    first = name.partition(".")[0]
    remedy = "write it with math, re, datetime or numpy"
    if name.startswith("."):
        what = f"imports {name}, which does not go with the model"
        yield line, what, "move what it needs into columns.py"
    elif first == "bakebook":
        if name != ALLOWED_OF_LIBRARY:
            yield line, f"imports {name}", f"import only {ALLOWED_OF_LIBRARY}"
    elif first not in ALLOWED_IMPORTS:
        reason = "which the service does not have"
        if first in sys.stdlib_module_names:
            reason = "which reaches beyond the row"
        yield line, f"imports {name}, {reason}", remedy
