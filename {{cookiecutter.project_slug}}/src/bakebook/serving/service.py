"""The parts of a running service, and how they act together: predict, label, look for another
model.
"""

import asyncio
import contextlib
import json
import math
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import structlog

from bakebook.contracts import as_json
from bakebook.database import backup
from bakebook.database.store import Store
from bakebook.errors import BadInput, Unreachable, first_line
from bakebook.serving.auth import Access, Caller
from bakebook.serving.deployments import Deployments, Refused, Served
from bakebook.serving.metrics import Metrics
from bakebook.serving.predictor import Answer, Job, Predictor
from bakebook.serving.problems import TooMany, wrong
from bakebook.serving.schemas import Row
from bakebook.serving.sources import source_of
from bakebook.settings import Settings
from bakebook.tables.values import as_text, fold

log = structlog.get_logger()
FILES_AT_ONCE = 3  # that are predicted; each takes threads that everything else shares

LabelValue = str | float | bool


class Service:
    """What the routes act upon. `start` before the first request, `close` after the last."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = Store(settings.database)
        self.access = Access(settings, self.store)
        self.deployments = Deployments(settings.state / "models")
        self.metrics = Metrics()
        self.files = asyncio.Semaphore(FILES_AT_ONCE)
        self.served: Served
        self._source = source_of(settings, self._has_served)
        self._ledger_ns = 0
        self._mark = ""  # of the last candidate that was inspected
        self._predictor: Predictor
        self._second = 0
        self._requests = Counter[str]()

    def start(self) -> None:
        """Verifies and loads the newest model, or loads the last verified one. Raises why there is
        none.
        """
        self.settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        backup.upgrade(self.store)
        self.access.refresh()
        with contextlib.suppress(BadInput):  # the model that served last need not be verified again
            self._mark = self.deployments.load(self.settings.max_rows).deployment.mark
        try:
            self._adopt_new()
        except Exception as error:
            if not self.deployments.ledger().adopted:
                raise
            log.warning("model kept", reason=first_line(error))
        self._load()
        self._predictor = Predictor(self.store)

    def close(self) -> None:
        self._predictor.close()
        self.store.close()

    def check(self) -> None:
        """Raises Unreachable where the database does not answer or did not store a prediction."""
        self.store.version()
        self._predictor.check()

    def show_report(self) -> None:
        """Sets the gauges to what the monitor found last; without a database they stay."""
        with contextlib.suppress(Unreachable):
            report = self.store.last_report()
            if report:
                self.metrics.show_report(report["made_at"], report["content"]["monitoring"])

    def poll(self) -> None:
        """Takes another verified model between two requests, and logs one that is refused."""
        try:
            self._adopt_new()
        except Refused as error:
            self.metrics.refused.inc()
            log.error("model refused", reason=error.reason, serving=self.served.version)
        except (BadInput, Unreachable) as error:
            log.debug("no other model", reason=str(error))
        finally:
            if self.deployments.modified_ns() != self._ledger_ns:
                self._load()

    async def predict(
        self, rows: list[Row], served: Served, caller: Caller, *, request_id: str, started: float
    ) -> list[Answer]:
        """The answers to checked rows, each committed; `started` is the request's arrival by
        time.perf_counter.
        """
        sample = self.settings.sample
        job = Job(rows, served, caller.name, request_id, started, sample)
        answers = await self._predictor.answer(job)
        for answer in answers:
            for warning in answer["warnings"]:
                self.metrics.unfamiliar.labels(warning["input"] or "", warning["reason"]).inc()
            predicted = answer["predicted"] if answer["probabilities"] else "a number"
            self.metrics.predictions.labels(served.version, predicted).inc()
        if self.settings.log_inputs:
            log.info("inputs", request_id=request_id, rows=rows)
        return answers

    def label(self, given: Sequence[tuple[str, LabelValue]], caller: Caller) -> list[bool]:
        """Whether each label (prediction id, truth) was new. Raises WrongRows for an invalid label,
        KeyError for an id.
        """
        classes = self.store.classes([id_ for id_, _ in given])
        labels = []
        for place, (id_, label) in enumerate(given):
            labels.append((id_, self._as_label(place, label, classes[id_])))
        new = self.store.add_labels(labels, caller.name)
        self.metrics.labels.inc(sum(new))
        return new

    def check_labels(self, given: Sequence[str | None], served: Served, first: int) -> None:
        """Raises WrongRows for the first label of a table that its rows cannot have; `first` is the
        number of its first row.
        """
        classes = list(served.model.classes or ())
        for place, label in enumerate(given, first):
            if label is not None:
                self._as_label(place, label, classes, served.signature.target)

    def count_request(self, caller: str) -> None:
        """Counts one more request of a caller in this second. Raises TooMany above the limit."""
        second = int(time.monotonic())
        if second != self._second:
            self._second = second
            self._requests = Counter()
        self._requests[caller] += 1
        if self._requests[caller] > self.settings.rate:
            raise TooMany(
                f"'{caller}' exceeds the limit of {self.settings.rate} requests per second"
            )

    def about(self) -> dict[str, object]:
        """What there is to know about the model that answers."""
        served = self.served
        signature = served.signature
        ledger = self.deployments.ledger()
        earlier = [one.version for one in ledger.adopted if one != served.deployment]
        return {
            "version": served.version,
            "sha256": served.deployment.sha256,
            "source": served.deployment.source,
            "adopted_at": served.deployment.at,
            "target": signature.target,
            "task": signature.task,
            "classes": signature.classes,
            "inputs": [as_json(column) for column in signature.inputs],
            "derived": [as_json(column) for column in signature.derived],
            "metrics": json.loads(served.text("metrics.json") or "{}"),
            "card": served.text("MODEL_CARD.md"),
            "earlier": earlier,
            "refused": ledger.refused,
        }

    def _adopt_new(self) -> None:
        mark = self._source.mark()
        if mark == self._mark or mark in self.deployments.ledger().refused:
            return
        with tempfile.TemporaryDirectory(dir=self.settings.state, prefix="candidate-") as folder:
            try:
                self._source.fetch(Path(folder))
                self.deployments.adopt(Path(folder), mark, self._source.name)
            except Refused:
                self._mark = mark  # once is enough; after any other failure it is tried again
                raise
        self._mark = mark

    def _has_served(self, source: str) -> bool:
        return any(one.source == source for one in self.deployments.ledger().adopted)

    def _load(self) -> None:
        self._ledger_ns = self.deployments.modified_ns()
        served = self.deployments.load(self.settings.max_rows)
        self.metrics.model.clear()
        self.metrics.model.labels(served.version).set(1)
        self.served = served
        log.info("model serves", version=served.version, source=served.deployment.source)

    def _as_label(
        self, place: int, label: LabelValue, classes: list[str], where: str = "label"
    ) -> str:
        """The label of a prediction that chose from `classes`; the current model of the same table
        may have more.
        """
        current = self.served.model.classes or ()
        if not set(current).isdisjoint(classes):
            classes = sorted({*classes, *current})
        if not classes:
            number = _as_number(label)
            if not math.isfinite(number):
                raise wrong("the label must be a number", place, where)
            return str(number)
        text = as_text(label)
        if text not in classes:
            text = fold(text)  # as the classes are, where the target's dtype is folded
        if text not in classes:
            raise wrong(f"the label must be one of {', '.join(classes)}", place, where)
        return text


def _as_number(label: LabelValue) -> float:
    """The number that a label is; NaN for one that is not a number."""
    try:
        return float("nan") if "_" in str(label) else float(label)
    except ValueError:
        return float("nan")
