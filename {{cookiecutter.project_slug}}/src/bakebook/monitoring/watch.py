"""What a person, or `nb retrain`, must know of the predictions of the last windows."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import numpy as np

from bakebook import settings
from bakebook.database.store import VERSION, Store
from bakebook.errors import BadInput
from bakebook.monitoring import estimated, observations, performance, windows
from bakebook.monitoring.drift import FEWEST_ROWS, drift
from bakebook.monitoring.observations import Observations
from bakebook.monitoring.quality import quality
from bakebook.monitoring.reference import Reference
from bakebook.monitoring.results import Measured, Monitoring, Window
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
        rows = observations.none(reference.signature)
        if store:
            rows = observations.read(store, reference.signature, reference.version, window, most)
    if not len(rows):
        judged = performance.judged(rows, reference, limits, alpha)
        return Monitoring(model=reference.version, alpha=alpha, criteria=judged)
    estimator = estimated.estimator(reference, limits)
    found = []
    for number in range(int(rows.window[0]), int(rows.window[-1]) + 1):
        part = rows.take(rows.window == number)
        own = part.take(part.model == reference.version)
        estimates = estimator.estimate(own)
        found.append(_window(part, number, window, performance.measured(part, limits), estimates))
    last = _latest(rows.take(rows.model == reference.version))
    return Monitoring(
        model=reference.version,
        alpha=alpha,
        windows=tuple(found),
        criteria=performance.judged(rows, reference, limits, alpha),
        quality=quality(last, reference),
        drift=drift(last, reference, alpha),
    )


def _latest(rows: Observations) -> Observations:
    """Those of the last window that has enough to be compared; without one, those of the last."""
    numbers, counts = np.unique(rows.window, return_counts=True)
    enough = numbers[counts >= FEWEST_ROWS]
    return rows.take(rows.window == (enough[-1:] if len(enough) else numbers[-1:]))


def _window(
    rows: Observations,
    number: int,
    size: WindowSize,
    measured: dict[str, Measured],
    estimates: dict[str, Measured],
) -> Window:
    is_measuring = rows.is_labelled & rows.is_sample
    start, end = _ends(rows, number, size)
    latency = rows.latency_ms
    return Window(
        start=start,
        end=end,
        predictions=len(rows),
        labels=int(is_measuring.sum()),
        other_labels=int(rows.is_labelled.sum() - is_measuring.sum()),
        unfamiliar=int((rows.unfamiliar > 0).sum()),
        latency_ms=round(float(np.median(latency)), DIGITS) if len(rows) else None,
        slow_ms=round(float(np.quantile(latency, SLOW)), DIGITS) if len(rows) else None,
        models=tuple(dict.fromkeys(rows.model.tolist())),
        measured=measured,
        estimated=estimates,
    )


def _ends(rows: Observations, number: int, size: WindowSize) -> tuple[datetime, datetime]:
    """When a window begins, and when the next one does; of a number of rows, when its first and its
    last were predicted.
    """
    if isinstance(size, int):
        return rows.made_at[0].item(), rows.made_at[-1].item()
    edges = (windows.start_of(number, size), windows.start_of(number + 1, size))
    start, end = (edge.astype("datetime64[us]").item() for edge in edges)
    return start, end
