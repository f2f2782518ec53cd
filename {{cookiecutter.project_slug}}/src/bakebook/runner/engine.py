"""papermill's engine for stages: how a kernel starts, how long it may take, what is printed
meanwhile.
"""

import logging
import os
import sys
import time
from bisect import bisect
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import zmq
from nbclient.util import run_sync
from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, NotebookExecutionManager
from traitlets.config import Config

from bakebook.contract.notebooks import Notebook, heading, text_of
from bakebook.errors import first_line
from bakebook.runner.failures import StageFailed
from bakebook.runner.kept_kernel import KeptKernel
from bakebook.runner.stage_kernel import StageKernel

EXIT = "SystemExit"  # which papermill takes for an early end, not for a failure
SHOWN_LINES = 5  # of a failing cell, and of what it had printed
IOPUB_TIMEOUT_S = 60
SAVE_INTERVAL_S = 1.0
LOG = logging.getLogger("papermill")
LOG.setLevel(logging.CRITICAL)  # its messages are one sentence of ours


@dataclass(frozen=True)
class KernelStart:
    """How the kernel of a stage starts."""

    kept: KeptKernel | None  # if it stays after a cell raised
    needs: list[str]  # modules that the fork server imports first
    later: Callable[[], list[str]]  # lists the modules that later stages need
    keep_s: float  # that the fork server waits for the next stage


class KernelGone(Exception):
    """A kernel that was kept has ended, or is at work; papermill reports why its cell raised."""


class StageClient(PapermillNotebookClient):
    """papermill's client; a kernel whose cell did not finish is killed, with everything that it
    started.
    """

    progress: "Progress"
    kept: KeptKernel | None
    replies: dict[int, dict[str, Any]]  # of the kernel, by the index of the cell

    def papermill_execute_cells(self) -> None:
        try:
            super().papermill_execute_cells()
            if self.kept:
                self._keep(self.kept)
            self._require_end()
        except BaseException:
            self.shutdown_kernel = "immediate"
            raise

    def _keep(self, kept: KeptKernel) -> None:
        """Waits where a cell raised, and then raises KernelGone."""
        outputs = [output for cell in self.nb.cells for output in cell.get("outputs", ())]
        for output in outputs:
            if output.output_type == "error" and output.ename != EXIT:
                error = f"{output.ename}: {first_line(output.evalue)}"
                kept.stay(self.progress.number, error, run_sync(self.km.is_alive))
                raise KernelGone

    def _require_end(self) -> None:
        """Raises StageFailed for the first cell that did not reach its end. For one that shows an
        error, papermill does.
        """
        codes = [index for index, cell in enumerate(self.nb.cells) if cell.cell_type == "code"]
        for number, index in enumerate(codes, start=1):
            cell = self.nb.cells[index]
            errors = [one.ename for one in cell.outputs if one.output_type == "error"]
            if set(errors) - {EXIT}:
                return
            reason = EXIT if errors else _early_end(self.replies.get(index))
            if reason and cell.source.strip():
                self.progress.failed = (number, cell)
                where = f"{self.progress.stage} ended early in code cell {number} (id {cell.id})"
                remedy = "let every cell run to its end: if and else, or raise an error"
                raise StageFailed(f"{where}: {reason}", remedy)

    def process_message(self, message: Any, cell: Any, cell_index: int) -> Any:
        """Shows a progress bar that moves beside the cell; an exception may have no traceback."""
        if message["msg_type"] == "error":
            message["content"]["traceback"] = message["content"].get("traceback") or []
        if message["msg_type"] == "update_display_data":
            text = message["content"]["data"].get("text/plain", "")
            self.progress.show_bar(text, cell_index)
        return super().process_message(message, cell, cell_index)


