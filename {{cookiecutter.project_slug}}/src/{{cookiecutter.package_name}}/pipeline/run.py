"""`nb run`: holds a stage to its contract, executes its notebook with papermill, and leaves clean outputs."""

import logging
import os
from pathlib import Path
from typing import Any

from .. import parameters
from ..errors import BadInput, GateClosed, first_line
from . import contract, notebooks
from .project import Project, load
from .tracking import Tracking


class StageFailed(Exception):
    """A notebook raised, or its kernel died."""

    exit_code = 1


EXIT_BY_ERROR = {error.__name__: error for error in (BadInput, GateClosed)}


def run(root: Path, name: str) -> None:
    """Runs one stage. Raises BadInput before a kernel starts, GateClosed or StageFailed after."""
    project = load(root)
    contract.require(project, name)
    values = parameters.read(root / "params.yaml").get(name, {})
    with Tracking(project, name) as tracking:
        tracking.executed = _execute(project, name, values, tracking)


def _execute(project: Project, name: str, values: dict[str, Any], tracking: Tracking) -> Path:
    """The path of the executed notebook; a failed one is kept beside its place, under another name."""
    final = project.root / contract.executed(name)
    running, failed = final.with_suffix(".running.ipynb"), final.with_suffix(".failed.ipynb")
    final.parent.mkdir(parents=True, exist_ok=True)
    failed.unlink(missing_ok=True)
    try:
        _papermill(project, name, values, running, tracking)
    except BaseException as error:
        if running.exists():
            running.replace(failed)
        tracking.executed = failed
        raise _told(error, name, failed.relative_to(project.root)) from None
    notebooks.write(notebooks.normalised(notebooks.read(running), project.root), final)
    running.unlink()
    return final


def _papermill(project: Project, name: str, values: dict[str, Any], output: Path, tracking: Tracking) -> None:
    import zmq
    from papermill.engines import papermill_engines
    from papermill.execute import execute_notebook
    from traitlets.config import Config

    from .progress import Progress, ReportingEngine

    logging.getLogger("papermill").setLevel(logging.ERROR)  # contract.require has checked what papermill would warn of
    papermill_engines.register("reporting", ReportingEngine)
    source = project.root / "notebooks" / f"{name}.ipynb"
    progress = Progress(name, _with_injected(project.notebooks[name], bool(values)))
    os.environ.update(_environment(project) | tracking.environment())
    execute_notebook(
        _literal(source),
        _literal(output),
        parameters=values,
        engine_name="reporting",
        kernel_name="python3",
        progress_bar=False,
        cwd=source.parent,
        config=Config(KernelManager={"transport_encryption": "auto" if zmq.has("curve") else "disabled"}),
        progress=progress,
        still_good=tracking.still_good,
    )
    progress.finish()


def _environment(project: Project) -> dict[str, str]:
    """What the kernel gets: this project's own sources first, and the same hashes each time."""
    sources = [str(project.root / "src"), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(filter(None, sources)), "PYTHONHASHSEED": "0"}


def _with_injected(notebook: notebooks.Notebook, injects: bool) -> notebooks.Notebook:
    """The notebook's cells as papermill will run them: the injected cell follows the parameters cell."""
    cells = list(notebook["cells"])
    if injects and (cell := notebooks.parameters_cell(notebook)):
        cells.insert(cells.index(cell) + 1, {"cell_type": "code", "source": "", "metadata": {}})
    return {**notebook, "cells": cells}


def _literal(path: Path) -> str:
    """papermill formats paths with the parameters: braces in a folder's name are meant as they stand."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _told(error: BaseException, name: str, kept: Path) -> BaseException:
    """The same failure in one sentence."""
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    if isinstance(error, DeadKernelError):
        return StageFailed(f"{name}: the kernel died, often for want of memory → read {kept.as_posix()}")
    if not isinstance(error, PapermillExecutionError):
        return error
    if error.ename in EXIT_BY_ERROR:
        return EXIT_BY_ERROR[error.ename](f"{name}: {error.evalue}")
    what = f"{error.ename}: {first_line(Exception(error.evalue))}"
    return StageFailed(f"{name} stopped in code cell {error.exec_count}: {what} → read {kept.as_posix()}")
