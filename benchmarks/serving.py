"""The service against MLflow's own, a FastAPI service written by hand, and an endpoint that only parses and answers.

The same model of the wine data in all of them, the same clients (one process, a connection each, one request after the
other), turn by turn in one run; the ratios are to the baked service with SQLite. `kept nowhere` is that service with
the writing taken out.

    uv run nox -s serving [-- --seconds 5 --rounds 3]
"""

import argparse
import contextlib
import json
import os
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pipeline
import psutil

HERE = Path(__file__).resolve().parents[1]
PLACE = pipeline.BUILD / "serving"
CLIENTS = (1, 8, 32)
MANY = 1000  # rows of a large request
BY_HAND = """
import json, sys
from contextlib import asynccontextmanager
import joblib, pandas as pd
from fastapi import FastAPI
from pydantic import create_model
from bakebook.contracts import Schema
from bakebook.models.schema import to_X

schema = Schema.model_validate_json(open("data/processed/schema.json").read())
model = joblib.load("models/model.joblib")
Row = create_model("Row", **{column.name: (float, ...) for column in schema.inputs})
app = FastAPI()

@app.post("/predict")
def predict(rows: list[Row]) -> list[dict]:
    X = to_X(pd.DataFrame([row.model_dump() for row in rows]), schema)
    likely = model.predict_proba(X)
    return [
        {"predicted": schema.classes[row.argmax()], "probabilities": dict(zip(schema.classes, row.tolist()))}
        for row in likely
    ]
"""
ONLY_PARSES = """
import json
from fastapi import FastAPI
from pydantic import BaseModel, create_model

inputs = json.load(open("models/signature.json"))["inputs"]
Row = create_model("Row", **{column["name"]: (float, ...) for column in inputs})
app = FastAPI()

class Answer(BaseModel):
    predicted: str
    probabilities: dict[str, float]

@app.post("/predict")
async def predict(row: Row) -> Answer:
    return Answer(predicted="Barolo", probabilities={"Barbera": 0.0, "Barolo": 1.0, "Grignolino": 0.0})
"""
KEPT_NOWHERE = """
from bakebook import settings
from bakebook.database.store import Store
from bakebook.serving import server

Store.add_predictions_now = lambda self, rows: True
Store.add_predictions = lambda self, rows: None
server.serve(settings.read())
"""


@dataclass(frozen=True)
class Peer:
    """A service: how it is started, and what it is asked."""

    command: list[str]
    path: str = "/predict"
    many: bool = True  # whether it takes a list of rows
    one_is_a_list: bool = False
    as_split: bool = False  # MLflow's form

    def body(self, rows: list[dict[str, float]]) -> bytes:
        if self.as_split:
            columns = list(rows[0])
            return json.dumps(
                {"dataframe_split": {"columns": columns, "data": [list(row.values()) for row in rows]}}
            ).encode()
        return json.dumps(rows if len(rows) > 1 or self.one_is_a_list else rows[0]).encode()


def main() -> None:
    """Prints rates and times of each service, and their ratios."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=4, help="of each measurement")
    arguments.add_argument("--rounds", type=int, default=3, help="how often each is measured, in turn")
    told = arguments.parse_args()
    project, environment = prepared()
    row = json.loads((project / "models" / "signature.json").read_text("utf-8"))["examples"][0]["inputs"]
    peers = services(project)
    rates: dict[str, dict[str, list[tuple[float, float, float]]]] = {name: {} for name in peers}
    starts: dict[str, list[float]] = {name: [] for name in peers}
    memory: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(told.rounds):
        for name, peer in peers.items():
            with running(peer, project, environment, row) as (port, seconds, process):
                starts[name].append(seconds)
                for clients in CLIENTS:
                    found = asked(port, peer.path, peer.body([row]), clients, told.seconds)
                    rates[name].setdefault(f"{clients} clients", []).append(found)
                if peer.many:
                    found = asked(port, peer.path, peer.body([row] * MANY), 4, told.seconds)
                    rates[name].setdefault(f"{MANY} rows, 4 clients", []).append(found)
                memory[name].append(used(process))
    show(rates)
    print(f"\n{'':<44} {'start s':>8} {'memory MB':>10}")
    for name in peers:
        print(f"{name:<44} {statistics.median(starts[name]):8.2f} {statistics.median(memory[name]):10.0f}")
    sizes(project, environment)


def prepared() -> tuple[Path, dict[str, str]]:
    """A baked project whose pipeline has run, and the variables of its environment."""
    shutil.rmtree(PLACE, ignore_errors=True)
    pipeline.cost(["cookiecutter", str(HERE), "--no-input", "--output-dir", str(PLACE)])
    project = PLACE / "wine-cultivars"
    environment = pipeline.install(project) | {"PYTHONPATH": str(project / "src"), "NB_RATE": "1000000"}
    pipeline.cost(["dvc", "repro"], project, environment)
    for name, code in (("by_hand", BY_HAND), ("only_parses", ONLY_PARSES), ("kept_nowhere", KEPT_NOWHERE)):
        (project / f"{name}.py").write_text(code, encoding="utf-8")
    return project, environment


def services(project: Path) -> dict[str, Peer]:
    """Each service by its name; PORT stands for the port."""
    model = next((project / "mlartifacts").rglob("MLmodel")).parent
    uvicorn = ["uvicorn", "--port", "PORT", "--log-level", "warning", "--no-access-log"]
    serve = ["mlflow", "models", "serve", "--model-uri", str(model), "--env-manager", "local", "--port", "PORT"]
    return {
        "baked, SQLite": Peer(["nb", "serve", "--port", "PORT"]),
        "baked, kept nowhere": Peer(["python", "kept_nowhere.py"]),
        "FastAPI that only parses and answers": Peer([*uvicorn, "only_parses:app"], many=False),
        "FastAPI + scikit-learn by hand, kept nowhere": Peer([*uvicorn, "by_hand:app"], one_is_a_list=True),
        "mlflow models serve, kept nowhere": Peer(serve, "/invocations", as_split=True),
    }


@contextlib.contextmanager
def running(
    peer: Peer, project: Path, environment: dict[str, str], row: dict[str, float]
) -> Iterator[tuple[int, float, subprocess.Popen[bytes]]]:
    """The port of a service that answers, the seconds until it did, its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [word.replace("PORT", str(port)) for word in peer.command]
    program = shutil.which(command[0], path=environment["PATH"]) or command[0]
    started = time.monotonic()
    quiet = subprocess.DEVNULL
    told = environment | {"NB_PORT": str(port)}
    process = subprocess.Popen([program, *command[1:]], cwd=project, env=told, stdout=quiet, stderr=quiet)
    try:
        while True:
            with contextlib.suppress(OSError, ConnectionError):
                asked(port, peer.path, peer.body([row]), 1, 0.0)
                break
            if process.poll() is not None or time.monotonic() - started > 120:
                sys.exit(f"error: {' '.join(command)} does not answer")
            time.sleep(0.02)
        yield port, time.monotonic() - started, process
    finally:
        for one in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
            one.terminate()
        process.wait(timeout=30)


