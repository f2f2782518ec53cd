"""Things break: what is said, what is left, and that the next plain command makes it good."""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from conftest import Run, commit, git
from faults import (
    FAILURES,
    HOLD,
    STAGES,
    WAIT,
    WARM,
    Case,
    Failure,
    Kill,
    gone,
    kills,
    outs,
    prepare,
    statuses,
    warmed,
    within,
)
from servers import answers

pytestmark = pytest.mark.slow
SHORT = {
    "group-SIGINT-train",
    "dvc-SIGKILL-train",
    "runner-SIGTERM-train",
    "runner-SIGKILL-prepare",
    "runner-SIGKILL-train",
    "kernel-SIGKILL-train",
}
LONG = {
    "raises-a-lot-ingest",
    "has-no-room-for-a-table-prepare",
    "asks-for-more-memory-than-there-is-train",
    "hangs-with-the-lock-train",
}
KILLS = [pytest.param(row, id=str(row), marks=[] if str(row) in SHORT else pytest.mark.chaos) for row in kills(STAGES)]
ODDITIES = [pytest.param(row, id=str(row), marks=pytest.mark.chaos if str(row) in LONG else []) for row in FAILURES]
WAIT_FOR_GO = WAIT.replace("time.sleep(100)", "\nwhile not pathlib.Path(os.environ['GO']).exists(): time.sleep(0.1)")


