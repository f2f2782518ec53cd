"""What `nb schedule` writes does what it says: on CI services, in a real Airflow, and while it waits itself."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import BUILD, Run, bake, commit
from test_ci import GITHUB, GITLAB, shell
from test_contract import replace
from test_retrain import promoted, story  # noqa: F401 - a fixture

pytestmark = pytest.mark.slow
AIRFLOW = ("apache-airflow>=3.3,<3.4", "--exclude-newer", "2026-11-15")
# Of a pipeline that goes on: which stage comes first, only DVC can say
OTHER_STAGES = """
  join:
    cmd: cat reports/a.txt reports/b.txt > reports/joined.txt
    deps: [reports/a.txt, reports/b.txt]
    outs: [reports/joined.txt]
  parts:
    foreach: [a, b]
    do:
      cmd: echo ${item} > reports/${item}.txt
      outs: ["reports/${item}.txt"]
"""
TASKS = """
import json, sys
from airflow.dag_processing.dagbag import DagBag

bag = DagBag(sys.argv[1])
found = {"errors": list(bag.import_errors.values())}
for name, dag in bag.dags.items():
    after = {one.task_id: sorted(one.downstream_task_ids) for one in dag.tasks}
    found[name] = {"schedule": str(dag.schedule), "next": after}
for name in sys.argv[3:]:
    run = bag.dags[name].test()
    found[name]["states"] = {one.task_id: str(one.state) for one in run.get_task_instances()}
with open(sys.argv[2], "w") as file:
    json.dump(found, file)
"""


@pytest.fixture
def fallen(promoted: Path, tmp_path: Path) -> Path:  # noqa: F811
    """A project with a champion whose score has fallen."""
    return Path(shutil.copytree(promoted, tmp_path / promoted.name))


def schedule(run: Run, project: Path, name: str) -> list[str]:
    done = run(project, "nb", "schedule", name, XDG_CONFIG_HOME=str(project.parent))
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_workflows_are_valid_safe_and_use_the_actions_of_the_other_one(project: Path, run: Run) -> None:
    schedule(run, project, "github")
    pinned = set(re.findall(r"uses: (\S+)", (project / GITHUB).read_text("utf-8")))
    for name in ("monitor", "retrain"):
        path = project / GITHUB.with_name(f"{name}.yaml")
        check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(path)]
        assert subprocess.run(check, capture_output=True).returncode == 0
        done = subprocess.run(["zizmor", "--offline", "--no-progress", str(path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
        assert set(re.findall(r"uses: (\S+)", path.read_text("utf-8"))) < pinned
        (job,) = yaml.safe_load(path.read_text("utf-8"))["jobs"].values()
        assert job["permissions"] == {"contents": "write" if name == "retrain" else "read"}


def test_the_jobs_of_gitlab_run_in_scheduled_pipelines_and_the_others_do_not(project: Path, run: Run) -> None:
    schedule(run, project, "gitlab")
    path = project / ".gitlab" / "schedule.yml"
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.gitlab-ci", str(path)]
    assert subprocess.run(check, capture_output=True).returncode == 0
    for name, job in yaml.safe_load(path.read_text("utf-8")).items():
        assert job["environment"] == {"name": "schedule", "action": "access"}
        assert job["rules"] == [{"if": f'$CI_PIPELINE_SOURCE == "schedule" && $SCHEDULED == "{name}"'}]


def test_a_projects_pipeline_of_gitlab_takes_them_in(tmp_path: Path, run: Run) -> None:
    project = bake(tmp_path / "out", ci="gitlab")
    lines = schedule(run, project, "gitlab")
    assert not any("add to .gitlab-ci.yml" in line for line in lines)
    pipeline = yaml.safe_load((project / GITLAB).read_text("utf-8"))
    (included,) = pipeline["include"]
    assert included["local"] in included["rules"][0]["exists"] and (project / included["local"]).is_file()
    assert pipeline["check"]["rules"] == [{"if": '$CI_PIPELINE_SOURCE != "schedule"'}]
    assert pipeline["release"]["rules"][0] == {"if": '$CI_PIPELINE_SOURCE == "schedule"', "when": "never"}


def test_each_line_of_a_scheduled_job_runs_in_a_clone(
    fallen: Path, run: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    for name in ("github", "gitlab"):
        schedule(run, fallen, name)
    of_github = yaml.safe_load((fallen / GITHUB.with_name("monitor.yaml")).read_text("utf-8"))["jobs"]["monitor"]
    github = [step["run"] for step in of_github["steps"] if "run" in step]
    gitlab = yaml.safe_load((fallen / ".gitlab/schedule.yml").read_text("utf-8"))["monitor"]["script"]
    assert github == [line for line in gitlab if line != "pip install uv"]
    first, install, *rest = github
    assert install == "uv sync"

    done = shell(fallen, first, environment, DATABASE_URL="", MLFLOW_TRACKING_URI="")
    assert (done.returncode, done.stdout) == (2, "DATABASE_URL or MLFLOW_TRACKING_URI is not set\n")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(fallen), str(clone)], check=True)
    model = {"NB_MODEL": "models:/wine-cultivars@champion"}
    assert of_github["env"].items() >= model.items()
    of_gitlab = yaml.safe_load((fallen / ".gitlab/schedule.yml").read_text("utf-8"))["monitor"]
    assert of_gitlab["variables"].items() >= model.items()
    variables = model | {
        "DATABASE_URL": f"sqlite:///{fallen}/service/service.db",
        "MLFLOW_TRACKING_URI": f"sqlite:///{fallen}/mlflow.db",
    }
    done = shell(clone, "\n".join([first, *rest]), environment, **variables)
    assert done.returncode == 3 and "f1_macro has fallen below 0.55" in done.stderr, done.stderr


@pytest.fixture(scope="module")
def airflow() -> Path:
    """Airflow's Python, in an environment of its own."""
    place = BUILD / "airflow"
    python = place / "bin" / "python"
    if not python.exists():
        subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, str(place)], check=True)
        subprocess.run(["uv", "pip", "install", "--quiet", "--python", str(python), *AIRFLOW], check=True)
    return python


