"""Whether the model is still good: what `nb monitor` reports, when it raises an alarm, and what stays as it was."""

import json
import re
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import Run
from servers import postgres_programs, postgres_server, serving

pytestmark = pytest.mark.slow
TRAFFIC = Path(__file__).with_name("traffic.py")
ALARM = "error: f1_macro has fallen below 0.55 → reports/monitor.html shows why"


@pytest.fixture
def project(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / finished.name))


def traffic(run: Run, project: Path, months: int, first_changed: int = 99, **variables: str) -> None:
    done = run(project, "python", str(TRAFFIC), str(months), str(first_changed), **variables)
    assert done.returncode == 0, done.stderr


def found(project: Path) -> Any:
    return json.loads((project / "reports/monitor.json").read_text("utf-8"))


def status(project: Path) -> str:
    command = ["git", "status", "--porcelain"]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=True).stdout


WINDOWS = """
import json
from mlflow import MlflowClient

client = MlflowClient("sqlite:///mlflow.db")
experiment = client.get_experiment_by_name("wine-cultivars-monitor")
runs = client.search_runs([experiment.experiment_id], order_by=["start_time"])
print(json.dumps([{"start": run.data.tags["window"][:19], "figures": run.data.metrics} for run in runs]))
"""


class Hook(ThreadingHTTPServer):
    """A webhook that answers with the next of `answers`, and 200 after the last; None is no answer."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[int | None] = []
        self.received: list[dict[str, str]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/secret4711"


class _Handler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:  # its name is the standard library's
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.received.append(json.loads(body))
        answer = self.server.answers.pop(0) if self.server.answers else 200
        if answer is None:
            self.close_connection = True
            return
        self.send_response(answer)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def in_mlflow(project: Path, run: Run) -> list[dict[str, Any]]:
    """The windows that MLflow has, the oldest first."""
    done = run(project, "python", "-c", WINDOWS)
    assert done.returncode == 0, done.stderr
    windows: list[dict[str, Any]] = json.loads(done.stdout)
    return windows


def test_each_window_is_one_run_of_mlflow_with_the_figures_of_the_last_look(project: Path, run: Run) -> None:
    for first_changed, code in ((6, 0), (3, 3)):
        (project / "service/service.db").unlink(missing_ok=True)
        traffic(run, project, months=6, first_changed=first_changed)
        assert run(project, "nb", "monitor").returncode == code
        windows = found(project)["windows"]
        assert len(windows) > 5
        for window, one in zip(windows, in_mlflow(project, run), strict=True):
            assert one["start"] == window["start"].removesuffix("Z")
            for kind in ("measured", "estimated"):
                assert one["figures"][f"{kind}.f1_macro"] == window[kind]["f1_macro"]["score"]
            assert one["figures"]["predictions"] == window["predictions"]


def test_without_a_prediction_it_says_so_and_makes_no_git_change(project: Path, run: Run) -> None:
    before = status(project)
    done = run(project, "nb", "monitor")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "There are no predictions yet."
    assert "note:" not in done.stderr
    assert status(project) == before
    assert "There are no predictions yet." in (project / "reports/monitor.html").read_text("utf-8")
    refused = run(project, "nb", "run", "monitor")
    assert (refused.returncode, refused.stderr) == (
        2,
        "error: 'monitor' is no stage but a command of its own → nb monitor\n",
    )


def test_a_fallen_score_is_an_alarm_once_and_a_good_one_is_none(
    project: Path, run: Run, environment: dict[str, str], hook: Hook
) -> None:
    traffic(run, project, months=4)
    done = run(project, "nb", "monitor", NB_WEBHOOK=hook.address)
    assert done.returncode == 0 and done.stdout.startswith("No alarm."), done.stderr
    assert sum(window["labels"] for window in found(project)["windows"]) == 240
    assert hook.received == []

    (project / "service/service.db").unlink()
    traffic(run, project, months=6, first_changed=3)
    hook.answers = [503, 500]
    done = run(project, "nb", "monitor", NB_WEBHOOK=hook.address)
    assert done.returncode == 3 and ALARM in done.stderr.splitlines()[-1]
    assert len(hook.received) == 2  # 503 is tried again at once, 500 is not

    done = run(project, "nb", "monitor", NB_WEBHOOK=hook.address)
    assert done.returncode == 3
    assert run(project, "nb", "monitor", NB_WEBHOOK=hook.address).returncode == 3
    version = found(project)["model"]
    text = "wine-cultivars: f1_macro has fallen below 0.55"
    assert hook.received == [{"text": text, "model": version}] * 3
    lines = [line.split("  ")[1:3] for line in run(project, "nb", "audit").stdout.splitlines()]
    assert [name for name, _ in lines] == ["alarm", "alert", "alert failed", "alert"]
    assert "secret4711" not in run(project, "nb", "audit", "--json").stdout + done.stderr + done.stdout

    scores = [window["measured"]["f1_macro"]["score"] for window in found(project)["windows"]]
    estimates = [window["estimated"]["f1_macro"]["score"] for window in found(project)["windows"]]
    assert min(scores[:2]) > 0.9 and scores[-1] < 0.1 and min(estimates) > 0.9
    assert found(project)["drift"]["together"]["is_changed"] is False
    with serving(project, environment) as service:
        page = service.ask("/monitor").body.decode()
        gauges = service.ask("/metrics").body.decode()
    assert "Alarm: f1_macro has fallen below 0.55." in page and page.count("<circle") == 2 * len(scores)
    assert 'monitor_alarm{score="f1_macro"} 1.0' in gauges
    assert f'monitor_score{{kind="measured",score="f1_macro"}} {scores[-1]}' in gauges
    assert metrics_of_the_dashboard(project) <= set(re.findall(r"^# TYPE (\w+)", gauges, re.MULTILINE))


def metrics_of_the_dashboard(project: Path) -> set[str]:
    """The names in its expressions, without functions, labels and values; a histogram's without its end."""
    board = json.loads((project / "deploy/grafana.json").read_text("utf-8"))
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    assert board["title"] == "Wine cultivars" and len(expressions) == 11
    bare = [re.sub(r"by \([^)]*\)|\{[^}]*\}|\[[^]]*\]", "", one) for one in expressions]
    return {name.removesuffix("_bucket") for one in bare for name in re.findall(r"[a-z_]+\b(?!\s*\()", one)}


