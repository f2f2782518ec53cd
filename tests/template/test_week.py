"""A week of somebody's work on a mixed table, from the first minute to a copy on another machine."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import Run, bake, commit, git
from servers import serving
from test_own_columns import COLUMNS, as_csv, by_csv, by_form, by_json, inputs, passengers
from test_run import repro

pytestmark = pytest.mark.slow
EXPLORE = "notebooks/exploratory/explore.ipynb"
OWN = {"FamilySize", "Title", "UsualFare"}


def said(run: Run, project: Path, *command: str) -> str:
    """What a command prints; it has to succeed."""
    done = run(project, *command)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def results(project: Path, name: str) -> Any:
    return json.loads((project / "reports" / name).read_text("utf-8"))


def edit(project: Path, name: str, pattern: str, replacement: str) -> None:
    path = project / name
    text, count = re.subn(pattern, replacement, path.read_text("utf-8"))
    assert count == 1, (name, pattern)
    path.write_text(text, "utf-8")


def saved(project: Path, tag: str) -> None:
    commit(project)
    git(project, "tag", tag)


def test_a_week_of_work(tmp_path: Path, run: Run, environment: dict[str, str]) -> None:
    table = tmp_path / "passengers.csv"
    table.write_bytes(as_csv(passengers()))

    # Monday: a project of one's own table, which says what comes first
    project = bake(tmp_path / "week", project_name="Ship", dataset=str(table), target="Survived")
    assert "uv run nb data use" in (project / "README.md").read_text("utf-8")
    assert "nb data use" in run(project, "nb", "check").stderr
    assert re.search(r"Age +numeric .*20% missing", said(run, project, "nb", "data", "use"))
    (project / "src" / "ship" / "columns.py").write_text(COLUMNS, "utf-8")
    edit(project, "params.yaml", r"(?s)(\n  roles:.*?\n    Name: )\w+", r"\1identifier")
    assert said(run, project, "nb", "check") == "7 stages are consistent\n"

    # Explore: the columns are in the table and in the figures, and no library warns
    said(run, project, "dvc", "repro", "ingest")
    said(run, project, "papermill", EXPLORE, str(tmp_path / "explored.ipynb"))
    explored = (tmp_path / "explored.ipynb").read_text("utf-8")
    outputs = [output for cell in json.loads(explored)["cells"] for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 4
    shown = json.dumps([output.get("data", {}).get("text/plain") for output in outputs])
    assert all(name in shown for name in OWN)

    # Tuesday: the pipeline runs, and says what the columns are worth and where they come from
    code, stages, output = repro(project, run)
    assert code == 0 and len(stages) == 6, output
    for name in OWN:
        assert name in (project / "reports" / "plots" / "importance.csv").read_text("utf-8")
    assert "Title (computed from Name)" in (project / "reports" / "MODEL_CARD.md").read_text("utf-8")
    executed = "".join(path.read_text("utf-8") for path in (project / "reports" / "notebooks").glob("*.ipynb"))
    assert '"name": "stderr"' not in executed
    saved(project, "first")
    tracked = git(project, "ls-files").split()
    assert [name for name in tracked if name.endswith((".csv", ".parquet", ".db"))] == []

    # Wednesday: it serves; callers send the table's columns, and people label
    rows = inputs()
    with serving(project, environment, NB_RATE="100000") as service:
        expected = by_json(service, rows)
        assert by_csv(service, as_csv(rows)) == by_form(service, rows) == expected
        others = [row | {"Fare": row["Fare"] + 0.01} for row in rows[:10]]  # an equal row would teach nothing new
        answers = service.ask("/predict", others).json
        labels = [{"id": one["id"], "label": "1"} for one in answers]
        assert service.ask("/feedback", labels).json["recorded"] == 10
    said(run, project, "nb", "db", "export", "labelled.parquet")
    said(run, project, "nb", "data", "feedback", "labelled.parquet")
    assert repro(project, run)[0] == 0
    assert sum(results(project, "metrics.json")["rows"].values()) == 310
    saved(project, "labelled")
    assert "labelled.parquet" not in git(project, "ls-files")

    # Thursday: a new version of the table, in which a column has another name
    newer = tmp_path / "newer.csv"
    newer.write_bytes(as_csv(passengers()).replace(b"SibSp", b"siblings", 1))
    used = said(run, project, "nb", "data", "use", str(newer))
    assert "renamed  SibSp → siblings (same values)" in used
    assert "edit     columns.py: FamilySize reads 'SibSp'" in used
    assert "FamilySize reads 'SibSp', which does not exist" in run(project, "nb", "check").stderr
    (project / "src" / "ship" / "columns.py").write_text(COLUMNS.replace("SibSp", "siblings"), "utf-8")
    assert repro(project, run)[0] == 0
    assert sum(results(project, "metrics.json")["rows"].values()) == 310
    saved(project, "renamed")

    # Friday: search, take the winner, and compare
    searched = run(project, "dvc", "exp", "run", "-S", "train.search=random", "-S", "train.trials=3")
    assert searched.returncode == 0, searched.stderr
    found = results(project, "trained.json")["hyperparameters"]
    assert "search: none" in said(run, project, "nb", "winner")
    code, stages, _ = repro(project, run)
    assert (code, stages) == (0, {"train"})  # the same model
    saved(project, "winner")
    table_of = said(run, project, "nb", "compare", "labelled", "renamed", "winner").splitlines()
    assert table_of[0].split() == ["labelled", "renamed", "winner"]
    (trees,) = (line for line in table_of if line.split()[:1] == ["train.hyperparameters.n_estimators"])
    assert trees.split()[1:] == ["100", "100", str(found["n_estimators"])]
    folds, score = (line for line in table_of if line.split()[:1] == ["f1_macro"])
    assert len(re.findall(r"\d\.\d{4} ± \d\.\d{4}", folds)) == 3
    assert len(re.findall(r"\d\.\d{4} \[\d\.\d{3}, \d\.\d{3}\]", score)) == 3
    (different,) = (line for line in table_of if line.startswith("Different: "))
    assert "columns.py" in different or "more" in different

    # The weekend: the project goes elsewhere, and what is done there stays there
    before = {path.name for path in (project / "mlartifacts").iterdir()}
    copy = Path(shutil.copytree(project, tmp_path / "elsewhere" / "ship"))
    edit(copy, "params.yaml", r"(?m)^    n_estimators: \d+", "    n_estimators: 12")
    assert repro(copy, run)[0] == 0
    assert {path.name for path in (project / "mlartifacts").iterdir()} == before
    assert {path.name for path in (copy / "mlartifacts").iterdir()} > before
    assert said(run, copy, "nb", "compare").splitlines()[-1] == "Different: train.hyperparameters.n_estimators"
