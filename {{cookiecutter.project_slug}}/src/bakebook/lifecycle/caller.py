"""A program that asks the service, and counts what fails."""

from collections import Counter
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import urllib3

from bakebook.errors import first_line

TIMEOUT_S = 30.0


class Caller:
    """Asks the service at an address."""

    def __init__(self, address: str) -> None:
        self.requests = 0
        self.failures = Counter[str]()  # how many for each reason
        self._address = address
        self._pool = urllib3.PoolManager(timeout=TIMEOUT_S, retries=False)

    def predict(self, rows: Sequence[Mapping[str, object]]) -> list[str]:
        """The ids of the predictions; none where the request failed."""
        return [one["id"] for one in self._post("/predict", rows) or ()]

    def label(self, labels: Mapping[str, object]) -> None:
        """Sends labels of predictions, by their ids."""
        self._post("/feedback", [{"id": id_, "label": label} for id_, label in labels.items()])

    def is_answered(self, version: str = "") -> bool:
        """Whether a model, or this one, answers now."""
        try:
            answer = self._pool.request("GET", f"{self._address}/health/ready")
        except urllib3.exceptions.HTTPError:
            return False
        known = answer.json().get("model_version", "")
        return answer.status == HTTPStatus.OK and version in ("", known)

    def _post(self, path: str, content: object) -> Any:
        self.requests += 1
        try:
            answer = self._pool.request("POST", self._address + path, json=content)
        except urllib3.exceptions.HTTPError as error:
            self.failures[first_line(error)] += 1
            return None
        if answer.status == HTTPStatus.OK:
            return answer.json()
        said = answer.data.decode("utf-8", "replace")
        self.failures[f"{path} answered {answer.status}: {first_line(said)}"] += 1
        return None