def test_the_page_says_that_nothing_was_looked_at(project: Path, environment: dict[str, str]) -> None:
    with serving(project, environment) as service:
        page = service.ask("/monitor")
        gauges = service.ask("/metrics").body.decode()
    assert page.status == 200 and "Nothing was looked at yet" in page.body.decode()
    assert "monitor_timestamp_seconds 0.0" in gauges and "monitor_score{" not in gauges


def test_a_webhook_that_does_not_answer_is_not_asked_twice(project: Path, run: Run, hook: Hook) -> None:
    traffic(run, project, months=3, first_changed=0)
    hook.answers = [None]
    for _ in range(2):
        assert run(project, "nb", "monitor", NB_WEBHOOK=hook.address).returncode == 3
    assert len(hook.received) == 1


def test_the_champion_is_what_is_normal_and_its_files_are_whole_or_named(project: Path, run: Run) -> None:
    traffic(run, project, months=3)
    assert run(project, "nb", "promote").returncode == 0
    champion = found_after(run, project)["model"]
    names = ("models/model.onnx", "models/signature.json", "data/processed/test.parquet")
    content = {project / name: (project / name).read_bytes() for name in names}
    for path in content:
        path.unlink()  # the pipeline goes on, the champion stays
    assert found_after(run, project)["model"] == champion

    shutil.rmtree(project / ".dvc/tmp/nb/champion")
    reference = next(project.glob("mlartifacts/**/training/reference.parquet"))
    reference.rename(reference.with_name("gone"))
    done = run(project, "nb", "monitor")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "the champion's files are not whole" in done.stderr and "reference.parquet" in done.stderr
    assert not (project / ".dvc/tmp/nb/champion").exists()
    for path, kept in content.items():
        path.write_bytes(kept)
    mended = run(project, "nb", "promote")  # as the sentence says
    assert mended.returncode == 0 and f"model {champion} is the champion" in mended.stdout, mended.stderr
    assert found_after(run, project)["model"] == champion


def test_without_nb_model_a_server_is_no_place_to_look_for_the_champion(project: Path, run: Run) -> None:
    traffic(run, project, months=1)
    done = run(project, "nb", "monitor", MLFLOW_TRACKING_URI="http://127.0.0.1:1")
    assert done.returncode == 0 and "note: without NB_MODEL, this is about the pipeline's model" in done.stderr
    done = run(project, "nb", "monitor")
    assert done.returncode == 0 and "without NB_MODEL" not in done.stderr


def found_after(run: Run, project: Path) -> Any:
    done = run(project, "nb", "monitor")
    assert done.returncode == 0, done.stderr
    return found(project)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("    f1_macro: 0.55", "    roc_auc: 0.55", "monitor.criteria: 'roc_auc' cannot be watched"),
        ("alpha: 0.05", "alpha: 5", "params.yaml:16: monitor.alpha is 5 but should be"),
    ],
)
def test_a_wrong_setting_is_one_sentence(project: Path, run: Run, old: str, new: str, sentence: str) -> None:
    params = project / "params.yaml"
    text = params.read_text("utf-8")
    assert text.count(old) == 1
    params.write_text(text.replace(old, new), encoding="utf-8")
    done = run(project, "nb", "monitor")
    assert done.returncode == 2
    assert sentence in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


def test_a_database_that_is_away_ends_with_4_and_keeps_the_last_report(project: Path, run: Run) -> None:
    assert run(project, "nb", "monitor").returncode == 0
    before = (project / "reports/monitor.json").read_bytes()
    done = run(project, "nb", "monitor", DATABASE_URL="postgresql://me@127.0.0.1:1/none")
    assert done.returncode == 4 and len(done.stderr.splitlines()) == 1
    assert (project / "reports/monitor.json").read_bytes() == before


@pytest.mark.skipif(postgres_programs() is None, reason="PostgreSQL is not installed")
def test_postgresql_gives_the_same_report(project: Path, run: Run) -> None:
    traffic(run, project, months=3, first_changed=2)
    run(project, "nb", "monitor")
    embedded = found(project)
    programs = postgres_programs()
    assert programs
    with postgres_server(programs) as server:
        traffic(run, project, 3, 2, DATABASE_URL=server.address)
        done = run(project, "nb", "monitor", DATABASE_URL=server.address)
        assert done.returncode in (0, 3), done.stderr
    assert found(project) == embedded


def test_the_notebook_runs_by_hand_and_is_no_result_to_show_again(project: Path, run: Run) -> None:
    traffic(run, project, months=1)
    assert run(project, "nb", "monitor").returncode == 0
    with closing(sqlite3.connect(project / "service/service.db")) as store:
        store.execute("DELETE FROM labels")
        store.commit()
    done = run(project, "pytest", "-q", "reports/notebooks/monitor.ipynb", "notebooks/monitor.ipynb")
    assert done.returncode == 0, done.stdout
    assert "17 passed" in done.stdout
