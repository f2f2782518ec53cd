"""Says which cell is running and how long each took; one line a stage in CI."""

import os
import sys
import time
from typing import Any

from papermill.engines import NBClientEngine, NotebookExecutionManager

from .notebooks import Notebook, heading


class Progress:
    """Prints a line per code cell of one stage; where the variable CI is set, the last line alone."""

    def __init__(self, stage: str, notebook: Notebook) -> None:
        self.stage, self.notebook = stage, notebook
        self.cells = sum(cell["cell_type"] == "code" for cell in notebook["cells"])
        self.started = self.cell_started = time.monotonic()
        self.number = 0
        self.quiet = bool(os.environ.get("CI"))
        self.live = sys.stderr.isatty() and not self.quiet

    def start(self, index: int) -> None:
        self.number += 1
        self.cell_started = time.monotonic()
        if self.live:
            self._print(f"{self._label(index)} …", end="\r")

    def complete(self, index: int) -> None:
        if not self.quiet:
            self._print(f"{self._label(index)} {time.monotonic() - self.cell_started:6.1f} s")

    def finish(self) -> None:
        self._print(f"{self.stage:<9} {self.number} cells in {time.monotonic() - self.started:.1f} s")

    def _label(self, index: int) -> str:
        return f"{self.stage:<9} {self.number:>2}/{self.cells}  {heading(self.notebook, index)[:60]:<60}"

    def _print(self, text: str, end: str = "\n") -> None:
        print(text, end=end, file=sys.stderr, flush=True)


class ReportingEngine(NBClientEngine):
    """papermill's own engine, which also tells a Progress where it is and asks `still_good` before each cell."""

    @classmethod
    def execute_managed_notebook(  # type: ignore[override]
        cls, nb_man: NotebookExecutionManager, kernel_name: str, *, progress: Progress, still_good: Any, **kwargs: Any
    ) -> Any:
        still_good()
        start, complete = nb_man.cell_start, nb_man.cell_complete

        def cell_start(cell: Any, cell_index: int = 0, **more: Any) -> None:
            if cell.cell_type == "code":
                still_good()
                progress.start(cell_index)
            start(cell, cell_index=cell_index, **more)

        def cell_complete(cell: Any, cell_index: int = 0, **more: Any) -> None:
            complete(cell, cell_index=cell_index, **more)
            if cell.cell_type == "code":
                progress.complete(cell_index)

        nb_man.cell_start, nb_man.cell_complete = cell_start, cell_complete
        return super().execute_managed_notebook(nb_man, kernel_name, **kwargs)
