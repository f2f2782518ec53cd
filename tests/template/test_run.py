"""A baked project, run for real: what reruns, what is recorded, and what is said when something fails."""

import json
import os
import re
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import LIBRARIES, Run, beside, commit, git
from faults import within
from servers import Service, answers, started
from test_contract import replace

pytestmark = pytest.mark.slow
STAGES = ["ingest", "validate", "prepare", "train", "export", "evaluate", "describe"]
PAGES = ("data", "experiments", "notebooks", "serving", "monitoring", "releasing", "troubleshooting")
SHORTER = {
    "train.trials=50": "train.trials=7",
    "train.time_budget=600": "train.time_budget=5",
    # The table of the test has a number to predict
    "sklearn.ensemble.HistGradientBoostingClassifier": "sklearn.ensemble.HistGradientBoostingRegressor",
}
AFTER_TRAIN = {"train", "export", "evaluate", "describe"}


def repro(project: Path, run: Run, *arguments: str) -> tuple[int, set[str], str]:
    """The exit code, the stages that ran, and what was said."""
    done = run(project, "dvc", "repro", *arguments)
    return done.returncode, set(re.findall(r"Running stage '(\w+)'", done.stdout)), done.stderr


def rows(project: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(project / "mlflow.db")) as store:
        return store.execute(query).fetchall()


def runs(project: Path) -> list[tuple[Any, ...]]:
    """The stage that opened each run, and the run's status."""
    opened = (
        "select replace(replace(value, 'notebooks/', ''), '.ipynb', ''), status from runs join tags using (run_uuid)"
    )
    return rows(project, f"{opened} where key = 'mlflow.source.name' order by start_time")


def edit_train(project: Path) -> None:
    replace("params.yaml", "n_estimators: 100", "n_estimators: 30")(project)


# What reruns


def test_a_second_repro_runs_nothing_and_git_is_clean(worked: Path, run: Run) -> None:
    assert repro(worked, run)[:2] == (0, set())
    assert git(worked, "status", "--short") == ""


def test_a_parameter_of_train_reruns_train_and_what_follows(worked: Path, run: Run) -> None:
    edit_train(worked)
    assert repro(worked, run)[:2] == (0, AFTER_TRAIN)
    assert "log_loss" in run(worked, "dvc", "metrics", "diff").stdout
    assert runs(worked) == [("train", "FINISHED"), ("train", "FINISHED")]


def test_editing_the_command_line_or_the_runner_reruns_nothing(worked: Path, run: Run) -> None:
    library = worked / "src" / "bakebook"
    for name in ("cli/main.py", "runner/run.py", "serving/app.py", "tracking/run.py", "database/store.py"):
        path = library / name
        path.write_text(path.read_text("utf-8") + "\n# more\n", "utf-8")
    for room in ("tables", "models"):  # byte code of another Python, and of a debugger
        (library / room / "__pycache__").mkdir(exist_ok=True)
        (library / room / "__pycache__" / "values.cpython-399.pyc").write_bytes(b"x")
        (library / room / "stray.pyc").write_bytes(b"x")
    assert run(worked, "nb", "check").returncode == 0
    assert repro(worked, run)[:2] == (0, set())


def test_editing_a_module_reruns_the_stages_that_import_it(worked: Path, run: Run) -> None:
    path = worked / "src" / "wine_cultivars" / "model_card.py"
    path.write_text(path.read_text("utf-8") + "\n# more\n", "utf-8")
    assert repro(worked, run)[:2] == (0, {"describe"})


def test_an_experiment_changes_a_parameter_for_dvc_notebook_and_mlflow(worked: Path, run: Run) -> None:
    done = run(worked, "dvc", "exp", "run", "-S", "train.hyperparameters.n_estimators=30")
    assert done.returncode == 0, done.stdout + done.stderr
    assert git(worked, "diff", "--numstat", "params.yaml").split() == ["1", "1", "params.yaml"]
    assert '"n_estimators\\": 30' in (worked / "reports/notebooks/train.ipynb").read_text("utf-8")
    assert ("30",) in rows(worked, "select value from params where key = 'train.hyperparameters.n_estimators'")


