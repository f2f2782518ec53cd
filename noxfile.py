"""The two commands of the README, and the long forms: `uv run nox -s demo`, `uv run nox -s tests`."""

import os
import shutil
from pathlib import Path

import nox

HERE = Path(__file__).parent
BUILD = HERE / "build"
OPEN = """
The wine project is in {project}. Look at
  {project}/reports/MODEL_CARD.md         what the model is, and how good
  {project}/reports/notebooks/            what each notebook did
  {project}/reports/validation.html       whether the data kept its contract
or, in that folder, run
  uv run jupyter lab
  uv run nb runs
"""
IDENTITY = ["-c", "user.name=Bakebook", "-c", "user.email=demo@example.com", "-c", "commit.gpgsign=false"]

nox.options.default_venv_backend = "none"
nox.options.sessions = ["tests"]


@nox.session
def demo(session: nox.Session) -> None:
    """Bake the wine project into build/demo, install it, run its pipeline, say what to open."""
    shutil.rmtree(BUILD / "demo", ignore_errors=True)
    session.run("cookiecutter", str(HERE), "--no-input", "--output-dir", str(BUILD / "demo"))
    project = BUILD / "demo" / "wine-cultivars"
    with session.chdir(project):
        run_in_project(session, "uv", "sync")
        run_in_project(session, "uv", "run", "dvc", "repro")
        run_in_project(session, "git", "add", ".")
        run_in_project(session, "git", *IDENTITY, "commit", "--quiet", "--message", "First results")
    session.log(OPEN.format(project=project.relative_to(HERE).as_posix()))


@nox.session
def tests(session: nox.Session) -> None:
    """Every test of the template and of the baked project; `-- --fast` leaves out those marked slow."""
    arguments = [argument for argument in session.posargs if argument != "--fast"]
    left_out = "slow or chaos" if "--fast" in session.posargs else "chaos"
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")
    library(session)
    by_file = ["--numprocesses", "2", "--dist", "loadfile", "--no-loadscope-reorder"]  # no long file comes last
    session.run("pytest", "-m", f"not ({left_out})", *by_file, *arguments)


@nox.session
def library(session: nox.Session) -> None:
    """The library's own tests, read in place from the template, by the Python of a project's environment."""
    place = BUILD / "library"
    shutil.rmtree(place, ignore_errors=True)
    session.run("cookiecutter", str(HERE), "--no-input", "--output-dir", str(place), silent=True)
    environment = BUILD / "tests" / "gw0" / "environment"  # which the first process of the other tests uses too
    with session.chdir(place / "wine-cultivars"):
        variables = {"UV_PROJECT_ENVIRONMENT": str(environment)}
        run_in_project(session, "uv", "sync", "--quiet", "--compile-bytecode", **variables)
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    xdist = place / "xdist"  # beside the environment, which stays that of a project
    install = ["uv", "pip", "install", "--quiet", "--no-deps", "--target", str(xdist)]
    session.run(*install, "--exclude-newer", "2026-11-15", "pytest-xdist", "execnet", external=True)
    tests = [str(python), "-m", "pytest", "-q"]
    with session.chdir(HERE / "tests" / "library"):
        variables = {"PYTHONDONTWRITEBYTECODE": "1"}
        run_in_project(session, *tests, "warm", **variables)  # which has no other threads in its processes
        variables["PYTHONPATH"] = str(xdist)
        run_in_project(session, *tests, "--ignore=warm", "--numprocesses=2", "--dist=loadfile", **variables)


@nox.session
def chaos(session: nox.Session) -> None:
    """The whole fault table, warm and cold: every process, signal and stage; each protection taken away; and
    promotions that are killed at every step.
    """
    files = [f"tests/template/test_{name}.py" for name in ("faults", "warm", "promotion")]
    session.run("pytest", *files, "--numprocesses", "2", *session.posargs)


@nox.session
def estimators(session: nox.Session) -> None:
    """Every estimator of `nb estimators` on a few tables, and each family on every table, against its ONNX.

    It downloads PyTorch, which is some gigabytes.
    """
    session.run("pytest", "tests/template/test_tables.py", "-k", "list_of_estimators or every_family", *session.posargs)


@nox.session
def benchmarks(session: nox.Session) -> None:
    """The pipeline against its peers: the figures of docs/benchmarks.md."""
    session.run("python", "benchmarks/pipeline.py", *session.posargs)


@nox.session
def rows(session: nox.Session) -> None:
    """How time and memory of each stage grow with the rows (the last size needs half an hour)."""
    session.run("uv", "run", "--group", "benchmarks", "benchmarks/rows.py", *session.posargs)


@nox.session
def serving(session: nox.Session) -> None:
    """The service against its peers: rates, times, memory, size."""
    session.run("uv", "run", "--group", "benchmarks", "benchmarks/serving.py", *session.posargs)


@nox.session
def contracts(session: nox.Session) -> None:
    """False alarms of drafted data contracts, and what they notice: the table of docs/guide.md."""
    in_demo_environment(session, "benchmarks/contracts.py")


@nox.session
def defaults(session: nox.Session) -> None:
    """The default model against skrub, boosting and, with `-- --autogluon`, AutoGluon: the table of docs/guide.md."""
    in_demo_environment(session, "benchmarks/defaults.py", "--group", "skrub")


@nox.session
def monitoring(session: nox.Session) -> None:
    """What `nb monitor` computes against Evidently: the table of docs/guide.md. It fills a database for each size."""
    in_demo_environment(session, "benchmarks/monitoring.py")


@nox.session
def estimates(session: nox.Session) -> None:
    """How near estimated scores are to the true ones where inputs move: the table of docs/guide.md."""
    in_demo_environment(session, "benchmarks/estimates.py")


@nox.session
def loop(session: nox.Session) -> None:
    """When `nb monitor` and its peers would retrain, over simulated years: the table of docs/guide.md."""
    in_demo_environment(session, "benchmarks/loop.py")


@nox.session
def pictures(session: nox.Session) -> None:
    """The README's pictures, from the demo (run that first; needs Chromium)."""
    session.run("uv", "run", "--group", "pictures", "docs/pictures.py")


def in_demo_environment(session: nox.Session, program: str, *group: str) -> None:
    """Runs a program of ours with the library, and the Python of a project that has its dependencies."""
    project = BUILD / "library" / "wine-cultivars"
    shutil.rmtree(project, ignore_errors=True)
    session.run("cookiecutter", str(HERE), "--no-input", "--output-dir", str(project.parent), silent=True)
    with session.chdir(project):
        run_in_project(session, "uv", "sync", "--quiet", *group)
        run_in_project(session, "uv", "run", *group, "python", str(HERE / program), *session.posargs)


def run_in_project(session: nox.Session, *command: str, **variables: str) -> None:
    """Runs a command with the project's own environment, not the template's."""
    env = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    session.run(*command, env=env | variables, include_outer_env=False, external=True)
