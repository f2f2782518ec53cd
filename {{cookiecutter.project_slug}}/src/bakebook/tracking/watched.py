"""What `nb monitor` found of each window as a run of MLflow, so that its page shows the history."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from bakebook.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

SUFFIX = "-monitor"  # of the experiment's name
WINDOW_TAG = "window"  # when it begins
MODELS_TAG = "models"  # that answered
MOST_RUNS = 5000  # of the experiment that are looked at


@dataclass(frozen=True)
class Watched:
    """A window: when it begins (UTC), the models that answered, and its figures by name."""

    start: datetime
    models: tuple[str, ...]
    figures: Mapping[str, float]


def log_windows(store: Store, windows: list[Watched]) -> None:
    """Keeps one run of each window, with the figures of the last look: labels come late. Raises
    Unreachable.
    """
    store.reach()
    with store.answering("monitor", "nb monitor"):
        client = store.client
        experiment = store.experiment_id(SUFFIX)
        known = {
            run.data.tags.get(WINDOW_TAG): run
            for run in client.search_runs([experiment], max_results=MOST_RUNS)
        }
        for window in windows:
            name = window.start.isoformat()
            run = known.get(name) or _new(client, experiment, window)
            _update(client, run, window)


def _new(client: "MlflowClient", experiment: str, window: Watched) -> "Run":
    run = client.create_run(
        experiment,
        start_time=round(window.start.timestamp() * 1000),
        run_name=f"{window.start:%Y-%m-%d %H:%M}",
        tags={WINDOW_TAG: window.start.isoformat()},
    )
    client.set_terminated(run.info.run_id, "FINISHED")
    return run


def _update(client: "MlflowClient", run: "Run", window: Watched) -> None:
    """Logs what has changed since the last look."""
    run_id = run.info.run_id
    for name, value in window.figures.items():
        if run.data.metrics.get(name) != value:
            client.log_metric(run_id, name, value)
    models = ", ".join(window.models)
    if run.data.tags.get(MODELS_TAG) != models:
        client.set_tag(run_id, MODELS_TAG, models)