def look_for_a_better_model(project: Path, search: str, trials: int) -> None:
    replace("params.yaml", "search: none", f"search: {search}")(project)
    replace("params.yaml", "n_estimators:\n    - 50\n    - 100\n    - 200", "n_estimators: [10, 20]")(project)
    replace("params.yaml", "max_depth:\n    - 3\n    - 6\n    - 12", "max_depth: [3, null]")(project)
    replace("params.yaml", "trials: 10", f"trials: {trials}")(project)


@pytest.mark.parametrize(("search", "trials"), [("grid", 12), ("optuna", 4)])
def test_a_search_is_a_parameter_and_each_trial_a_run(worked: Path, run: Run, search: str, trials: int) -> None:
    look_for_a_better_model(worked, search, trials if search != "grid" else 1)
    assert run(worked, "nb", "run", "train").returncode == 0
    trainings = "runs join tags using (run_uuid) where key = 'nb_name'"
    (parent,) = rows(worked, f"select run_uuid from {trainings} order by start_time desc limit 1")  # noqa: S608
    children = "select run_uuid from tags where key = 'mlflow.parentRunId' and value = ?".replace("?", f"'{parent[0]}'")
    of_children = f"run_uuid in ({children})"
    statuses = [status for (status,) in rows(worked, f"select status from runs where {of_children}")]  # noqa: S608
    assert statuses == ["FINISHED"] * trials
    scores = [one for (one,) in rows(worked, f"select value from metrics where key = 'score' and {of_children}")]  # noqa: S608
    best = (worked / "reports/trials.csv").read_text("utf-8").splitlines()[1].split(",")
    assert (max(scores), best[1]) == (float(best[2]), "complete")
    depths = rows(worked, f"select distinct value from params where key = 'max_depth' and {of_children}")  # noqa: S608
    assert {"null", "3"} >= {depth for (depth,) in depths} != set()
    of_parent = f"where run_uuid = '{parent[0]}' and key like"
    params = dict(rows(worked, f"select key, value from params {of_parent} 'train.hyper%'"))  # noqa: S608
    trained = json.loads((worked / "reports/trained.json").read_text("utf-8"))
    assert params == {f"train.hyperparameters.{name}": str(one) for name, one in trained["hyperparameters"].items()}
    assert rows(worked, "select key from params where key like 'ingest.columns%'") == []
    asked = dict(rows(worked, f"select key, value from tags {of_parent} 'asked.%'"))  # noqa: S608
    assert asked["asked.train.hyperparameters.n_estimators"] == "100"


def test_the_winner_of_a_search_is_trained_again_without_one(worked: Path, run: Run) -> None:
    assert run(worked, "nb", "winner").returncode == 2  # nothing was searched
    look_for_a_better_model(worked, "random", 3)
    assert repro(worked, run)[0] == 0
    commit(worked)
    found = (worked / "models/model.onnx").read_bytes()
    done = run(worked, "nb", "winner")
    assert done.returncode == 0 and "search: none" in done.stdout, done.stderr
    changed = [line for line in git(worked, "diff", "-U0", "params.yaml").splitlines() if re.match(r"[+-] ", line)]
    assert any("search: none" in line for line in changed)
    trained = json.loads((worked / "reports/trained.json").read_text("utf-8"))["hyperparameters"]
    added = {line[1:].split(":")[0].strip() for line in changed if line.startswith("+")}
    assert added <= {*trained, "search"}  # nothing else in the file changed
    assert repro(worked, run)[:2] == (0, {"train"})  # it is the same model
    assert (worked / "models/model.onnx").read_bytes() == found


