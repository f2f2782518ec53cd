"""Same inputs, same bytes: for another user, in another folder, time zone, language, year; on one thread or two."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Run, git
from test_contract import replace
from test_run import STAGES, repro

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
NOBODY = 65534
WORLDS = [
    {"TZ": "Pacific/Auckland", "LANG": "C", "LC_ALL": "C", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    {
        "TZ": "America/St_Johns",
        "LANG": "de_DE.UTF-8",
        "LC_ALL": "de_DE.UTF-8",
        "OMP_NUM_THREADS": "2",
        "USER": "nobody",
    },
]

SETTINGS = {  # of the user's own, which are no inputs
    ".config/matplotlib/matplotlibrc": "figure.dpi: 33\naxes.facecolor: red\n",
    ".ipython/profile_default/startup/00.py": "import pandas; pandas.options.display.max_rows = 3\n",
}


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that another user may enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


@pytest.fixture
def next_decade(tmp_path: Path) -> dict[str, str]:
    """The variables with which a program's clock is years ahead."""
    compiler = shutil.which("cc")
    if not compiler or os.name != "posix":
        pytest.skip("needs a C compiler, to shift the clock of a process")
    library = Path(tempfile.gettempdir()) / "shifted_clock.so"
    source = str(HERE / "shifted_clock.c")
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", str(library), source, "-ldl"], check=True)
    shifted = {"LD_PRELOAD": str(library)}
    year = subprocess.run(["date", "+%Y"], env=os.environ | shifted, capture_output=True, text=True, check=True).stdout
    assert int(year) > 2030
    return shifted


def can_run_as_nobody(environment: dict[str, str]) -> bool:
    """Only root may start a process of somebody else's, and only where that user may read this Python."""
    try:
        return subprocess.run(["python", "-c", ""], env=environment, user=NOBODY, check=False).returncode == 0
    except (OSError, ValueError):
        return False


def test_two_clones_write_the_same_lock(
    baked: Path, finished: Path, open_folder: Path, next_decade: dict[str, str], environment: dict[str, str]
) -> None:
    locks = []
    for number, world in enumerate(WORLDS):
        clone = open_folder / f"clone {number} of somebody" / "wine-cultivars"
        home = open_folder / f"home-{number}"
        for name, text in SETTINGS.items() if number else ():
            (home / name).parent.mkdir(parents=True)
            (home / name).write_text(text, encoding="utf-8")
        home.mkdir(exist_ok=True)
        git(open_folder, "clone", "--quiet", str(baked), str(clone))
        another = number == 1 and can_run_as_nobody(environment)
        if another:
            for path in (home, *home.rglob("*"), clone, *clone.rglob("*")):
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        more = {"HOME": str(home), "PYTHONPATH": str(clone / "src"), "CI": "true"}
        done = subprocess.run(
            ["dvc", "repro"],
            cwd=clone,
            env=environment | world | more | (next_decade if number else {}),
            user=NOBODY if another else None,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert set(re.findall(r"Running stage '(\w+)'", done.stdout)) == set(STAGES)
        locks.append((clone / "dvc.lock").read_bytes())
    assert locks[0] == locks[1] == (finished / "dvc.lock").read_bytes()


def test_an_output_that_is_not_reproducible_is_named(worked: Path, run: Run) -> None:
    """That nothing is named where all is well is seen when the README's commands are run."""
    clock = "joblib.dump((__import__('time').time_ns(), model), part)"
    replace("src/bakebook/artifacts.py", "joblib.dump(model, part)", clock)(worked)
    replace(
        "src/bakebook/artifacts.py", "return joblib.load(_existing(path))", "return joblib.load(_existing(path))[1]"
    )(worked)
    done = run(worked, "nb", "check", "--reproducible")
    assert done.returncode == 1
    assert done.stderr.splitlines()[2:] == [
        "models/model.joblib: stage 'train' makes other bytes from the same inputs → fix its seeds, or use one thread"
    ]
    assert git(worked, "status", "--short", "--", "dvc.lock") == ""


def test_cell_ids_of_another_editor_do_not_matter_once_synced(worked: Path, run: Run) -> None:
    """Saved by an editor that keeps outputs and counts; `nb sync`, as the pre-commit hook calls it, takes them out."""
    path = worked / "notebooks/train.ipynb"
    before = path.read_bytes()
    text = path.read_text("utf-8").replace(
        '"outputs": []', '"outputs": [{"output_type": "stream", "name": "stdout", "text": ["x"]}]'
    )
    path.write_text(
        text.replace('"execution_count": null', '"execution_count": 3').replace(
            '"metadata": {}', '"metadata": {"collapsed": true}'
        ),
        "utf-8",
    )
    assert path.read_bytes() != before
    assert run(worked, "nb", "sync").returncode == 0
    assert path.read_bytes() == before
    assert repro(worked, run)[:2] == (0, set())


def test_the_pre_commit_hook_cleans_a_notebook_and_stops_a_broken_contract(project: Path, run: Run) -> None:
    assert run(project, "pre-commit", "install").returncode == 0
    path = project / "notebooks/train.ipynb"
    clean = path.read_bytes()
    path.write_text(path.read_text("utf-8").replace('"execution_count": null', '"execution_count": 3'), "utf-8")
    identity = {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    variables = identity | {"UV_NO_SYNC": "1"}
    done = run(project, "git", "commit", "-am", "Soiled", **variables)
    assert done.returncode != 0 and "wrote notebooks/train.ipynb" in done.stderr + done.stdout
    assert path.read_bytes() == clean
    replace("params.yaml", "test_size: 0.25", "test_size: 1.25")(project)
    done = run(project, "git", "commit", "-am", "Broken", **variables)
    assert done.returncode != 0 and "prepare.test_size" in done.stderr + done.stdout


# nbval


def test_executed_notebooks_give_all_their_outputs_again(worked: Path, run: Run) -> None:
    done = run(worked, "pytest", "-q", "reports/notebooks")
    assert done.returncode == 0, done.stdout
    assert "57 passed" in done.stdout
    assert "up to date" in run(worked, "dvc", "status").stdout
    assert git(worked, "status", "--short") == ""


@pytest.mark.parametrize(
    ("stage", "old", "new"),
    [("ingest", "(178, 14)", "(178, 15)"), ("evaluate", '"image/png": "iVBORw0KGgo', '"image/png": "iVBORw0KGgp')],
)
def test_an_executed_notebook_with_another_output_is_told(
    worked: Path, run: Run, stage: str, old: str, new: str
) -> None:
    replace(f"reports/notebooks/{stage}.ipynb", old, new)(worked)
    assert run(worked, "pytest", "-q", f"reports/notebooks/{stage}.ipynb").returncode == 1


def test_a_tagged_cell_is_compared_with_the_last_run_and_only_then(worked: Path, run: Run) -> None:
    """What the pipeline made of other inputs is nothing to compare with."""
    executed = worked / "reports/notebooks/ingest.ipynb"
    text = executed.read_text("utf-8").replace("(178, 14)", "(178, 15)")
    executed.write_text(text, "utf-8")
    assert run(worked, "pytest", "-q", "notebooks/ingest.ipynb").returncode == 0
    run(worked, "dvc", "commit", "--force", "ingest")
    assert run(worked, "pytest", "-q", "notebooks/ingest.ipynb").returncode == 1
