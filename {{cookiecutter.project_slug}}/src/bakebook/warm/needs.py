"""The libraries that notebooks and the runner import, derived as dependencies are."""

import sys
from collections.abc import Iterable
from pathlib import Path

from bakebook.contract import notebooks
from bakebook.contract.dependencies import dotted_values, source_files
from bakebook.contract.imports import imported_names
from bakebook.contract.project import Project
from bakebook.contract.sources import Sources
from bakebook.paths import LIBRARY, MODEL, ROOT
from bakebook.warm.protocol import KERNEL

# Called, because they remember what every runner would find out again
CALLS = (
    "nbformat.validator.get_validator()",
    "jupyter_client.provisioning.factory.KernelProvisionerFactory.instance()",
)
# Of MLflow, which imports it when it logs to a database, or logs a model
TRACKING = (
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.pyfunc.model",
    "mlflow.utils.requirements_utils._init_packages_to_modules_map()",
)
STAGES_BEFORE_RUNNERS = 2
# What libraries import when a notebook first uses them
LATER = {
    "matplotlib": ("matplotlib.backends.backend_agg", "PIL.Image.preinit()"),
    "pandas": (
        "pandas.io.formats.csvs",
        "pandas.io.formats.html",
        "pandas.io.formats.string",
        "pyarrow.pandas_compat",
    ),
    "sklearn": ("narwhals._pandas_like.dataframe", "narwhals._pandas_like.namespace"),
}
MODEL_PATH = MODEL.relative_to(ROOT).as_posix()


def of_stage(project: Project, stage: str) -> list[str]:
    """What the kernel of a stage imports, and what its parameters name. Raises SyntaxError."""
    sources = project.sources
    statements = notebooks.statements(project.notebooks[stage])
    names = imported_names(statements, sources.folder, sources.folder)
    names += dotted_values(project, stage)
    own = [name for name in names if _is_third_party(name, sources)]
    own += _in_files(sources, source_files(project, stage))
    tops = {name.partition(".")[0] for name in own}
    later = [name for top, names in LATER.items() if top in tops for name in names]
    return [*KERNEL, *own, *later]


def of_pipeline(project: Project) -> list[str]:
    """What kernels and runners of all stages import, in the order in which they run; the first two
    stages start while the server has not imported what runners need.
    """
    names: list[str] = []
    for number, stage in enumerate(project.notebook_stages(), start=1):
        names += of_stage(project, stage)
        if number == STAGES_BEFORE_RUNNERS:
            names += _of_runner(project.sources)
        if MODEL_PATH in project.files(stage, "deps", "outs"):
            names += [*_in_files(project.sources, _tracking_files(project.sources)), *TRACKING]
    return list(dict.fromkeys([*names, *_of_runner(project.sources)]))


def _of_runner(sources: Sources) -> list[str]:
    """What every `nb run` imports."""
    files = _runner_files(sources) - _tracking_files(sources)
    return ["typer", *CALLS, *_in_files(sources, files)]


def _runner_files(sources: Sources) -> set[Path]:
    room = sources.folder / LIBRARY.name / "runner"
    return sources.with_imports(room / "run.py")


def _tracking_files(sources: Sources) -> set[Path]:
    room = sources.folder / LIBRARY.name / "tracking"
    return {file for file in _runner_files(sources) if room in file.parents}


def _in_files(sources: Sources, files: Iterable[Path]) -> list[str]:
    names = {name for file in files for name in sources.names_in(file)}
    return sorted(name for name in names if _is_third_party(name, sources))


def _is_third_party(name: str, sources: Sources) -> bool:
    first = name.partition(".")[0]
    return bool(first) and first not in sys.stdlib_module_names and not sources.has(first)