def asked(port: int, path: str, body: bytes, clients: int, seconds: float) -> tuple[float, float, float]:
    """Requests a second, and the median and the 99th percentile of their milliseconds. Raises OSError."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    request, times = f"{head}\r\n\r\n".encode() + body, []
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        waiting: dict[socket.socket, tuple[float, bytearray]] = {}
        for _ in range(clients):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(connection, selectors.EVENT_READ)
            waiting[connection] = time.perf_counter(), bytearray()
            connection.sendall(request)
        ends = time.perf_counter() + seconds
        while not times or time.perf_counter() < ends:
            for key, _ in selector.select(30):
                connection = key.fileobj  # type: ignore[assignment]
                since, came = waiting[connection]
                block = connection.recv(1 << 20)
                if not block:
                    raise ConnectionError("it hung up")
                came += block
                if not whole(came):
                    continue
                now = time.perf_counter()
                times.append((now - since) * 1000)
                waiting[connection] = now, bytearray()
                connection.sendall(request)
    times.sort()
    return len(times) / max(seconds, 1e-9), times[len(times) // 2], times[int(len(times) * 0.99)]


def whole(came: bytearray) -> bool:
    """Whether an answer is complete; it must be a 200."""
    end = came.find(b"\r\n\r\n")
    if end < 0:
        return False
    head = bytes(came[:end]).lower()
    if b" 200 " not in head[:16]:
        sys.exit(f"error: {bytes(came[:500]).decode(errors='replace')}")
    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return len(came) >= end + 4 + length


def used(process: subprocess.Popen[bytes]) -> float:
    """Megabytes that a process and its children have for themselves."""
    parent = psutil.Process(process.pid)
    return sum(one.memory_full_info().uss for one in [parent, *parent.children(recursive=True)]) / 1e6


def show(rates: dict[str, dict[str, list[tuple[float, float, float]]]]) -> None:
    first = next(iter(rates.values()))
    for what in first:
        print(f"\n{what:<44} {'requests/s':>11} {'p50 ms':>8} {'p99 ms':>8} {'ratio':>7}")
        reference = statistics.median(one[0] for one in first[what])
        for name, found in rates.items():
            if what in found:
                rate, half, most = (statistics.median(one) for one in zip(*found[what], strict=True))
                print(f"{name:<44} {rate:11.0f} {half:8.2f} {most:8.2f} {reference / rate:7.2f}")


def sizes(project: Path, environment: dict[str, str]) -> None:
    """Megabytes of what the image holds, and of the whole environment."""
    alone = PLACE / "alone"
    command = ["uv", "sync", "--quiet", "--only-group", "serving", "--no-install-project"]
    subprocess.run(command, cwd=project, env=environment | {"UV_PROJECT_ENVIRONMENT": str(alone)}, check=True)
    print()
    for name, place in (("the service alone", alone), ("the whole environment", pipeline.BUILD / "environment")):
        size = sum(os.lstat(path).st_size for path in place.rglob("*") if path.is_file() and not path.is_symlink())
        print(f"{name:<44} {size / 1e6:8.0f} MB")


if __name__ == "__main__":
    main()
