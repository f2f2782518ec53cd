"""What a person, or `nb retrain`, must know of the predictions of the last windows."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from bakebook import settings
from bakebook.database.store import VERSION, Store
from bakebook.errors import BadInput
from bakebook.monitoring import estimated, observations, performance
from bakebook.monitoring.drift import FEWEST_ROWS, drift
from bakebook.monitoring.observations import Labelled, Observations, Stored
from bakebook.monitoring.quality import quality
from bakebook.monitoring.reference import Reference
from bakebook.monitoring.results import Measured, Monitoring, Window
from bakebook.monitoring.spans import Span
from bakebook.params import Threshold, Window as WindowSize

SQLITE = "sqlite:///"
SLOW = 0.95  # the share of predictions that are faster
DIGITS = 3


@contextmanager
def stored() -> Iterator[Store | None]:
    """The service's database, if there is one. Raises BadInput for one of an earlier version."""
    found = settings.read()
    file = Path(found.database.removeprefix(SQLITE))
    if found.database.startswith(SQLITE) and not file.is_file():
        yield None
        return
    store = Store(found.database)
    try:
        if store.version() != VERSION:
            raise BadInput("the database is of another version", "nb monitor brings it up to date")
        yield store
    finally:
        store.close()


def watch(
    reference: Reference,
    window: WindowSize,
    most: int,
    criteria: Mapping[str, Threshold],
    alpha: float,
) -> Monitoring:
    """What the last `most` windows show: volume, scores, alarms, and what has changed since the
    training. Raises BadInput for a criterion that cannot be watched, Unreachable without a
    database.
    """
    limits = performance.thresholds(criteria, reference)
    with stored() as store:
        found = observations.none(reference.signature)
        if store:
            found = observations.read(store, reference.signature, reference.version, window, most)
    with threadpool_limits(1):  # with more, models wait long for the processes beside them
        return _seen(found, reference, limits, alpha)


def _seen(
    found: Stored, reference: Reference, limits: Mapping[str, float], alpha: float
) -> Monitoring:
    judged = performance.judged(found.labelled, reference, limits, alpha)
    nothing = Monitoring(model=reference.version, alpha=alpha, criteria=judged, future=found.future)
    if not found.spans:
        return nothing
    estimator = estimated.estimator(reference, limits)
    shown = []
    for span, part in zip(found.spans, found.parts, strict=True):
        labels = found.labelled.take(found.labelled.window == span.number)
        scores = performance.measured(labels, limits)
        shown.append(_window(span, labels, part, scores, estimator.estimate(part)))
    last = _latest(found.parts)
    part = found.parts[last]
    return nothing.model_copy(
        update={
            "windows": tuple(shown),
            "quality": quality(part, reference),
            "drift": drift(part, found.spans[last].start, reference, alpha),
        }
    )


def _latest(parts: Sequence[Observations]) -> int:
    """The last that has enough predictions to be compared; without one, the last that has any."""
    enough = [place for place, part in enumerate(parts) if len(part) >= FEWEST_ROWS]
    some = [place for place, part in enumerate(parts) if len(part)]
    return (enough or some or [len(parts) - 1])[-1]


def _window(
    span: Span,
    labels: Labelled,
    part: Observations,
    measured: dict[str, Measured],
    estimates: dict[str, Measured],
) -> Window:
    measuring = int(labels.is_sample.sum())
    latency = part.latency_ms
    return Window(
        start=span.start,
        end=span.end,
        predictions=span.predictions,
        labels=measuring,
        other_labels=len(labels) - measuring,
        unfamiliar=span.unfamiliar,
        latency_ms=round(float(np.median(latency)), DIGITS) if len(latency) else None,
        slow_ms=round(float(np.quantile(latency, SLOW)), DIGITS) if len(latency) else None,
        models=tuple(span.answers),
        measured=measured,
        estimated=estimates,
    )
