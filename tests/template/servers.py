"""What the tests of the service start for real: the service itself, a PostgreSQL server, clients that keep asking."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

PATIENCE = 30.0  # seconds until the service answers


@contextmanager
def started(project: Path, environment: dict[str, str], *command: str) -> Iterator["subprocess.Popen[str]"]:
    """A server that runs in the project until the block ends; what it prints can be read from `stdout`."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, cwd=project, env=environment, **streams) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=30)


def answers(url: str) -> str:
    """The page, as soon as there is one; fails after a minute."""
    for _ in range(120):
        try:
            with urllib.request.urlopen(url, timeout=5) as page:  # noqa: S310 - our own server
                return page.read().decode()
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"{url} does not answer")


@dataclass
class Answer:
    """What came back: status, headers by their small names, and the body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Service:
    """A service that runs."""

    port: int
    said: list[str] = field(default_factory=list)
    process: Any = None  # of `nb serve`, where a test started it

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, content: Any = None, **headers: str) -> Answer:
        """GET, or POST of what there is: bytes as they are, anything else as JSON."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            if content is None:
                connection.request("GET", path, headers=named)
            else:
                body = content if isinstance(content, bytes) else json.dumps(content).encode()
                connection.request("POST", path, body, {"content-type": "application/json"} | named)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def events(self, name: str) -> list[dict[str, Any]]:
        """The lines of its log that tell of this event."""
        lines = [json.loads(line) for line in self.said if line.startswith("{")]
        return [line for line in lines if line["event"] == name]


@contextmanager
def serving(project: Path, environment: dict[str, str], **variables: str) -> Iterator[Service]:
    """`nb serve` in a project, on a port of its own, open; told to end when the test is over."""
    program = shutil.which("nb", path=environment["PATH"])
    assert program
    told = {"NB_PORT": "0", "NB_POLL": "0.3", "NB_OPEN": "true", "PYTHONPATH": str(project / "src")} | variables
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "encoding": "utf-8"}
    process = subprocess.Popen([program, "serve"], cwd=project, env=environment | told, **pipes)
    said: list[str] = []
    reader = threading.Thread(target=_read, args=(process, said), daemon=True)
    reader.start()
    try:
        yield Service(_port(process, said), said, process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=PATIENCE)
        reader.join(timeout=PATIENCE)


def _read(process: subprocess.Popen[str], said: list[str]) -> None:
    assert process.stdout
    with process.stdout as lines:
        for line in lines:
            said.append(line.rstrip("\n"))


def _port(process: subprocess.Popen[str], said: list[str]) -> int:
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends and process.poll() is None:
        for line in list(said):
            if found := re.match(r"http://[\d.]+:(\d+) predicts", line):
                wait_for(int(found[1]))
                return int(found[1])
        time.sleep(0.02)
    raise AssertionError("\n".join(said))


def wait_for(port: int, path: str = "/health/live", patience: float = PATIENCE) -> None:
    """Until a server answers this path with 200."""
    ends = time.monotonic() + patience
    while time.monotonic() < ends:
        try:
            connection = HTTPConnection("127.0.0.1", port, timeout=1)
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        except (OSError, HTTPException):
            time.sleep(0.02)
        finally:
            connection.close()
    raise AssertionError(f"nothing answers on port {port}")


@dataclass
class Load:
    """Clients that ask one after the other, each on a connection of its own, until they are told to stop."""

    port: int
    path: str
    content: Any
    clients: int = 4
    answers: list[Answer] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def __enter__(self) -> "Load":
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=PATIENCE)

    def _ask(self) -> None:
        body = json.dumps(self.content).encode()
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as connection:
            while not self._stop.is_set():
                try:
                    connection.request("POST", self.path, body, {"content-type": "application/json"})
                    got = connection.getresponse()
                    self.answers.append(Answer(got.status, {}, got.read()))
                except (OSError, HTTPException) as error:
                    self.failures.append(repr(error))
                    connection.close()
                    self._stop.wait(0.05)


@dataclass
class Postgres:
    """A PostgreSQL server of its own, which root may not run itself."""

    address: str
    control: list[str]
    options: list[str]
    place: Path

    def start(self) -> None:
        log = str(self.place / "log")
        self._call(*self.options, "-w", "-l", log, "start")

    def stop(self) -> None:
        self._call("-m", "immediate", "stop")

    def _call(self, *arguments: str) -> None:
        command = [*self.control, *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self.place)


def postgres_programs() -> Path | None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    programs = folders[-1] if folders else Path(shutil.which("initdb") or "absent").parent
    return programs if (programs / "initdb").exists() else None


@contextmanager
def postgres_server(programs: Path) -> Iterator[Postgres]:
    place = Path(tempfile.mkdtemp(prefix="postgres"))
    somebody = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if somebody:
        shutil.chown(place, "postgres", "postgres")
    port, data = free_port(), place / "data"
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={place}"
    create = [*somebody, str(programs / "initdb"), "-A", "trust", "-U", "me", str(data)]
    subprocess.run(create, check=True, stdout=subprocess.DEVNULL, cwd=place)
    control = [*somebody, str(programs / "pg_ctl"), "-D", str(data)]
    address = f"postgresql://me:hush4711@127.0.0.1:{port}/postgres"
    server = Postgres(address, control, ["-o", options], place)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(place)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def mlflow_server(place: Path, environment: dict[str, str]) -> Iterator[str]:
    """MLflow's server, with a store and artifacts of its own; yields its address."""
    place.mkdir(exist_ok=True)
    port = free_port()
    program = shutil.which("mlflow", path=environment["PATH"])
    assert program
    command = [program, "server", "--port", str(port), "--workers", "1", "--backend-store-uri", "sqlite:///store.db"]
    variables = environment | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    process = subprocess.Popen([*command, "--artifacts-destination", "artifacts"], cwd=place, env=variables, **quiet)
    try:
        wait_for(port, "/health", patience=120)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until(true: Any, seconds: float = 15) -> bool:
    """Whether it becomes true within so many seconds."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if true():
            return True
        time.sleep(0.1)
    return False
