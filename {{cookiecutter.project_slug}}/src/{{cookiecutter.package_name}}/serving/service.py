"""The parts of a running service, and how they act together: predict, label, look for another model."""

import asyncio
import contextlib
import json
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import structlog

from ..encoding import as_text
from ..errors import BadInput, Unreachable, first_line
from . import database
from .access import Access, Caller
from .metrics import Metrics
from .models import Models, PipelineFiles, Refused, Served
from .registry import Registry
from .rows import WrongRows
from .scorer import Job, Scorer
from .settings import Settings
from .store import Store

log = structlog.get_logger()
FILES = 3  # that are predicted at once; each has a thread of those that all else shares
Label = tuple[str, str | float | bool]  # the prediction's id, the truth


class Service:
    """What the routes act upon. `start` before the first request, `close` after the last."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = Store(settings.database)
        self.access = Access(settings, self.store)
        self.models = Models(settings.state / "models")
        self.metrics = Metrics()
        self.served: Served
        self._source = _source(settings)
        self._stamp = 0
        self._mark = ""  # of the last candidate that was looked at
        self._scorer: Scorer
        self.files = asyncio.Semaphore(FILES)
        self._second, self._asked = 0, Counter[str]()

    def start(self) -> None:
        """Verifies the newest model and loads it, or the last verified one. Raises what stood in the way of any."""
        self.settings.state.mkdir(parents=True, exist_ok=True)
        database.upgrade(self.store)
        self.access.refresh()
        with contextlib.suppress(BadInput):
            self._mark = self.models.load(self.settings.max_rows).mark  # it need not be verified again
        try:
            self._adopt_new()
        except Exception as error:
            if not self.models.adopted():
                raise
            log.warning("model kept", reason=first_line(error))
        self._load()
        self._scorer = Scorer(self.store)

    def close(self) -> None:
        self._scorer.close()
        self.store.close()

    def look(self) -> None:
        """Takes another model when there is one that proves good, between two requests; tells of one that does not."""
        try:
            self._adopt_new()
        except Refused as error:
            self.metrics.refused.inc()
            log.error("model refused", reason=error.reason, serving=self.served.version)
        except (BadInput, Unreachable) as error:
            log.debug("no other model", reason=str(error))
        finally:
            if self.models.stamp() != self._stamp:
                self._load()

    def _adopt_new(self) -> None:
        mark = self._source.mark()
        if mark in (self._mark, *self.models.refused()):
            return
        with tempfile.TemporaryDirectory(dir=self.settings.state, prefix="candidate-") as folder:
            try:
                self._source.fetch(Path(folder))
                self.models.adopt(Path(folder), mark, self._source.name)
            except Refused:
                self._mark = mark  # once is enough; what else goes wrong is tried again
                raise
        self._mark = mark

    def _load(self) -> None:
        self._stamp = self.models.stamp()
        served = self.models.load(self.settings.max_rows)
        self.metrics.model.clear()
        self.metrics.model.labels(served.version).set(1)
        self.served = served
        log.info("model serves", version=served.version, source=served.source)

    async def predict(self, rows: list[dict[str, Any]], served: Served, caller: Caller, **request: Any) -> list[Any]:
        """The answers to checked rows, each committed. `request`: request_id and started."""
        answers = await self._scorer.answer(Job(rows, served, caller.name, **request))
        for answer in answers:
            predicted = answer["predicted"] if answer["probabilities"] else "a number"
            self.metrics.predictions.labels(served.version, predicted).inc()
        if self.settings.log_inputs:
            log.info("inputs", request_id=request["request_id"], rows=rows)
        return answers

    def label(self, given: list[Label], caller: Caller) -> list[bool]:
        """Whether each label was new. Raises WrongRows for what is no label, KeyError with an id that is not known."""
        chosen_from = self.store.classes([id_ for id_, _ in given])
        labels = [(id_, self._as_label(place, label, chosen_from[id_])) for place, (id_, label) in enumerate(given)]
        new = self.store.add_labels(labels, caller.name)
        self.metrics.labels.inc(sum(new))
        return new

    def within_rate(self, caller: str) -> bool:
        """Counts one more request of a caller in this second."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._asked = second, Counter()
        self._asked[caller] += 1
        return self._asked[caller] <= self.settings.rate

    def about(self) -> dict[str, Any]:
        """What there is to know of the model that answers."""
        served, signature = self.served, self.served.model.signature
        return {
            "version": served.version,
            "sha256": served.sha256,
            "source": served.source,
            "adopted_at": served.adopted_at,
            **{name: signature[name] for name in ("target", "task", "classes", "inputs")},
            "metrics": json.loads(served.text("metrics.json") or "{}"),
            "card": served.text("MODEL_CARD.md"),
            "kept": [one["sha256"][:12] for one in self.models.adopted() if one["sha256"] != served.sha256],
            "refused": self.models.refused(),
        }

    def _as_label(self, place: int, label: str | float | bool, classes: list[str]) -> str:
        """The label of a prediction that chose from `classes`, to which this model of the same table may add more."""
        now = self.served.model.classes or []
        classes = classes if set(now).isdisjoint(classes) else sorted({*classes, *now})
        if not classes:
            try:
                return str(float(label))
            except ValueError:
                reason = "the label must be a number"
        elif as_text(label) in classes:
            return as_text(label)
        else:
            reason = f"the label must be one of {', '.join(classes)}"
        raise WrongRows([{"where": [place, "label"], "reason": reason}])


def _source(settings: Settings) -> PipelineFiles | Registry:
    """Where models come from."""
    return Registry(settings.model, settings.tracking_uri) if settings.model else PipelineFiles()
