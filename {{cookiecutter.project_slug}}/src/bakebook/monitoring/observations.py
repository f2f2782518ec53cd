"""What the service predicted, and what turned out to be true, as columns: of the last windows every
label, and of the current model's predictions a part that is drawn at random.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import itemgetter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from bakebook.contracts import Signature
from bakebook.database.engine import answering
from bakebook.database.queries import IS_NEWEST
from bakebook.database.schema import labels, predictions
from bakebook.database.store import Store
from bakebook.monitoring.inputs import parsed, read_inputs
from bakebook.monitoring.spans import (
    Span,
    count_future,
    drawn,
    number_of,
    spans,
    time_text,
    window_of,
    within_all,
)
from bakebook.params import Window

PART_ROWS = 3000  # of a window that are looked at, about
MOST_ROWS = 60_000  # of all windows together
LARGEST_ERROR = 1e100


@dataclass(frozen=True)
class Labelled:
    """n predictions of any model that have a label.

    `window` (n,) numbers the windows. `truth` and `predicted` (n,) are numbers, or places in
    `classes`: those of the current model, and then others that were named. The current model
    answered first in the window `begin`, and of the windows that were read in those from `first` to
    `last`; without an answer, `last` is before `first`.
    """

    window: np.ndarray
    model: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    is_sample: np.ndarray
    classes: tuple[str, ...] | None
    begin: int = 0
    first: int = 0
    last: int = -1

    def __len__(self) -> int:
        return len(self.window)

    def take(self, chosen: np.ndarray) -> "Labelled":
        """Some of the predictions, by a mask (n,)."""
        return replace(
            self,
            window=self.window[chosen],
            model=self.model[chosen],
            truth=self.truth[chosen],
            predicted=self.predicted[chosen],
            is_sample=self.is_sample[chosen],
        )


@dataclass(frozen=True)
class Observations:
    """n predictions of the current model in one window.

    `predicted` (n,) are numbers, or places in the classes of the model. `probabilities` (n,
    classes) is None for a number. `inputs` has a column for each input of the signature.
    `latency_ms` (any,) are those of answers of all models.
    """

    predicted: np.ndarray
    probabilities: np.ndarray | None
    inputs: pa.Table
    latency_ms: np.ndarray

    def __len__(self) -> int:
        return len(self.predicted)


@dataclass(frozen=True)
class Stored:
    """The last windows of a database, and a random part of each. Predictions in the `future`, which
    are in no window, are counted.
    """

    spans: Sequence[Span]
    labelled: Labelled
    parts: Sequence[Observations]
    future: int = 0


def read(store: Store, signature: Signature, version: str, window: Window, most: int) -> Stored:
    """The last `most` windows, up to that of the last prediction. `signature` is that of the model
    `version`. Raises Unreachable.
    """
    with answering(), store.engine.begin() as connection:
        if not store.is_embedded:  # else a statement may take two seconds
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        found = spans(connection, window, most)
        future = count_future(connection, window)
        if not found:
            return replace(none(signature), future=future)
        rows = min(PART_ROWS, max(1, MOST_ROWS // len(found)))
        return Stored(
            found,
            _labelled(connection, found, signature, version, window),
            [_part(connection, span, signature, version, rows) for span in found],
            future,
        )


def none(signature: Signature) -> Stored:
    """No prediction."""
    nothing = np.array([], int)
    is_sample = np.array([], bool)
    labelled = Labelled(nothing, nothing, nothing, nothing, is_sample, signature.classes)
    return Stored((), labelled, ())


def _labelled(
    connection: sa.Connection,
    found: Sequence[Span],
    signature: Signature,
    version: str,
    window: Window,
) -> Labelled:
    """With the newest label of each prediction."""
    # the labels come first: a database might look for labels of each prediction
    newest = sa.select(labels.c.prediction_id, labels.c.label).where(IS_NEWEST).cte("newest")
    named = newest.prefix_with("MATERIALIZED")
    query = sa.select(
        predictions.c.id,
        time_text(connection),
        predictions.c.model_version,
        predictions.c.predicted,
        named.c.label,
        predictions.c.is_sample,
    )
    joined = named.join(predictions, named.c.prediction_id == predictions.c.id)
    rows = connection.execute(query.select_from(joined).where(within_all(found))).all()
    rows = sorted(rows, key=itemgetter(0))
    ids, times, model, predicted, label, is_sample = zip(*rows, strict=True) if rows else [()] * 6
    texts = [pa.array(one, pa.string()) for one in (label, predicted)]
    classes = _classes(texts, signature)
    truth, answer = (_values(one, classes) for one in texts)
    own = [span.number for span in found if version in span.answers]
    everything = Labelled(
        window_of(found, ids, times),
        np.array(model, object),
        truth,
        answer,
        np.array(is_sample, bool),
        classes,
        _begin(connection, version, window),
        own[0] if own else 0,
        own[-1] if own else -1,
    )
    if classes is not None:
        return everything
    with np.errstate(over="ignore"):
        return everything.take(np.abs(truth - answer) < LARGEST_ERROR)


def _begin(connection: sa.Connection, version: str, window: Window) -> int:
    """The number of the window in which the model answered first."""
    own = predictions.c.model_version == version
    oldest = sa.select(predictions.c.id, predictions.c.made_at).where(own)
    first = connection.execute(oldest.order_by(predictions.c.id).limit(1)).first()
    if first is None:
        return 0
    if isinstance(window, int):
        earlier = sa.select(sa.func.count()).where(predictions.c.id < first.id)
        return int(connection.scalar(earlier) or 0) // window
    return number_of(first.made_at, window)


def _part(
    connection: sa.Connection, span: Span, signature: Signature, version: str, most: int
) -> Observations:
    """About `most` predictions of the model in a window."""
    own = sa.and_(span.within, predictions.c.model_version == version)
    query = sa.select(
        predictions.c.predicted,
        predictions.c.latency_ms,
        # as it is stored: to convert each row would take longer than to read it
        sa.cast(predictions.c.inputs, sa.Text),
        sa.cast(predictions.c.probabilities, sa.Text),
    ).where(drawn(own, span.answers.get(version, 0), most))
    rows = connection.execute(query.order_by(predictions.c.id)).all()
    texts, latency, inputs, given = zip(*rows, strict=True) if rows else [()] * 4
    if {*span.answers} - {version}:
        others = sa.select(predictions.c.latency_ms)
        some = others.where(drawn(span.within, span.predictions, most))
        latency = tuple(connection.scalars(some))
    predicted = pa.array(texts, pa.string())
    return Observations(
        _values(predicted, _classes([predicted], signature)),
        _probabilities(given, signature.classes),
        read_inputs(inputs, signature),
        np.array(latency, float),
    )


def _probabilities(texts: Sequence[str], classes: tuple[str, ...] | None) -> np.ndarray | None:
    if classes is None:
        return None
    schema = pa.schema([(name, pa.float64()) for name in classes])
    table = parsed([text or "{}" for text in texts], schema)
    columns = [table[name].to_numpy() for name in classes]
    return np.column_stack(columns).astype(np.float32)


def _classes(texts: Sequence[pa.Array], signature: Signature) -> tuple[str, ...] | None:
    """The classes of the model, and then what other models, or people, named beside them."""
    if signature.classes is None:
        return None
    seen = {name for one in texts for name in one.unique().to_pylist()}
    return (*signature.classes, *sorted(seen - {*signature.classes}))


def _values(texts: pa.Array, classes: tuple[str, ...] | None) -> np.ndarray:
    """Numbers, or places in the classes; NaN for what is no number."""
    if classes is None:
        return np.array([_number(text) for text in texts.to_pylist()], float)
    places = pc.index_in(texts, pa.array(classes))
    return np.asarray(places.to_numpy(zero_copy_only=False), np.int32)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:  # a class, which another model predicted
        return float("nan")
