"""MLflow's registry as the service reads it, without MLflow: the server's REST interface, or the
project's own mlflow.db.
"""

import base64
import json
import os
import re
import sqlite3
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlencode, urlparse
from urllib.request import Request, urlopen

from bakebook.errors import BadInput, Unreachable, first_line
from bakebook.paths import COLUMNS, METRICS, MODEL_CARD, ONNX, PLOTS, ROOT, SIGNATURE
from bakebook.serving.deployments import Refused

REQUIRED = (ONNX, SIGNATURE)
OPTIONAL = (COLUMNS, MODEL_CARD, METRICS)
TIMEOUT_S = 5
LARGEST_FILE = 1 << 30  # bytes
LONGEST_ERROR = 10_000
# MLflow's names for a model, and for an alias, that do not exist
NO_ALIAS = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
PICTURE = re.compile(r"[\w-]+\.png")
NOT_MLFLOW = ("the server that answers is not MLflow", "fix MLFLOW_TRACKING_URI")
FIX_ADDRESS = "start it, or fix MLFLOW_TRACKING_URI"
# The tables of mlflow.db are no public interface: a test compares the answer with MLflow's own
VERSION = """
    SELECT a.version, v.run_id, r.artifact_uri
    FROM registered_model_aliases a
    JOIN model_versions v ON v.name = a.name AND v.version = a.version
    JOIN runs r ON r.run_uuid = v.run_id
    WHERE a.name = ? AND a.alias = ?
"""


class NoChampion(BadInput):
    """No version of the registered model has the alias."""


class Registry(Protocol):
    """Where a registered model is looked up: the server, or the file."""

    def find(self, name: str, alias: str) -> tuple[str, str]:
        """The number of the version that has the alias, and its run. Raises NoChampion,
        Unreachable.
        """

    def read(self, run_id: str, path: str) -> bytes:
        """A file of the run. Raises BadInput when there is none."""

    def listed(self, run_id: str, path: str) -> list[str]:
        """The names of the files in a folder of the run."""


def source_name(name: str, alias: str) -> str:
    """How a registered model is addressed."""
    return f"models:/{name}@{alias}"


def of_version(number: str, run_id: str) -> str:
    """What tells a version from others: the end of a mark."""
    return f"version {number}, run {run_id}"


class Champion:
    """The version of a registered model that has an alias: `models:/NAME@champion`."""

    def __init__(self, name: str, alias: str, registry: Registry) -> None:
        self.name = source_name(name, alias)
        self._key = (name, alias)
        self._registry = registry
        self._run_id = ""
        self.version = ""  # the one that `mark` found

    def mark(self) -> str:
        """The version that has the alias, and its run."""
        number, self._run_id = self._registry.find(*self._key)
        self.version = of_version(number, self._run_id)
        return f"{self.name} {self.version}"

    def read(self, name: str) -> bytes:
        """A file of the run that `mark` found, by its place there. Raises BadInput without one."""
        return self._registry.read(self._run_id, name)

    def fetch(self, folder: Path) -> None:
        """Copies the files of the run that `mark` found."""
        for path in (*REQUIRED, *OPTIONAL):
            try:
                content = self._registry.read(self._run_id, path.relative_to(ROOT).as_posix())
            except BadInput as error:
                if path in REQUIRED:
                    raise Refused(error.what) from None
            else:
                (folder / path.name).write_bytes(content)
        (folder / PLOTS.name).mkdir()
        plots = PLOTS.relative_to(ROOT).as_posix()
        for name in self._registry.listed(self._run_id, plots):
            if PICTURE.fullmatch(name):
                content = self._registry.read(self._run_id, f"{plots}/{name}")
                (folder / PLOTS.name / name).write_bytes(content)


