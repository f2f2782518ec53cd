"""What is missing or in the wrong place: the command that helps is named, and git gets no rows of people."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Run, commit, git

HOUSES = "area,rooms,price\n" + "\n".join(f"{n % 90},{n % 7},{(n % 90) * 3 + n % 7 + 0.5}" for n in range(200)) + "\n"
FEWER = "\n".join(",".join(line.split(",")[::2]) for line in HOUSES.splitlines()) + "\n"


def use_houses(project: Path, run: Run, name: str = "houses.csv") -> None:
    (project / name).write_text(HOUSES, "utf-8")
    done = run(project, "nb", "data", "use", name, "--target", "price", "--yes")
    assert done.returncode == 0, done.stderr


LOST: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a notebook": (
        lambda project: (project / "notebooks/train.ipynb").unlink(),
        "train",
        "has no notebook notebooks/train.ipynb → git restore notebooks/train.ipynb",
    ),
    "a notebook that git has removed too": (
        lambda project: git(project, "rm", "--quiet", "notebooks/train.ipynb"),
        "train",
        "has no notebook notebooks/train.ipynb → git checkout HEAD -- notebooks/train.ipynb",
    ),
    "a module": (
        lambda project: (project / "src/wine_cultivars/features.py").unlink(),
        "train",
        "imports wine_cultivars.features, which does not exist → git restore src/wine_cultivars/features.py",
    ),
    "the table": (
        lambda project: (project / "data/raw/wine.csv").unlink(),
        "ingest",
        "neither exists nor is written by a stage → git restore data/raw/wine.csv",
    ),
}


@pytest.mark.parametrize("name", LOST)
def test_a_lost_file_is_named_with_the_command_that_restores_it(project: Path, run: Run, name: str) -> None:
    lose, stage, sentence = LOST[name]
    lose(project)
    assert sentence in run(project, "nb", "check").stderr
    assert sentence in run(project, "nb", "doctor").stdout
    stopped = run(project, "nb", "run", stage)
    assert stopped.returncode == 2 and len(stopped.stderr.splitlines()) == 1
    assert sentence in stopped.stderr
    remedy = sentence.partition(" → ")[2]
    assert run(project, *remedy.split()).returncode == 0
    assert run(project, "nb", "check").returncode == 0


def test_a_table_that_dvc_tracks_comes_back_from_its_cache(project: Path, run: Run) -> None:
    use_houses(project, run)
    commit(project)
    (project / "data/raw/houses.csv").unlink()
    found = run(project, "nb", "check").stderr
    assert found.endswith("→ dvc checkout data/raw/houses.csv.dvc, or dvc pull data/raw/houses.csv.dvc\n")
    assert run(project, "dvc", "checkout", "data/raw/houses.csv.dvc").returncode == 0
    assert run(project, "nb", "check").returncode == 0


def test_a_table_that_was_renamed_is_found_beside_it(project: Path, run: Run) -> None:
    git(project, "mv", "data/raw/wine.csv", "data/raw/wines.csv")
    commit(project)
    assert "→ did you mean 'data/raw/wines.csv'?" in run(project, "nb", "check").stderr
    shutil.move(project / "data/raw/wines.csv", project / "elsewhere.csv")
    commit(project)
    assert "did you mean" not in run(project, "nb", "check").stderr


def test_nothing_is_dropped_before_a_person_agrees(project: Path, run: Run) -> None:
    use_houses(project, run)
    params = project / "params.yaml"
    params.write_text(params.read_text("utf-8").replace("area: numeric", "area: numeric  # asked Ana"), "utf-8")
    commit(project)
    (project / "fewer.csv").write_text(FEWER, "utf-8")
    refused = run(project, "nb", "data", "use", "fewer.csv")
    loss = "column 'rooms' with its role numeric"
    assert refused.returncode == 2
    assert f"the project would lose {loss}" in refused.stderr and "→ add --yes, or give" in refused.stderr
    assert git(project, "status", "--short") == ""
    agreed = run(project, "nb", "data", "use", "fewer.csv", "--yes")
    assert agreed.returncode == 0 and "  dropped  rooms" in agreed.stdout
    assert "# asked Ana" in params.read_text("utf-8") and "rooms" not in params.read_text("utf-8")
    forgotten = run(project, "nb", "data", "use", "houses.csv", "--target", "price", "--reset")
    assert forgotten.returncode == 0 and "# asked Ana" not in params.read_text("utf-8")


@pytest.mark.parametrize(("answer", "code"), [("n", 2), ("y", 0)])
def test_a_person_is_asked_in_a_terminal(
    project: Path, environment: dict[str, str], run: Run, answer: str, code: int
) -> None:
    pty = pytest.importorskip("pty", reason="Windows has no pseudo-terminals")
    use_houses(project, run)
    commit(project)
    (project / "fewer.csv").write_text(FEWER, "utf-8")
    keyboard, terminal = pty.openpty()
    os.write(keyboard, f"{answer}\n".encode())
    asked = subprocess.run(
        [str(shutil.which("nb", path=environment["PATH"])), "data", "use", "fewer.csv"],
        cwd=project,
        env=environment | {"PYTHONPATH": str(project / "src")},
        stdin=terminal,
        capture_output=True,
        text=True,
    )
    os.close(keyboard)
    os.close(terminal)
    assert asked.returncode == code, asked.stderr
    assert "The new table has no place for\n  column 'rooms' with its role numeric" in asked.stdout
    assert ("params.yaml" in git(project, "status", "--short")) is (answer == "y")


def test_git_gets_no_rows_after_the_commands_of_the_docs(worked: Path, run: Run) -> None:
    use_houses(worked, run)
    use_houses(worked, run, "data/more.csv")
    for command in ("upgrade", "backup yesterday.db"):
        done = run(worked, "nb", "db", *command.split())
        assert done.returncode == 0, done.stderr
    assert run(worked, "dvc", "repro").returncode == 0
    git(worked, "add", "--all")
    tracked = git(worked, "ls-files").split()
    tables = [name for name in tracked if name.endswith((".csv", ".parquet", ".db", ".sqlite"))]
    assert tables == ["data/raw/wine.csv"]  # the example, which is public
    rows = set(HOUSES.splitlines()[1:])
    for name in tracked:
        text = (worked / name).read_bytes().decode("utf-8", "replace")
        assert not rows & set(text.splitlines()), name


def test_no_example_of_a_model_is_a_row_of_the_table(finished: Path, run: Run) -> None:
    code = (
        "import json, pandas\n"
        "table = pandas.read_csv('data/raw/wine.csv').astype(str)\n"
        "examples = json.load(open('models/signature.json'))['examples']\n"
        "rows = {tuple(map(float, row)) for row in table.drop(columns='cultivar').to_numpy()}\n"
        "print(len(examples), sum(tuple(map(float, one['inputs'].values())) in rows for one in examples))\n"
    )
    assert run(finished, "python", "-c", code).stdout == "5 0\n"


def test_an_environment_of_another_folder_runs_nothing_here(project: Path, run: Run) -> None:
    located = "import bakebook, pathlib; print(pathlib.Path(bakebook.__file__).parent)"
    library = run(project, "python", "-c", located, PYTHONPATH="").stdout.strip()
    assert not Path(library).is_relative_to(project.resolve())
    for command in (["check"], ["run", "ingest"], ["data", "use"], ["serve"]):
        done = run(project, "nb", *command, PYTHONPATH="")
        assert (done.returncode, done.stdout) == (1, ""), command
        sentence = f"this environment was copied, or belongs to another folder: it runs {library} → uv run nb doctor"
        assert done.stderr == f"error: {sentence}\n"
    inspected = run(project, "nb", "doctor", PYTHONPATH="")
    assert inspected.returncode == 1
    assert "this environment runs the library of another folder" in inspected.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="scripts have no first line that names a Python there")
def test_an_environment_that_was_copied_is_named(project: Path, run: Run, tmp_path: Path) -> None:
    place = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    (place / "bin" / "dvc").write_text("#!/home/somebody/old/.venv/bin/python\n", "utf-8")
    libraries = run(project, "python", "-c", "import pandas; print(pandas.__path__[0])").stdout.strip()
    path = f"{project / 'src'}:{Path(libraries).parent}"
    code = "from bakebook.cli.main import main; main()"
    done = run(project, str(place / "bin" / "python"), "-c", code, "doctor", PYTHONPATH=path)
    assert done.returncode == 1, done.stderr
    sentence = "this environment was copied or moved: its programs start /home/somebody/old/.venv"
    assert f"{sentence} → uv venv --clear, then uv sync" in done.stdout


def test_broken_yaml_is_named_with_its_line(worked: Path, run: Run) -> None:
    path = worked / "params.yaml"
    path.write_text(path.read_text("utf-8").replace("\ntrain:", "\ntrain: ["), "utf-8")
    assert run(worked, "dvc", "repro").returncode == 255
    for command in ("check", "doctor"):
        done = run(worked, "nb", command)
        assert done.returncode == 1
        assert "params.yaml:" in done.stdout + done.stderr and "no valid YAML" in done.stdout + done.stderr
        assert "→ fix this line or the one before, or git restore params.yaml" in done.stdout + done.stderr
