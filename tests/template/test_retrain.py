"""When a model is retrained, what is promoted, and that a person's files stay as they are, however it ends."""

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from conftest import Run, git
from servers import Postgres, mlflow_server, serving, until

pytestmark = pytest.mark.slow
TRAFFIC = Path(__file__).with_name("traffic.py")
FALLEN = "f1_macro has fallen below 0.55"
MONTHS = ("6", "3")  # of traffic, and the first that has changed


@pytest.fixture(scope="module")
def promoted(finished: Path, run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a champion whose score has fallen, on rows that a model can learn. Read only."""
    project = Path(shutil.copytree(finished, tmp_path_factory.mktemp("promoted") / finished.name))
    assert run(project, "nb", "promote").returncode == 0
    done = run(project, "python", str(TRAFFIC), *MONTHS, "mirrored")
    assert done.returncode == 0, done.stderr
    return project


@pytest.fixture
def project(promoted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(promoted, tmp_path / promoted.name))


def audit(run: Run, project: Path) -> list[dict[str, object]]:
    done = run(project, "nb", "audit", "--json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


def story(run: Run, project: Path) -> list[str]:
    return [f"{row['action']} {row['outcome']}" for row in audit(run, project)]


def setting(project: Path, **values: object) -> None:
    """Sets values of the section `retrain`."""
    params = project / "params.yaml"
    text = params.read_text("utf-8")
    for name, value in values.items():
        lines = [line for line in text.splitlines() if line.startswith(f"  {name}:")]
        assert len(lines) == 1, name
        text = text.replace(lines[0], f"  {name}: {value}")
    params.write_text(text, encoding="utf-8")


def test_a_fallen_score_retrains_promotes_and_the_service_swaps(
    project: Path, run: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    refused = run(project, "nb", "retrain", "--push")
    assert (refused.returncode, refused.stderr) == (
        2,
        "error: there is no git remote to push to → git remote add origin URL\n",
    )
    origin = tmp_path / "origin.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(origin)], check=True)
    git(project, "remote", "add", "origin", str(origin))
    refused = run(project, "nb", "retrain", "--push")
    assert refused.returncode == 2 and "there is no DVC remote to push labels to" in refused.stderr
    assert story(run, project) == ["promote done"]
    store = ("dvc", "remote", "add", "--local", "--default", "store", str(tmp_path / "store"))
    assert run(project, *store).returncode == 0
    (project / "notes.txt").write_text("mine", encoding="utf-8")
    before = git(project, "status", "--porcelain")
    head = git(project, "rev-parse", "HEAD")
    champion = audit(run, project)[-1]["model_version"]

    dry = run(project, "nb", "retrain", "--dry-run", NB_WEBHOOK="http://127.0.0.1:1/")
    assert dry.stdout == f"{FALLEN}: nb retrain would learn from 360 labels\n", dry.stderr
    assert story(run, project) == ["promote done"]

    with serving(project, environment, NB_POLL="0.2") as service:
        assert service.ask("/health/ready").json["model_version"] == champion
        done = run(project, "nb", "retrain", "--push")
        assert done.returncode == 0, done.stderr
        rows = audit(run, project)
        new = rows[-1]["model_version"]
        assert until(lambda: service.ask("/health/ready").json["model_version"] == new)
    assert [f"{row['action']} {row['outcome']}" for row in rows] == [
        "promote done",
        "alarm done",
        "retrain started",
        "promote done",
        "retrain done",
    ]
    assert new != champion and rows[-1]["replaced"] == champion
    first, promoted = (row["details"] for row in (rows[0], rows[-2]))
    assert first["data_md5"] == promoted["data_md5"] != ""  # type: ignore[index]
    assert (first["feedback_md5"], len(promoted["feedback_md5"])) == ("", 32)  # type: ignore[index]
    assert promoted["commit"] == git(project, "rev-parse", f"retrain-{new}").strip() != first["commit"]  # type: ignore[index]
    assert rows[-2]["reason"] == f"retrained: {FALLEN}" and rows[-1]["reason"] == f"{FALLEN}; 360 labels"
    assert "gain [" in done.stdout and f"model {new} is the champion instead of {champion}" in done.stdout

    assert git(project, "status", "--porcelain") == before and git(project, "rev-parse", "HEAD") == head
    assert not (project / ".dvc/tmp/nb/retrain").exists()
    branch = f"retrain-{new}"
    assert git(origin, "branch", "--list", branch).strip() == branch
    assert git(project, "log", "-1", "--format=%s", branch).strip() == f"Retrain: {FALLEN}"

    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--branch", branch, str(origin), str(clone))
    assert run(clone, *store).returncode == 0
    pulled = run(clone, "dvc", "pull")
    assert pulled.returncode == 0, pulled.stderr
    assert (clone / "data/raw/feedback.parquet").is_file() and not (clone / "notes.txt").exists()

    again = run(project, "nb", "retrain")
    assert again.returncode == 0 and again.stdout.splitlines()[-1] == "nothing to do"


def test_a_worse_model_is_refused_recorded_and_not_tried_again_too_early(project: Path, run: Run) -> None:
    with closing(sqlite3.connect(project / "service/service.db")) as store:
        store.executescript("DELETE FROM labels; DELETE FROM predictions")
    done = run(project, "python", str(TRAFFIC), *MONTHS)  # rows as before, with other labels
    assert done.returncode == 0, done.stderr
    setting(project, min_labels=1000)
    early = run(project, "nb", "retrain")
    assert (early.returncode, early.stdout) == (
        0,
        f"{FALLEN}, but it is too early to retrain: 360 of the champion's answers have a label that teaches,"
        " of 1000 needed\n",
    )
    setting(project, min_labels=50)
    done = run(project, "nb", "retrain")
    assert done.returncode == 3 and "the model is not promoted" in done.stderr.splitlines()[-1]
    rows = audit(run, project)
    assert story(run, project)[-3:] == ["retrain started", "promote refused", "retrain refused"]
    assert rows[-1]["details"]["labels"] == 360  # type: ignore[index]
    assert git(project, "for-each-ref", "refs/bakebook", "refs/heads").count("\n") == 1

    for _ in range(2):
        again = run(project, "nb", "retrain")
        assert again.stdout == (
            f"{FALLEN}, but it is too early to retrain: 0 of 1 windows have begun since the last retraining\n"
        )
    git(project, "restore", "params.yaml")
    assert git(project, "status", "--porcelain") == ""


def test_a_champion_that_cannot_be_compared_is_not_tried_again_too_early(project: Path, run: Run) -> None:
    next(project.glob("mlartifacts/**/training/rows.npy")).unlink()
    done = run(project, "nb", "retrain")
    assert done.returncode == 3 and "the champion's files cannot be read" in done.stderr.splitlines()[-1]
    assert story(run, project)[-3:] == ["retrain started", "promote refused", "retrain refused"]
    assert "too early to retrain" in run(project, "nb", "retrain").stdout
    assert git(project, "status", "--porcelain") == ""


def test_labels_that_break_the_contract_end_it_before_a_model_is_trained(project: Path, run: Run) -> None:
    with closing(sqlite3.connect(project / "service/service.db")) as store:
        changed = store.execute(
            "UPDATE predictions SET inputs = json_set(inputs, '$.alcohol', 21.0)"
            " WHERE id = (SELECT max(prediction_id) FROM labels)"
        )
        store.commit()
        assert changed.rowcount == 1
    done = run(project, "nb", "retrain")
    assert done.returncode == 3, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: validate: ") and last.endswith("nb db export, nb data feedback, dvc repro")
    assert "alcohol" in last and "running the pipeline" in done.stderr and "train " not in done.stderr
    assert story(run, project)[-2:] == ["retrain started", "retrain refused"]
    assert git(project, "status", "--porcelain") == ""


def test_without_a_reason_or_a_champion_it_does_nothing(project: Path, run: Run) -> None:
    params = project / "params.yaml"
    text = params.read_text("utf-8")
    params.write_text(text.replace("    f1_macro: 0.55", "    f1_macro: 0.01"), encoding="utf-8")
    done = run(project, "nb", "retrain")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "nothing to do"), done.stderr
    setting(project, on_drift="true")
    done = run(project, "nb", "retrain", "--dry-run")
    assert done.stdout.startswith(
        "outputs or inputs are distributed differently than in the training: nb retrain would"
    )
    params.write_text(text, encoding="utf-8")
    for name in ("mlflow.db", "mlartifacts"):
        (project / name).rename(project.parent / name)
    done = run(project, "nb", "retrain")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        2,
        "error: there is no champion that a new model could replace → nb promote",
    )
    assert git(project, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("value", "sentence"), [("0", "retrain.min_labels is 0"), ("many", "retrain.min_labels is 'many'")]
)
def test_a_wrong_setting_is_one_sentence(project: Path, run: Run, value: str, sentence: str) -> None:
    setting(project, min_labels=value)
    done = run(project, "nb", "retrain")
    assert done.returncode == 1 and sentence in done.stderr and len(done.stderr.splitlines()) == 1


def test_the_same_with_postgresql_and_a_server_that_is_away_in_between(
    finished: Path, run: Run, environment: dict[str, str], postgres: Postgres, tmp_path: Path
) -> None:
    project = Path(shutil.copytree(finished, tmp_path / finished.name))
    embedded = (project / "mlflow.db").read_bytes()
    place = tmp_path / "server"
    there = {"DATABASE_URL": postgres.address, "NB_MODEL": "models:/wine-cultivars@champion"}
    with mlflow_server(place, environment) as server:
        first = there | {"MLFLOW_TRACKING_URI": server}
        assert run(project, "nb", "promote", **first).returncode == 0
        assert run(project, "python", str(TRAFFIC), *MONTHS, "mirrored", **first).returncode == 0
        assert run(project, "nb", "monitor", **first).returncode == 3
    away = run(project, "nb", "retrain", **first)
    assert away.returncode == 4 and "does not answer" in away.stderr.splitlines()[-1]
    with mlflow_server(place, environment) as server:
        now = there | {"MLFLOW_TRACKING_URI": server}
        unnamed = run(project, "nb", "retrain", **now | {"NB_MODEL": ""})
        assert unnamed.returncode == 2
        assert unnamed.stderr.splitlines()[-1].endswith("→ NB_MODEL=models:/wine-cultivars@champion nb retrain")
        done = run(project, "nb", "retrain", **now)
        assert done.returncode == 0, done.stderr
        assert run(project, "nb", "retrain", **now).stdout.splitlines()[-1] == "nothing to do"
    rows = json.loads(run(project, "nb", "audit", "--json", **now).stdout)
    assert [f"{row['action']} {row['outcome']}" for row in rows] == [
        "promote done",
        "alarm done",
        "retrain started",
        "retrain failed",
        "retrain started",
        "promote done",
        "retrain done",
    ]
    assert git(project, "status", "--porcelain") == "" and (project / "mlflow.db").read_bytes() == embedded


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_retraining_leaves_files_and_champion_as_they_were(
    project: Path, run: Run, environment: dict[str, str], number: signal.Signals
) -> None:
    before = audit(run, project)
    variables = environment | {"PYTHONPATH": str(project / "src")}
    command = [shutil.which("nb", path=environment["PATH"]) or "nb", "retrain"]
    process = subprocess.Popen(
        command, cwd=project, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    folder = project / ".dvc/tmp/nb/retrain"
    assert until(lambda: (folder / "project/data/interim/table.parquet").exists(), 60)
    busy = run(project, "nb", "retrain")
    assert busy.returncode == 5 and "another retraining is running" in busy.stderr
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert number == signal.SIGKILL or said.endswith(b"interrupted by SIGTERM \xe2\x86\x92 nb retrain begins again\n")
    assert process.returncode in (-number, 128 + number)
    assert git(project, "status", "--porcelain") == ""
    if number == signal.SIGKILL:
        assert until(lambda: not _runs_in(folder), 60)
        doctor = run(project, "nb", "doctor")
        assert "nb retrain was interrupted" in doctor.stdout
        assert run(project, "nb", "doctor", "--fix").returncode == 0
    assert not folder.exists()
    with closing(sqlite3.connect(project / "mlflow.db")) as store:
        assert store.execute("SELECT count(*) FROM runs WHERE status = 'RUNNING'").fetchone() == (0,)
    after = audit(run, project)
    assert after[: len(before)] == before
    outcome = [] if number == signal.SIGKILL else ["retrain failed"]
    assert story(run, project)[len(before) :] == ["alarm done", "retrain started", *outcome]


def _runs_in(folder: Path) -> bool:
    """Whether a process works in the folder, other than the fork server of all projects."""
    for process in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if process.readlink().is_relative_to(folder):
                return b"bakebook.warm" not in process.with_name("cmdline").read_bytes()
        except OSError:  # it has just ended
            continue
    return False
