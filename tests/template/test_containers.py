"""The containers, for real: CI's own lines build, ask, push and deploy them; then each is restarted in turn."""

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from conftest import BUILD, TEMPLATE, Run, commit
from engine import Engine, Machine, image_registry, machine_by_ssh, missing, own_engine, private_engine
from servers import Service, free_port
from test_ci import shell, steps
from test_contract import replace
from test_service import row, until

pytestmark = [pytest.mark.slow, pytest.mark.containers]
OWN_COLUMN = "flavanoid_share"  # of the README
NAME = "bakebook-test"  # of the containers and volumes
SERVICES = ("api", "database", "mlflow", "mlflow-database")
SCHEDULE = "schedule"
PATIENCE = 180  # seconds until every container is well; MLflow's server makes its tables at the first start
WHICH = """
from mlflow import MlflowClient

print(MlflowClient().get_model_version_by_alias("wine-cultivars", "champion").version)
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with ExitStack() as stack:
        found = own_engine()
        if not found:
            if reason := missing():
                pytest.skip(reason)
            found = stack.enter_context(private_engine(BUILD / "engine"))
        yield found


@pytest.fixture(scope="module")
def released(finished: Path, run: Run, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose pipeline has run with the README's own column, with the lock file that a user commits."""
    project = Path(shutil.copytree(finished, tmp_path_factory.mktemp("released") / finished.name))
    readme = (TEMPLATE / "README.md").read_text(encoding="utf-8")
    code = readme.partition("```python\n")[2].partition("```")[0]
    (project / "src" / "wine_cultivars" / "columns.py").write_text(code, encoding="utf-8")
    done = run(project, "dvc", "repro")
    assert done.returncode == 0, done.stdout + done.stderr
    subprocess.run(["uv", "lock", "--quiet"], cwd=project, env=environment, check=True)
    return project


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not shutil.which("docker-registry"):
        pytest.skip("needs a registry of images: apt-get install docker-registry")
    with image_registry(tmp_path_factory.mktemp("registry") / "images") as address:
        yield address


