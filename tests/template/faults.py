"""What can happen to a pipeline, and what must hold afterwards: the rows of test_faults.py and of `nox -s chaos`."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from conftest import Run, commit

STAGES = ["ingest", "validate", "prepare", "train", "export", "evaluate", "describe"]
TRACKED = ["train", "export", "evaluate", "describe"]
HERE = "import os, pathlib, time; pathlib.Path(os.environ['HERE']).write_text(f'{os.getpid()} {os.getppid()}'); "
WARM = {"warm": "1", "cold": "0"}  # the value of NB_WARM
WAIT = HERE + "time.sleep(100)"
HOLD = HERE + "import ctypes; ctypes.PyDLL(None).sleep(100)"  # keeps Python's lock: no other thread of the kernel runs


def prepare(project: Path) -> None:
    """Lets each notebook suffer, at its start or its end, what the variables FAULT_START and FAULT_END say."""
    for stage in STAGES:
        path = project / "notebooks" / f"{stage}.ipynb"
        notebook = json.loads(path.read_text("utf-8"))
        code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        imports = next(cell for cell in code if cell["id"] == "imports")
        last = next(cell for cell in reversed(code) if "artifacts.write_" in "".join(cell["source"]))
        for cell, moment in ((imports, "START"), (last, "END")):
            line = f'exec(__import__("os").environ.get("FAULT_{moment}", ""))\n'
            lines = "".join(cell["source"]).splitlines(keepends=True)
            place = len(lines) if moment == "START" else len(lines) - 1
            if moment == "START":
                lines[-1] += "\n"
            cell["source"] = [*lines[:place], line, *lines[place:]]
        path.write_text(json.dumps(notebook), encoding="utf-8")


def forget(project: Path, stage: str) -> list[Path]:
    """Takes the project back to where the stage never ran; returns what the cache would hold of it."""
    lock = project / "dvc.lock"
    hashes = [out["md5"] for out in yaml.safe_load(lock.read_text("utf-8"))["stages"][stage]["outs"]]
    cached = [project / ".dvc/cache/files/md5" / one[:2] / one[2:] for one in hashes]
    for path in cached:
        path.unlink(missing_ok=True)
    shutil.rmtree(project / ".dvc/cache/runs")
    for path in outs(project, stage):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    entry = rf"^  {stage}:\n(?:    .*\n|  - .*\n)*"
    lock.write_text(re.sub(entry, "", lock.read_text("utf-8"), flags=re.MULTILINE), encoding="utf-8")
    commit(project)
    return cached


def outs(project: Path, stage: str) -> list[Path]:
    """Where the stage leaves what it makes."""
    listed = yaml.safe_load((project / "dvc.yaml").read_text("utf-8"))["stages"][stage]
    entries = [entry for kind in ("outs", "metrics") for entry in listed.get(kind, [])]
    return [project / (next(iter(entry)) if isinstance(entry, dict) else entry) for entry in entries]


def gone(pid: int) -> bool:
    """Whether the process has ended; one that waits to be collected by its parent has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.1)
    return holds()


SOCKET = """
import os
from bakebook.warm import client, place
print(place.socket_path(client.own_variables(dict(os.environ))))
"""


def warmed(project: Path, run: Run) -> set[str]:
    """Runs a stage until the fork server has imported everything, and a runner and a kernel are prepared: these."""
    found: set[str] = set()

    def are_there() -> bool:
        done = run(project, "nb", "run", "ingest")
        assert done.returncode == 0, done.stderr
        time.sleep(1)
        socket = run(project, "python", "-c", SOCKET).stdout.strip()
        servers = re.findall(r"fork server: process (\d+), .* 2 spares;", run(project, "nb", "doctor").stdout)
        for server in servers:
            if socket in Path(f"/proc/{server}/cmdline").read_text("utf-8"):
                found.update(Path(f"/proc/{server}/task/{server}/children").read_text("ascii").split())
        return bool(found)

    assert within(60, are_there)
    return found


def within_folder(pid: int, folder: Path) -> bool:
    return Path(f"/proc/{pid}/cwd").readlink() == folder


def exit_code(said: str) -> int | None:
    """The exit code of which DVC tells, as shells count it; some shells die of the same signal, and show as -2."""
    found = re.search(r"exited with (-?\d+)", said)
    return None if not found else 128 - int(found[1]) if int(found[1]) < 0 else int(found[1])


def statuses(project: Path) -> list[str]:
    """The status of each MLflow run, the oldest first."""
    if not (project / "mlflow.db").exists():
        return []
    with closing(sqlite3.connect(project / "mlflow.db")) as store:
        return [status for (status,) in store.execute("select status from runs order by start_time")]


