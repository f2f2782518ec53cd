"""What people see of their trainings: MLflow's runs and page, `nb compare`, a store that moves with its project."""

import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from conftest import TEMPLATE, Run, commit, git
from playwright.sync_api import Browser
from servers import answers, started

PORT = 15077


def store(project: Path, query: str) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(project / "mlflow.db")) as opened:
        return opened.execute(query).fetchall()


def own(project: Path, environment: dict[str, str]) -> dict[str, str]:
    """The shared environment with the project's own sources."""
    return environment | {"PYTHONPATH": str(project / "src")}


def names(project: Path) -> list[str]:
    """The names of the trainings, the oldest first."""
    shown = "select name from runs join tags using (run_uuid) where key = 'nb_name' order by start_time"
    return [name for (name,) in store(project, shown)]


def set_value(project: Path, before: str, after: str) -> None:
    path = project / "params.yaml"
    text = path.read_text("utf-8")
    assert before in text
    path.write_text(text.replace(before, after), "utf-8")


@pytest.fixture(scope="module")
def three(finished: Path, run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with three trainings, each committed: the first, other trees, another split. Read only."""
    project = Path(shutil.copytree(finished, tmp_path_factory.mktemp("three") / finished.name))
    git(project, "tag", "first")
    set_value(project, "n_estimators: 100", "n_estimators: 30")
    assert run(project, "dvc", "repro").returncode == 0
    commit(project)
    git(project, "tag", "trees")
    set_value(project, "test_size: 0.25", "test_size: 0.4")
    assert run(project, "dvc", "repro").returncode == 0
    commit(project)
    return project


def test_runs_have_names_that_tell_them_apart(three: Path) -> None:
    score = r" · f1_macro [01]\.\d{3}"
    patterns = [
        rf"RandomForestClassifier{score}",
        rf"RandomForestClassifier n_estimators=30{score}",
        rf"RandomForestClassifier prepare\.test_size=0\.4{score}",
    ]
    found = names(three)
    assert len(found) == 3
    for name, pattern in zip(found, patterns, strict=True):
        assert re.fullmatch(pattern, name), name


def test_the_name_that_a_person_gave_stays(worked: Path, run: Run) -> None:
    with closing(sqlite3.connect(worked / "mlflow.db")) as opened:
        opened.execute("update runs set name = 'the one for the paper'")
        opened.commit()
    assert run(worked, "nb", "run", "evaluate").returncode == 0
    assert names(worked) == ["the one for the paper"]


def test_three_trainings_stand_side_by_side_and_what_differs_is_named(three: Path, run: Run) -> None:
    done = run(three, "nb", "compare", "first", "trees", "HEAD")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["first", "trees", "HEAD"]
    (trees,) = (line for line in lines if "n_estimators" in line and "Different" not in line)
    assert trees.split()[1:] == ["100", "30", "30"]
    (size,) = (line for line in lines if line.strip().startswith("prepare.test_size"))
    assert size.split()[1:] == ["0.25", "0.25", "0.4"]
    folds, score = (line for line in lines if line.strip().startswith("f1_macro"))
    assert folds.count("±") == 3
    assert len(re.findall(r"\d\.\d{4} \[\d\.\d{3}, \d\.\d{3}\]", score)) == 3
    (test_rows,) = (line for line in lines if "data/processed/test.parquet" in line and "Different" not in line)
    hashes = test_rows.split()[1:]
    assert hashes[0] == hashes[1] != hashes[2]
    different = {"train.hyperparameters.n_estimators", "prepare.test_size", "data/processed/test.parquet"}
    (named,) = (line for line in lines if line.startswith("Different: "))
    assert different <= set(named.removeprefix("Different: ").split(", "))
    assert lines[-1] == "The test rows differ, so the scores measure different things."


def test_a_column_of_ones_own_makes_no_other_test_rows(worked: Path, run: Run) -> None:
    code = (TEMPLATE / "README.md").read_text("utf-8").partition("```python\n")[2].partition("```")[0]
    (worked / "src" / "wine_cultivars" / "columns.py").write_text(code, encoding="utf-8")
    done = run(worked, "dvc", "repro", "evaluate")
    assert done.returncode == 0, done.stderr
    (last,) = run(worked, "nb", "compare").stdout.splitlines()[-1:]
    assert last.startswith("Different: ") and "data/processed/test.parquet" in last
    assert re.match("RandomForestClassifier other columns · ", names(worked)[-1])


def test_a_run_is_compared_by_its_name_or_the_beginning_of_its_id(three: Path, run: Run) -> None:
    name = names(three)[1]
    (run_id,) = store(three, f"select run_uuid from runs where name = '{name}'")[0]  # noqa: S608
    for given in (name, run_id[:8]):
        done = run(three, "nb", "compare", "trees", given)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == "Nothing differs."


def test_a_run_that_was_not_evaluated_is_not_said_to_have_other_test_rows(worked: Path, run: Run) -> None:
    assert run(worked, "nb", "run", "train").returncode == 0
    with closing(sqlite3.connect(worked / "mlflow.db")) as opened:
        opened.execute("delete from inputs where destination_id = (select run_uuid from runs order by start_time desc)")
        opened.commit()
    (run_id,) = store(worked, "select run_uuid from runs order by start_time desc")[0]
    done = run(worked, "nb", "compare", "HEAD", run_id[:8])
    assert done.stdout.splitlines()[-1] == "Nothing differs.", done.stderr


def test_an_experiment_of_dvc_is_compared_by_its_name(worked: Path, run: Run) -> None:
    done = run(worked, "dvc", "exp", "run", "--name", "few-trees", "-S", "train.hyperparameters.n_estimators=20")
    assert done.returncode == 0, done.stderr
    compared = run(worked, "nb", "compare", "HEAD", "few-trees").stdout
    assert compared.splitlines()[-1] == "Different: train.hyperparameters.n_estimators"
    assert run(worked, "nb", "compare").stdout.splitlines()[-1] == "Different: train.hyperparameters.n_estimators"
    close = run(worked, "nb", "compare", "few-tres")
    assert (close.returncode, close.stdout) == (2, "")
    assert close.stderr == "error: there is no commit, experiment or run 'few-tres' → did you mean 'few-trees'?\n"


def test_a_parameter_that_was_not_used_yet_is_not_shown_as_used(worked: Path, run: Run) -> None:
    set_value(worked, "n_estimators: 100", "n_estimators: 7")
    assert run(worked, "nb", "compare").stdout.splitlines()[-1] == "Nothing differs."


def test_a_version_without_results_is_named(project: Path, run: Run) -> None:
    done = run(project, "nb", "compare", "HEAD")
    assert (done.returncode, done.stderr) == (2, "error: 'HEAD' has no results → dvc repro, then git commit\n")


def test_code_that_differs_is_named(worked: Path, run: Run) -> None:
    path = worked / "src" / "wine_cultivars" / "features.py"
    path.write_text(path.read_text("utf-8") + "\n# more\n", "utf-8")
    assert run(worked, "dvc", "repro").returncode == 0
    assert run(worked, "nb", "compare").stdout.splitlines()[-1] == "Different: src/wine_cultivars/features.py"


def test_mlflows_page_opens_on_the_scores_of_the_trainings(
    three: Path, environment: dict[str, str], browser: Browser
) -> None:
    with started(three, own(three, environment), "nb", "runs", f"--port={PORT}") as server:
        assert server.stdout
        line = server.stdout.readline()
        assert re.fullmatch(rf"http://127\.0\.0\.1:{PORT}/#/experiments/\d+/runs\?viewStateShareKey=trainings\n", line)
        page = browser.new_page(viewport={"width": 1800, "height": 800})
        page.goto(line.strip())
        page.get_by_text("n_estimators=30").first.wait_for()
        page.get_by_text("model.f1_macro").first.wait_for()
        page.close()


def test_a_port_that_is_taken_is_named(three: Path, environment: dict[str, str], run: Run) -> None:
    with started(three, own(three, environment), "nb", "runs", f"--port={PORT}"):
        answers(f"http://127.0.0.1:{PORT}/health")
        done = run(three, "nb", "runs", f"--port={PORT}")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: cannot listen on 127.0.0.1:{PORT} (")


def test_nothing_in_the_store_names_a_folder_of_this_machine(three: Path) -> None:
    with closing(sqlite3.connect(three / "mlflow.db")) as opened:
        tables = [name for (name,) in opened.execute("select name from sqlite_master where type = 'table'")]
        found = [(name, row) for name in tables for row in opened.execute(f"select * from {name}")]  # noqa: S608
    place = str(three.parent)
    assert [(name, row) for name, row in found if any(place in str(value) for value in row)] == []
    written = [path for path in (three / "mlartifacts").rglob("*") if path.suffix in ("", ".yaml", ".json")]
    assert [path for path in written if path.is_file() and place.encode() in path.read_bytes()] == []


LOAD = """
import mlflow, pandas
mlflow.set_tracking_uri("sqlite:///mlflow.db")
rows = pandas.read_csv("data/raw/wine.csv").drop(columns="cultivar").astype(float)
for run in mlflow.search_runs(experiment_names=["wine-cultivars"]).run_id:
    print(len(mlflow.pyfunc.load_model(f"runs:/{run}/model").predict(rows)))
"""


def test_a_project_that_was_copied_or_moved_logs_into_itself_and_reads_its_old_runs(
    worked: Path, run: Run, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(worked, tmp_path / "elsewhere" / "copy"))
    moved = shutil.move(worked, tmp_path / "moved")
    before = {path.name for path in (Path(moved) / "mlartifacts").iterdir()}
    set_value(copy, "n_estimators: 100", "n_estimators: 20")
    assert run(copy, "dvc", "repro", "train", "export").returncode == 0
    assert {path.name for path in (Path(moved) / "mlartifacts").iterdir()} == before
    assert len({path.name for path in (copy / "mlartifacts").iterdir()} - before) == 1
    loaded = run(copy, "python", "-c", LOAD)
    assert loaded.stdout.split() == ["178", "178"], loaded.stderr
    assert run(Path(moved), "python", "-c", LOAD).stdout.split() == ["178"]


def test_a_server_started_elsewhere_finds_the_files_of_a_run(
    three: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    uri = f"sqlite:///{(three / 'mlflow.db').as_posix()}"
    command = ["mlflow", "server", "--backend-store-uri", uri, f"--port={PORT}", "--workers=1"]
    (run_id,) = store(three, "select run_uuid from runs join tags using (run_uuid) where key = 'nb_name'")[0]
    with started(tmp_path, environment, *command):
        answers(f"http://127.0.0.1:{PORT}/health")
        file = answers(f"http://127.0.0.1:{PORT}/get-artifact?path=reports%2Fmetrics.json&run_uuid={run_id}")
    assert "f1_macro" in file


def test_clones_share_their_runs_through_a_server(
    finished: Path, environment: dict[str, str], run: Run, tmp_path: Path
) -> None:
    server_folder = tmp_path / "server"
    server_folder.mkdir()
    uri = f"http://127.0.0.1:{PORT}"
    clones = [Path(shutil.copytree(finished, tmp_path / name / finished.name)) for name in ("mine", "yours")]
    options = ["--backend-store-uri", "sqlite:///runs.db", "--artifacts-destination", "files", f"--port={PORT}"]
    with started(server_folder, environment, "mlflow", "server", *options, "--workers=1"):
        answers(f"{uri}/health")
        for number, clone in enumerate(clones):
            set_value(clone, "n_estimators: 100", f"n_estimators: {20 + number}")
            assert run(clone, "dvc", "repro", MLFLOW_TRACKING_URI=uri).returncode == 0
        shown = run(clones[1], "nb", "runs", MLFLOW_TRACKING_URI=uri).stdout
        with closing(sqlite3.connect(server_folder / "runs.db")) as opened:
            (theirs,) = opened.execute("select name from runs order by start_time").fetchone()
        done = run(clones[1], "nb", "compare", "workspace", theirs, MLFLOW_TRACKING_URI=uri)
    assert shown == f"{uri}/#/experiments/1/runs?viewStateShareKey=trainings\n"
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "Different: train.hyperparameters.n_estimators"


def test_looking_for_a_name_makes_no_store(worked: Path, run: Run) -> None:
    (worked / "mlflow.db").unlink()
    assert run(worked, "nb", "compare", "nothing").returncode == 2
    done = run(worked, "nb", "runs")
    assert (done.returncode, done.stderr) == (2, "error: no training was recorded yet → dvc repro\n")
    assert not (worked / "mlflow.db").exists()


def test_a_store_that_is_broken_is_said_in_one_sentence(worked: Path, run: Run) -> None:
    (worked / "mlflow.db").write_text("no database", "utf-8")
    done = run(worked, "nb", "compare", "nothing")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("error: compare: MLflow at sqlite:///") and "Traceback" not in done.stderr


def test_the_page_of_plots_shows_the_figures_without_a_network(worked: Path, run: Run, browser: Browser) -> None:
    assert run(worked, "dvc", "plots", "show").returncode == 0
    page = browser.new_page()
    page.route("https://**", lambda route: route.abort())
    page.goto((worked / "dvc_plots" / "index.html").as_uri())
    assert page.get_by_text("The interactive charts need a network").is_visible()
    loaded = page.evaluate("[...document.images].filter(one => one.complete && one.naturalWidth > 100).length")
    assert loaded == 5
    page.close()
