"""Which model becomes the champion, is served, and stays whole, whatever interrupts a promotion."""

import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from conftest import Run
from servers import Load, Postgres, mlflow_server, serving, until

pytestmark = pytest.mark.slow
STATE = ("models", "reports", "data/processed", "data/interim", "params.yaml", "dvc.lock")
ROUNDS = [3, pytest.param(50, marks=pytest.mark.chaos)]
# What MLflow itself says of the registry, and whether the champion's files are whole
REGISTRY = """
import hashlib, json, os, sys, tempfile
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

client = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
try:
    aliases = client.get_registered_model("wine-cultivars").aliases
except MlflowException:
    aliases = {}
found = {"aliases": {}, "versions": 0}
for alias, number in aliases.items():
    version = client.get_model_version("wine-cultivars", number)
    with tempfile.TemporaryDirectory() as folder:
        place = client.download_artifacts(version.run_id, "models", folder)
        sha256 = hashlib.sha256(open(f"{place}/model.onnx", "rb").read()).hexdigest()
    whole = version.tags["sha256"] == sha256 and "verified" in version.tags
    found["aliases"][alias] = [sha256[:12], whole, int(number), version.run_id]
found["versions"] = len(client.search_model_versions("name='wine-cultivars'"))
print(json.dumps(found))
"""


class Models:
    """A project whose pipeline made two good models, `first` and `second`, and a worse one; `take` puts one there."""

    def __init__(self, project: Path, kept: Path) -> None:
        self.project = project
        self.kept = kept

    def keep(self, name: str) -> None:
        for path in STATE:
            source, target = self.project / path, self.kept / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, target) if source.is_dir() else shutil.copy2(source, target)

    def take(self, name: str) -> str:
        """The version of the model that is there now."""
        for path in STATE:
            source, target = self.kept / name / path, self.project / path
            if source.is_dir():
                shutil.rmtree(target, ignore_errors=True)
                shutil.copytree(source, target)
            else:
                shutil.copy2(source, target)
        signature = json.loads((self.project / "models" / "signature.json").read_text("utf-8"))
        return str(signature["model"]["sha256"][:12])

    def copy(self, place: Path) -> "Models":
        return Models(Path(shutil.copytree(self.project, place / self.project.name)), self.kept)


def changed(params: Path, **values: str) -> None:
    """Sets values of params.yaml, in every section that has them."""
    text = params.read_text("utf-8")
    for name, value in values.items():
        text, count = re.subn(rf"(?m)^(    {name}): .*$", rf"\1: {value}", text)
        assert count, name
    params.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def made(finished: Path, run: Run, tmp_path_factory: pytest.TempPathFactory) -> Models:
    place = tmp_path_factory.mktemp("models")
    models = Models(Path(shutil.copytree(finished, place / finished.name)), place)
    params = models.project / "params.yaml"
    models.keep("first")
    for name, values in {
        "second": {"n_estimators": "120"},
        "worse": {"n_estimators": "1", "min_samples_leaf": "20", "f1_macro": "0.5", "log_loss": "30.0"},
        "unmet": {"f1_macro": "0.999"},
    }.items():
        changed(params, **values)
        done = run(models.project, "dvc", "repro")
        assert done.returncode == 0, done.stderr + done.stdout
        models.keep(name)
    return models


@pytest.fixture
def models(made: Models, tmp_path: Path) -> Models:
    return made.copy(tmp_path)


