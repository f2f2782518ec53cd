"""A kernel that stays after a cell raised, so that its variables can be inspected."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bakebook.errors import Interrupted
from bakebook.paths import STATE

POLL_S = 0.2


@dataclass(frozen=True)
class KeptKernel:
    """How others reach the kernel of a stage, and how long it stays."""

    root: Path
    stage: str
    seconds: float | None  # None: until it is interrupted

    @property
    def connection_file(self) -> Path:
        return self.root / STATE / "kernel" / f"{self.stage}.json"

    def prepare(self) -> None:
        """Makes the folder of the connection file, which has the kernel's key."""
        self.connection_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.connection_file.unlink(missing_ok=True)

    def stay(self, cell: int, error: str, is_alive: Callable[[], bool]) -> None:
        """Says how to look inside; returns when the time is over, the kernel has ended, or this
        process was interrupted.
        """
        print(self._described(cell, error), file=sys.stderr, flush=True)
        ends = time.monotonic() + self.seconds if self.seconds else float("inf")
        try:
            while time.monotonic() < ends and is_alive():
                time.sleep(POLL_S)
        except Interrupted:
            pass  # the way to end it

    def _described(self, cell: int, error: str) -> str:
        file = self.connection_file.relative_to(self.root).as_posix()
        folder = self.connection_file.parent.relative_to(self.root).as_posix()
        external = (
            f"--ServerApp.allow_external_kernels=True --ServerApp.external_connection_dir={folder}"
        )
        limit = f", for at most {round(self.seconds)} seconds" if self.seconds else ""
        return "\n".join(
            [
                f"{self.stage} stopped in code cell {cell}: {error}",
                f"Its kernel is kept{limit}; Ctrl-C ends it. Look inside from another terminal:",
                f"    jupyter console --existing {file}",
                f"    jupyter lab {external}",
            ]
        )
