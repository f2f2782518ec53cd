"""`nb run`: checks a stage's contract, executes its notebook with papermill, and publishes its
outputs.
"""

import os
import sys
import sysconfig
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from bakebook.contract import notebooks
from bakebook.contract.annotations import mismatch
from bakebook.contract.check import RUNNER, SETTINGS, require
from bakebook.contract.project import COMMANDS, Project, executed, load
from bakebook.errors import BadInput, CheckFailed, Failure, Unreachable
from bakebook.paths import STATE
from bakebook.runner.failures import as_failure
from bakebook.runner.outputs import Outputs, undeclared_reads
from bakebook.runner.processes import alone, stoppable
from bakebook.tracking import open_runs
from bakebook.tracking.run import Tracking
from bakebook.warm import needs
from bakebook.warm.protocol import COLD, KEEP_S, SWITCH

# The same in every kernel, so that the same inputs give the same bytes
FIXED_ENVIRONMENT = {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "TZ": "UTC", "LC_ALL": "C.UTF-8"}


def run(root: Path, name: str, keep_kernel: bool = False, read: Project | None = None) -> None:
    """Runs one stage. Raises BadInput before a kernel starts, any Failure after.

    With `keep_kernel`, the kernel stays for a while after a cell raised. `read` is the project as
    it stands on disk, if that was read before.
    """
    if name in COMMANDS:
        raise BadInput(f"'{name}' is no stage but a command of its own", f"nb {name}")
    _run(root, name, keep_kernel, read)


def run_command(root: Path, name: str) -> None:
    """Runs the notebook of a command. Raises as `run` does."""
    _run(root, name)


def _run(root: Path, name: str, keep_kernel: bool = False, read: Project | None = None) -> None:
    with stoppable():
        project = read or load(root)
        require(project, name)
        if not read:
            _expect_kernel(project, name)
        with alone(root, name):
            _close_abandoned_runs(root)
            with Tracking(project, name) as tracking:
                _execute(project, name, tracking, keep_kernel)


def _expect_kernel(project: Project, name: str) -> None:
    """Lets the fork server import what the kernel needs while this process imports its own."""
    if sys.platform == "linux" and os.environ.get(SWITCH) != COLD:
        from bakebook.warm.client import expect, own_variables

        variables = own_variables(dict(os.environ) | _environment(project))
        expect(variables, needs.of_stage(project, name))


def _close_abandoned_runs(root: Path) -> None:
    for left in open_runs.left_open(root):
        with suppress(Unreachable):  # the next command tries again
            note = open_runs.close(root, left)
            if note:
                _print_note(note)


def _print_note(text: str) -> None:
    print(f"note: {text}", file=sys.stderr, flush=True)


def _note_reads(project: Project, name: str, cell_at: Callable[[int], int]) -> None:
    for path, time_ns in undeclared_reads(project, name).items():
        what = f"{name} reads {path} in code cell {cell_at(time_ns)}, but does not depend on it"
        _print_note(
            f"{what} → add it to deps of stage '{name}' in dvc.yaml, or: nb sync --from-run"
        )


def _execute(project: Project, name: str, tracking: Tracking, keep_kernel: bool) -> None:
    """Writes outputs and executed notebook; a failed notebook is kept beside its place, under
    another name.
    """
    final = project.root / executed(name)
    running = final.with_suffix(".running.ipynb")
    failed = final.with_suffix(".failed.ipynb")
    outputs = Outputs(project, name)
    final.parent.mkdir(parents=True, exist_ok=True)
    failed.unlink(missing_ok=True)
    tracking.executed = failed
    try:
        cell_at = _papermill(project, name, running, tracking, outputs, keep_kernel)
        notebook = notebooks.normalised(notebooks.read(running), project.root)
        notebooks.write(notebook, outputs.staging / executed(name))
        _note_reads(project, name, cell_at)
        outputs.publish(cell_at)
    except BaseException as error:
        from papermill.exceptions import PapermillExecutionError

        raised = outputs.raised() if isinstance(error, PapermillExecutionError) else None
        failure = raised or as_failure(error, name, failed.relative_to(project.root))
        if isinstance(failure, Failure) and failure.exit_code == CheckFailed.exit_code:
            outputs.deliver()
        else:
            outputs.withdraw()
        _keep_failed(running, failed, project.root)
        raise failure from None
    running.unlink()
    tracking.executed = final


