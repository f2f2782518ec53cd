"""One MLflow run per trained model: `train` opens it, the later stages log to the run of the model they were given."""

import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any
from uuid import uuid4

from ..errors import NoSpace, Unreachable
from ..paths import dvc_hash
from . import imports, notebooks, recording
from .open_runs import OPENED_BY, OpenRun
from .processes import Interrupted
from .project import Project
from .recording import FAILED_TAG, MODEL_FILE, MODEL_TAG
from .store import Store

GRACE = 2  # seconds that an interrupted stage waits for its run to be open


class Tracking:
    """The MLflow run of one stage: opened while the kernel starts, closed with what happened.

    A stage that neither makes nor takes the model has no run, and MLflow is not imported.
    """

    def __init__(self, project: Project, stage: str) -> None:
        self.project, self.stage = project, stage
        self.executed: Path | None = None
        self.makes_model = recording.makes_model(project, stage)
        self.takes_model = recording.takes_model(project, stage)
        self.stages = [stage]
        self.store = Store(project.root)
        self.status_before: str | None = None
        self.open = OpenRun(
            project.root,
            uuid4().hex,
            stage=stage,
            uri=self.store.shown,
            experiment=self.store.experiment,
            run_id=None,
            status="KILLED",
        )
        self._opening: Future[Any] | None = None

    @property
    def active(self) -> bool:
        return self.makes_model or self.takes_model

    def __enter__(self) -> "Tracking":
        if self.active:
            self.store.reach()
        return self

    def still_good(self) -> None:
        """Raises when MLflow could not open the run, so that no further cell is computed in vain.

        The first call, when the kernel is about to start, opens the run in a thread: MLflow takes seconds to import,
        and in the meantime the notebook runs.
        """
        if self.active and self._begun().done():
            self._begun().result()

    def environment(self) -> dict[str, str]:
        """What a notebook that calls MLflow itself needs to log to this run."""
        names = {"MLFLOW_TRACKING_URI": self.store.uri, "MLFLOW_EXPERIMENT_NAME": self.store.experiment}
        if self.active and "mlflow" in imports.third_party(notebooks.syntax(self.project.notebooks[self.stage])):
            names["MLFLOW_RUN_ID"] = self._begun().result().info.run_id
        return names

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._opening is None:
            return
        killed = isinstance(error, Interrupted)
        try:
            with self.store.hurried(killed):
                run = self._opening.result(timeout=GRACE if killed else None)
                with self.store.answering(self.stage):
                    self._close(run, error)
        except (Unreachable, NoSpace, TimeoutError):
            if error is None:
                raise  # else the stage's own failure is the one to tell; the next command closes the run

    def _close(self, run: Any, error: BaseException | None) -> None:
        """Records, then closes. A training that is finished stays so when a later stage fails."""
        try:
            if error is None:
                self._record(run)
            else:
                self._client.set_tag(run.info.run_id, FAILED_TAG, self.stage)
                recording.log_notebook(self._client, run.info.run_id, self.executed)
        except BaseException as broken:
            error = error or broken
            raise
        finally:
            status = self._status_after(error) if error else "FINISHED"
            self.open.write(status=status)
            with self.store.hurried(error is not None):
                self._client.set_terminated(run.info.run_id, status)
            self.open.remove()

    def _status_after(self, error: BaseException) -> str:
        return self.status_before or ("KILLED" if isinstance(error, Interrupted) else "FAILED")

    def _record(self, run: Any) -> None:
        """A new model takes over what later stages said of the same one: DVC does not run them again for it.

        Only what is recorded whole gets the model's hash, by which others find it.
        """
        earlier = next(self._runs_of_model(run.info.experiment_id), None) if self.makes_model else None
        if earlier:
            recording.inherit(self._client, earlier, run)
        if self.status_before:
            recording.log_start(self._client, run.info.run_id, self.project, self.stages)
        if run.data.tags.get(FAILED_TAG) == self.stage:
            self._client.delete_tag(run.info.run_id, FAILED_TAG)
        recording.log_results(self._client, run.info.run_id, self.project, self.stages)
        if self.makes_model:
            self._client.set_tag(run.info.run_id, MODEL_TAG, dvc_hash(self.project.root / MODEL_FILE))

    @property
    def _client(self) -> Any:
        return self.store.client

    def _begun(self) -> Future[Any]:
        """The run, opened in a thread that may be left behind when the stage is interrupted."""
        if self._opening is None:
            self._opening = Future()
            Thread(target=_fulfil, args=(self._opening, self._open), daemon=True).start()
        return self._opening

    def _open(self) -> Any:
        with self.store.answering(self.stage):
            self.open.write()
            identity = self.store.experiment_id()
            run = next(self._runs_of_model(identity), None) if self.takes_model else None
            if run:
                self.status_before = run.info.status if run.info.status != "RUNNING" else "FINISHED"
                self.open.write(run_id=run.info.run_id, status=self.status_before)
                self._client.update_run(run.info.run_id, status="RUNNING")
            else:  # a new model, or one that came from another machine: what led to it belongs to the run
                run = self._client.create_run(identity, run_name=self.stage, tags=self._tags())
                self.open.write(run_id=run.info.run_id)
                self.stages = [*self.project.upstream(self.stage), self.stage]
                recording.log_start(self._client, run.info.run_id, self.project, self.stages)
            return run

    def _runs_of_model(self, experiment: str) -> Iterator[Any]:
        wanted = f"tags.{MODEL_TAG} = '{dvc_hash(self.project.root / MODEL_FILE)}'"
        return iter(
            self._client.search_runs([experiment], wanted, max_results=1, order_by=["attributes.start_time DESC"])
        )

    def _tags(self) -> dict[str, str]:
        tags = {"mlflow.source.name": f"notebooks/{self.stage}.ipynb", "mlflow.source.type": "NOTEBOOK"}
        tags[OPENED_BY] = self.open.content["token"]
        if self.takes_model:
            tags[MODEL_TAG] = dvc_hash(self.project.root / MODEL_FILE)
        commit = _git(self.project.root, "rev-parse", "HEAD")
        if commit:
            changed = _git(self.project.root, "status", "--porcelain", "--", ".", ":!dvc.lock", ":!models", ":!reports")
            tags |= {"mlflow.source.git.commit": commit, "git_dirty": str(bool(changed)).lower()}
        return tags


def _fulfil(future: Future[Any], make: Callable[[], Any]) -> None:
    try:
        future.set_result(make())
    except BaseException as error:
        future.set_exception(error)


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, encoding="utf-8", check=False
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
