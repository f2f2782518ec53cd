"""Which MLflow runs this project has open, on disk: what closes them truthfully when nobody is left to do it."""

import json
from pathlib import Path
from typing import Any

from ..paths import STATE
from .store import Store

OPENED_BY = "nb_run"  # the tag by which a run is found whose id was never heard of


class OpenRun:
    """A file that stands as long as an MLflow run is open, with the status that the run gets if nobody closes it."""

    def __init__(self, root: Path, token: str, **content: Any) -> None:
        self.path, self.content = root / STATE / "runs" / f"{token}.json", {"token": token, **content}

    def write(self, **more: Any) -> None:
        self.content |= more
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(self.content), encoding="utf-8")
        part.replace(self.path)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def left_open(root: Path) -> list[OpenRun]:
    """The runs that a stage opened and, being killed, did not close. Only for the holder of the project's lock."""
    found = []
    for path in sorted((root / STATE / "runs").glob("*.json")):
        try:
            found.append(OpenRun(root, **json.loads(path.read_text(encoding="utf-8"))))
        except (ValueError, TypeError):  # a power cut: nothing can be learned from it
            path.replace(path.with_suffix(".broken"))
    return found


def close(root: Path, left: OpenRun) -> str | None:
    """Gives a run that was left open its true status, and says so. Raises Unreachable when its store is not there."""
    store = Store(root)
    if store.shown != left.content["uri"]:
        store = Store(root, left.content["uri"])
    store.reach()
    stage, status = left.content["stage"], left.content["status"]
    with store.answering(stage), store.hurried():
        runs = _runs(store, left)
        for run in runs:
            store.client.set_terminated(run.info.run_id, status)
    left.remove()
    return f"the run of '{stage}' that was cut short is now {status} in MLflow" if runs else None


def _runs(store: Store, left: OpenRun) -> list[Any]:
    """The run in question, with a trial of it that is open; none when it was never made, or is deleted."""
    experiment = store.client.get_experiment_by_name(left.content["experiment"])
    run_id, token = left.content["run_id"], left.content["token"]
    wanted = [f"attributes.run_id = '{run_id}'" if run_id else f"tags.{OPENED_BY} = '{token}'"]
    if run_id:
        wanted.append(f"tags.mlflow.parentRunId = '{run_id}' and attributes.status = 'RUNNING'")
    places = [experiment.experiment_id] if experiment else []
    return [run for one in wanted for run in store.client.search_runs(places, one)] if places else []
