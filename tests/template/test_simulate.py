"""A year of production in a minute: the score falls, an alarm is raised, a new model is promoted, the score is back."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import Run, git
from servers import postgres_programs, postgres_server

pytestmark = pytest.mark.slow
PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def project(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(finished, tmp_path_factory.mktemp("simulated") / finished.name))


def simulated(run: Run, project: Path, *options: str) -> Any:
    done = run(project, "nb", "simulate", *options)
    assert done.returncode == 0, done.stderr
    return json.loads((project / "reports/simulation.json").read_text("utf-8")) | {"said": done.stdout}


def tells_the_story(found: Any) -> None:
    """Every sentence of what people know from courses, and that the audit tells it too."""
    scores = {month["number"]: month["measured"]["score"] for month in found["months"]}
    low = [number for number, score in scores.items() if score < 0.55]
    alarms = [month["number"] for month in found["months"] if month["is_alarm"]]
    assert list(scores) == list(range(1, 13))
    assert scores[1] >= 0.75 and 8 <= min(low) <= 10 and scores[5] < scores[2]
    assert alarms == found["retrained"] and len(alarms) == 1 and alarms[0] >= min(low)
    assert all(abs(scores[number] - scores[1]) <= 0.05 for number in range(alarms[0] + 1, 13))
    assert alarms[0] < 12 and found["refused"] == [] and found["failures"] == {} and found["requests"] == 480
    estimates = [month["estimated"]["score"] for month in found["months"]]
    assert min(estimates) > 0.9  # without labels, nothing of it is seen

    first, alarm, started, promoted, retrained = found["audit"]
    assert [row["action"] for row in found["audit"]] == ["promote", "alarm", "retrain", "promote", "retrain"]
    assert [row["outcome"] for row in found["audit"]] == ["done", "done", "started", "done", "done"]
    assert promoted["replaced"] == alarm["model_version"] == first["model_version"] == started["model_version"]
    assert retrained["model_version"] == promoted["model_version"] == found["months"][-1]["model"]
    assert retrained["reason"].startswith("f1_macro has fallen below 0.55; ")
    assert promoted["details"]["comparison"]["is_worse"] is False
    assert re.search(r"retrained: month \d+\n0 of 480 requests failed\n", found["said"])


@pytest.fixture(scope="module")
def embedded(project: Path, run: Run) -> Any:
    """The months with SQLite."""
    return simulated(run, project)


def test_the_score_falls_an_alarm_is_raised_and_a_new_model_brings_it_back(project: Path, embedded: Any) -> None:
    tells_the_story(embedded)
    assert (project / "reports/simulation.png").read_bytes().startswith(PNG)
    assert git(project, "status", "--porcelain") == ""
    for name in ("service", ".dvc/tmp/nb/simulate"):
        assert not (project / name).exists()


@pytest.mark.skipif(postgres_programs() is None, reason="PostgreSQL is not installed")
def test_postgresql_gives_the_same_months(project: Path, run: Run, embedded: Any) -> None:
    programs = postgres_programs()
    assert programs
    with postgres_server(programs) as server:
        found = simulated(run, project, "--database", server.address)
        again = run(project, "nb", "simulate", "--database", server.address)
    tells_the_story(found)
    for name in ("measured", "is_alarm", "model"):
        assert [month[name] for month in found["months"]] == [month[name] for month in embedded["months"]]
    assert (again.returncode, again.stderr.splitlines()[-1]) == (
        2,
        "error: this database is in use → name a new, empty one",
    )


def test_inputs_that_move_alone_retrain_nothing(project: Path, run: Run) -> None:
    found = simulated(run, project, "--shift", "inputs", "--months", "4")
    assert found["retrained"] == found["refused"] == [] and found["failures"] == {}
    assert [row["action"] for row in found["audit"]] == ["promote"]


def test_a_project_without_results_or_commits_says_so(baked: Path, run: Run, tmp_path: Path) -> None:
    project = Path(shutil.copytree(baked, tmp_path / baked.name))
    shutil.rmtree(project / ".git")
    done = run(project, "nb", "simulate")
    assert (done.returncode, done.stderr) == (
        2,
        "error: this folder has no commit to start from → git add, then git commit\n",
    )
    git(project, "init", "--quiet")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "x")
    done = run(project, "nb", "simulate", "--months", "2")
    assert done.returncode == 2 and len(done.stderr.splitlines()[-1]) < 300 and "dvc repro" in done.stderr
    assert not (project / ".dvc/tmp/nb/simulate").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--shift", "all"), "error: there is no change 'all' → --shift gradual, sudden, inputs, none\n"),
        (("--database", "mysql://me:hush4711@host/x"), "error: --database is no address of PostgreSQL → "),
    ],
)
def test_a_wrong_option_is_one_sentence(project: Path, run: Run, options: tuple[str, ...], sentence: str) -> None:
    done = run(project, "nb", "simulate", *options)
    assert done.returncode == 2 and done.stderr.startswith(sentence), done.stderr
    assert "hush4711" not in done.stderr
