"""A model of MLflow's registry, by its REST interface: the service needs no client of MLflow for it."""

import base64
import json
import os
import re
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from ..errors import BadInput, Unreachable, first_line
from ..paths import METRICS, MODEL_CARD, ONNX, PLOTS, ROOT, SIGNATURE
from .models import Refused

PATIENCE = 5  # seconds for one answer of the server
LARGEST = 1 << 30  # bytes of one file
ADDRESS = re.compile(r"models:/(?P<name>[^@/]+)@(?P<alias>[\w.-]+)")
NEEDED, WELCOME = (ONNX, SIGNATURE), (MODEL_CARD, METRICS)


class Registry:
    """The version of a registered model that bears an alias: `models:/wine-quality@champion`."""

    def __init__(self, address: str, server: str) -> None:
        found = ADDRESS.fullmatch(address)
        if not found or not server.startswith(("http://", "https://")):
            raise BadInput(
                f"NB_MODEL={address} needs the form models:/NAME@ALIAS and a server in MLFLOW_TRACKING_URI"
                " (http://…) → set both, or neither: then the pipeline's files are served"
            )
        self.name, self._model, self._server = address, found.groupdict(), server.rstrip("/")
        self._version: dict[str, Any] = {}

    def mark(self) -> str:
        """Changes whenever the alias does. Raises Unreachable, or BadInput when nothing bears the alias."""
        answer = self._get("api/2.0/mlflow/registered-models/alias", **self._model)
        try:
            self._version = dict(json.loads(answer)["model_version"])
        except (ValueError, KeyError, TypeError):
            raise Unreachable("what answers is no MLflow → mend MLFLOW_TRACKING_URI") from None
        return f"{self.name} version {self._version['version']}, run {self._version['run_id']}"

    def fetch(self, folder: Path) -> None:
        """Downloads what `mark` saw: model, signature, card, metrics and plots, as its training's run keeps them."""
        for path in (*NEEDED, *WELCOME):
            try:
                (folder / path.name).write_bytes(self._file(path.relative_to(ROOT).as_posix()))
            except BadInput as error:
                if path in NEEDED:
                    raise Refused(str(error)) from None
        (folder / "plots").mkdir()
        plots = PLOTS.relative_to(ROOT).as_posix()
        listed = self._get("api/2.0/mlflow/artifacts/list", run_id=self._version["run_id"], path=plots)
        for one in json.loads(listed).get("files", []):
            name = one["path"].rpartition("/")[2]
            if re.fullmatch(r"[\w-]+\.png", name):
                (folder / "plots" / name).write_bytes(self._file(f"{plots}/{name}"))

    def _file(self, path: str) -> bytes:
        return self._get("get-artifact", path=path, run_uuid=self._version["run_id"])

    def _get(self, route: str, /, **query: str) -> bytes:
        request = Request(f"{self._server}/{route}?{urlencode(query)}", headers=_credentials())  # noqa: S310 - http(s)
        try:
            with urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310 - the same
                content: bytes = answer.read(LARGEST)
                return content
        except HTTPError as error:
            with error:
                if error.code in (401, 403):
                    raise Unreachable("MLflow lets nobody in → set MLFLOW_TRACKING_TOKEN, or …_USERNAME") from None
                if error.code >= 500:
                    raise Unreachable(f"MLflow answers {error.code} → look at its log") from None
                raise BadInput(f"MLflow has no {' '.join(query.values())} → see {self.name} there") from None
        except (URLError, OSError, HTTPException) as error:
            reason = first_line(getattr(error, "reason", None) or error)
            raise Unreachable(f"MLflow does not answer: {reason} → start it, or mend MLFLOW_TRACKING_URI") from None


def _credentials() -> dict[str, str]:
    """The variables that MLflow's own client takes."""
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return {"Authorization": f"Bearer {token}"}
    if user := os.environ.get("MLFLOW_TRACKING_USERNAME"):
        pair = f"{user}:{os.environ.get('MLFLOW_TRACKING_PASSWORD', '')}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return {}
