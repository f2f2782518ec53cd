"""One MLflow run per trained model: `train` opens it, the later stages log to the run of the model they were given."""

import os
import re
import subprocess
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from http.client import HTTPException
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import BadInput, Unreachable, first_line
from ..paths import dvc_hash
from . import imports, notebooks, recording
from .project import Project
from .recording import MODEL_FILE

MODEL_TAG = "model_md5"


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
        self.status_before: str | None = None
        self._opening: Future[Any] | None = None

    @property
    def active(self) -> bool:
        return self.makes_model or self.takes_model

    @cached_property
    def uri(self) -> str:
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(self.project.root / 'mlflow.db').as_posix()}"

    @cached_property
    def experiment(self) -> str:
        pyproject = tomllib.loads((self.project.root / "pyproject.toml").read_text(encoding="utf-8"))
        return os.environ.get("MLFLOW_EXPERIMENT_NAME") or pyproject["project"]["name"]

    def __enter__(self) -> "Tracking":
        if self.active:
            _reach(self.uri)
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
        names = {"MLFLOW_TRACKING_URI": self.uri, "MLFLOW_EXPERIMENT_NAME": self.experiment}
        if self.active and "mlflow" in imports.third_party(notebooks.syntax(self.project.notebooks[self.stage])):
            names["MLFLOW_RUN_ID"] = self._begun().result().info.run_id
        return names

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.active:
            return
        try:
            run = self._begun().result()
        except Unreachable:
            if kind is None:
                raise
            return  # the stage's own failure is the one to tell
        killed = kind is not None and issubclass(kind, KeyboardInterrupt | SystemExit)
        failed = "KILLED" if killed else "FAILED"
        status = "FINISHED" if kind is None else self.status_before or failed
        with self._answering():
            try:
                if kind is None:
                    self._record(run)
                else:  # a training that is finished stays so when a later stage fails
                    self._client.set_tag(run.info.run_id, "failed_stage", self.stage)
                    recording.log_notebook(self._client, run.info.run_id, self.executed)
            except BaseException:
                status = self.status_before or "FAILED"
                raise
            finally:
                self._client.set_terminated(run.info.run_id, status)

    def _record(self, run: Any) -> None:
        for path in self.project.files(self.stage, "outs", "metrics"):
            if not (self.project.root / path).exists():
                raise BadInput(f"{self.stage} left no {path} → write it in the notebook, or remove it from dvc.yaml")
        if self.makes_model:
            self._name_model(run)
        if self.status_before:
            recording.log_start(self._client, run.info.run_id, self.project, self.stages)
        if run.data.tags.get("failed_stage") == self.stage:
            self._client.delete_tag(run.info.run_id, "failed_stage")
        recording.log_results(self._client, run.info.run_id, self.project, self.stages)

    def _name_model(self, run: Any) -> None:
        """Tags the run with its model's hash, and takes over what later stages already said of the same model.

        DVC does not run them again for a model that came out the same.
        """
        earlier = next(self._runs_of_model(run.info.experiment_id), None)
        self._client.set_tag(run.info.run_id, MODEL_TAG, dvc_hash(self.project.root / MODEL_FILE))
        if earlier:
            recording.inherit(self._client, earlier, run)

    @cached_property
    def _client(self) -> Any:
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        from mlflow import MlflowClient

        return MlflowClient(self.uri)

    def _begun(self) -> Future[Any]:
        if self._opening is None:
            self._opening = ThreadPoolExecutor(1).submit(self._open)
        return self._opening

    def _open(self) -> Any:
        with self._answering():
            experiment = self._client.get_experiment_by_name(self.experiment)
            identity = experiment.experiment_id if experiment else self._create_experiment()
            run = next(self._runs_of_model(identity), None) if self.takes_model else None
            if run:
                self.status_before = run.info.status if run.info.status != "RUNNING" else "FINISHED"
                self._client.update_run(run.info.run_id, status="RUNNING")
            else:  # a new model, or one that came from another machine: what led to it belongs to the run
                run = self._client.create_run(identity, run_name=self.stage, tags=self._tags())
                self.stages = [*self.project.upstream(self.stage), self.stage]
                recording.log_start(self._client, run.info.run_id, self.project, self.stages)
            return run

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Turns a store's own errors into one sentence; what the stage computed is there already."""
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (MlflowException, SQLAlchemyError, OSError) as error:
            what = f"MLflow at {_shown(self.uri)} does not record ({first_line(error)})"
            raise Unreachable(f"{self.stage}: {what} → mend it, then dvc repro") from error

    def _create_experiment(self) -> str:
        kind = {"mlflow.experimentKind": "custom_model_development"}  # the page for training, not that for chats
        place = (self.project.root / "mlartifacts").as_uri() if self.uri.startswith("sqlite:") else None
        return self._client.create_experiment(self.experiment, place, kind)

    def _runs_of_model(self, experiment: str) -> Iterator[Any]:
        wanted = f"tags.{MODEL_TAG} = '{dvc_hash(self.project.root / MODEL_FILE)}'"
        return iter(
            self._client.search_runs([experiment], wanted, max_results=1, order_by=["attributes.start_time DESC"])
        )

    def _tags(self) -> dict[str, str]:
        tags = {"mlflow.source.name": f"notebooks/{self.stage}.ipynb", "mlflow.source.type": "NOTEBOOK"}
        if self.takes_model:
            tags[MODEL_TAG] = dvc_hash(self.project.root / MODEL_FILE)
        commit = _git(self.project.root, "rev-parse", "HEAD")
        if commit:
            changed = _git(self.project.root, "status", "--porcelain", "--", ".", ":!dvc.lock", ":!models", ":!reports")
            tags |= {"mlflow.source.git.commit": commit, "git_dirty": str(bool(changed)).lower()}
        return tags


def _reach(uri: str) -> None:
    """Raises Unreachable within seconds when an MLflow server does not answer."""
    if not uri.startswith(("http://", "https://")):
        return
    page = re.sub(r"//[^/@]*@", "//", uri.rstrip("/")) + "/health"
    try:
        urllib.request.urlopen(page, timeout=3).close()  # noqa: S310 - http and https only, see above
    except urllib.error.HTTPError:
        return  # it answers; whether it lets us in is said by MLflow
    except (OSError, ValueError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        what = f"the MLflow server {_shown(uri)} does not answer ({reason})"
        raise Unreachable(f"{what} → start it, or unset MLFLOW_TRACKING_URI") from None


def _shown(uri: str) -> str:
    """The URI without the password that it may hold."""
    return re.sub(r"//[^/@]*@", "//***@", uri)


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, encoding="utf-8", check=False
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