@pytest.fixture
def airflows_variables(environment: dict[str, str], airflow: Path, tmp_path: Path) -> dict[str, str]:
    """A database of Airflow's, and the variables with which it finds that and the project's environment."""
    variables = environment | {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "UV_NO_SYNC": "1",
    }
    del variables["VIRTUAL_ENV"]
    migrate = [str(airflow), "-m", "airflow", "db", "migrate"]
    done = subprocess.run(migrate, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return variables


def test_a_real_airflow_runs_the_stages_and_retrains_after_an_alarm(
    fallen: Path, run: Run, airflow: Path, airflows_variables: dict[str, str], tmp_path: Path
) -> None:
    replace("dvc.yaml", "stages:\n", f"stages:{OTHER_STAGES}")(fallen)
    schedule(run, fallen, "airflow")
    commit(fallen)
    dags = fallen / "deploy" / "airflow"
    asked = ["wine-cultivars-pipeline", "wine-cultivars-retrain"]
    command = [str(airflow), "-c", TASKS, str(dags), str(tmp_path / "found.json"), *asked]
    variables = airflows_variables | {"AIRFLOW__CORE__DAGS_FOLDER": str(dags), "PYTHONPATH": str(fallen / "src")}
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    found = json.loads((tmp_path / "found.json").read_text("utf-8"))
    assert found["errors"] == []

    pipeline, retrain, monitor = (found[f"wine-cultivars-{name}"] for name in ("pipeline", "retrain", "monitor"))
    assert (pipeline["schedule"], monitor["schedule"]) == ("None", "0 6 * * *")
    stages = yaml.safe_load((fallen / "dvc.yaml").read_text("utf-8"))["stages"]
    assert pipeline["states"] == dict.fromkeys(stages, "success")
    assert (fallen / "reports/joined.txt").read_text("utf-8") == "a\nb\n"
    assert {name: set(after) for name, after in pipeline["next"].items() if name not in ("parts", "join")} == {
        name: after for name, after in edges(run, fallen).items() if "parts" not in name and name != "join"
    }
    assert retrain["next"] == {"monitor": ["decide"], "decide": ["retrain"], "retrain": []}
    assert retrain["states"] == {"monitor": "success", "decide": "success", "retrain": "success"}
    assert story(run, fallen) == ["promote done", "alarm done", "retrain started", "promote done", "retrain done"]


def edges(run: Run, project: Path) -> dict[str, set[str]]:
    """The stages that follow each stage, by DVC."""
    done = run(project, "dvc", "dag", "--mermaid")
    names = dict(re.findall(r'(node\d+)\["([\w@-]+)"\]', done.stdout))
    found: dict[str, set[str]] = {name: set() for name in names.values()}
    for before, after in re.findall(r"(node\d+)-->(node\d+)", done.stdout):
        found[names[before]].add(names[after])
    return found


@pytest.fixture
def waiting(worked: Path, environment: dict[str, str]) -> Iterator[Any]:
    """`nb schedule run` in a project that monitors each minute."""
    replace("params.yaml", "monitor: 0 6 * * *", "monitor: '* * * * *'")(worked)
    replace("params.yaml", "retrain: 30 6 * * 1", "retrain: ''")(worked)
    program = shutil.which("nb", path=environment["PATH"])
    variables = environment | {"PYTHONPATH": str(worked / "src")}
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([str(program), "schedule", "run"], cwd=worked, env=variables, **streams) as process:  # type: ignore[call-overload]
        yield process
        process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_it_waits_runs_and_ends_with_what_it_runs(waiting: "subprocess.Popen[str]") -> None:
    assert waiting.stderr
    said = [waiting.stderr.readline()]
    assert re.fullmatch(r"schedule: nb monitor runs next, at \d{4}-\d\d-\d\d \d\d:\d\d UTC\n", said[0])
    moment = time.strptime(said[0].split("at ")[1], "%Y-%m-%d %H:%M UTC\n")
    assert 0 <= time.mktime(moment) - time.mktime(time.gmtime()) <= 60
    said.append(waiting.stderr.readline())
    assert said[1].startswith("monitor    1/9")
    (child,) = Path(f"/proc/{waiting.pid}/task/{waiting.pid}/children").read_text("utf-8").split()
    waiting.send_signal(signal.SIGTERM)
    assert waiting.wait(timeout=30) == 128 + signal.SIGTERM
    said += waiting.stderr.readlines()
    assert said[-1] == "error: interrupted by SIGTERM → nb schedule run starts again\n"
    assert "Traceback" not in "".join(said)
    assert not Path(f"/proc/{child}").exists()
