"""A small environment in which the fork server runs."""

import os
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import bakebook

DRIVER = Path(__file__).with_name("driver.py")
SOURCE = Path(bakebook.__file__).resolve().parents[1]


@dataclass
class World:
    """A folder for modules that are run, an environment with installed ones, and a place for sockets."""

    folder: Path
    environment: Path
    runtime: Path

    @property
    def libraries(self) -> Path:
        return next((self.environment / "lib").glob("python*")) / "site-packages"

    def install(self, name: str, code: str) -> None:
        (self.libraries / f"{name}.py").write_text(code, encoding="utf-8")

    def start(self, *arguments: str, **options: object) -> "subprocess.Popen[str]":
        variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        variables |= {"XDG_RUNTIME_DIR": str(self.runtime), "PYTHONPATH": str(SOURCE)}
        variables |= options.pop("variables", {})  # type: ignore[operator]
        return subprocess.Popen(
            [self.environment / "bin" / "python", DRIVER, *arguments],
            cwd=self.folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            text=True,
            **{"stdout": subprocess.PIPE, **options},  # type: ignore[call-overload]
        )

    def run(self, *arguments: str, **options: object) -> str:
        """What the driver and its process print."""
        return self.start(*arguments, **options).communicate(timeout=60)[0]

    def module(self, code: str) -> str:
        """The name of a new module in the folder."""
        name = f"module{len(list(self.folder.iterdir()))}"
        (self.folder / f"{name}.py").write_text(code, encoding="utf-8")
        return name

    def servers(self) -> list[int]:
        """Their processes; a child has the same command line and a server as its parent."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with suppress(OSError):
                    command = (entry / "cmdline").read_bytes()
                    if b"bakebook.warm.server" in command and os.fsencode(self.runtime) in command:
                        status = (entry / "stat").read_text("utf-8").rpartition(")")[2].split()
                        found[int(entry.name)] = int(status[1])
        return [pid for pid, parent in found.items() if parent not in found]


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    ends = time.monotonic() + seconds
    while not holds() and time.monotonic() < ends:
        time.sleep(0.05)
    return holds()


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