@pytest.fixture(scope="session")
def prepared(baked: Path, run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose notebooks can be made to fail, after an undisturbed run. Read only."""
    project = Path(shutil.copytree(baked, tmp_path_factory.mktemp("prepared") / baked.name))
    prepare(project)
    assert run(project, "nb", "sync").returncode == 0
    commit(project)
    done = run(project, "dvc", "repro", CI="true")
    assert done.returncode == 0, done.stdout + done.stderr
    commit(project)
    return project


@pytest.fixture(scope="session")
def fork_server(prepared: Path, run: Run, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A fork server that outlives the DVC processes of the cases, each of which has a session of its own."""
    project = Path(shutil.copytree(prepared, tmp_path_factory.mktemp("fork server") / prepared.name))
    warmed(project, run)


@pytest.fixture(params=["warm", pytest.param("cold", marks=pytest.mark.chaos)])
def case(
    prepared: Path, tmp_path: Path, environment: dict[str, str], fork_server: None, request: pytest.FixtureRequest
) -> Callable[[str], Case]:
    """A copy of the prepared project in which the stage never ran; a shell stands between it and DVC, as in CI."""
    project = Path(shutil.copytree(prepared, tmp_path / prepared.name))
    variables = {"SHELL": "/bin/sh", "NB_WARM": WARM[request.param]}
    return lambda stage: Case(project, stage, environment | variables)


# Killed, failing, hanging, out of space


@pytest.mark.parametrize("row", KILLS)
def test_a_pipeline_that_is_killed_leaves_nothing_wrong(case: Callable[[str], Case], row: Kill) -> None:
    assert list(row.broken_promises(case(row.stage))) == []


def test_a_shell_that_gives_its_place_to_the_stage_changes_nothing(case: Callable[[str], Case]) -> None:
    one = case("ingest")
    one.environment["SHELL"] = str(shutil.which("bash"))
    assert list(Kill("dvc", signal.SIGKILL, "ingest").broken_promises(one)) == []


def test_a_kernel_that_holds_pythons_lock_dies_with_its_runner(case: Callable[[str], Case]) -> None:
    row = Kill("runner", signal.SIGKILL, "ingest", 137, at_work=HOLD)
    assert list(row.broken_promises(case("ingest"))) == []


def test_dvc_finishes_a_stage_when_it_alone_is_interrupted(case: Callable[[str], Case]) -> None:
    """DVC ignores SIGINT while a stage runs, so that Ctrl-C reaches the stage first."""
    one = case("ingest")
    process = one.start("dvc", "repro", FAULT_END=WAIT.replace("100", "3"))
    one.arrived()
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate()
    assert process.returncode == 0, said
    assert one.locked() == one.results


@pytest.mark.parametrize("row", ODDITIES)
def test_a_notebook_that_fails_is_told_and_taken_back(case: Callable[[str], Case], row: Failure) -> None:
    assert list(row.broken_promises(case(row.stage))) == []


@pytest.mark.parametrize("free", [10_000, pytest.param(200_000, marks=pytest.mark.chaos)])
def test_a_full_disk_is_said_and_leaves_the_old_state_whole(
    prepared: Path, tmp_path: Path, environment: dict[str, str], free: int
) -> None:
    with small_disk(tmp_path / "disk") as disk:
        project = Path(shutil.copytree(prepared, disk / prepared.name))
        one = Case(project, "train", environment | {"CI": "true", "TMPDIR": str(tmp_path)})
        filler = disk / "filler"
        with filler.open("wb") as file:
            file.write(bytes(max(0, shutil.disk_usage(disk).free - free)))
        code, said = one.call("dvc", "repro")
        assert code != 0
        assert "o space left" in said or "disk is full" in said, said
        assert "exited with 6" in said or "exited with" not in said, said
        filler.unlink()
        one.call("nb", "doctor", "--fix")
        assert list(one.unrepaired()) == []


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """A file system of 60 MB in memory. Only root may mount one."""
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", place], check=False).returncode:
        pytest.skip("needs to be root, to mount a small file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


# Two at once


def test_of_two_pipelines_the_second_stops_and_names_the_first(case: Callable[[str], Case]) -> None:
    one = case("train")
    first = one.start("dvc", "repro", FAULT_END=WAIT)
    _, runner = one.arrived()
    started = time.monotonic()
    code, said = one.call("dvc", "repro")
    dvc_took = time.monotonic() - started
    assert (code, f"PID {first.pid}" in said) == (255, True), said
    started = time.monotonic()
    code, said = one.call("nb", "run", "ingest")
    took = time.monotonic() - started
    assert (code, said.splitlines()[-1]) == (
        5,
        f"error: stage 'train' (process {runner}) is running in this project → wait until it has finished",
    )
    assert one.call("nb", "doctor")[0] == 5
    assert max(took, dvc_took) < 10, "five seconds are promised; a busy machine gets ten"
    os.killpg(first.pid, signal.SIGINT)
    first.communicate()
    assert list(one.unrepaired()) == []


def test_pipelines_that_start_together_on_a_new_store_all_succeed(
    prepared: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{(tmp_path / 'shared.db').as_posix()}"}
    copies = [Path(shutil.copytree(prepared, tmp_path / str(number) / prepared.name)) for number in range(4)]
    cases = [Case(copy, "describe", environment | store | {"CI": "true"}) for copy in copies]
    processes = [one.start("nb", "run", "describe") for one in cases]
    ends = [(process.communicate()[0], process.returncode) for process in processes]
    assert [code for _, code in ends] == [0, 0, 0, 0], ends
    with closing(sqlite3.connect(tmp_path / "shared.db")) as shared:
        assert shared.execute("select distinct status from runs").fetchall() == [("FINISHED",)]


# MLflow's server: down, silent, slow, dying


class Server:
    """An MLflow server that can die and come back."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder, self.environment = folder, environment | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self.uri, self.database = f"http://127.0.0.1:{self.port}", folder / "server.db"

    def start(self) -> None:
        options = {
            "--host": "127.0.0.1",
            "--port": str(self.port),
            "--workers": "1",
            "--backend-store-uri": f"sqlite:///{self.database.as_posix()}",
            "--artifacts-destination": str(self.folder / "artifacts"),
        }
        program = shutil.which("mlflow", path=self.environment["PATH"])
        command = [str(program), "server", *(word for option in options.items() for word in option)]
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(
            command, env=self.environment, stdout=quiet, stderr=quiet, start_new_session=True
        )
        answers(f"{self.uri}/health")

    def die(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.database)) as store:
            return store.execute(query).fetchall()


@pytest.fixture
def server(tmp_path: Path, environment: dict[str, str]) -> Iterator[Server]:
    found = Server(tmp_path, environment)
    found.start()
    yield found
    found.die()


def test_a_server_that_is_silent_is_said_before_any_work(case: Callable[[str], Case]) -> None:
    one = case("train")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(100)
        started = time.monotonic()
        code, said = one.call("nb", "run", "train", MLFLOW_TRACKING_URI=f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert (code, len(said.splitlines())) == (4, 1)
    assert "does not answer (timed out) → start it" in said
    assert time.monotonic() - started < 10, "five seconds are promised; a busy machine gets ten"
    assert not one.here.exists()


def test_a_slow_server_is_waited_for(case: Callable[[str], Case], server: Server) -> None:
    one = case("evaluate")
    with slowed(server.port, seconds=0.5) as port:
        code, said = one.call("nb", "run", "evaluate", MLFLOW_TRACKING_URI=f"http://127.0.0.1:{port}")
    assert code == 0, said
    assert server.rows("select status from runs") == [("FINISHED",)]


@contextmanager
def slowed(port: int, seconds: float) -> Iterator[int]:
    """A port on the way to another, on which each connection's first word takes its time."""
    door = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                caller, _ = door.accept()
                threading.Thread(target=answer, args=(caller,), daemon=True).start()

    def answer(caller: socket.socket) -> None:
        time.sleep(seconds)
        with caller, suppress(OSError), socket.create_connection(("127.0.0.1", port)) as callee:
            back = threading.Thread(target=copy, args=(callee, caller))
            back.start()
            copy(caller, callee)
            back.join()

    def copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    threading.Thread(target=serve, daemon=True).start()
    yield door.getsockname()[1]
    door.close()


def test_a_server_that_dies_and_comes_back_loses_nothing(case: Callable[[str], Case], server: Server) -> None:
    one = case("evaluate")
    go = one.project.parent / "go"
    process = one.start("dvc", "repro", FAULT_START=WAIT_FOR_GO, GO=str(go), MLFLOW_TRACKING_URI=server.uri)
    one.arrived()
    server.die()
    go.touch()
    time.sleep(20)
    server.start()
    said, _ = process.communicate()
    assert process.returncode == 0, said
    opened = "select value, status from runs join tags using (run_uuid) where key = 'mlflow.source.name'"
    assert server.rows(opened) == [("notebooks/evaluate.ipynb", "FINISHED")]
    with closing(sqlite3.connect(one.project / "mlflow.db")) as store:
        expected = store.execute("select key, value from latest_metrics order by key").fetchall()
    assert expected
    assert server.rows("select key, value from latest_metrics order by key") == expected


@pytest.mark.chaos
def test_a_server_that_stays_away_fails_the_stage_and_keeps_what_was_computed(
    case: Callable[[str], Case], server: Server
) -> None:
    one = case("evaluate")
    go = one.project.parent / "go"
    quick = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
    process = one.start("dvc", "repro", FAULT_START=WAIT_FOR_GO, GO=str(go), MLFLOW_TRACKING_URI=server.uri, **quick)
    one.arrived()
    is_open = "select distinct status from runs join params using (run_uuid)"
    assert within(20, lambda: server.rows(is_open) == [("RUNNING",)])
    server.die()
    go.touch()
    said, _ = process.communicate()
    assert "exited with 4" in said and "error: evaluate: MLflow at http://127.0.0.1" in said, said
    assert all(path.exists() for path in outs(one.project, "evaluate"))
    assert "evaluate" not in one.locked()
    assert list(one.unrepaired()) == []
    server.start()
    assert server.rows("select status from runs") == [("RUNNING",)]
    code, said = one.call("nb", "doctor", "--fix")
    assert code == 0, said
    assert server.rows("select status from runs") == [("FAILED",)]


# What was damaged, and the doctor


def test_the_doctor_finds_nothing_wrong_with_a_finished_project(case: Callable[[str], Case]) -> None:
    one = case("describe")
    assert one.call("dvc", "repro")[0] == 0
    code, said = one.call("nb", "doctor")
    assert (code, {line.split()[0] for line in said.splitlines()}) == (0, {"ok"}), said


def test_a_lock_that_was_cut_off_never_skips_a_stage_wrongly(case: Callable[[str], Case]) -> None:
    one = case("describe")
    one.call("dvc", "repro")
    commit(one.project)
    lock = one.project / "dvc.lock"
    whole, found = lock.read_bytes(), []
    for share in (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.9999):
        lock.write_bytes(whole[: int(len(whole) * share)])
        found.append("dvc.lock: dvc.lock is truncated → nb doctor --fix" in one.call("nb", "doctor")[1])
        code, said = one.call("nb", "doctor", "--fix")
        assert code == 0, said
        assert list(one.unrepaired()) == [], share
    assert found[0] and sum(found) >= 4, "what is cut between two stages is a lock of fewer stages, and these run again"


@pytest.mark.parametrize("content", ['{"write": {"reports', '{"write": {"%s": {"pid": 1, "cmd": "dvc repro"}}}'])
def test_a_stale_or_broken_lock_of_dvc_is_mended_by_the_doctor(case: Callable[[str], Case], content: str) -> None:
    one = case("describe")
    path = one.project / ".dvc/tmp/rwlock"
    path.write_text(content % (one.project / "reports/MODEL_CARD.md") if "%s" in content else content, "utf-8")
    assert one.call("dvc", "repro")[0] == 255
    code, said = one.call("nb", "doctor")
    assert (code, "wrong   DVC's locks: .dvc/tmp/rwlock is" in said) == (1, True), said
    assert one.call("nb", "doctor", "--fix")[0] == 0
    assert list(one.unrepaired()) == []


def test_a_lock_of_dvc_that_is_held_is_left_alone(case: Callable[[str], Case]) -> None:
    one = case("describe")
    path = one.project / ".dvc/tmp/rwlock"
    holder = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)", "dvc"])
    path.write_text(json.dumps({"write": {"x": {"pid": holder.pid, "cmd": "dvc pull"}}}), "utf-8")
    assert one.call("nb", "doctor", "--fix")[0] == 0
    assert path.exists()
    holder.kill()
    holder.wait()


def test_a_corrupt_object_of_the_cache_is_found_and_made_again(case: Callable[[str], Case]) -> None:
    one = case("describe")
    one.call("dvc", "repro")
    model = one.project / "models/model.joblib"
    md5 = one.locked()["train"]["models/model.joblib"]
    place = one.project / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    place.chmod(0o644)
    place.write_bytes(place.read_bytes()[:-1] + b"?")
    left = place.with_name("left.tmp")
    left.write_text("half")
    os.utime(left, (time.time() - 3600, time.time() - 3600))
    model.unlink()
    code, said = one.call("nb", "doctor")
    assert code == 1
    assert f"wrong   DVC's cache: the content of {md5} does not match its name → nb doctor --fix" in said
    assert f"wrong   DVC's cache: {md5[:2]}left.tmp is left over from an interrupted copy" in said
    assert one.call("nb", "doctor", "--fix")[0] == 0
    assert list(one.unrepaired()) == []


def test_what_a_killed_stage_left_is_told_and_tidied(case: Callable[[str], Case]) -> None:
    one = case("train")
    process = one.start("dvc", "repro", FAULT_END=WAIT)
    _, runner = one.arrived()
    os.kill(runner, signal.SIGKILL)
    process.communicate()
    assert within(5, lambda: gone(runner))
    assert statuses(one.project)[-1] == "RUNNING"
    code, said = one.call("nb", "doctor")
    assert code == 1
    assert "left-over files: train.running.ipynb was interrupted → nb doctor --fix" in said
    assert "MLflow's store: the run of 'train' was interrupted and is still open → nb doctor --fix" in said
    assert one.call("nb", "doctor", "--fix")[0] == 0
    assert statuses(one.project)[-1] == "KILLED"
    assert (one.project / "reports/notebooks/train.failed.ipynb").exists()
    assert one.call("nb", "doctor")[0] == 0


def test_a_broken_store_and_a_soiled_notebook_are_told(case: Callable[[str], Case]) -> None:
    one = case("describe")
    (one.project / "mlflow.db").write_text("no database, but long enough to be taken for one" * 100, "utf-8")
    notebook = one.project / "notebooks/train.ipynb"
    clean = notebook.read_bytes()
    notebook.write_text(notebook.read_text("utf-8").replace('"execution_count": null', '"execution_count": 7'), "utf-8")
    code, said = one.call("nb", "doctor", "--fix")
    assert code == 1
    assert "mlflow.db: file is not a database → move mlflow.db away" in said
    assert (
        "fixed   notebooks: notebooks/train.ipynb: contains outputs or metadata of an editor, or names no kernel"
        in said
    )
    assert notebook.read_bytes() == clean


# Declared is what happens


def test_an_undeclared_read_is_named_and_can_be_added(case: Callable[[str], Case]) -> None:
    one = case("train")
    (one.project / "data/extra.csv").write_text("a\n1\n", encoding="utf-8")
    read = "import pandas; pandas.read_csv(paths.ROOT / 'data' / 'extra.csv')"
    code, said = one.call("nb", "run", "train", FAULT_END=read)
    assert code == 0, said
    assert "note: train reads data/extra.csv in code cell 9, but does not depend on it → add it to deps" in said
    assert "added data/extra.csv to deps of stage 'train'" in one.call("nb", "sync", "--from-run")[1]
    assert "      - data/extra.csv\n" in (one.project / "dvc.yaml").read_text("utf-8")
    assert one.call("nb", "check")[0] == 0
    assert "note" not in one.call("nb", "run", "train", FAULT_END=read)[1]


def test_a_stage_that_reads_and_writes_what_it_declares_is_told_nothing(prepared: Path) -> None:
    assert git(prepared, "status", "--short") == ""
    assert len(list((prepared / ".dvc/tmp/nb").glob("*.opened"))) == len(STAGES)


# Each protection is needed: without it, the row that it is for fails


LIBRARY = "src/bakebook"
ODD = {str(row): row for row in FAILURES}
UNPROTECTED = [
    (
        "runner/processes.py",
        "        end_with_dvc(stage, caller)",
        "        pass",
        Kill("dvc", signal.SIGKILL, "ingest"),
        "orphans",
    ),
    (
        "runner/processes.py",
        '("SIGINT", "SIGTERM", "SIGHUP")',
        '("SIGINT",)',
        Kill("runner", signal.SIGTERM, "train", 143, "KILLED"),
        "runs are",
    ),
    (
        "runner/outputs.py",
        '"NB_OUTPUTS": str(self.staging),',
        "",
        Kill("runner", signal.SIGKILL, "prepare", 137),
        "is there",
    ),
    (
        "runner/outputs.py",
        "if covers(self.declared, path) and",
        "if False and",
        ODD["raises-after-half-a-file-train"],
        "is there",
    ),
    (
        "runner/run.py",
        "for left in open_runs.left_open(root):",
        "for left in ():",
        Kill("runner", signal.SIGKILL, "train", 137),
        "RUNNING",
    ),
    ("runner/engine.py", "timeout_func=progress.remaining,", "", ODD["hangs-export"], "on and on"),
    ("runner/run.py", "progress.show_failure()", "pass", ODD["raises-after-half-a-file-train"], "nothing is said"),
    ("runner/failures.py", "if out_of_space(error)", "if False", ODD["has-no-room-for-a-file-train"], "exit code 6"),
    (
        "runner/outputs.py",
        "for path, time_ns in self._undeclared().items():",
        "for path, time_ns in ():",
        ODD["writes-unseen-by-python-prepare"],
        "exit code 1",
    ),
    (
        "tracking/run.py",
        '"KILLED" if isinstance(error, Interrupted) else "FAILED"',
        '"FAILED"',
        Kill("runner", signal.SIGINT, "train", 130, "KILLED"),
        "runs are",
    ),
]


UNPROTECTED_COLD = (
    "runner/kernel.py",
    "        die_with_parent(",
    "        abs(",
    Kill("runner", signal.SIGKILL, "ingest", 137, at_work=HOLD),
    "orphans",
)
UNPROTECTED_WARM = [
    (
        "warm/child.py",
        "    fcntl.fcntl(alive, fcntl.F_SETFL, fcntl.fcntl(alive, fcntl.F_GETFL) | os.O_ASYNC)",
        "    pass",
        Kill("runner", signal.SIGKILL, "ingest", 137, at_work=HOLD),
        "orphans",
    ),
    (
        "warm/command.py",
        "lambda number, frame: process.send_signal(number)",
        "signal.SIG_DFL",
        Kill("caller", signal.SIGTERM, "train", 143, "KILLED"),
        "runs are",
    ),
]
WITHOUT = [
    *((mode, *row) for mode in WARM for row in UNPROTECTED),
    ("cold", *UNPROTECTED_COLD),
    *(("warm", *row) for row in UNPROTECTED_WARM),
]


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("case", "file", "old", "new", "row", "broken"), WITHOUT, ids=lambda value: str(value)[:40], indirect=["case"]
)
def test_without_its_protection_the_row_fails(
    case: Callable[[str], Case],
    run: Run,
    tmp_path: Path,
    file: str,
    old: str,
    new: str,
    row: Kill | Failure,
    broken: str,
) -> None:
    one = case(row.stage)
    path = one.project / LIBRARY / file
    text = path.read_text("utf-8")
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new), encoding="utf-8")
    if file.startswith("warm/"):  # the fork server of other code does not serve this one
        warmed(Path(shutil.copytree(one.project, tmp_path / "warmed" / one.project.name)), run)
    promises = list(row.broken_promises(one))
    assert any(broken in promise for promise in promises), promises


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("case", "old", "is_broken"),
    [("warm", "", False), ("warm", "| {CALLER: str(os.getpid())}", True)],
    indirect=["case"],
)
def test_a_runner_knows_the_dvc_of_its_caller_and_not_of_its_server(
    case: Callable[[str], Case], run: Run, tmp_path: Path, old: str, is_broken: bool
) -> None:
    one = case("prepare")
    path = one.project / LIBRARY / "warm" / "command.py"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, "") if old else text, encoding="utf-8")
    warmed(Path(shutil.copytree(one.project, tmp_path / "warmed" / one.project.name)), run)
    promises = list(Kill("dvc", signal.SIGKILL, "prepare").broken_promises(one))
    assert any("orphans" in promise for promise in promises) == is_broken, promises
