"""The kernel of a stage: ipykernel that dies with its runner, notes the files it opens and the
failure it ends with.
"""

import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bakebook.errors import Failure
from bakebook.runner.processes import die_with_parent
from bakebook.warm.protocol import Prepared

WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT
FORKED = 1  # instead of a parent: the fork server lets the kernel end with its runner
Opened = list[tuple[object, bool]]  # paths, and whether each is written


def _opened(args: tuple[Any, ...]) -> Opened:
    path, mode, flags = args[:3]
    writes = bool(set(mode) & set("wax+")) if mode else bool(flags & WRITE_FLAGS)
    return [(path, writes)]


def _renamed(args: tuple[object, ...]) -> Opened:
    return [(args[0], True), (args[1], True)]


def _removed(args: tuple[object, ...]) -> Opened:
    return [(args[0], True)]


def _connected(args: tuple[object, ...]) -> Opened:
    return [(args[0], False)]


AUDIT_EVENTS: dict[str, Callable[[tuple[object, ...]], Opened]] = {
    "open": _opened,
    "os.rename": _renamed,
    "os.remove": _removed,
    "sqlite3.connect": _connected,
}


class FileRecorder:
    """An audit hook that writes a line `[path from the root, whether it is written, time in ns]`
    per project file.
    """

    def __init__(self, root: Path, record: Path) -> None:
        self.root = str(root) + os.sep
        self.ignored = (str(root / "src") + os.sep, sys.prefix + os.sep)
        self.seen: set[tuple[str, bool]] = set()
        self.file = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)

    def __call__(self, event: str, args: tuple[object, ...]) -> None:
        if event not in AUDIT_EVENTS:
            return
        for path, writes in AUDIT_EVENTS[event](args):
            if isinstance(path, str | bytes | os.PathLike):
                absolute = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - must be fast
                self._note(absolute, writes)

    def _note(self, path: str, writes: bool) -> None:
        is_of_project = path.startswith(self.root) and not path.startswith(self.ignored)
        if is_of_project and (path, writes) not in self.seen:
            self.seen.add((path, writes))
            line = json.dumps([path[len(self.root) :], writes, time.time_ns()]) + "\n"
            os.write(self.file, line.encode())


def note_failure(result: Any) -> None:
    """Writes a Failure that a cell raised for the runner; IPython calls it after each cell."""
    error = result and result.error_in_exec  # without a result when the cell was cancelled
    if isinstance(error, Failure):
        content = {"what": error.what, "remedy": error.remedy, "exit_code": error.exit_code}
        with suppress(OSError):
            Path(os.environ["NB_FAILURE"]).write_text(json.dumps(content), encoding="utf-8")


def pack(pack_plain: Callable[[object], bytes], content: object) -> bytes:
    """A message's content as Jupyter packs it; half of a surrogate pair, which UTF-8 cannot say, is
    escaped.
    """
    try:
        return pack_plain(content)
    except UnicodeEncodeError:
        return pack_plain(_escaped(content))


def _escaped(content: Any) -> Any:
    if isinstance(content, str):
        return content.encode("utf-8", "backslashreplace").decode()
    if isinstance(content, dict):
        return {_escaped(name): _escaped(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_escaped(value) for value in content]
    return content


def prepare() -> Prepared:
    """A kernel that only needs to start, with addresses and keys of its own, which it tells as a
    connection file has them.
    """
    import zmq

    # Nearly every notebook imports them
    from bakebook import artifacts, contracts, params  # noqa: F401

    app = _application()
    app.curve_publickey, app.curve_secretkey = zmq.curve_keypair()
    with TemporaryDirectory() as folder:
        connection_file = Path(folder, "kernel.json")
        app.initialize(["-f", str(connection_file)])
        connection = json.loads(connection_file.read_text("utf-8"))
    return Prepared(partial(_start, app), connection, [])


def main() -> None:
    """Starts the kernel with the arguments that Jupyter gives."""
    parent = int(os.environ["JPY_PARENT_PID"])
    if parent != FORKED:
        die_with_parent(parent)
    app = _application()
    app.initialize()
    _start(app)


def _application() -> Any:
    from ipykernel.kernelapp import IPKernelApp
    from traitlets.config import Config

    class StageKernelApp(IPKernelApp):
        def init_shell(self) -> None:
            super().init_shell()
            shell: Any = self.shell
            shell.events.register("post_run_cell", note_failure)
            session: Any = self.session
            session.pack = partial(pack, session.pack)

    if Path(sys.path[0]).resolve() == Path.cwd():
        del sys.path[0]  # a file in the notebooks' folder must not replace a library
    # A notebook of a pipeline shows plain bars, and needs no hint at better ones
    warnings.filterwarnings("ignore", "IProgress not found")
    nobody_asks_for_it = Config(HistoryManager={"enabled": False})
    return StageKernelApp.instance(config=nobody_asks_for_it)


def _start(app: Any) -> None:
    sys.addaudithook(FileRecorder(Path(os.environ["NB_ROOT"]), Path(os.environ["NB_RECORD"])))
    app.start()
    # ipykernel closes what its control thread may still be flushing, which then never ends
    if app.control_thread.is_alive():
        app.control_thread.stop()
        app.control_thread.join()


if __name__ == "__main__":
    main()