@dataclass
class Case:
    """A project whose stage is about to run for the first time, and the environment that it runs in."""

    project: Path
    stage: str
    environment: dict[str, str]
    here: Path = field(init=False)

    def __post_init__(self) -> None:
        self.results = self.locked()
        self.cached = forget(self.project, self.stage)
        self.here = self.project.parent / "here"
        self.here.unlink(missing_ok=True)
        self.environment = self.environment | {"HERE": str(self.here), "PYTHONPATH": str(self.project / "src")}

    def locked(self) -> dict[str, dict[str, str]]:
        """What dvc.lock says of each stage: the hashes of all that it takes and leaves, by path."""
        stages = yaml.safe_load((self.project / "dvc.lock").read_text("utf-8"))["stages"]
        return {
            name: {one["path"]: one["md5"] for kind in ("deps", "outs") for one in stage[kind]}
            for name, stage in stages.items()
        }

    def start(self, *command: str, **variables: str) -> subprocess.Popen[str]:
        """The command, in a session of its own; it hears SIGINT even where the tests themselves were told not to."""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return subprocess.Popen(
            [shutil.which(command[0], path=self.environment["PATH"]) or command[0], *command[1:]],
            cwd=self.project,
            env=self.environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )

    def call(self, *command: str, **variables: str) -> tuple[int, str]:
        process = self.start(*command, **variables)
        said, _ = process.communicate()
        return process.returncode, said

    def arrived(self) -> tuple[int, int]:
        """The processes of kernel and runner, as soon as the notebook waits."""
        assert within(60, lambda: self.here.exists() and " " in self.here.read_text("utf-8"))
        assert within(60, lambda: self.stage not in TRACKED or self.recorded())
        kernel, parent = map(int, self.here.read_text("utf-8").split())
        runner = json.loads((self.project / ".dvc/tmp/nb/holder.json").read_text("utf-8"))["pid"]
        assert (parent == runner) == (self.environment.get("NB_WARM") == WARM["cold"]), (
            "not the mode that was asked for"
        )
        return kernel, runner

    def caller(self, runner: int) -> int:
        """The process that DVC started: the runner itself, or the one that waits for a warm runner."""
        commands = {
            int(entry.name): (entry / "cmdline").read_bytes().split(b"\0")
            for entry in Path("/proc").iterdir()
            if entry.name.isdecimal() and not gone(int(entry.name))
        }
        wanted = [b"run", self.stage.encode()]
        found = [
            pid for pid, command in commands.items() if wanted == command[2:4] and within_folder(pid, self.project)
        ]
        return found[0] if found else runner

    def recorded(self) -> bool:
        """Whether the stage's MLflow run is open by now."""
        notes = [json.loads(path.read_text("utf-8")) for path in (self.project / ".dvc/tmp/nb/runs").glob("*.json")]
        return any(note["run_id"] for note in notes)

    def unfinished(self) -> Iterator[str]:
        """What of a stage that did not finish may be taken for a result."""
        for path in outs(self.project, self.stage):
            if path.exists():
                yield f"{path.relative_to(self.project)} is there"
        if f"  {self.stage}:\n" in (self.project / "dvc.lock").read_text("utf-8"):
            yield "dvc.lock has the stage"
        if any(path.exists() for path in self.cached):
            yield "something is cached"

    def unrepaired(self) -> Iterator[str]:
        """What the next plain command did not bring in order."""
        code, said = self.call("dvc", "repro")
        if code:
            yield f"dvc repro ends with {code}: {said[-500:]}"
        if self.locked() != self.results:
            yield "other bytes than those of an undisturbed run"
        if "RUNNING" in statuses(self.project):
            yield "a run stays RUNNING"
        if list((self.project / "reports/notebooks").glob("*.running.ipynb")):
            yield "a notebook stays running"


@dataclass(frozen=True)
class Kill:
    """A process of the pipeline is sent a signal while the stage's notebook is at work."""

    target: str  # dvc, caller, runner, kernel, or group: what Ctrl-C in a terminal reaches
    number: int
    stage: str
    code: int | None = None  # of nb, as DVC prints it; None where DVC cannot print any more
    status: str | None = None  # of the run, before the next command; None where nobody is left to write it
    at_work: str = WAIT

    def __str__(self) -> str:
        return f"{self.target}-{signal.Signals(self.number).name}-{self.stage}"

    def broken_promises(self, case: Case) -> Iterator[str]:
        before = statuses(case.project)
        process = case.start("dvc", "repro", FAULT_END=self.at_work)
        kernel, runner = case.arrived()
        if self.target == "group":
            os.killpg(process.pid, self.number)
        else:
            targets = {"dvc": process.pid, "runner": runner, "kernel": kernel, "caller": case.caller(runner)}
            os.kill(targets[self.target], self.number)
        orphans = [kernel] if self.target == "kernel" else [runner, kernel]  # the runner of a dead kernel tells of it
        if not within(5, lambda: all(map(gone, orphans))):
            left = [pid for pid in (process.pid, runner, kernel) if not gone(pid)]
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            yield f"orphans: {left}"
        said, _ = process.communicate()
        if process.returncode == 0:
            yield "dvc ends with 0"
        if self.code is not None and exit_code(said) != self.code:
            yield f"not exit code {self.code}: {said[-300:]}"
        yield from case.unfinished()
        if self.status and case.stage in TRACKED:
            wanted = [*before, self.status] if case.stage == "train" else before
            if statuses(case.project) != wanted:
                yield f"runs are {statuses(case.project)}, not {wanted}"
        yield from case.unrepaired()


