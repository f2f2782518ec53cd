"""papermill's engine for stages: which kernel it starts, how long it may take, what is said meanwhile."""

import logging
import os
import sys
import time
from bisect import bisect
from collections.abc import Callable
from typing import Any

import zmq
from jupyter_client.manager import AsyncKernelManager
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, NotebookExecutionManager
from traitlets.config import Config

from .notebooks import Notebook, heading, written

SHOWN = 5  # lines of a failing cell, and of what it had printed


class StageKernel(AsyncKernelManager):
    """A kernel of this very Python, whatever kernelspecs the user has, started through `kernel.py`."""

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        command = [sys.executable, "-m", f"{__package__}.kernel", "-f", os.path.realpath(self.connection_file)]
        return command + (extra_arguments or [])

    async def _async_interrupt_kernel(self) -> None:
        """Does nothing: a kernel is shut down when its cells have ended, and would tell of an interrupt as an error."""


class StageClient(PapermillNotebookClient):
    """papermill's client; a kernel whose cell did not come to an end is killed, with all that it started."""

    progress: "Progress"

    def papermill_execute_cells(self) -> None:
        try:
            super().papermill_execute_cells()
        except BaseException:
            self.shutdown_kernel = "immediate"
            raise

    def process_message(self, message: Any, cell: Any, cell_index: int) -> Any:
        """papermill's own; a bar that moves is shown beside the cell."""
        if message["msg_type"] == "update_display_data":
            self.progress.show(message["content"]["data"].get("text/plain", ""), cell_index)
        return super().process_message(message, cell, cell_index)


class Progress:
    """Prints a line per code cell of one stage; where the variable CI is set, the last line alone."""

    def __init__(self, stage: str, notebook: Notebook, timeout: float | None) -> None:
        self.stage, self.notebook, self.timeout = stage, notebook, timeout
        self.cells = sum(cell["cell_type"] == "code" for cell in notebook["cells"])
        self.started = self.cell_started = time.monotonic()
        self.starts: list[int] = []
        self.cell: Any = None
        self.quiet = bool(os.environ.get("CI"))
        self.live = sys.stderr.isatty() and not self.quiet

    @property
    def number(self) -> int:
        """The code cell that runs or ran last, counted from 1; 0 before the first."""
        return len(self.starts)

    def start(self, cell: Any, index: int) -> None:
        self.starts.append(time.time_ns())
        self.cell, self.cell_started = cell, time.monotonic()
        if self.live:
            self._print(f"{self._label(index)} …", end="\r")

    def show(self, text: str, index: int) -> None:
        """What a cell shows of how far it has come: the last word of a bar like `[====    ] 12/50`."""
        if self.live and text.strip():
            self._print(f"{self._label(index)} {text.split()[-1]:>8}", end="\r")

    def complete(self, index: int) -> None:
        if not self.quiet:
            self._print(f"{self._label(index)} {time.monotonic() - self.cell_started:6.1f} s")

    def finish(self) -> None:
        self._print(f"{self.stage:<9} {self.number} cells in {time.monotonic() - self.started:.1f} s")

    def remaining(self, cell: Any = None) -> int | None:
        """Seconds that the stage may still take, at least one; None when there is no limit."""
        passed = time.monotonic() - self.started
        return max(1, round(self.timeout - passed)) if self.timeout else None

    def cell_at(self, moment: int) -> int:
        """The number of the code cell that ran at a time in nanoseconds."""
        return bisect(self.starts, moment)

    def show_failure(self) -> None:
        """The last lines of the cell that stopped, and of what it had printed."""
        if self.cell is None:
            return
        printed = "".join(one["text"] for one in self.cell["outputs"] if one["output_type"] == "stream")
        self._print(f"{self.stage}, code cell {self.number} (id {self.cell['id']}):")
        for mark, text in (("    ", written(self.cell)), ("  > ", printed)):
            for line in text.rstrip().splitlines()[-SHOWN:]:
                self._print(mark + line)

    def _label(self, index: int) -> str:
        return f"{self.stage:<9} {self.number:>2}/{self.cells}  {heading(self.notebook, index)[:60]:<60}"

    def _print(self, text: str, end: str = "\n") -> None:
        print(text, end=end, file=sys.stderr, flush=True)


class StageEngine(Engine):
    """Runs the cells, tells a Progress where it is, and asks `still_good` before each cell."""

    @classmethod
    def execute_managed_notebook(  # type: ignore[override]
        cls,
        nb_man: NotebookExecutionManager,
        kernel_name: str,
        *,
        progress: Progress,
        still_good: Callable[[], None],
        start_timeout: int = 60,
        **ignored: Any,
    ) -> None:
        still_good()
        start, complete = nb_man.cell_start, nb_man.cell_complete

        def cell_start(cell: Any, cell_index: int = 0, **more: Any) -> None:
            if cell.cell_type == "code":
                still_good()
                progress.start(cell, cell_index)
            start(cell, cell_index=cell_index, **more)

        def cell_complete(cell: Any, cell_index: int = 0, **more: Any) -> None:
            complete(cell, cell_index=cell_index, **more)
            if cell.cell_type == "code":
                progress.complete(cell_index)

        nb_man.cell_start, nb_man.cell_complete = cell_start, cell_complete
        client = StageClient(
            nb_man,
            kernel_name=kernel_name,
            kernel_manager_class=StageKernel,
            startup_timeout=start_timeout,
            timeout_func=progress.remaining,
            iopub_timeout=60,
            log=logging.getLogger("papermill"),
            config=Config(KernelManager={"transport_encryption": "auto" if zmq.has("curve") else "disabled"}),
        )
        client.progress = progress
        client.execute()
