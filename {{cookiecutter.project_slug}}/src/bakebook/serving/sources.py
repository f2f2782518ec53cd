"""Where models come from: the pipeline's files, or MLflow's registry by its REST interface."""

import base64
import json
import os
import re
import shutil
from http.client import HTTPException
from pathlib import Path
from typing import Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from bakebook.errors import BadInput, Unreachable, first_line
from bakebook.paths import COLUMNS, METRICS, MODEL_CARD, ONNX, PLOTS, ROOT, SIGNATURE
from bakebook.serving.deployments import Refused
from bakebook.settings import Settings

REQUIRED = (ONNX, SIGNATURE)
OPTIONAL = (COLUMNS, MODEL_CARD, METRICS)
REGISTRY_TIMEOUT_S = 5
LARGEST_FILE = 1 << 30  # bytes
REGISTERED_MODEL = re.compile(r"models:/(?P<name>[^@/]+)@(?P<alias>[\w.-]+)")
NOT_MLFLOW = ("the server that answers is not MLflow", "fix MLFLOW_TRACKING_URI")
FIX_ADDRESS = "start it, or fix MLFLOW_TRACKING_URI"


class Source(Protocol):
    """Where the service looks for another model."""

    name: str

    def mark(self) -> str:
        """A text that differs for each model. Raises BadInput when there is none, Unreachable
        without an answer.
        """

    def fetch(self, folder: Path) -> None:
        """Copies model, signature, card, metrics and plots to a folder. Raises Refused without a
        model.
        """


def source_of(settings: Settings) -> Source:
    """The registry when NB_MODEL names a registered model, else the pipeline's files."""
    return Registry(settings.model, settings.tracking_uri) if settings.model else PipelineFiles()


class PipelineFiles:
    """The model that the pipeline wrote in this project."""

    name = "the pipeline's files"

    def mark(self) -> str:
        """Sizes and times of model, signature and card; the card, which names its model, is written
        last.
        """
        for path in REQUIRED:
            if not path.is_file():
                raise BadInput(f"there is no {path.name} to serve", "dvc repro, or dvc pull")
        found = [path.stat() for path in (*REQUIRED, MODEL_CARD) if path.is_file()]
        return " ".join(f"{one.st_size}-{one.st_mtime_ns}" for one in found)

    def fetch(self, folder: Path) -> None:
        for path in (*REQUIRED, *OPTIONAL):
            if path.is_file():
                shutil.copyfile(path, folder / path.name)
        if PLOTS.is_dir():
            shutil.copytree(PLOTS, folder / PLOTS.name)


class Registry:
    """The version of a registered model that has an alias: `models:/NAME@champion`."""

    def __init__(self, address: str, server: str) -> None:
        found = REGISTERED_MODEL.fullmatch(address)
        if not found or not server.startswith(("http://", "https://")):
            raise BadInput(
                f"NB_MODEL={address} needs the form models:/NAME@ALIAS,"
                " and MLFLOW_TRACKING_URI a server (http://…)",
                "set both, or neither to serve the pipeline's files",
            )
        self.name = address
        self._model = found.groupdict()
        self._server = server.rstrip("/")
        self._run_id = ""

    def mark(self) -> str:
        """The version that has the alias, and its run."""
        answer = self._get("api/2.0/mlflow/registered-models/alias", **self._model)
        try:
            version = json.loads(answer)["model_version"]
            self._run_id = str(version["run_id"])
            return f"{self.name} version {version['version']}, run {self._run_id}"
        except (ValueError, KeyError, TypeError):
            raise Unreachable(*NOT_MLFLOW) from None

    def fetch(self, folder: Path) -> None:
        """Downloads the files of the run that `mark` found."""
        for path in (*REQUIRED, *OPTIONAL):
            try:
                content = self._file(path.relative_to(ROOT).as_posix())
            except BadInput as error:
                if path in REQUIRED:
                    raise Refused(error.what) from None
            else:
                (folder / path.name).write_bytes(content)
        (folder / PLOTS.name).mkdir()
        plots = PLOTS.relative_to(ROOT).as_posix()
        for name in self._listed(plots):
            if re.fullmatch(r"[\w-]+\.png", name):
                (folder / PLOTS.name / name).write_bytes(self._file(f"{plots}/{name}"))

    def _listed(self, path: str) -> list[str]:
        """The names of the files in a folder of the run."""
        answer = self._get("api/2.0/mlflow/artifacts/list", run_id=self._run_id, path=path)
        try:
            files = json.loads(answer).get("files", [])
            return [file["path"].rpartition("/")[2] for file in files]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Unreachable(*NOT_MLFLOW) from None

    def _file(self, path: str) -> bytes:
        return self._get("get-artifact", path=path, run_uuid=self._run_id)

    def _get(self, route: str, /, **query: str) -> bytes:
        url = f"{self._server}/{route}?{urlencode(query)}"
        request = Request(url, headers=_credentials())  # noqa: S310 - http or https, see above
        try:
            with urlopen(request, timeout=REGISTRY_TIMEOUT_S) as answer:  # noqa: S310 - the same
                content: bytes = answer.read(LARGEST_FILE)
                return content
        except HTTPError as error:
            with error:
                raise self._refusal(error.code, query) from None
        except (URLError, OSError, HTTPException) as error:
            reason = first_line(getattr(error, "reason", None) or error)
            raise Unreachable(f"MLflow does not answer: {reason}", FIX_ADDRESS) from None

    def _refusal(self, status: int, query: dict[str, str]) -> BadInput | Unreachable:
        if status in (401, 403):
            remedy = "set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and …_PASSWORD"
            return Unreachable("MLflow refuses access", remedy)
        if status >= 500:
            return Unreachable(f"MLflow answers {status}", "see its log")
        return BadInput(f"MLflow has no {' '.join(query.values())}", f"see {self.name} there")


def _credentials() -> dict[str, str]:
    """The header for the variables that MLflow's own client reads."""
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return {"Authorization": f"Bearer {token}"}
    if user := os.environ.get("MLFLOW_TRACKING_USERNAME"):
        pair = f"{user}:{os.environ.get('MLFLOW_TRACKING_PASSWORD', '')}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return {}
