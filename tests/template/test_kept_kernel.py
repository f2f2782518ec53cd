"""`nb run STAGE --keep-kernel`: a failed cell's kernel can be looked into, and nothing of it stays behind."""

import json
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Run
from faults import gone, within
from test_contract import replace

pytestmark = pytest.mark.slow
PATIENCE = 90  # seconds until a runner has ended its MLflow run, on a machine that other tests use too
FILE = ".dvc/tmp/nb/kernel/ingest.json"
ASK = """
import os, sys
from jupyter_client import BlockingKernelClient
client = BlockingKernelClient(connection_file=sys.argv[1])
client.load_connection_file()
client.start_channels()
client.wait_for_ready(timeout=30)
client.execute_interactive(sys.argv[2], timeout=30)
"""
CONSOLE = """
import pexpect, sys
console = pexpect.spawn("jupyter", ["console", "--existing", sys.argv[1]], timeout=60, encoding="utf-8")
console.expect(r"In \\[")
console.sendline("print('it', 'is', secret + 1)")
console.expect("it is 42")
console.sendline("exit")
console.expect(pexpect.EOF)
"""
Command = Callable[..., subprocess.Popen[str]]


def add_cell(project: Path, source: str) -> None:
    path = project / "notebooks" / "ingest.ipynb"
    notebook = json.loads(path.read_text("utf-8"))
    notebook["cells"].append(
        {
            "cell_type": "code",
            "id": "last",
            "metadata": {},
            "outputs": [],
            "execution_count": None,
            "source": source,
        }
    )
    path.write_text(json.dumps(notebook), encoding="utf-8")


@pytest.fixture
def broken(project: Path) -> Path:
    """A project whose first stage raises in its last cell."""
    add_cell(project, "secret = 41\n1 / (secret - 41)")
    return project


@contextmanager
def keeping(project: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """`nb run ingest --keep-kernel`, once its kernel waits."""
    said = project.parent / "said.txt"
    variables = environment | {"PYTHONPATH": str(project / "src")}
    program = shutil.which("nb", path=environment["PATH"])
    assert program
    with said.open("w") as output:
        process = subprocess.Popen(
            [program, "run", "ingest", "--keep-kernel"], cwd=project, env=variables, stderr=output, text=True
        )
    try:
        assert within(60, lambda: "Its kernel is kept" in said.read_text("utf-8")), said.read_text("utf-8")
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def said(project: Path) -> str:
    return (project.parent / "said.txt").read_text("utf-8")


def ask(project: Path, run: Run, code: str) -> str:
    done = run(project, "python", "-c", ASK, FILE, code)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_kernel_answers_until_ctrl_c(broken: Path, run: Run, environment: dict[str, str]) -> None:
    with keeping(broken, environment) as process:
        assert ask(broken, run, "print(secret)") == "41"
        assert (broken / FILE).stat().st_mode & 0o077 == 0
        kernel = int(ask(broken, run, "import os; print(os.getpid())"))
        busy = run(broken, "nb", "run", "ingest")
        assert busy.returncode == 5 and "stage 'ingest'" in busy.stderr
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=PATIENCE) == 1
    last = said(broken).splitlines()[-1]
    assert last == (
        "error: ingest stopped in code cell 8: ZeroDivisionError: division by zero"
        " → read reports/notebooks/ingest.failed.ipynb"
    )
    assert "secret" in (broken / "reports" / "notebooks" / "ingest.failed.ipynb").read_text("utf-8")
    assert gone(kernel)
    assert not (broken / FILE).exists()
    assert not (broken / "data" / "interim" / "table.parquet").exists()


def test_a_cell_that_still_runs_does_not_delay_the_end(broken: Path, run: Run, environment: dict[str, str]) -> None:
    with keeping(broken, environment) as process:
        endless = subprocess.Popen(
            [
                shutil.which("python", path=environment["PATH"]) or "python",
                "-c",
                ASK,
                FILE,
                "import time; time.sleep(600)",
            ],
            cwd=broken,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE) == 1
        endless.kill()
        endless.wait()


def test_jupyter_console_looks_inside_and_its_exit_ends_the_wait(
    broken: Path, run: Run, environment: dict[str, str]
) -> None:
    with keeping(broken, environment) as process:
        done = run(broken, "python", "-c", CONSOLE, FILE)
        assert done.returncode == 0, done.stderr
        assert process.wait(timeout=PATIENCE) == 1
    assert "error: ingest stopped in code cell 8" in said(broken)


def test_jupyterlab_offers_the_kernel(broken: Path, run: Run, environment: dict[str, str]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with keeping(broken, environment) as process:
        command = next(line.split() for line in said(broken).splitlines() if line.startswith("    jupyter lab"))
        program = shutil.which("jupyter", path=environment["PATH"])
        assert program
        more = ["--no-browser", "--allow-root", f"--port={port}", "--IdentityProvider.token=x", "--ip=127.0.0.1"]
        with (broken.parent / "lab.txt").open("w") as output:
            server = subprocess.Popen(
                [program, *command[1:], *more], cwd=broken, env=environment, stdout=output, stderr=output
            )
        try:

            def kernels() -> list[dict[str, object]]:
                address = f"http://127.0.0.1:{port}/api/kernels?token=x"
                try:
                    return list(json.load(urllib.request.urlopen(address, timeout=5)))
                except OSError:
                    return []

            assert within(60, lambda: len(kernels()) == 1)
        finally:
            server.terminate()
            server.wait(timeout=30)
        assert process.poll() is None, "JupyterLab ended a kernel that is not its own"


def test_it_ends_by_itself_after_the_stage_timeout(broken: Path, environment: dict[str, str]) -> None:
    replace("params.yaml", "stage_timeout: 3600", "stage_timeout: 12")(broken)
    with keeping(broken, environment) as process:
        assert "for at most 12 seconds" in said(broken)
        assert process.wait(timeout=60) == 1


def test_a_runner_that_is_killed_takes_its_kernel_with_it(broken: Path, run: Run, environment: dict[str, str]) -> None:
    with keeping(broken, environment) as process:
        kernel = int(ask(broken, run, "import os; print(os.getpid())"))
        process.kill()
        process.wait()
        assert within(10, lambda: gone(kernel))


def test_a_stage_that_succeeds_does_not_wait(project: Path, run: Run) -> None:
    add_cell(project, "")
    done = run(project, "nb", "run", "ingest", "--keep-kernel")
    assert done.returncode == 0, done.stderr
    assert "kept" not in done.stderr and "WARNING" not in done.stderr
    assert not (project / FILE).exists()
