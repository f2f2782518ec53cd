"""Which MLflow runs this project has open, on disk, so that a later command closes what a killed
one left open.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakebook.files import write_text
from bakebook.paths import STATE
from bakebook.tracking.store import Store

if TYPE_CHECKING:
    from mlflow.entities import Run

OPENED_BY = "nb_run"  # the tag by which a run is found whose id is unknown


@dataclass(frozen=True)
class OpenRun:
    """A run that is open: where, of which stage, and the status
    that it gets if nobody closes it.
    """

    token: str
    stage: str
    uri: str
    experiment: str
    run_id: str | None = None
    status: str = "KILLED"


class OpenRunFile:
    """The file that exists as long as a run is open."""

    def __init__(self, root: Path, run: OpenRun) -> None:
        self.path = _folder(root) / f"{run.token}.json"
        self.run = run

    def write(self, **changes: Any) -> None:
        """Writes the file, with other values of the given fields."""
        self.run = replace(self.run, **changes)
        write_text(json.dumps(asdict(self.run)), self.path)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def left_open(root: Path) -> list[OpenRunFile]:
    """The runs that a killed stage did not close. Call it only while holding the project's lock."""
    found = []
    for path in sorted(_folder(root).glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            found.append(OpenRunFile(root, OpenRun(**content)))
        except (ValueError, TypeError):  # cut off by a power failure
            path.replace(path.with_suffix(".broken"))
    return found


def close(root: Path, left: OpenRunFile) -> str | None:
    """Gives an abandoned run its true status and returns a note about it. Raises Unreachable
    without its store.
    """
    run = left.run
    store = Store(root)
    if store.shown != run.uri:
        store = Store(root, run.uri)
    store.reach()
    with store.answering(run.stage), store.hurried():
        found = _find(store, run)
        for one in found:
            store.client.set_terminated(one.info.run_id, run.status)
    left.remove()
    return f"the interrupted run of '{run.stage}' is now {run.status} in MLflow" if found else None


def _folder(root: Path) -> Path:
    return root / STATE / "runs"


def _find(store: Store, run: OpenRun) -> "list[Run]":
    """The run and its open trials as MLflow's entities; none when it was never created, or is
    deleted.
    """
    experiment = store.client.get_experiment_by_name(run.experiment)
    if not experiment:
        return []
    filters = [f"tags.{OPENED_BY} = '{run.token}'"]
    if run.run_id:
        trials = f"tags.mlflow.parentRunId = '{run.run_id}' and attributes.status = 'RUNNING'"
        filters = [f"attributes.run_id = '{run.run_id}'", trials]
    return [
        found
        for one in filters
        for found in store.client.search_runs([experiment.experiment_id], one)
    ]
