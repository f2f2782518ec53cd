"""An MLflow store: reached within seconds, opened by many at once, its errors in one sentence."""

import os
import re
import ssl
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cached_property
from http.client import HTTPException
from pathlib import Path
from typing import Any

from ..errors import NoSpace, Unreachable, first_line, out_of_space

# A server that dies is asked again after 0, 6, 12, 24 and 48 seconds; MLflow's own defaults go on for ten minutes.
PATIENT = {"MAX_RETRIES": "5", "BACKOFF_FACTOR": "3", "TIMEOUT": "20"}
HURRIED = {"MAX_RETRIES": "0", "TIMEOUT": "2"}


class Store:
    """The store that MLFLOW_TRACKING_URI names, else `mlflow.db` in the project; with the project's experiment."""

    def __init__(self, root: Path, uri: str | None = None) -> None:
        self.root = root
        named = uri or os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
        file = named.removeprefix("sqlite:///")
        self.uri = f"sqlite:///{(root / file).as_posix()}" if file != named else named  # seen from any folder

    @cached_property
    def experiment(self) -> str:
        pyproject = tomllib.loads((self.root / "pyproject.toml").read_text(encoding="utf-8"))
        return os.environ.get("MLFLOW_EXPERIMENT_NAME") or pyproject["project"]["name"]

    @property
    def shown(self) -> str:
        """The URI without the secrets that it may hold."""
        return _masked(self.uri.partition("?")[0])

    def reach(self) -> None:
        """Raises Unreachable within seconds when it is a server and does not answer."""
        if not self.uri.startswith(("http://", "https://")):
            return
        page = _masked(self.uri.rstrip("/"), "") + "/health"
        try:
            urllib.request.urlopen(page, timeout=3).close()  # noqa: S310 - http and https only, see above
        except urllib.error.HTTPError:
            return  # it answers; whether it lets us in is said by MLflow
        except (OSError, ValueError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, ssl.SSLError):
                return  # it answers; whether it is trusted is MLflow's to say, which has settings of its own for that
            what = f"the MLflow server {self.shown} does not answer ({reason})"
            raise Unreachable(f"{what} → start it, or unset MLFLOW_TRACKING_URI") from None

    @cached_property
    def client(self) -> Any:
        """MLflow's client. Takes seconds: MLflow is imported."""
        _before_import()
        from mlflow import MlflowClient

        return MlflowClient(self.uri)

    @contextmanager
    def hurried(self, when: bool = True) -> Iterator[None]:
        """Within it, a server that does not answer at once is given up."""
        names = {f"MLFLOW_HTTP_REQUEST_{name}": value for name, value in HURRIED.items() if when}
        before = {name: os.environ.get(name) for name in names}
        os.environ.update(names)
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                os.environ.update({name: value} if value is not None else {})

    @contextmanager
    def answering(self, stage: str) -> Iterator[None]:
        """Turns a store's own errors into one sentence; what the stage computed is there already."""
        _before_import()
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (MlflowException, SQLAlchemyError, OSError) as error:
            what = f"MLflow at {self.shown} does not record ({_masked(first_line(error))})"
            kind = NoSpace if out_of_space(error) else Unreachable
            raise kind(f"{stage}: {what} → mend it, then dvc repro") from error

    def experiment_id(self) -> str:
        """The experiment, made when it is not there; the tables of a new SQLite file are made by one process alone."""
        with self._first_use():
            found = self.client.get_experiment_by_name(self.experiment)
            return found.experiment_id if found else self._create_experiment()

    def _first_use(self) -> Any:
        if not self.uri.startswith("sqlite:///"):
            return nullcontext()
        from filelock import FileLock

        file = Path(self.uri.removeprefix("sqlite:///"))
        return FileLock(file.with_name(f"{file.name}.lock"), timeout=60)

    def _create_experiment(self) -> str:
        from mlflow.exceptions import MlflowException

        kind = {"mlflow.experimentKind": "custom_model_development"}  # the page for training, not that for chats
        place = (self.root / "mlartifacts").as_uri() if self.uri.startswith("sqlite:") else None
        try:
            return self.client.create_experiment(self.experiment, place, kind)
        except MlflowException:  # another pipeline was faster
            return self.client.get_experiment_by_name(self.experiment).experiment_id


def _masked(text: str, instead: str = "***@") -> str:
    """The text with the user and password of each address taken out."""
    return re.sub(r"//[^\s@]*@", f"//{instead}", text)


def _before_import() -> None:
    """What MLflow reads from the environment when it is imported; a value of the user's wins."""
    names = {"MLFLOW_LOGGING_LEVEL": "ERROR", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
    for name, value in (names | {f"MLFLOW_HTTP_REQUEST_{name}": value for name, value in PATIENT.items()}).items():
        os.environ.setdefault(name, value)