def test_a_search_that_is_killed_goes_on_where_it_was(worked: Path, run: Run, environment: dict[str, str]) -> None:
    look_for_a_better_model(worked, "optuna", 8)
    assert run(worked, "nb", "run", "train").returncode == 0
    (journal,) = (worked / ".dvc/tmp/nb/searches").glob("*.log")
    whole, told = journal.read_bytes().count(b"\n"), (worked / "reports/trials.csv").read_bytes()
    model = (worked / "models/model.joblib").read_bytes()
    journal.unlink()
    variables = environment | {"PYTHONPATH": str(worked / "src")}
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    stage = subprocess.Popen(["nb", "run", "train"], cwd=worked, env=variables, **quiet)
    assert within(60, lambda: journal.exists() and journal.read_bytes().count(b"\n") > whole // 2)
    os.killpg(stage.pid, signal.SIGKILL)
    stage.wait()
    before = journal.read_bytes()
    assert run(worked, "nb", "run", "train").returncode == 0
    assert journal.read_bytes().startswith(before[: before.rfind(b"\n")])
    assert (worked / "reports/trials.csv").read_bytes() == told
    assert (worked / "models/model.joblib").read_bytes() == model
    assert {status for _, status in runs(worked)} == {"FINISHED", "KILLED"}


def test_a_trial_whose_record_was_cut_short_does_not_stay_open(
    worked: Path, run: Run, environment: dict[str, str]
) -> None:
    look_for_a_better_model(worked, "grid", 1)
    variables = environment | {"PYTHONPATH": str(worked / "src")}
    stage = subprocess.Popen(["nb", "run", "train"], cwd=worked, env=variables, start_new_session=True)
    trials = "select run_uuid from runs where name like 'trial %' order by start_time desc"
    assert within(120, lambda: bool(rows(worked, trials)))
    os.killpg(stage.pid, signal.SIGKILL)
    stage.wait()
    with closing(sqlite3.connect(worked / "mlflow.db")) as store, store:  # where the moment was not the worst
        store.execute("update runs set status = 'RUNNING' where run_uuid = ?", rows(worked, trials)[0])
    assert run(worked, "nb", "run", "validate").returncode == 0
    assert "RUNNING" not in {status for _, status in runs(worked)}


def test_another_estimator_is_a_parameter(worked: Path, run: Run) -> None:
    replace("params.yaml", "sklearn.ensemble.RandomForestClassifier", "sklearn.linear_model.LogisticRegression")(worked)
    replace("params.yaml", "    n_estimators: 100\n    min_samples_leaf: 2\n", "    max_iter: 200\n")(worked)
    assert repro(worked, run)[:2] == (0, AFTER_TRAIN)
    assert "`sklearn.linear_model.LogisticRegression`" in (worked / "reports/MODEL_CARD.md").read_text("utf-8")


# One value, read the same by all


def test_dvc_notebook_and_mlflow_read_yaml_alike(worked: Path, run: Run) -> None:
    replace("params.yaml", "min_samples_leaf: 2", "ccp_alpha: 1e-3")(worked)
    replace("params.yaml", "max_depth:\n    - 3\n    - 6\n    - 12", "criterion: [no, on]")(worked)
    code = "import dvc.api, json; print(json.dumps(dvc.api.params_show(stages='train')['train']))"
    dvc = json.loads(run(worked, "python", "-c", code).stdout)
    assert run(worked, "nb", "run", "train").returncode == 0
    cells = json.loads((worked / "reports/notebooks/train.ipynb").read_text("utf-8"))["cells"]
    values: dict[str, object] = {}
    exec("".join(next(c["source"] for c in cells if c["id"] == "injected-parameters")), values)  # noqa: S102
    assert {name: values[name] for name in dvc} == dvc
    assert dvc["hyperparameters"]["ccp_alpha"] == 0.001 and dvc["search_space"]["criterion"] == ["no", "on"]
    latest = "(select run_uuid from runs order by start_time desc limit 1)"
    logged = dict(rows(worked, f"select key, value from params where run_uuid = {latest}"))  # noqa: S608 - our own words
    assert logged["train.hyperparameters.ccp_alpha"] == "0.001"
    assert logged["train.search_space.criterion"] == "['no', 'on']"


# What MLflow holds


def test_the_run_holds_all_that_a_reader_needs(worked: Path, run: Run) -> None:
    code = """
import json, mlflow, pandas as pd
client = mlflow.MlflowClient("sqlite:///mlflow.db")
(run,) = client.search_runs([client.get_experiment_by_name("wine-cultivars").experiment_id])
def files(folder=None):
    for one in client.list_artifacts(run.info.run_id, folder):
        yield from files(one.path) if one.is_dir else [one.path]
mlflow.set_tracking_uri("sqlite:///mlflow.db")
table = pd.read_parquet("data/processed/test.parquet").astype({"magnesium": float, "proline": float})
labels = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model").predict(table.drop(columns="cultivar"))["predicted"]
print(json.dumps([run.info.status, run.data.params, run.data.metrics, run.data.tags, list(files()),
    {d.dataset.name: d.dataset.digest for d in run.inputs.dataset_inputs}, float((labels == table.cultivar).mean())]))
"""
    done = run(worked, "python", "-c", code)
    status, params, metrics, tags, files, datasets, accuracy = json.loads(done.stdout)
    lock = (worked / "dvc.lock").read_text("utf-8")
    assert (status, params["train.hyperparameters.n_estimators"]) == ("FINISHED", "100")
    assert metrics["model.accuracy"] == pytest.approx(accuracy, abs=1e-6)
    assert tags["mlflow.source.git.commit"] == git(worked, "rev-parse", "HEAD~1").strip()
    assert tags["model_md5"] in lock and all(digest in lock for digest in datasets.values())
    assert {"data/interim/table.parquet", "data/processed/train.parquet", "data/processed/test.parquet"} == set(
        datasets
    )
    expected = {f"reports/notebooks/{stage}.ipynb" for stage in STAGES} | {"reports/MODEL_CARD.md", "model/MLmodel"}
    assert expected | {"reports/plots/confusion_matrix.png", "models/model.onnx", "reports/validation.html"} <= set(
        files
    )


def test_a_model_that_comes_out_the_same_keeps_what_was_said_of_it(worked: Path, run: Run) -> None:
    path = worked / "src" / "wine_cultivars" / "features.py"
    path.write_text(path.read_text("utf-8") + "\n# more\n", "utf-8")
    assert repro(worked, run)[:2] == (0, {"train"})
    first, second = rows(worked, "select run_uuid, status from runs order by start_time")
    metrics = "select count(*) from latest_metrics where run_uuid = '{}'"
    assert rows(worked, metrics.format(second[0])) == rows(worked, metrics.format(first[0])) != [(0,)]


# What is said when something fails


def spoil(project: Path, stage: str, code: str) -> None:
    """Puts a line at the end of a stage's imports cell."""
    path = project / "notebooks" / f"{stage}.ipynb"
    notebook = json.loads(path.read_text("utf-8"))
    cell = next(cell for cell in notebook["cells"] if cell["id"] == "imports")
    cell["source"] = ["".join(cell["source"]) + "\n" + code]
    path.write_text(json.dumps(notebook), encoding="utf-8")


def test_a_broken_contract_of_the_data_stops_the_pipeline(worked: Path, run: Run) -> None:
    replace("data/raw/wine.csv", "14.23", "142.3")(worked)
    code, ran, said = repro(worked, run)
    assert (code, ran) == (255, {"ingest", "validate"})
    assert "error: validate: 1 expectation fails, first: column values to be between (alcohol)" in said
    assert "observed 142.3, in row 0 counted from 0 → read reports/validation.html" in said and "Traceback" not in said
    assert "142.3" in (worked / "reports/validation.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("raise ValueError('odd')", 1, "error: train stopped in code cell 3: ValueError: odd → read reports/"),
        ("import os; os._exit(9)", 1, "error: train: the kernel died, often for lack of memory"),
        ("from bakebook.errors import BadInput; raise BadInput('fix it', 'now')", 2, "error: train: fix it → now"),
    ],
)
def test_a_failing_notebook_says_where_and_its_run_failed(
    worked: Path, run: Run, line: str, code: int, said: str
) -> None:
    spoil(worked, "train", line)
    run(worked, "nb", "sync")
    done = run(worked, "nb", "run", "train")
    assert done.returncode == code
    assert said in done.stderr and "Traceback" not in done.stderr
    assert (worked / "reports/notebooks/train.failed.ipynb").exists()
    assert runs(worked)[-1] == ("train", "FAILED")