def promote(run: Run, project: Path, *options: str, **variables: str) -> str:
    done = run(project, "nb", "promote", *options, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(run: Run, project: Path, code: int, *options: str, **variables: str) -> str:
    """The one sentence with which a promotion ends."""
    done = run(project, "nb", "promote", *options, **variables)
    assert (done.returncode, len(done.stderr.splitlines()), done.stdout) == (code, 1, ""), done.stderr
    return done.stderr


def registry(run: Run, project: Path, address: str = "sqlite:///mlflow.db") -> dict[str, dict[str, list[object]]]:
    told = run(project, "python", "-c", REGISTRY, MLFLOW_TRACKING_URI=address)
    assert told.returncode == 0, told.stderr
    return dict(json.loads(told.stdout))


def audit(run: Run, project: Path, **variables: str) -> list[tuple[str, str, str]]:
    done = run(project, "nb", "audit", "--json", **variables)
    return [(row["action"], row["outcome"], row["model_version"]) for row in json.loads(done.stdout)]


def test_the_champion_is_served_until_a_better_one_is_promoted(
    models: Models, run: Run, environment: dict[str, str]
) -> None:
    project = models.project
    first = models.take("first")
    with serving(project, environment, NB_RATE="100000") as service:
        inputs = service.ask("/openapi.json").json["components"]["schemas"]["Row"]["examples"][0]
        assert "the model is the pipeline's, not a champion → nb promote" in service.said
        assert f"model {first} is the champion (version 1" in promote(run, project, "--why", "the first")
        assert until(lambda: service.ask("/model").json["source"] == "models:/wine-cultivars@champion")
        second = models.take("second")
        time.sleep(1)  # three times as long as the service waits before it looks again
        assert service.ask("/predict", inputs).json["model_version"] == first
        with Load(service.port, "/predict", inputs, clients=3) as load:
            said = promote(run, project)
            assert until(lambda: service.ask("/predict", inputs).json["model_version"] == second)
        assert {answer.status for answer in load.answers} == {200} and not load.failures
        assert f"model {second} is the champion instead of {first}" in said
        assert "on 54 rows that neither was trained on; gain [" in said
        models.take("worse")
        assert "it may be worse: f1_macro" in refused(run, project, 3)
        models.take("unmet")
        assert "at least 0.999 is not met" in refused(run, project, 3)
        models.take("second")
        assert "is the champion already" in promote(run, project)
        back = run(project, "nb", "rollback", "--why", "slow")
        assert back.stdout.splitlines() == [
            f"model {first} serves again; {second} is refused from now on",
            f"model {first} is the champion (version 1)",
        ]
        assert until(lambda: service.ask("/predict", inputs).json["model_version"] == first)
        assert "it was rolled back (slow)" in refused(run, project, 3)
    found = registry(run, project)["aliases"]
    assert {alias: state[:3] for alias, state in found.items()} == {"champion": [first, True, 1]}
    assert audit(run, project)[:2] == [("promote", "done", first), ("promote", "done", second)]
    assert [row[:2] for row in audit(run, project)[2:]] == [
        ("promote", "refused"),
        ("promote", "refused"),
        ("rollback", "done"),
        ("promote", "refused"),
    ]
    told = run(project, "nb", "audit").stdout
    assert ": the first" in told and "it may be worse: f1_macro 0." in told


def test_the_service_reads_the_champion_of_mlflow_db_as_mlflow_does(models: Models, run: Run) -> None:
    models.take("first")
    promote(run, models.project)
    models.take("second")
    promote(run, models.project)
    code = (
        "from bakebook.paths import ROOT; from bakebook.serving.registries import RegistryFile;"
        "print(*RegistryFile(ROOT / 'mlflow.db').find('wine-cultivars', '{}'))"
    )
    aliases = registry(run, models.project)["aliases"]
    assert sorted(aliases) == ["champion", "previous"]
    for alias, (_, _, number, run_id) in aliases.items():
        assert run(models.project, "python", "-c", code.format(alias)).stdout.split() == [str(number), run_id]


def test_what_is_not_the_model_of_the_lock_is_not_promoted(models: Models, run: Run) -> None:
    project = models.project
    models.take("first")
    with (project / "models" / "model.onnx").open("ab") as file:
        file.write(b"more")
    assert "models/model.onnx is not the one of dvc.lock → dvc repro" in refused(run, project, 2)
    (project / "models" / "model.onnx").unlink()
    assert "there is no models/model.onnx → dvc checkout" in refused(run, project, 2)
    models.take("first")
    lock = (models.kept / "second" / "dvc.lock").read_text("utf-8")
    evaluated = re.search(r"(?ms)^  evaluate:.*?(?=^  \w)", (project / "dvc.lock").read_text("utf-8"))
    other = re.sub(r"(?ms)^  evaluate:.*?(?=^  \w)", lambda _: evaluated[0], lock)  # type: ignore[index]
    models.take("second")
    shutil.copytree(models.kept / "first" / "reports", project / "reports", dirs_exist_ok=True)
    (project / "dvc.lock").write_text(other, encoding="utf-8")  # the metrics are those of another model
    assert "models/model.joblib has changed since stage 'evaluate' ran → dvc repro" in refused(run, project, 2)
    (project / "dvc.lock").unlink()
    assert "there is no model yet: dvc.lock does not exist → dvc repro" in refused(run, project, 2)
    models.take("first")
    away = refused(run, project, 4, MLFLOW_TRACKING_URI="http://127.0.0.1:1")
    assert "does not answer" in away
    gone = refused(run, project, 4, DATABASE_URL="postgresql://me@127.0.0.1:1/none")
    assert "the database does not answer" in gone
    (project / "params.yaml").write_text(
        (project / "params.yaml").read_text("utf-8").replace("margin: 0.02", "margin: -1"), encoding="utf-8"
    )
    wrong = run(project, "nb", "promote")
    assert wrong.returncode == 1 and "promote.margin is -1 but should be greater than or equal to 0" in wrong.stderr
    assert audit(run, project) == []


def test_a_rollback_that_was_interrupted_is_completed_and_goes_no_further(
    models: Models, run: Run, environment: dict[str, str]
) -> None:
    project = models.project
    ledger = project / "service" / "models" / "ledger.json"
    versions = []
    with serving(project, environment) as service:
        for name in ("second", "first"):  # the pipeline's own is `unmet`, with the ONNX file of `second`
            versions.append(models.take(name))
            promote(run, project)
            assert until(lambda: service.ask("/model").json["version"] == versions[-1])
            assert until(lambda: service.ask("/model").json["source"].startswith("models:/"))
    second, first = versions
    content = json.loads(ledger.read_text("utf-8"))
    kept = {one["sha256"][:12]: one for one in content["adopted"]}
    content["adopted"] = [kept[first], kept[second]]  # as a rollback leaves it that ends before the alias has moved
    content["refused"] = {kept[first]["sha256"]: "it was rolled back"}
    ledger.write_text(json.dumps(content), encoding="utf-8")
    back = run(project, "nb", "rollback")
    assert back.stdout.splitlines() == [f"model {second} is the champion (version 1)"], back.stderr
    assert audit(run, project)[-1] == ("rollback", "done", second)
    once_more = run(project, "nb", "rollback")
    assert (once_more.returncode, once_more.stdout) == (2, "") and "there is no earlier model" in once_more.stderr
    assert registry(run, project)["aliases"]["champion"][:2] == [second, True]
    assert run(project, "nb", "rollback", first).stdout.splitlines()[-1] == f"model {first} is the champion (version 2)"


def test_a_fix_of_what_is_served_beside_the_model_is_promoted(models: Models, run: Run) -> None:
    project = models.project
    first = models.take("first")
    promote(run, project)
    params = project / "params.yaml"
    marked = params.read_text("utf-8").replace("  missing:  #", "  missing:  # more\n  - '?'\n  #", 1)
    params.write_text(marked, encoding="utf-8")
    assert run(project, "dvc", "repro").returncode == 0
    assert f"model {first} is the champion instead of {first} (version 2" in promote(run, project)
    mistyped = run(project, "nb", "rollback", "0" * 12)
    assert mistyped.returncode == 2 and "MLflow has no version of model 000000000000" in mistyped.stderr
    assert "is the champion already (version 2)" in promote(run, project)  # and is not refused


def test_a_champion_whose_files_are_gone_is_replaced_on_purpose_only(models: Models, run: Run) -> None:
    project = models.project
    models.take("first")
    promote(run, project)
    run_id = str(registry(run, project)["aliases"]["champion"][3])
    shutil.rmtree(project / "mlartifacts" / run_id)
    assert "is the champion instead of" in promote(run, project)  # the same model, made whole again
    run_id = str(registry(run, project)["aliases"]["champion"][3])
    shutil.rmtree(project / "mlartifacts" / run_id)
    second = models.take("second")
    assert "version 2 of wine-cultivars has no models in MLflow any more → nb promote --unc" in refused(run, project, 2)
    assert f"model {second} is the champion" in promote(run, project, "--uncompared", "--why", "the files are gone")
    with closing(sqlite3.connect(project / "mlflow.db")) as store:
        aliases = dict(store.execute("SELECT alias, version FROM registered_model_aliases"))
    assert aliases == {"champion": 3, "previous": 2}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_of_two_at_once_one_waits_for_another_time(
    kind: str, models: Models, run: Run, request: pytest.FixtureRequest
) -> None:
    there = {"DATABASE_URL": request.getfixturevalue("postgres").address} if kind == "postgresql" else {}
    first = models.take("first")
    with ThreadPoolExecutor(3) as pool:
        done = [one.result() for one in [pool.submit(run, models.project, "nb", "promote", **there) for _ in range(3)]]
    assert {one.returncode for one in done} <= {0, 5} and 0 in {one.returncode for one in done}
    for one in done:
        busy = "error: another promotion is running → wait until it has finished\n"
        assert one.stderr == (busy if one.returncode else ""), one.stderr
    found = registry(run, models.project)
    assert found["versions"] == 1 and found["aliases"]["champion"][:2] == [first, True]
    assert audit(run, models.project, **there).count(("promote", "done", first)) == 1


def killed(project: Path, environment: dict[str, str], after: float, **variables: str) -> int:
    """`nb promote`, which is killed after so many seconds unless it has ended; its exit code."""
    program = shutil.which("nb", path=environment["PATH"])
    assert program
    told = environment | {"PYTHONPATH": str(project / "src")} | variables
    process = subprocess.Popen(
        [program, "promote"],
        cwd=project,
        env=told,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return process.wait(after)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return -signal.SIGKILL


@pytest.mark.parametrize("rounds", ROUNDS)
def test_a_promotion_that_is_killed_leaves_a_whole_champion(
    rounds: int, models: Models, run: Run, environment: dict[str, str]
) -> None:
    project, chance = models.project, random.Random(7)  # noqa: S311 - moments
    champion = models.take("first")
    started = time.monotonic()
    promote(run, project)
    usual = time.monotonic() - started
    for number in range(rounds):
        other = models.take(["second", "first"][number % 2])
        code = killed(project, environment, chance.uniform(0.2, 1.2) * usual)
        found = registry(run, project)["aliases"]["champion"]
        assert found[1] and found[0] in ([other] if code == 0 else [champion, other]), (number, code)
        if (project / ".dvc" / "tmp" / "nb" / "promotion").exists():
            told = run(project, "nb", "doctor").stdout
            assert "a promotion was interrupted → nb promote completes it" in told
        promote(run, project)
        after = registry(run, project)
        assert after["aliases"]["champion"][:2] == [other, True] and "challenger" not in after["aliases"]
        assert audit(run, project)[-1] == ("promote", "done", other)
        champion = other
    versions = registry(run, project)["versions"]
    assert versions == min(2, rounds + 1)  # one for each model, however often it was begun
    with closing(sqlite3.connect(project / "mlflow.db")) as store:
        assert not store.execute("SELECT name FROM runs WHERE status = 'RUNNING'").fetchall()


@pytest.mark.parametrize("rounds", [1, pytest.param(25, marks=pytest.mark.chaos)])
def test_a_registry_that_goes_away_leaves_a_whole_champion(
    rounds: int, models: Models, run: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    project, chance = models.project, random.Random(3)  # noqa: S311 - moments
    place = tmp_path / "server"
    hurry = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "2"}
    champion = models.take("first")
    with mlflow_server(place, environment) as server:
        started = time.monotonic()
        promote(run, project, MLFLOW_TRACKING_URI=server)
        usual = time.monotonic() - started
    for number in range(rounds):
        other = models.take(["second", "first"][number % 2])
        with ThreadPoolExecutor(1) as pool:
            with mlflow_server(place, environment) as server:
                running = pool.submit(run, project, "nb", "promote", MLFLOW_TRACKING_URI=server, **hurry)
                time.sleep(chance.uniform(0.1, 1.0) * usual)
            done = running.result()
        assert done.returncode in (0, 4) and len(done.stderr.splitlines()) <= 1, done.stderr
        with mlflow_server(place, environment) as server:
            found = registry(run, project, server)["aliases"]["champion"]
            assert found[1] and found[0] in ([other] if done.returncode == 0 else [champion, other])
            promote(run, project, MLFLOW_TRACKING_URI=server)
            after = registry(run, project, server)["aliases"]
            assert after["champion"][:2] == [other, True] and "challenger" not in after
        champion = other


def test_a_row_that_the_champion_was_trained_on_does_not_test_it(models: Models, run: Run) -> None:
    project = models.project
    models.take("first")
    promote(run, project)
    champion = registry(run, project)["aliases"]["champion"]
    rows = project / "mlartifacts" / str(champion[3]) / "artifacts" / "training" / "rows.npy"
    code = (
        "import numpy as np, pandas as pd; from bakebook.contracts import Schema;"
        "from bakebook import artifacts, paths; from bakebook.models.held_out import identities;"
        "schema = artifacts.read(Schema, paths.SCHEMA);"
        "test = identities(artifacts.read_table(paths.TEST), schema).to_numpy();"
        f"rows = np.load({str(rows)!r}); print(len(rows), len(np.intersect1d(rows, test)));"
        f"np.save({str(rows)!r}, np.union1d(rows, test[:{{}}]))"
    )
    assert run(project, "python", "-c", code.format(0)).stdout.split() == ["124", "0"]
    models.take("second")
    run(project, "python", "-c", code.format(40))
    few = refused(run, project, 3)
    assert "cannot be compared: only 14 of 54 test rows are new to the champion → nb promote --uncompared" in few


def test_the_audit_and_the_aliases_are_on_the_servers(
    models: Models, run: Run, environment: dict[str, str], postgres: Postgres, tmp_path: Path
) -> None:
    """The same with PostgreSQL and MLflow's server; the service has neither MLflow nor the project's files."""
    with mlflow_server(tmp_path / "server", environment) as server:
        there = {"DATABASE_URL": postgres.address, "MLFLOW_TRACKING_URI": server}
        named = there | {"NB_MODEL": "models:/wine-cultivars@champion"}
        first = models.take("first")
        with serving(models.project, environment, **named) as service:
            assert "the model is the pipeline's, not a champion → nb promote" in service.said
            promote(run, models.project, **there)
            assert until(lambda: service.ask("/model").json["source"].startswith("models:/"))
            second = models.take("second")
            promote(run, models.project, **there)
            assert until(lambda: service.ask("/model").json["version"] == second)
            assert run(models.project, "nb", "rollback", **there).returncode == 0
            assert until(lambda: service.ask("/model").json["version"] == first)
        assert registry(run, models.project, server)["aliases"]["champion"][:2] == [first, True]
        assert audit(run, models.project, **there)[-1] == ("rollback", "done", first)