def _keep_failed(running: Path, failed: Path, root: Path) -> None:
    """Keeps the notebook as far as it ran, without papermill's claim that all its cells are
    complete.
    """
    if running.exists():
        running.replace(failed)
        with suppress(BadInput, OSError):
            notebooks.write(notebooks.normalised(notebooks.read(failed), root), failed)


def _papermill(
    project: Project,
    name: str,
    output: Path,
    tracking: Tracking,
    outputs: Outputs,
    keep_kernel: bool,
) -> Callable[[int], int]:
    """Executes the notebook; returns a function that gives the
    code cell that ran at a time (ns).
    """
    from papermill.engines import papermill_engines
    from papermill.execute import execute_notebook

    from bakebook.runner.engine import KernelStart, Progress, StageEngine
    from bakebook.runner.kept_kernel import KeptKernel

    # papermill would format the injected cell with black where it is installed
    sys.modules.setdefault("black", None)  # type: ignore[arg-type]
    papermill_engines.register("stage", StageEngine)
    values = project.values.get(name) or {}
    settings = project.values.get(RUNNER) or {}
    timeout = settings.get("stage_timeout")
    start = KernelStart(
        kept=KeptKernel(project.root, name, timeout) if keep_kernel else None,
        needs=needs.of_stage(project, name),
        later=lambda: needs.of_pipeline(project),
        keep_s=_keep_warm(settings),
    )
    source = project.root / "notebooks" / f"{name}.ipynb"
    notebook = _with_injected_cell(project.notebooks[name]) if values else project.notebooks[name]
    progress = Progress(name, notebook, timeout)
    os.environ.update(_environment(project) | outputs.environment() | tracking.environment())
    try:
        execute_notebook(
            _escaped(source),
            _escaped(output),
            parameters=values,
            engine_name="stage",
            kernel_name="python3",
            progress_bar=False,
            cwd=source.parent,
            progress=progress,
            check=tracking.check,
            start=start,
        )
    except BaseException:
        if not outputs.raised():  # a Failure says everything in one sentence
            progress.show_failure()
        raise
    progress.finish()
    return progress.cell_at


def _keep_warm(settings: dict[str, Any]) -> float:
    """How long (s) the fork server waits for the next stage; a wrong value is worth a cold start,
    not a failure.
    """
    if os.environ.get("CI"):
        return 0.0
    value = settings.get("keep_warm", KEEP_S)
    found = mismatch(value, SETTINGS[RUNNER]["keep_warm"])
    if found:
        what = f"pipeline.keep_warm is {found.shown} but should be {found.expected}"
        _print_note(f"cold start: {what} → nb check")
        os.environ[SWITCH] = COLD
        return KEEP_S
    return float(value)


def _environment(project: Project) -> dict[str, str]:
    """The kernel's variables: this project's own sources first, and no settings of the user."""
    sources = [str(project.root / "src"), os.environ.get("PYTHONPATH", "")]
    matplotlib_settings = Path(
        sysconfig.get_path("purelib"), "matplotlib", "mpl-data", "matplotlibrc"
    )
    return {
        **FIXED_ENVIRONMENT,
        "IPYTHONDIR": str(project.root / STATE / "ipython"),
        "MATPLOTLIBRC": str(matplotlib_settings),
        "PYTHONPATH": os.pathsep.join(filter(None, sources)),
    }


def _with_injected_cell(notebook: notebooks.Notebook) -> notebooks.Notebook:
    """The notebook's cells as papermill will run them: the injected cell follows the parameters
    cell.
    """
    cells = list(notebook["cells"])
    cell = notebooks.parameters_cell(notebook)
    if cell:
        injected = {"cell_type": "code", "source": "", "metadata": {}}
        cells.insert(cells.index(cell) + 1, injected)
    return {**notebook, "cells": cells}


def _escaped(path: Path) -> str:
    """papermill formats paths with the parameters, so braces in a folder's name must be doubled."""
    return str(path).replace("{", "{{").replace("}", "}}")
