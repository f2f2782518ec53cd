"""One MLflow run per trained model: `train` opens it, later stages log to the run of the model that
they were given.
"""

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING
from uuid import uuid4

from bakebook.contract import notebooks
from bakebook.contract.imports import top_level_names
from bakebook.contract.project import Project
from bakebook.errors import Interrupted, NoSpace, Unreachable
from bakebook.files import dvc_hash
from bakebook.git import git
from bakebook.tracking import log, names
from bakebook.tracking.log import FAILED_TAG, MODEL_FILE, MODEL_TAG
from bakebook.tracking.open_runs import OPENED_BY, OpenRun, OpenRunFile
from bakebook.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

INTERRUPT_GRACE_S = 2  # that an interrupted stage waits for its run to be open
# Whose changes do not make the working tree dirty
OUTPUTS = (":!dvc.lock", ":!models", ":!reports")


class Tracking:
    """The MLflow run of one stage: opened while the kernel starts, closed with what happened.

    A stage that neither makes nor takes the model has no run, and MLflow is not imported.
    """

    def __init__(self, project: Project, stage: str) -> None:
        self.project = project
        self.stage = stage
        self.executed: Path | None = None
        self.makes_model = log.makes_model(project, stage)
        self.takes_model = log.takes_model(project, stage)
        self.stages = [stage]
        self.store = Store(project.root)
        self.status_before: str | None = None
        self.file = OpenRunFile(
            project.root,
            OpenRun(uuid4().hex, stage, self.store.shown, self.store.experiment),
        )
        self._opening: Future[Run] | None = None

    @property
    def is_active(self) -> bool:
        return self.makes_model or self.takes_model

    def __enter__(self) -> "Tracking":
        if self.is_active:
            self.store.reach()
        return self

    def check(self) -> None:
        """Raises when MLflow could not open the run, so that no further cell is computed in vain.

        The first call, when the kernel is about to start, opens the run in a thread: the notebook
        runs while MLflow is imported, which takes seconds.
        """
        if self.is_active and self._begun().done():
            self._begun().result()

    def environment(self) -> dict[str, str]:
        """The variables with which a notebook that calls MLflow itself logs to this run."""
        names = {
            "MLFLOW_TRACKING_URI": self.store.uri,
            "MLFLOW_EXPERIMENT_NAME": self.store.experiment,
        }
        imported = top_level_names(notebooks.statements(self.project.notebooks[self.stage]))
        if self.is_active and "mlflow" in imported:
            names["MLFLOW_RUN_ID"] = self._begun().result().info.run_id
        return names

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._opening is None:
            return
        is_interrupted = isinstance(error, Interrupted)
        try:
            with self.store.hurried(is_interrupted):
                run = self._opening.result(timeout=INTERRUPT_GRACE_S if is_interrupted else None)
                with self.store.answering(self.stage):
                    self._close(run, error)
        except (Unreachable, NoSpace, TimeoutError):
            if error is None:
                raise
            # The stage's own failure is reported; the next command closes the run.

    def _close(self, run: "Run", error: BaseException | None) -> None:
        """Records, then closes. A training that is finished stays so when a later stage fails."""
        run_id = run.info.run_id
        try:
            if error is None:
                self._record(run)
            else:
                self._client.set_tag(run_id, FAILED_TAG, self.stage)
                log.log_notebook(self._client, run_id, self.executed)
        except BaseException as failure:
            error = error or failure
            raise
        finally:
            status = self._status_after(error) if error else "FINISHED"
            self.file.write(status=status)
            with self.store.hurried(error is not None):
                self._client.set_terminated(run_id, status)
            self.file.remove()

    def _status_after(self, error: BaseException) -> str:
        if self.status_before:
            return self.status_before
        return "KILLED" if isinstance(error, Interrupted) else "FAILED"

    def _record(self, run: "Run") -> None:
        """Logs what the stage made, and only then the model's hash, by which later stages find the
        run.

        A new run of a model that is known inherits what later stages logged: DVC does not run them
        again for it.
        """
        run_id = run.info.run_id
        earlier = self._run_of_model(run.info.experiment_id) if self.makes_model else None
        if earlier:
            log.inherit(self._client, earlier, run)
        if self.status_before:
            log.log_start(self._client, run_id, self.project, self.stages)
        if run.data.tags.get(FAILED_TAG) == self.stage:
            self._client.delete_tag(run_id, FAILED_TAG)
        log.log_results(self._client, run_id, self.project, self.stages)
        if self.makes_model:
            self._client.set_tag(run_id, MODEL_TAG, self._model_hash())
        names.rename(self._client, run_id, self.project)

    @property
    def _client(self) -> "MlflowClient":
        return self.store.client

    def _begun(self) -> "Future[Run]":
        """The run, opened in a thread that may be abandoned when the stage is interrupted."""
        if self._opening is None:
            self._opening = Future()
            Thread(target=_fulfil, args=(self._opening, self._open), daemon=True).start()
        return self._opening

    def _open(self) -> "Run":
        with self.store.answering(self.stage):
            self.file.write()
            experiment_id = self.store.experiment_id()
            run = self._run_of_model(experiment_id) if self.takes_model else None
            return self._reopen(run) if run else self._create(experiment_id)

    def _reopen(self, run: "Run") -> "Run":
        was_open = run.info.status == "RUNNING"
        self.status_before = "FINISHED" if was_open else run.info.status
        self.file.write(run_id=run.info.run_id, status=self.status_before)
        self._client.update_run(run.info.run_id, status="RUNNING")
        return run

    def _create(self, experiment_id: str) -> "Run":
        """A run for a new model, or for one that came from another machine: with the stages that
        led to it.
        """
        run = self._client.create_run(experiment_id, run_name=self.stage, tags=self._tags())
        self.file.write(run_id=run.info.run_id)
        self.stages = [*self.project.upstream(self.stage), self.stage]
        log.log_start(self._client, run.info.run_id, self.project, self.stages)
        return run

    def _run_of_model(self, experiment_id: str) -> "Run | None":
        """The newest run of the model that is in the project."""
        found = self._client.search_runs(
            [experiment_id],
            f"tags.{MODEL_TAG} = '{self._model_hash()}'",
            max_results=1,
            order_by=["attributes.start_time DESC"],
        )
        return found[0] if found else None

    def _model_hash(self) -> str:
        return dvc_hash(self.project.root / MODEL_FILE)

    def _tags(self) -> dict[str, str]:
        tags = {
            "mlflow.source.name": f"notebooks/{self.stage}.ipynb",
            "mlflow.source.type": "NOTEBOOK",
            OPENED_BY: self.file.run.token,
            names.NAME_TAG: self.stage,
        }
        if self.takes_model:
            tags[MODEL_TAG] = self._model_hash()
        commit = git(self.project.root, "rev-parse", "HEAD")
        if commit:
            changes = git(self.project.root, "status", "--porcelain", "--", ".", *OUTPUTS)
            tags["mlflow.source.git.commit"] = commit
            tags["git_dirty"] = str(bool(changes)).lower()
        return tags


def _fulfil(future: "Future[Run]", open_run: Callable[[], "Run"]) -> None:
    try:
        future.set_result(open_run())
    except BaseException as error:
        future.set_exception(error)