class Progress:
    """Prints a line per code cell of one stage; with the variable CI, only the last line."""

    def __init__(self, stage: str, notebook: Notebook, timeout: float | None) -> None:
        self.stage = stage
        self.notebook = notebook
        self.timeout = timeout
        self.cells = sum(cell["cell_type"] == "code" for cell in notebook["cells"])
        self.started = time.monotonic()
        self.cell_started = self.started
        self.starts_ns: list[int] = []
        self.cell: NotebookNode | None = None
        self.failed: tuple[int, NotebookNode] | None = None  # if it is not the last that ran
        self.is_quiet = bool(os.environ.get("CI"))
        self.is_live = sys.stderr.isatty() and not self.is_quiet

    @property
    def number(self) -> int:
        """The code cell that runs or ran last, counted from 1; 0 before the first."""
        return len(self.starts_ns)

    def start(self, cell: NotebookNode, index: int) -> None:
        self.starts_ns.append(time.time_ns())
        self.cell = cell
        self.cell_started = time.monotonic()
        if self.is_live:
            self._print(f"{self._label(index)} …", end="\r")

    def show_bar(self, text: str, index: int) -> None:
        """The last word of a bar like `[====    ] 12/50`."""
        if self.is_live and text.strip():
            self._print(f"{self._label(index)} {text.split()[-1]:>8}", end="\r")

    def complete(self, index: int) -> None:
        if not self.is_quiet:
            self._print(f"{self._label(index)} {time.monotonic() - self.cell_started:6.1f} s")

    def finish(self) -> None:
        self._print(
            f"{self.stage:<9} {self.number} cells in {time.monotonic() - self.started:.1f} s"
        )

    def remaining(self, cell: object = None) -> int | None:
        """Seconds that the stage may still take, at least one; None without a limit."""
        passed = time.monotonic() - self.started
        return max(1, round(self.timeout - passed)) if self.timeout else None

    def cell_at(self, time_ns: int) -> int:
        """The number of the code cell that ran at a time."""
        return bisect(self.starts_ns, time_ns)

    def show_failure(self) -> None:
        """The last lines of the cell that stopped, and of what it had printed."""
        if self.cell is None:
            return
        number, cell = self.failed or (self.number, self.cell)
        outputs = [output for output in cell["outputs"] if output["output_type"] == "stream"]
        printed = "".join(output["text"] for output in outputs)
        self._print(f"{self.stage}, code cell {number} (id {cell['id']}):")
        self._print_end(text_of(cell), "    ")
        self._print_end(printed, "  > ")

    def _print_end(self, text: str, margin: str) -> None:
        for line in text.rstrip().splitlines()[-SHOWN_LINES:]:
            self._print(margin + line)

    def _label(self, index: int) -> str:
        title = heading(self.notebook, index)[:60]
        return f"{self.stage:<9} {self.number:>2}/{self.cells}  {title:<60}"

    def _print(self, text: str, end: str = "\n") -> None:
        print(text, end=end, file=sys.stderr, flush=True)


class StageEngine(Engine):
    """Runs the cells, reports to a Progress, and calls `check` before each cell."""

    @classmethod
    def execute_managed_notebook(  # type: ignore[override]
        cls,
        nb_man: NotebookExecutionManager,
        kernel_name: str,
        *,
        progress: Progress,
        check: Callable[[], None],
        start: KernelStart,
        start_timeout: int = 60,
        **ignored: object,
    ) -> None:
        check()
        begin = nb_man.cell_start
        complete = nb_man.cell_complete

        def cell_start(cell: Any, cell_index: int = 0, **more: Any) -> None:
            if cell.cell_type == "code":
                check()
                progress.start(cell, cell_index)
            begin(cell, cell_index=cell_index, **more)

        def cell_complete(cell: Any, cell_index: int = 0, **more: Any) -> None:
            complete(cell, cell_index=cell_index, **more)
            if cell.cell_type == "code":
                progress.complete(cell_index)

        nb_man.cell_start = cell_start
        nb_man.cell_complete = cell_complete
        save = nb_man.save
        nb_man.save = _seldom(save)
        client = StageClient(
            nb_man,
            kernel_name=kernel_name,
            kernel_manager_class=StageKernel,
            startup_timeout=start_timeout,
            timeout_func=progress.remaining,
            iopub_timeout=IOPUB_TIMEOUT_S,
            force_raise_errors=True,  # whatever tags a cell has
            log=LOG,
            config=_configuration(start),
        )
        client.progress = progress
        client.kept = start.kept
        client.replies = {}
        client.on_cell_executed = lambda cell, cell_index, execute_reply: client.replies.update(
            {cell_index: execute_reply["content"]}
        )
        try:
            with suppress(KernelGone):
                client.execute()
        finally:
            nb_man.save = save  # papermill saves once more


def _early_end(reply: dict[str, Any] | None) -> str:
    """Why a cell did not reach its end, by the kernel's reply; empty if it did."""
    if reply is None:
        return "it was not run (is it tagged skip-execution?)"
    if reply["status"] != "ok":
        return str(reply.get("ename", reply["status"]))
    sources = [one.get("source") for one in reply.get("payload", ())]
    return "exit()" if "ask_exit" in sources else ""


def _seldom(save: Callable[..., None]) -> Callable[..., None]:
    """Saves at most once a second: writing the notebook before and after each cell takes longer
    than most cells.
    """
    last = 0.0

    def save_seldom(**more: Any) -> None:
        nonlocal last
        if time.monotonic() - last >= SAVE_INTERVAL_S:
            save(**more)
            last = time.monotonic()

    return save_seldom


def _configuration(start: KernelStart) -> Config:
    """Of kernel manager and provisioner."""
    # jupyter console cannot encrypt
    is_encrypted = zmq.has("curve") and not start.kept
    manager = {"transport_encryption": "auto" if is_encrypted else "disabled"}
    if start.kept:
        start.kept.prepare()
        manager["connection_file"] = str(start.kept.connection_file)
    provisioner = {
        "needs": start.needs,
        "later": start.later,
        "keep_s": start.keep_s,
        "may_have_spare": is_encrypted,  # as a spare always is
    }
    return Config(KernelManager=manager, WarmProvisioner=provisioner)