@pytest.mark.parametrize("warm", ["0", "1"])
def test_half_of_a_surrogate_pair_is_shown_escaped(worked: Path, run: Run, warm: str) -> None:
    spoil(worked, "ingest", r"print('a\ud800b')")
    done = run(worked, "nb", "run", "ingest", NB_WARM=warm)
    assert done.returncode == 0, done.stderr
    outputs = (worked / "reports/notebooks/ingest.ipynb").read_text("utf-8")
    assert r"a\\ud800b" in outputs and "UnicodeEncodeError" not in outputs


def test_a_server_that_is_down_is_said_before_any_work(worked: Path, run: Run) -> None:
    done = run(worked, "nb", "run", "train", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert done.returncode == 4
    assert done.stderr.startswith("error: the MLflow server http://127.0.0.1:9 does not answer")
    assert len(done.stderr.splitlines()) == 1


def test_a_later_stage_that_fails_leaves_a_finished_training_finished(worked: Path, run: Run) -> None:
    spoil(worked, "evaluate", "raise ValueError('odd')")
    run(worked, "nb", "sync")
    assert run(worked, "nb", "run", "evaluate").returncode == 1
    failed = "select value from tags where key = 'failed_stage'"
    assert (runs(worked), rows(worked, failed)) == ([("train", "FINISHED")], [("evaluate",)])
    git(worked, "checkout", "notebooks/evaluate.ipynb")
    assert run(worked, "nb", "run", "evaluate").returncode == 0
    assert rows(worked, failed) == []


def test_a_store_that_is_broken_stops_the_stage_in_one_sentence(worked: Path, run: Run) -> None:
    (worked / "mlflow.db").write_text("no database", "utf-8")
    done = run(worked, "nb", "run", "train")
    assert done.returncode == 4 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: train: MLflow at sqlite:///")


def test_a_model_from_another_machine_gets_a_run_of_its_own(worked: Path, run: Run) -> None:
    (worked / "mlflow.db").unlink()
    assert run(worked, "nb", "run", "evaluate").returncode == 0
    assert runs(worked) == [("evaluate", "FINISHED")]
    assert ("100",) in rows(worked, "select value from params where key = 'train.hyperparameters.n_estimators'")
    assert rows(worked, "select count(*) from latest_metrics") != [(0,)]


def test_a_notebook_that_calls_mlflow_itself_logs_to_the_same_run(worked: Path, run: Run) -> None:
    spoil(worked, "train", "import mlflow; mlflow.log_metric('mine', 7)")
    run(worked, "nb", "sync")
    done = run(worked, "nb", "run", "train")
    assert done.returncode == 0, done.stderr
    ((name, value),) = rows(
        worked, "select name, value from latest_metrics join runs using (run_uuid) where key = 'mine'"
    )
    assert name.startswith("RandomForestClassifier") and value == 7.0


def test_no_notebook_shows_a_warning(worked: Path) -> None:
    executed = sorted((worked / "reports" / "notebooks").glob("*.ipynb"))
    cells = [cell for path in executed for cell in json.loads(path.read_text("utf-8"))["cells"]]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert len(executed) == 7
    assert [output for output in outputs if output.get("name") == "stderr"] == []


def test_a_stage_says_its_cells_and_their_times_but_in_ci_one_line(worked: Path, run: Run) -> None:
    told = run(worked, "nb", "run", "ingest", CI="").stderr.splitlines()
    assert len(told) == 8
    assert re.fullmatch(r"ingest +4/7  What does the source contain\? +\d+\.\d s", told[3])
    assert re.fullmatch(r"ingest +7 cells in \d+\.\d s\n", run(worked, "nb", "run", "ingest", CI="true").stderr)


def test_a_stage_without_its_input_says_so_before_a_kernel_starts(project: Path, run: Run) -> None:
    said = run(project, "nb", "run", "evaluate").stderr
    assert said == "error: stage 'evaluate' needs models/model.joblib, which does not exist yet → dvc repro evaluate\n"
    assert not (project / "mlflow.db").exists()


def test_a_notebook_that_leaves_nothing_is_told_and_its_run_failed(worked: Path, run: Run) -> None:
    replace("notebooks/train.ipynb", "artifacts.write_model(model, paths.MODEL).named", "model.named")(worked)
    done = run(worked, "nb", "run", "train")  # the model of the earlier run is still there
    assert (done.returncode, runs(worked)[-1]) == (2, ("train", "FAILED"))
    assert done.stderr.splitlines()[-1].startswith("error: train did not write models/model.joblib → ")


# By hand, and by the words of the README


def test_a_notebook_run_by_hand_from_anywhere_gives_what_the_pipeline_gives(worked: Path, run: Run) -> None:
    for stage in STAGES:
        done = run(worked, "papermill", f"notebooks/{stage}.ipynb", os.devnull, "--cwd", "/", "-k", "python3")
        assert done.returncode == 0, done.stderr
    assert git(worked, "status", "--short") == ""
    assert "up to date" in run(worked, "dvc", "status").stdout


def test_the_projects_own_tests_pass_and_leave_no_trace(worked: Path, run: Run) -> None:
    done = run(worked, "pytest", "-q")
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout
    assert len(runs(worked)) == 1
    assert git(worked, "status", "--short") == ""
    assert "up to date" in run(worked, "dvc", "status").stdout


def test_telemetry_is_off_unless_the_user_wants_it(worked: Path, run: Run) -> None:
    names = ("MLFLOW_DISABLE_TELEMETRY", "DVC_NO_ANALYTICS", "ORT_DISABLE_TELEMETRY")
    code = f"import os; print(*(os.environ[name] for name in {names}))"
    assert run(worked, "python", "-c", code).stdout == "true true 1\n"
    assert run(worked, "python", "-c", code, MLFLOW_DISABLE_TELEMETRY="false").stdout == "false true 1\n"


def label_one(project: Path, service: Service) -> None:
    """One prediction with its label, so that there is something to export."""
    signature = json.loads((project / "models" / "signature.json").read_text("utf-8"))
    example = signature["examples"][0]
    made = service.ask("/predict", example["inputs"]).json
    assert service.ask("/feedback", {"id": made["id"], "label": example["predicted"]}).json["recorded"] == 1


def test_every_command_of_the_readme_runs(project: Path, environment: dict[str, str]) -> None:
    """A user's first day: the commands of the project's README and of its pages, in their order, with uv as it says."""
    pages = ["README.md", *(f"docs/{name}.md" for name in PAGES)]
    text = "\n".join((project / page).read_text("utf-8") for page in pages)
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    table = re.findall(r"`(uv run (?:dvc|nb (?:runs|compare))[^`]*)`", text)
    commands = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    commands = [line for line in commands if line.startswith(("uv", "git"))]
    assert {"uv sync", "uv run dvc repro", "uv run jupyter lab", "uv run pytest"} <= set(commands)
    prices = "\n".join(f"{n % 90},{n % 7},{(n % 90) * 3 + n % 7 + 0.5}" for n in range(200))
    (project / "houses.csv").write_text(f"area,rooms,price\n{prices}\n", encoding="utf-8")
    names = (f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL"))
    variables = environment | dict.fromkeys(names, "a@b.c")
    lab = ["--no-browser", "--allow-root", "--port=18888", "--ServerApp.token="]
    servers = {
        "uv run jupyter lab": (lab, 18888, "JupyterLab"),
        "uv run nb runs": (["--port=15000"], 15000, "MLflow"),
        "uv run nb serve --open": (["--port=18000"], 18000, "Predict"),
    }
    for command in [*commands, *(one for one in table if one not in commands)]:
        if command.startswith(("uv run dvc push", "uv run dvc pull", "uv run dvc remote", "git push")):
            continue  # needs a remote of the user's
        if command in ("uv run nb check --reproducible", "uv run dvc repro --force", "uv run nb simulate"):
            continue  # is run by test_bytes.py; by test_containers.py; by test_simulate.py
        if command in servers:
            more, port, title = servers[command]
            with started(project, variables, *command.split(), *more):
                assert title in answers(f"http://127.0.0.1:{port}/"), command
                if title == "Predict":
                    label_one(project, Service(port))
            continue
        if command.startswith("uv run dvc exp run") and git(project, "status", "--short"):
            commit(project)  # an experiment starts from a commit
        words = ["git", "commit", "-m", "First results"] if command.startswith("git commit") else command.split()
        words = [SHORTER.get(word, word) for word in words]
        more_libraries = {"PYTHONPATH": str(beside(*LIBRARIES))} if "train.search=automl" in words else {}
        done = subprocess.run(
            words, cwd=project, env=variables | more_libraries, capture_output=True, text=True, encoding="utf-8"
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def test_commit_is_all_it_takes_to_be_clean(finished: Path) -> None:
    assert git(finished, "status", "--short") == ""
    tracked = set(git(finished, "ls-files", "reports", "models", "data").split())
    kept = {
        "reports/metrics.json",
        "reports/split.json",
        "reports/cross_validation.json",
        "reports/trained.json",
        "reports/validation.json",
        "reports/MODEL_CARD.md",
        "models/signature.json",
    }
    assert tracked == kept | {"data/raw/wine.csv"}


def test_another_estimator_is_one_command_and_drops_what_was_of_the_old_one_by_name(worked: Path, run: Run) -> None:
    path = "sklearn.linear_model.LogisticRegression"
    done = run(worked, "nb", "estimators", "--use", path)
    assert done.returncode == 0, done.stderr
    assert "n_estimators=100, min_samples_leaf=2" in done.stdout
    values = yaml.safe_load((worked / "params.yaml").read_text("utf-8"))["train"]
    assert (values["estimator"], values["hyperparameters"], values["search_space"]) == (path, {}, {})
    assert repro(worked, run)[:2] == (0, AFTER_TRAIN)
    name = "select name from runs where name like 'LogisticRegression%'"
    assert len(rows(worked, name)) == 1


def test_an_estimator_that_cannot_be_trained_is_refused_before_a_kernel_starts(worked: Path, run: Run) -> None:
    before = (worked / "params.yaml").read_bytes()
    wrong = run(worked, "nb", "estimators", "--use", "sklearn.ensemble.RandomForestRegressor")
    assert (wrong.returncode, (worked / "params.yaml").read_bytes()) == (2, before)
    replace("params.yaml", "sklearn.ensemble.RandomForestClassifier", "sklearn.ensemble.RandomForestClassifer")(worked)
    fault = "there is no estimator 'sklearn.ensemble.RandomForestClassifer'"
    stage = run(worked, "nb", "run", "train")
    assert (stage.returncode, stage.stdout) == (2, "")
    assert re.fullmatch(rf"error: params\.yaml:\d+: {fault} → did you mean .*\n", stage.stderr)
    assert fault in run(worked, "nb", "check").stderr
