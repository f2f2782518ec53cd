"""MLflow's page, opened on the table of the project's trainings: `nb runs`."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import typer

from bakebook.errors import BadInput, Failure
from bakebook.tracking.names import MODEL, NAME_TAG
from bakebook.tracking.store import Store

if TYPE_CHECKING:
    from mlflow.entities import Experiment

HOST = "127.0.0.1"
# MLflow's page reads a shared view from a tag of the experiment; the default view has no scores
VIEW = "trainings"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
POLL_S = 0.1
MOST_SCORES = 6
WIDTHS = {"attributes.`Run Name`": 420}
# One process starts in half the time of four, and nothing here needs a queue of jobs
QUICK = ["--workers", "1", "--uvicorn-opts", "--log-level warning"]
VARIABLES = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PYTHONWARNINGS": "ignore"}


def show_runs(root: Path, port: int) -> None:
    """Serves MLflow's page of the project's own store until Ctrl-C; for a server, prints where its
    page is. Raises BadInput where nothing was recorded, or the port is taken.
    """
    store = Store(root)
    if store.is_empty:
        raise BadInput("no training was recorded yet", "dvc repro")
    store.reach()
    if store.is_server:
        typer.echo(_address(store, store.shown))
        return
    _check_port(port)
    options = ["--host", HOST, "--port", str(port), *QUICK]
    command = [sys.executable, "-m", "mlflow", "server", *options]
    variables = VARIABLES | os.environ | {"MLFLOW_BACKEND_STORE_URI": store.uri}
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the server ends with this command
    # What goes wrong is on stderr
    with subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL) as server:
        Thread(target=_announce, args=(store, port, server), daemon=True).start()
        try:
            server.wait()
        except KeyboardInterrupt:
            server.terminate()


def _announce(store: Store, port: int, server: "subprocess.Popen[bytes]") -> None:
    """Prints the page's address as soon as it can be opened; MLflow is imported meanwhile."""
    try:
        address = _address(store, f"http://{HOST}:{port}")
    except Failure as failure:
        typer.echo(f"error: {failure}", err=True)
        server.terminate()
        return
    while server.poll() is None and not _answers(port):
        time.sleep(POLL_S)
    if server.poll() is None:
        typer.echo(address)


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection((HOST, port), timeout=POLL_S):
        return True
    return False


def _address(store: Store, server: str) -> str:
    with store.answering("runs"):
        experiment = store.client.get_experiment(store.experiment_id())
        _write_view(store, experiment)
    page = f"#/experiments/{experiment.experiment_id}/runs?viewStateShareKey={VIEW}"
    return f"{server}/{page}"


def _write_view(store: Store, experiment: "Experiment") -> None:
    """Gives the table of trainings a column for each score."""
    trainings = store.client.search_runs(
        [experiment.experiment_id],
        f"tags.{NAME_TAG} != ''",
        max_results=1,
        order_by=["attributes.start_time DESC"],
    )
    scores = sorted(
        name for run in trainings for name in run.data.metrics if name.startswith(MODEL)
    )
    columns = [f"metrics.`{name}`" for name in scores[:MOST_SCORES]]
    # MLflow takes the width of a column from a view that also names its place
    order = {"columnOrder": list(WIDTHS), "columnWidths": WIDTHS}
    view = json.dumps({"selectedColumns": columns, **order})
    if experiment.tags.get(VIEW_TAG) != view:
        store.client.set_experiment_tag(experiment.experiment_id, VIEW_TAG, view)


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            what = f"cannot listen on {HOST}:{port} ({error.strerror})"
            raise BadInput(what, "nb runs --port …") from None