def kills(stages: list[str]) -> Iterator[Kill]:
    """Every process, every signal, at each of the stages."""
    for stage in stages:
        yield Kill("group", signal.SIGINT, stage, 130, "KILLED")
        yield Kill("dvc", signal.SIGTERM, stage, None, "KILLED")
        yield Kill("dvc", signal.SIGKILL, stage, None, "KILLED")
        yield Kill("caller", signal.SIGINT, stage, 130, "KILLED")
        yield Kill("caller", signal.SIGTERM, stage, 143, "KILLED")
        yield Kill("caller", signal.SIGKILL, stage, 137, None)
        yield Kill("runner", signal.SIGINT, stage, 130, "KILLED")
        yield Kill("runner", signal.SIGTERM, stage, 143, "KILLED")
        yield Kill("runner", signal.SIGHUP, stage, 129, "KILLED")
        yield Kill("runner", signal.SIGKILL, stage, 137, None)
        yield Kill("kernel", signal.SIGINT, stage, 1, "FAILED")
        yield Kill("kernel", signal.SIGTERM, stage, 1, "FAILED")
        yield Kill("kernel", signal.SIGKILL, stage, 1, "FAILED")


@dataclass(frozen=True)
class Failure:
    """The notebook fails by itself."""

    name: str
    stage: str
    code: int
    said: tuple[str, ...]
    start: str = ""
    end: str = ""
    limit: int = 3600  # seconds of pipeline.stage_timeout

    def __str__(self) -> str:
        return f"{self.name}-{self.stage}"

    def broken_promises(self, case: Case) -> Iterator[str]:
        before = statuses(case.project)
        params = case.project / "params.yaml"
        text = params.read_text("utf-8")
        params.write_text(text.replace("stage_timeout: 3600", f"stage_timeout: {self.limit}"), encoding="utf-8")
        process = case.start("dvc", "repro", FAULT_START=self.start, FAULT_END=self.end)
        try:
            said, _ = process.communicate(timeout=self.limit if self.limit > 60 else 60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            said, _ = process.communicate()
            yield "it goes on and on"
        params.write_text(text, encoding="utf-8")
        if f"exited with {self.code}" not in said:
            yield f"not exit code {self.code}: {said[-500:]}"
        for words in (*self.said, "error: "):
            if words not in said:
                yield f"nothing is said of '{words}': {said[-1000:]}"
        yield from case.unfinished()
        wanted = [*before, "FAILED"] if case.stage == "train" else before
        if statuses(case.project) != wanted:
            yield f"runs are {statuses(case.project)}, not {wanted}"
        yield from case.unrepaired()


FILE_LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))"
EXTRA = "(paths.ROOT / 'data' / 'extra.csv')"
FAILURES = [
    Failure(
        "raises-after-half-its-outputs",
        "prepare",
        1,
        ("code cell 10", "ValueError: odd"),
        end="raise ValueError('odd')",
    ),
    Failure(
        "raises-after-half-a-file",
        "train",
        1,
        ("train, code cell 9 (id save-model):", "    artifacts.write_model(", "  > so far", "train.failed.ipynb"),
        end="print('so far'); paths.MODEL.write_text('half'); raise ValueError('odd')",
    ),
    Failure("raises-a-lot", "ingest", 1, ("IndexError: x",), end="raise IndexError('x' * 100_000)"),
    Failure("asks-for-more-memory-than-there-is", "train", 1, ("MemoryError",), end="bytearray(10**15)"),
    Failure("hangs", "export", 1, ("pipeline.stage_timeout",), end="import time; time.sleep(1000)", limit=8),
    Failure("hangs-with-the-lock", "train", 1, ("pipeline.stage_timeout",), end=HOLD.replace("100", "1000"), limit=10),
    Failure("has-no-room-for-a-file", "train", 6, ("train: [Errno 27]", "free some space"), end=FILE_LIMIT),
    Failure("has-no-room-for-a-table", "prepare", 6, ("prepare: ", "free some space"), start=FILE_LIMIT),
    Failure(
        "writes-what-it-does-not-declare",
        "train",
        1,
        ("train writes data/extra.csv in code cell 9, which it does not declare → add it to outs",),
        end=f"{EXTRA}.write_text('x')",
    ),
    Failure(
        "writes-unseen-by-python",
        "prepare",
        1,
        ("prepare writes data/extra.csv in code cell 10, which it does not declare",),
        end=f"import pyarrow.csv as c; c.write_csv(__import__('pyarrow').table({{'a': [1]}}), str({EXTRA}))",
    ),
]