class RegistryFile:
    """The registry in an `mlflow.db`, whose runs keep their files beside it or on this machine."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._folders: dict[str, str] = {}

    def find(self, name: str, alias: str) -> tuple[str, str]:
        """See Registry."""
        if not self._file.is_file():
            raise NoChampion(f"there is no {self._file.name}", "nb promote")
        try:
            with closing(sqlite3.connect(f"{self._file.as_uri()}?mode=ro", uri=True)) as store:
                row = store.execute(VERSION, (name, alias)).fetchone()
        except sqlite3.Error as error:
            raise Unreachable(f"{self._file.name} cannot be read: {error}", "nb doctor") from None
        if row is None:
            raise NoChampion(f"no version of {name} has the alias {alias}", "nb promote")
        number, run_id, folder = row
        self._folders = {str(run_id): str(folder)}
        return str(number), str(run_id)

    def read(self, run_id: str, path: str) -> bytes:
        """See Registry."""
        try:
            return (self._folder(run_id) / path).read_bytes()
        except OSError as error:
            raise BadInput(f"MLflow's run {run_id} has no {path} ({error.strerror})") from None

    def listed(self, run_id: str, path: str) -> list[str]:
        """See Registry."""
        folder = self._folder(run_id) / path
        return sorted(one.name for one in folder.iterdir()) if folder.is_dir() else []

    def _folder(self, run_id: str) -> Path:
        """Where the run's files are: `project:` is the folder of the store's file."""
        address = urlparse(self._folders[run_id])
        path = unquote(address.path)
        if address.scheme == "project":
            return self._file.parent / path
        if address.scheme in ("", "file"):
            return Path(path)
        what = f"the files of MLflow's run {run_id} are not on this machine ({address.scheme}:)"
        raise BadInput(what, "serve them from MLflow's server: set MLFLOW_TRACKING_URI")


class RegistryServer:
    """The registry of an MLflow server."""

    def __init__(self, address: str) -> None:
        self._server = address.rstrip("/")

    def find(self, name: str, alias: str) -> tuple[str, str]:
        """See Registry."""
        answer = self._get("api/2.0/mlflow/registered-models/alias", name=name, alias=alias)
        try:
            version = json.loads(answer)["model_version"]
            return str(version["version"]), str(version["run_id"])
        except (ValueError, KeyError, TypeError):
            raise Unreachable(*NOT_MLFLOW) from None

    def read(self, run_id: str, path: str) -> bytes:
        """See Registry."""
        return self._get("get-artifact", path=path, run_uuid=run_id)

    def listed(self, run_id: str, path: str) -> list[str]:
        """See Registry."""
        answer = self._get("api/2.0/mlflow/artifacts/list", run_id=run_id, path=path)
        try:
            files = json.loads(answer).get("files", [])
            return [file["path"].rpartition("/")[2] for file in files]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Unreachable(*NOT_MLFLOW) from None

    def _get(self, route: str, /, **query: str) -> bytes:
        url = f"{self._server}/{route}?{urlencode(query)}"
        request = Request(url, headers=_credentials())  # noqa: S310 - http or https, see above
        try:
            with urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - the same
                content: bytes = answer.read(LARGEST_FILE)
                return content
        except HTTPError as error:
            with error:
                raise self._refusal(error, query) from None
        except (URLError, OSError, HTTPException) as error:
            reason = first_line(getattr(error, "reason", None) or error)
            raise Unreachable(f"MLflow does not answer: {reason}", FIX_ADDRESS) from None

    def _refusal(self, error: HTTPError, query: dict[str, str]) -> BadInput | Unreachable:
        if error.code in (401, 403):
            remedy = "set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and …_PASSWORD"
            return Unreachable("MLflow refuses access", remedy)
        what = f"MLflow has no {' '.join(query.values())}"
        if _error_code(error) in NO_ALIAS:
            return NoChampion(what, "nb promote makes a version")
        if error.code == HTTPStatus.NOT_FOUND or _error_code(error):
            return BadInput(what, "nb promote makes a version")
        return Unreachable(f"MLflow answers {error.code}", "see its log")


def _error_code(error: HTTPError) -> str:
    """MLflow's own name of an error; empty where another program answers."""
    try:
        return str(json.loads(error.read(LONGEST_ERROR))["error_code"])
    except (ValueError, KeyError, TypeError, OSError):
        return ""


def _credentials() -> dict[str, str]:
    """The header for the variables that MLflow's own client reads."""
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return {"Authorization": f"Bearer {token}"}
    if user := os.environ.get("MLFLOW_TRACKING_USERNAME"):
        pair = f"{user}:{os.environ.get('MLFLOW_TRACKING_PASSWORD', '')}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return {}
