"""Bakes projects, and gives them one installed environment to share."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cookiecutter.main import cookiecutter
from playwright.sync_api import Browser, sync_playwright
from servers import Postgres, postgres_programs, postgres_server

TEMPLATE = Path(__file__).parents[2]
SOURCE = TEMPLATE / "{{cookiecutter.project_slug}}"
LIBRARIES = ("flaml", "lightgbm", "xgboost-cpu", "onnxmltools", "onnxconverter-common")
BUILD = TEMPLATE / "build" / "tests"
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "alone")  # each process of the tests has an environment of its own
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = "gpu quic background-networking component-update sync"
SWITCHES = ["--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in QUIET.split())]

Run = Callable[..., subprocess.CompletedProcess[str]]


def bake(folder: Path, **answers: str) -> Path:
    """Bakes a project into a folder and returns its path."""
    settings = folder.parent / "cookiecutter.yaml"
    if not settings.exists():
        settings.write_text(f"cookiecutters_dir: {folder.parent}\nreplay_dir: {folder.parent}\n", encoding="utf-8")
    baked = cookiecutter(
        str(TEMPLATE), no_input=True, extra_context=answers, output_dir=str(folder), config_file=str(settings)
    )
    return Path(baked)


def git(project: Path, *arguments: str) -> str:
    """Runs git as somebody and returns what it prints."""
    identity = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.com", "-c", "commit.gpgsign=false"]
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=project, check=True, capture_output=True, text=True, encoding="utf-8").stdout


def commit(project: Path) -> None:
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "State of the test")


def files(folder: Path) -> set[str]:
    """Every file below a folder, but git's own."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if ".git" not in path.parts}


def beside(*libraries: str, whole: bool = False) -> Path:
    """Libraries of dependency groups in a folder beside the environment, so that it stays what a user has first.

    What they need is in the environment already, unless they are to come `whole`.
    """
    folder = BUILD / WORKER / "libraries" / libraries[0]
    command = ["uv", "pip", "install", "--quiet", "--target", str(folder), *([] if whole else ["--no-deps"])]
    subprocess.run([*command, "--exclude-newer", "2026-11-15", *libraries], check=True)
    return folder


@pytest.fixture(scope="session")
def baked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project as it comes from the oven, committed. Read only."""
    project = bake(tmp_path_factory.mktemp("baked") / "out")
    commit(project)
    return project


@pytest.fixture(scope="session")
def environment(baked: Path) -> Iterator[dict[str, str]]:
    """The variables with which a command finds the one environment that all projects under test share, and a place for
    fork servers that no other process of the tests sees or ends.
    """
    place = BUILD / WORKER / "environment"
    own = ("MLFLOW", "VIRTUAL_ENV", "CI")  # a test says itself whether it is one of CI's
    outer = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    variables = outer | {"UV_PROJECT_ENVIRONMENT": str(place), "NO_COLOR": "1", "COLUMNS": "200"}
    subprocess.run(["uv", "sync", "--quiet", "--compile-bytecode"], cwd=baked, env=variables, check=True)
    (baked / "uv.lock").unlink()
    programs = place / ("Scripts" if os.name == "nt" else "bin")
    own_path = {"VIRTUAL_ENV": str(place), "PATH": f"{programs}{os.pathsep}{outer['PATH']}"}
    with TemporaryDirectory(prefix="nb-") as sockets:  # whose paths must be short
        yield variables | own_path | {"XDG_RUNTIME_DIR": sockets}


@pytest.fixture(scope="session")
def run(environment: dict[str, str]) -> Run:
    """Runs a command in a project with the shared environment; the project's own sources come first."""

    def call(
        project: Path, *command: str, cwd: Path | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        program = shutil.which(command[0], path=environment["PATH"])
        assert program, command[0]
        return subprocess.run(
            [program, *command[1:]],
            cwd=cwd or project,
            env=environment | {"PYTHONPATH": str(project / "src"), **variables},
            capture_output=True,
            text=True,
            encoding="utf-8",
        )

    return call


@pytest.fixture
def project(baked: Path, tmp_path: Path) -> Path:
    """A fresh copy of the baked project, to change at will."""
    return Path(shutil.copytree(baked, tmp_path / baked.name))


@pytest.fixture(scope="session")
def finished(baked: Path, run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose pipeline was run, and whose results were committed. Read only."""
    project = Path(shutil.copytree(baked, tmp_path_factory.mktemp("finished") / baked.name))
    done = run(project, "dvc", "repro")
    assert done.returncode == 0, done.stdout + done.stderr
    commit(project)
    return project


@pytest.fixture
def worked(finished: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the finished project, to go on from."""
    yield Path(shutil.copytree(finished, tmp_path / finished.name))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server; who stops it starts it again."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("needs PostgreSQL's server: apt-get install postgresql")
    with postgres_server(programs) as server:
        yield server


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, without a window."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield browser
        browser.close()
