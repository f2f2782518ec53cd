"""The file in which a search keeps its finished trials, named after everything that a score depends
on.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import joblib
from sklearn.pipeline import Pipeline

from bakebook.contract.sources import Sources
from bakebook.models.rows import Rows
from bakebook.paths import LIBRARY
from bakebook.search import cross_validation
from bakebook.search.plan import Plan

SOURCE = LIBRARY.parent  # holds the library and the project's package
LIBRARIES = ("sklearn", "numpy", "scipy", "pandas", "optuna", "lightgbm", "xgboost", "torch")


def journal_name(model: Pipeline, rows: Rows, plan: Plan, drawn: int | None) -> str:
    """A hash of rows, model, plan, libraries and code.

    `drawn` is the number of trials where it decides which combinations are drawn; otherwise more
    trials continue the same journal.
    """
    plan_of_score = [plan.search, dict(plan.space), plan.cv, plan.scoring, plan.random_state]
    versions = [getattr(sys.modules.get(name), "__version__", "") for name in LIBRARIES]
    code = [path.read_bytes() for path in source_files(model)]
    measured = [rows.X, rows.y, rows.groups, rows.moments]
    return str(joblib.hash([model, *measured, plan_of_score, drawn, code, versions]))


def source_files(model: Pipeline) -> list[Path]:
    """The source files that a score depends on: cross-validation, the code in the model, and what
    these import.

    The rows are part of the name themselves, so the code that made them need not be.
    """
    names = {cross_validation.__name__, *_modules(model)}
    sources = Sources(SOURCE)
    found: set[Path] = set()
    for name in names:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file and Path(file).is_relative_to(SOURCE):
            found |= sources.with_imports(Path(file))
    return sorted(found)


def _modules(value: object) -> Iterator[str]:
    """The modules of an estimator, of its steps, and of the functions and objects among its
    parameters.
    """
    module = getattr(value, "__module__", None) or getattr(type(value), "__module__", None)
    if isinstance(module, str):
        yield module
    if hasattr(value, "get_params") and not isinstance(value, type):
        for parameter in value.get_params(deep=False).values():
            if parameter is not value:
                yield from _modules(parameter)
    if isinstance(value, list | tuple):
        for one in value:
            yield from _modules(one)
