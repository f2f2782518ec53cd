"""An MLflow store: reached within seconds, opened by several
processes, its errors in one sentence.
"""

import logging
import os
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakebook.errors import NoSpace, Unreachable, first_line, out_of_space
from bakebook.files import read_pyproject

if TYPE_CHECKING:
    from mlflow import MlflowClient

# A server that stops answering is asked again after 0, 6, 12, 24 and 48 seconds; MLflow's defaults
# take ten minutes.
PATIENT = {"MAX_RETRIES": "5", "BACKOFF_FACTOR": "3", "TIMEOUT": "20"}
HURRIED = {"MAX_RETRIES": "0", "TIMEOUT": "2"}
HTTP_VARIABLE = "MLFLOW_HTTP_REQUEST_"
QUIET = {"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
HEALTH_TIMEOUT_S = 3
LOCK_TIMEOUT_S = 60
SQLITE = "sqlite:///"
ARTIFACTS = "project:mlartifacts"  # below the folder of mlflow.db (plugins/mlflow_artifacts.py)
# MLflow's page for training, not for chats
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}


class Store:
    """The store that MLFLOW_TRACKING_URI names, else `mlflow.db` in the project; with the project's
    experiment.
    """

    def __init__(self, root: Path, uri: str | None = None) -> None:
        self.root = root
        self.uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}mlflow.db"
        if self.uri.startswith(SQLITE):  # the same file from any folder
            file = root / self.uri.removeprefix(SQLITE)
            self.uri = f"{SQLITE}{file.as_posix()}"

    @cached_property
    def experiment(self) -> str:
        """The name of the experiment: MLFLOW_EXPERIMENT_NAME, else the project's name."""
        given = os.environ.get("MLFLOW_EXPERIMENT_NAME")
        return given or read_pyproject(self.root, "project", "name")

    @property
    def shown(self) -> str:
        """The URI without the secrets that it may contain."""
        return without_credentials(self.uri.partition("?")[0])

    @property
    def is_server(self) -> bool:
        return self.uri.startswith(("http://", "https://"))

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever recorded: the file of the store does not exist. MLflow's client
        would create it.
        """
        return self.uri.startswith(SQLITE) and not Path(self.uri.removeprefix(SQLITE)).is_file()

    def reach(self) -> None:
        """Raises Unreachable within seconds when the store is a server that does not answer."""
        if not self.is_server:
            return
        page = without_credentials(self.uri.rstrip("/"), "") + "/health"
        try:
            answer = urllib.request.urlopen(page, timeout=HEALTH_TIMEOUT_S)  # noqa: S310 - http(s)
            answer.close()
        except urllib.error.HTTPError:
            return  # it answers; MLflow reports whether it lets us in
        except (OSError, ValueError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, ssl.SSLError):
                return  # it answers; MLflow has settings of its own for trusting it
            what = f"the MLflow server {self.shown} does not answer ({reason})"
            raise Unreachable(what, "start it, or unset MLFLOW_TRACKING_URI") from None

    @cached_property
    def client(self) -> "MlflowClient":
        """MLflow's client. The first call takes seconds, because it imports MLflow."""
        _configure_mlflow()
        from mlflow import MlflowClient

        return MlflowClient(self.uri)

    @contextmanager
    def hurried(self, when: bool = True) -> Iterator[None]:
        """Within it, a server that does not answer at once is given up."""
        names = {HTTP_VARIABLE + name: value for name, value in HURRIED.items() if when}
        before = {name: os.environ.get(name) for name in names}
        os.environ.update(names)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value

    @contextmanager
    def answering(self, what: str, again: str = "dvc repro") -> Iterator[None]:
        """Turns a store's own errors into one sentence, which begins with what is being done and
        ends with how to go on; a stage's outputs exist already.
        """
        _configure_mlflow()
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (MlflowException, SQLAlchemyError, OSError) as error:
            reason = without_credentials(first_line(error))
            failure = NoSpace if out_of_space(error) else Unreachable
            sentence = f"{what}: MLflow at {self.shown} cannot record ({reason})"
            raise failure(sentence, f"fix the store, then {again}") from error

    def experiment_id(self, suffix: str = "") -> str:
        """The experiment, or one with another end of the name, which is created when it does not
        exist.
        """
        name = self.experiment + suffix
        if not self.uri.startswith(SQLITE):
            return self._found_or_created(name, artifacts=None)
        from filelock import FileLock

        file = Path(self.uri.removeprefix(SQLITE))
        with FileLock(file.with_name(f"{file.name}.lock"), timeout=LOCK_TIMEOUT_S):
            if not file.exists():
                self._create_file()
            return self._found_or_created(name, ARTIFACTS)

    def _create_file(self) -> None:
        """Creates the SQLite file, as MLflow's server does: with its own experiment, `Default`,
        which else would keep its files in the folder in which this process happens to run.
        """
        _configure_mlflow()
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        SqlAlchemyStore(self.uri, ARTIFACTS)

    def _found_or_created(self, name: str, artifacts: str | None) -> str:
        from mlflow.exceptions import MlflowException

        found: Any = self.client.get_experiment_by_name(name)
        if found:
            return found.experiment_id
        try:
            return self.client.create_experiment(name, artifacts, EXPERIMENT_TAGS)
        except MlflowException:  # another pipeline was faster
            found = self.client.get_experiment_by_name(name)
            return found.experiment_id


def without_credentials(text: str, replacement: str = "***@") -> str:
    """The text without the user and password of each address."""
    return re.sub(r"//[^\s@]*@", f"//{replacement}", text)


def _configure_mlflow() -> None:
    """Sets how patient MLflow is, and which messages it prints; variables that the user has set
    win.
    """
    defaults = QUIET | {HTTP_VARIABLE + name: value for name, value in PATIENT.items()}
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    if "MLFLOW_LOGGING_LEVEL" not in os.environ:  # which MLflow reads only when it is imported
        import mlflow

        for name in (mlflow.__name__, "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        # it prints a traceback of what `answering` says in a sentence
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