@pytest.fixture(scope="module")
def image(engine: Engine, released: Path, registry: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image as CI makes it from a tag: built, started, asked, pushed; not on this machine any more."""
    name = f"{registry}/wine-cultivars:v1"
    home = {"HOME": str(tmp_path_factory.mktemp("home"))}
    told = {"IMAGE": name, "USERNAME": "somebody", "PASSWORD": "secret"}
    said = []
    try:
        for step in steps(released, "release"):
            done = shell(released, step["run"], engine.environment | home, **told)
            assert done.returncode == 0, f"{step['run']}\n{done.stdout}{done.stderr}"
            said.append(done.stdout)
        is_what_it_should_be(engine, released)
    finally:
        if "smoke-test" in engine("ps", "--all", "--format", "{{.Names}}").split():
            engine("rm", "--force", "smoke-test")
    assert "predicts the pipeline's 5 examples" in said[2]
    engine("rmi", "--force", name)
    return name


def is_what_it_should_be(engine: Engine, project: Path) -> None:
    """Nobody's user, nothing to write to, no science; and the smoke test sees another answer than the pipeline's."""
    assert engine("exec", "smoke-test", "id", "--user") == "10001"
    assert "Read-only file system" in engine("exec", "smoke-test", "sh", "-c", "touch /app/new 2>&1 || true")
    assert "No module named" in engine("exec", "smoke-test", "sh", "-c", "python -c 'import pandas' 2>&1 || true")
    other = "mkdir /tmp/models; sed s/Barolo/Barbera/g models/signature.json > /tmp/models/signature.json"
    engine("exec", "smoke-test", "sh", "-c", other)
    ask = "cd /tmp && docker exec --interactive --workdir /tmp smoke-test python - < $SMOKE"
    done = shell(project, ask, engine.environment, SMOKE=str(project / "deploy" / "smoke.py"))
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        1,
        "error: it predicts 'Barolo' instead of 'Barbera'",
    )


class Deployed:
    """What CI's lines brought up."""

    def __init__(self, engine: Engine, project: Path, port: int, mlflow: int) -> None:
        self.engine, self.project = engine, project
        self.files = ["--file", "deploy/compose.yaml"]
        self.service = Service(port)
        self.mlflow = {
            "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{mlflow}",
            "MLFLOW_TRACKING_USERNAME": "admin",
            "MLFLOW_TRACKING_PASSWORD": "a long p@ssword",
        }
        self.variables = "\n".join(
            [
                "POSTGRES_PASSWORD=one/of:many@words",
                "MLFLOW_POSTGRES_PASSWORD=another",
                f"MLFLOW_PASSWORD='{self.mlflow['MLFLOW_TRACKING_PASSWORD']}'",
                "MLFLOW_SECRET_KEY=a-third",
                f"PORT={port}",
                f"MLFLOW_PORT={mlflow}",
                "MLFLOW_HOST=mlflow.example.com",
                f"COMPOSE_PROJECT_NAME={NAME}",
            ]
        )

    def compose(self, *arguments: str) -> str:
        return self.engine("compose", *self.files, *arguments, cwd=self.project)

    def in_schedule(self, *command: str) -> str:
        """What a command prints there. While the monitor runs, it is told to wait, and waits."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return self.compose("exec", "-T", SCHEDULE, *command)
            except AssertionError as error:
                if "wait until it has finished" not in str(error) or time.monotonic() > end:
                    raise
            time.sleep(5)

    def is_well(self) -> bool:
        states = [
            self.engine("inspect", "--format", "{{.State.Health.Status}}", self.container(name)) for name in SERVICES
        ]
        return states == ["healthy"] * len(SERVICES)

    def container(self, name: str) -> str:
        return self.compose("ps", "--quiet", name)

    def deploy(self, image: str, machine: Machine, home: Path) -> None:
        """By the lines of CI, over SSH."""
        told = {
            "IMAGE": image,
            "USERNAME": "somebody",
            "PASSWORD": "secret",
            "DOCKER_HOST": machine.address,
            "SSH_KEY": machine.key,
            "SSH_KNOWN_HOSTS": machine.known_hosts,
            "DEPLOY_ENV": self.variables,
            "HOME": str(home),
        }
        (step,) = steps(self.project, "deploy")
        done = shell(self.project, step["run"], self.engine.environment, **told)
        assert done.returncode == 0, done.stdout + done.stderr
        assert not any(secret in done.stdout + done.stderr for secret in ("one/of:many", "PRIVATE KEY", "p@ssword"))
        self.engine.environment["IMAGE"] = image
        assert until(self.is_well, PATIENCE), self.compose("logs", "--tail", "30")

    def follow_the_champion(self) -> None:
        """As README says: a user who may read, and the variables that name it."""
        admin = "admin:" + self.mlflow["MLFLOW_TRACKING_PASSWORD"]
        known = {"authorization": f"Basic {base64.b64encode(admin.encode()).decode()}"}
        server, reader = Service(int(self.mlflow["MLFLOW_TRACKING_URI"].rpartition(":")[2])), "a password to read"
        user = {"username": "service", "password": reader}
        browser = {"host": "mlflow.example.com", "origin": "https://mlflow.example.com"}  # behind a proxy
        local = {"origin": server.address}  # as its pages are opened on this machine
        assert server.ask("/ajax-api/2.0/mlflow/experiments/search", {"max_results": 1}, **known, **local).status == 200
        made = "/api/2.0/mlflow/users/create"
        assert server.ask(made, user, **known, **(browser | {"origin": "https://example.org"})).status == 403
        assert server.ask(made, user, **known, **(browser | {"host": "example.org"})).status == 403
        assert server.ask(made, user, **known, **browser).status == 200
        more = f"NB_MODEL=models:/wine-cultivars@champion\nMLFLOW_READER=service\nMLFLOW_READER_PASSWORD='{reader}'\n"
        (self.project / "deploy" / ".env").write_text(f"{self.variables}\n{more}", encoding="utf-8")
        self.compose("up", "--detach", "--no-build", "--wait")

    def schedule(self, run: Run) -> None:
        """As docs/monitoring.md says; here the monitor runs each minute."""
        replace("params.yaml", "monitor: 0 6 * * *", "monitor: '* * * * *'")(self.project)
        replace("params.yaml", "retrain: 30 6 * * 1", "retrain: ''")(self.project)
        done = run(self.project, "nb", "schedule", "compose")
        assert done.returncode == 0, done.stderr
        commit(self.project)
        self.files += ["--file", "deploy/schedule.yaml"]
        self.compose("up", "--detach", "--build", SCHEDULE)


@pytest.fixture(scope="module")
def deployed(
    engine: Engine, image: str, released: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    if not (shutil.which("sshd") or Path("/usr/sbin/sshd").exists()):
        pytest.skip("needs a machine that SSH reaches: apt-get install openssh-server")
    here = Deployed(engine, released, free_port(), free_port())
    place = tmp_path_factory.mktemp("machine")
    try:
        with machine_by_ssh(place / "ssh", engine) as machine:
            here.deploy(image, machine, place)
        yield here
    finally:
        here.compose("down", "--volumes", "--timeout", "5")


def test_what_a_tag_deploys_answers_and_loses_nothing_when_each_container_is_restarted(
    deployed: Deployed, run: Run
) -> None:
    service, project = deployed.service, deployed.project
    one, version = row(project), model_version(project)
    assert OWN_COLUMN not in one
    assert service.ask("/predict", one).status == 401
    made = deployed.compose("exec", "-T", "api", "nb", "token", "new", "me", "--scope", "admin")
    token = {"authorization": f"Bearer {made}"}
    assert service.ask("/predict", one, **token).json["model_version"] == version
    labelled = service.ask("/predict", one, **token).json["id"]
    assert service.ask("/feedback", {"id": labelled, "label": "Barbera"}, **token).json["recorded"] == 1

    deployed.follow_the_champion()
    deployed.schedule(run)
    deployed.in_schedule("dvc", "repro")
    assert "is the champion" in deployed.in_schedule("nb", "promote")
    assert until(deployed.is_well, PATIENCE)
    champion = "models:/wine-cultivars@champion"
    assert until(lambda: service.ask("/model", **token).json["source"] == champion, PATIENCE)
    assert [one["name"] for one in service.ask("/model", **token).json["derived"]] == [OWN_COLUMN]
    assert until(lambda: "monitor_timestamp_seconds" in reports(service, token), PATIENCE)
    assert "promote" in deployed.in_schedule("nb", "audit")
    assert "mark" in deployed.in_schedule("ls", ".dvc/tmp/nb/champion").split()  # what it compares with

    for name in SERVICES:
        before = {one["id"] for one in predictions(service, token)}
        deployed.compose("restart", name)
        assert until(deployed.is_well, PATIENCE), name
        answer = service.ask("/predict", one, **token)
        assert (answer.status, answer.json["model_version"]) == (200, version), name
        assert {one["id"] for one in predictions(service, token)} == before | {answer.json["id"]}, name
    assert [one["id"] for one in predictions(service, token) if one["label"] == "Barbera"] == [labelled]
    assert run(project, "python", "-c", WHICH, **deployed.mlflow).stdout == "1\n"


def reports(service: Service, token: dict[str, str]) -> str:
    """The gauges of what was monitored last; nothing before the first time."""
    lines = service.ask("/metrics", **token).body.decode().splitlines()
    return "\n".join(line for line in lines if line.startswith("monitor_") and not line.endswith(" 0.0"))


def predictions(service: Service, token: dict[str, str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = service.ask("/predictions", **token).json["predictions"]
    return found


def model_version(project: Path) -> str:
    signature = json.loads((project / "models" / "signature.json").read_text("utf-8"))
    return str(signature["model"]["sha256"][:12])
