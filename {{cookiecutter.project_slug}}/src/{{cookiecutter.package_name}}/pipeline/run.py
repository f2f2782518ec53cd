"""`nb run`: holds a stage to its contract, executes its notebook with papermill, and leaves clean outputs."""

import logging
import os
import sys
import sysconfig
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from .. import parameters
from ..errors import BadInput, GateClosed, NoSpace, Unreachable, first_line, out_of_space
from ..paths import STATE
from . import contract, notebooks, open_runs
from .outputs import Outputs, undeclared_reads
from .processes import alone, stoppable
from .project import Project, load
from .tracking import Tracking


class StageFailed(Exception):
    """A notebook raised, took too long, or its kernel died."""

    exit_code = 1


EXIT_BY_ERROR = {error.__name__: error for error in (BadInput, GateClosed)}


def run(root: Path, name: str) -> None:
    """Runs one stage. Raises BadInput before a kernel starts, GateClosed, StageFailed and others after."""
    with stoppable():
        project = load(root)
        contract.require(project, name)
        with alone(root, name):
            _close_what_was_left(root)
            with Tracking(project, name) as run:
                _execute(project, name, run)


def _close_what_was_left(root: Path) -> None:
    for left in open_runs.left_open(root):
        with suppress(Unreachable):  # the store is away: the next command tries again
            _note(open_runs.close(root, left))


def _note_reads(project: Project, name: str, cell_at: Callable[[int], int]) -> None:
    for path, moment in undeclared_reads(project, name).items():
        what = f"{name} reads {path} in code cell {cell_at(moment)}, but does not depend on it"
        _note(f"{what} → add it to deps of stage '{name}' in dvc.yaml, or: nb sync --from-run")


def _note(text: str | None) -> None:
    if text:
        print(f"note: {text}", file=sys.stderr, flush=True)


def _execute(project: Project, name: str, run: Tracking) -> None:
    """Leaves outputs and executed notebook; a failed notebook is kept beside its place, under another name."""
    executed = contract.executed(name)
    final, outputs = project.root / executed, Outputs(project, name)
    running, failed = final.with_suffix(".running.ipynb"), final.with_suffix(".failed.ipynb")
    final.parent.mkdir(parents=True, exist_ok=True)
    failed.unlink(missing_ok=True)
    run.executed = failed
    try:
        cell_at = _papermill(project, name, running, run, outputs)
        notebooks.write(notebooks.normalised(notebooks.read(running), project.root), outputs.aside / executed)
        _note_reads(project, name, cell_at)
        outputs.publish(cell_at)
    except BaseException as error:
        told = _told(error, name, failed.relative_to(project.root))
        if isinstance(told, GateClosed):
            outputs.deliver()
        else:
            outputs.withdraw()
        _keep(running, failed, project.root)
        raise told from None
    running.unlink()
    run.executed = final


def _keep(running: Path, failed: Path, root: Path) -> None:
    """Keeps the notebook as far as it came, without papermill's word that all its cells are complete."""
    if running.exists():
        running.replace(failed)
        with suppress(BadInput, OSError):
            notebooks.write(notebooks.normalised(notebooks.read(failed), root), failed)


def _papermill(project: Project, name: str, output: Path, run: Tracking, outputs: Outputs) -> Callable[[int], int]:
    """Executes the notebook; returns what tells the code cell that ran at a given time."""
    from papermill.engines import papermill_engines
    from papermill.execute import execute_notebook

    from .engine import Progress, StageEngine

    sys.modules.setdefault("black", None)  # type: ignore[arg-type]  # papermill would format with it where it is there
    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # what it would say is said here, in one sentence
    papermill_engines.register("stage", StageEngine)
    sections = parameters.read(project.root / "params.yaml")
    values, source = sections.get(name) or {}, project.root / "notebooks" / f"{name}.ipynb"
    timeout = (sections.get(contract.RUNNER) or {}).get("stage_timeout")
    progress = Progress(name, _with_injected(project.notebooks[name], bool(values)), timeout)
    os.environ.update(_environment(project) | outputs.environment() | run.environment())
    try:
        execute_notebook(
            _literal(source),
            _literal(output),
            parameters=values,
            engine_name="stage",
            kernel_name="python3",
            progress_bar=False,
            cwd=source.parent,
            progress=progress,
            still_good=run.still_good,
        )
    except BaseException as error:
        if getattr(error, "ename", "") not in EXIT_BY_ERROR:  # these say all in one sentence
            progress.show_failure()
        raise
    progress.finish()
    return progress.cell_at


def _environment(project: Project) -> dict[str, str]:
    """What the kernel gets: this project's own sources first, and the same hashes each time."""
    sources = [str(project.root / "src"), os.environ.get("PYTHONPATH", "")]
    everywhere = {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "TZ": "UTC", "LC_ALL": "C.UTF-8"}
    settings = {  # the user's own are not part of the project
        "IPYTHONDIR": str(project.root / STATE / "ipython"),
        "MATPLOTLIBRC": str(Path(sysconfig.get_path("purelib"), "matplotlib", "mpl-data", "matplotlibrc")),
    }
    return everywhere | settings | {"PYTHONPATH": os.pathsep.join(filter(None, sources))}


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
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    see = f"read {kept.as_posix()}"
    if isinstance(error, CellTimeoutError) and "IOPub" in str(error):
        return StageFailed(f"{name}: the kernel's outputs did not arrive within a minute → print less, or dvc repro")
    if isinstance(error, CellTimeoutError):
        what = f"{name} takes longer than pipeline.stage_timeout of params.yaml allows"
        return StageFailed(f"{what} → {see}, or raise the limit")
    if isinstance(error, DeadKernelError) or (isinstance(error, RuntimeError) and "Kernel died" in str(error)):
        return StageFailed(f"{name}: the kernel died, often for want of memory → {see}")
    if isinstance(error, RuntimeError) and "Kernel" in str(error):
        return StageFailed(f"{name}: the kernel does not start ({first_line(error)}) → nb doctor")
    if out_of_space(error) and isinstance(error, OSError | PapermillExecutionError):
        return NoSpace(f"{name}: {_said(error)} → free some space, then dvc repro")
    if not isinstance(error, PapermillExecutionError):
        return error
    if error.ename in EXIT_BY_ERROR:
        return EXIT_BY_ERROR[error.ename](f"{name}: {error.evalue}")
    return StageFailed(f"{name} stopped in code cell {error.exec_count}: {error.ename}: {_said(error)} → {see}")


def _said(error: BaseException) -> str:
    return first_line(Exception(getattr(error, "evalue", error)))
