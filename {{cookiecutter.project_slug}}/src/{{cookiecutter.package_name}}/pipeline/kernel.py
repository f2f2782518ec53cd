"""The kernel of a stage: ipykernel that dies with its runner and notes the files it opens."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .processes import die_with_parent

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
PATHS: dict[str, Callable[[tuple[Any, ...]], list[tuple[Any, bool]]]] = {
    "open": lambda args: [(args[0], _writes(args[1], args[2]))],
    "os.rename": lambda args: [(args[0], True), (args[1], True)],
    "os.remove": lambda args: [(args[0], True)],
    "sqlite3.connect": lambda args: [(args[0], False)],
}


class Witness:
    """Writes a line `[path from the root, whether to write, time in ns]` per file of the project that is opened."""

    def __init__(self, root: Path, record: Path) -> None:
        self.root, self.apart = str(root) + os.sep, (str(root / "src") + os.sep, sys.prefix + os.sep)
        self.seen: set[tuple[str, bool]] = set()
        self.file = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        for path, writes in PATHS[event](args) if event in PATHS else ():
            if isinstance(path, str | bytes | os.PathLike):
                self._note(os.path.abspath(os.fsdecode(path)), writes)  # noqa: PTH100 - called at each open: be quick

    def _note(self, path: str, writes: bool) -> None:
        if path.startswith(self.root) and not path.startswith(self.apart) and (path, writes) not in self.seen:
            self.seen.add((path, writes))
            os.write(self.file, (json.dumps([path[len(self.root) :], writes, time.time_ns()]) + "\n").encode())


def _writes(mode: str | None, flags: int) -> bool:
    return bool(set(mode) & set("wax+")) if mode else bool(flags & WRITING)


def main() -> None:
    from ipykernel import kernelapp

    if Path(sys.path[0]).resolve() == Path.cwd():
        del sys.path[0]  # a file of the notebooks' folder must not take the place of a library
    die_with_parent(int(os.environ["JPY_PARENT_PID"]))
    sys.addaudithook(Witness(Path(os.environ["NB_ROOT"]), Path(os.environ["NB_RECORD"])))
    kernelapp.launch_new_instance()


if __name__ == "__main__":
    main()
