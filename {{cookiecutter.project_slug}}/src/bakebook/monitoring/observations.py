"""What the service predicted, and what turned out to be true, as columns."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from pyarrow import json as arrow_json
from pydantic_core import from_json

from bakebook.contracts import Signature
from bakebook.database.engine import answering
from bakebook.database.queries import WITH_LABEL
from bakebook.database.schema import labels, predictions
from bakebook.database.store import Store
from bakebook.monitoring import windows
from bakebook.params import Window
from bakebook.tables.values import as_text

PART_ROWS = 20_000  # that are read at a time
COLUMNS = 10  # of the query
LARGEST_ERROR = 1e100
BLOCK_BYTES = 64 * 1024 * 1024  # of JSON that Arrow parses at a time; a row is never longer
ARROW_TYPES = {
    "numeric": pa.float64(),
    "boolean": pa.bool_(),
    "datetime": pa.string(),
    "categorical": pa.string(),
    "text": pa.string(),
}


@dataclass(frozen=True)
class Observations:
    """n predictions in the order of their time.

    `window` (n,) numbers the windows; `begin` is that of the current model's first answer.
    `made_at` (n,) is in UTC. `truth` and `predicted` (n,) are numbers, or places in `classes`;
    truth is -1 or NaN without a label. `probabilities` (n, classes of the model) is None for a
    number. `inputs` has a column for each input of the signature.
    """

    window: np.ndarray
    made_at: np.ndarray
    model: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    is_sample: np.ndarray
    unfamiliar: np.ndarray
    latency_ms: np.ndarray
    probabilities: np.ndarray | None
    inputs: pa.Table
    classes: tuple[str, ...] | None
    begin: int = 0

    def __len__(self) -> int:
        return len(self.made_at)

    @property
    def is_labelled(self) -> np.ndarray:
        """A mask (n,); a number that is absurdly wrong has no label."""
        if self.classes is None:
            with np.errstate(over="ignore"):
                return np.abs(self.truth - self.predicted) < LARGEST_ERROR
        return np.asarray(self.truth >= 0)

    def take(self, chosen: np.ndarray) -> "Observations":
        """Some of the predictions, by a mask (n,)."""
        return Observations(
            self.window[chosen],
            self.made_at[chosen],
            self.model[chosen],
            self.truth[chosen],
            self.predicted[chosen],
            self.is_sample[chosen],
            self.unfamiliar[chosen],
            self.latency_ms[chosen],
            None if self.probabilities is None else self.probabilities[chosen],
            self.inputs.filter(pa.array(chosen)),
            self.classes,
            self.begin,
        )


def read(
    store: Store, signature: Signature, version: str, window: Window, most: int
) -> Observations:
    """The predictions of the last `most` windows, up to that of the last prediction. `signature` is
    that of the model `version`. Raises Unreachable.
    """
    first, skipped = _first(store, window, most)
    parts = [_Part(rows, signature) for rows in _pages(store, first)] or [_Part([], signature)]
    times = np.concatenate([part.made_at for part in parts])
    order = np.argsort(times, kind="stable")  # a clock may have been set back
    number = windows.numbers(times[order], window, skipped)
    return _together(parts, signature, order, number, _begin(store, version, window))


def none(signature: Signature) -> Observations:
    """No prediction."""
    nothing = np.array([], int)
    return _together([_Part([], signature)], signature, nothing, nothing, 0)


def _first(store: Store, window: Window, most: int) -> tuple[object, int]:
    """The time from which predictions are read, or the id, and how many were made before."""
    with answering(), store.engine.connect() as connection:
        if isinstance(window, int):
            count = connection.scalar(sa.select(sa.func.count()).select_from(predictions)) or 0
            skipped = max(0, (max(count - 1, 0) // window - most + 1) * window)
            query = sa.select(predictions.c.id).order_by(predictions.c.id).offset(skipped).limit(1)
            return connection.scalar(query) or "", skipped
        newest = connection.scalar(sa.select(sa.func.max(predictions.c.made_at)))
    if newest is None:
        return "", 0
    last = np.array([newest.replace(tzinfo=None)], "datetime64[us]")
    number = int(windows.numbers(last, window, 0)[0])
    return windows.start_of(number - most + 1, window).astype("datetime64[us]").item(), 0


def _begin(store: Store, version: str, window: Window) -> int:
    """The number of the window in which the model answered first."""
    own = predictions.c.model_version == version
    oldest = sa.select(predictions.c.id, predictions.c.made_at).where(own)
    with answering(), store.engine.connect() as connection:
        first = connection.execute(oldest.order_by(predictions.c.id).limit(1)).first()
        if first is None:
            return 0
        if isinstance(window, int):
            earlier = sa.select(sa.func.count()).where(predictions.c.id < first.id)
            return int(connection.scalar(earlier) or 0) // window
    moment = np.array([first.made_at.replace(tzinfo=None)], "datetime64[us]")
    return int(windows.numbers(moment, window, 0)[0])


def _pages(store: Store, first: object) -> Iterator[Sequence[sa.Row[tuple[object, ...]]]]:
    """Rows of predictions with their newest label, part by part: no statement takes long."""
    query = _query(store.is_embedded)
    if isinstance(first, str):
        query = query.where(predictions.c.id >= first)
    else:
        query = query.where(predictions.c.made_at >= first)
    last = ""
    with answering(), store.engine.connect() as connection:
        while True:
            page = query.where(predictions.c.id > last).order_by(predictions.c.id).limit(PART_ROWS)
            rows = connection.execute(page).all()
            if not rows:
                return
            last = rows[-1].id
            yield rows


def _query(is_embedded: bool) -> sa.Select[tuple[object, ...]]:
    """JSON and times as they are stored: converting each row would take longer than reading it."""
    time: sa.ColumnElement[object] = sa.cast(predictions.c.made_at, sa.Text)
    if not is_embedded:
        time = sa.cast(sa.func.timezone("UTC", predictions.c.made_at), sa.Text)
    return WITH_LABEL.with_only_columns(
        predictions.c.id,
        time.label("made_at"),
        predictions.c.model_version,
        predictions.c.predicted,
        labels.c.label,
        predictions.c.is_sample,
        predictions.c.unfamiliar,
        predictions.c.latency_ms,
        sa.cast(predictions.c.inputs, sa.Text).label("inputs"),
        sa.cast(predictions.c.probabilities, sa.Text).label("probabilities"),
    )


class _Part:
    """Some rows as columns."""

    def __init__(self, rows: Sequence[sa.Row[tuple[object, ...]]], signature: Signature) -> None:
        columns = list(zip(*rows, strict=True)) or [()] * COLUMNS
        _, times, model, predicted, label, sample, unfamiliar, latency, inputs, given = columns
        self.made_at = np.array(times, "datetime64[us]")
        self.model = np.array(model, object)
        self.predicted = pa.array(predicted, pa.string())
        self.label = pa.array(label, pa.string())
        self.is_sample = np.array(sample, bool)
        self.unfamiliar = np.array(unfamiliar, np.int32)
        self.latency_ms = np.array(latency, np.float32)
        self.inputs = _parsed(inputs, _schema(signature))
        self.probabilities: np.ndarray | None = None
        if signature.classes is not None:
            schema = pa.schema([(name, pa.float64()) for name in signature.classes])
            table = _parsed([text or "{}" for text in given], schema)
            given_to = [table[name].to_numpy() for name in signature.classes]
            self.probabilities = np.column_stack(given_to).astype(np.float32)


def _parsed(texts: Sequence[str], schema: pa.Schema) -> pa.Table:
    """JSON objects as columns; what a column cannot hold is missing."""
    options = arrow_json.ParseOptions(
        explicit_schema=schema, unexpected_field_behavior="ignore", newlines_in_values=False
    )
    if not texts:
        return schema.empty_table()
    lines = BytesIO("\n".join(texts).encode())
    try:
        found = arrow_json.read_json(lines, arrow_json.ReadOptions(block_size=BLOCK_BYTES), options)
        return found.select(schema.names).combine_chunks()
    except pa.ArrowInvalid:  # a value of another type, or names that occur twice
        return _columns([from_json(text) for text in texts], schema)


def as_table(inputs: Sequence[Mapping[str, object]], signature: Signature) -> pa.Table:
    """The inputs of n predictions as columns; what a column cannot hold is missing."""
    return _columns(inputs, _schema(signature))


def _schema(signature: Signature) -> pa.Schema:
    return pa.schema([(one.name, ARROW_TYPES[one.role]) for one in signature.inputs])


def _columns(rows: Sequence[Mapping[str, object]], schema: pa.Schema) -> pa.Table:
    columns = [[_fitting(row.get(one.name), one.type) for row in rows] for one in schema]
    return pa.table(columns, schema=schema)


def _fitting(value: object, type_: pa.DataType) -> object:
    """The value, where the column can hold it."""
    if value is not None and type_ == pa.string():
        return as_text(value)
    try:
        return pa.scalar(value, type_).as_py()
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return None


def _together(
    parts: Sequence[_Part],
    signature: Signature,
    order: np.ndarray,
    number: np.ndarray,
    begin: int,
) -> Observations:
    predicted = pa.chunked_array([part.predicted for part in parts]).combine_chunks()
    label = pa.chunked_array([part.label for part in parts]).combine_chunks()
    classes = _classes(predicted, label, signature)
    inputs = pa.concat_tables([part.inputs for part in parts])

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])[order]

    return Observations(
        number,
        joined("made_at"),
        joined("model"),
        _values(label, classes)[order],
        _values(predicted, classes)[order],
        joined("is_sample"),
        joined("unfamiliar"),
        joined("latency_ms"),
        None if signature.classes is None else joined("probabilities"),
        inputs.take(pa.array(order)).combine_chunks(),
        classes,
        begin,
    )


def _classes(predicted: pa.Array, label: pa.Array, signature: Signature) -> tuple[str, ...] | None:
    """The classes of the model, and then what other models, or people, named beside them."""
    if signature.classes is None:
        return None
    seen = {*predicted.unique().to_pylist(), *label.unique().to_pylist()} - {None}
    return (*signature.classes, *sorted(seen - {*signature.classes}))


def _values(texts: pa.Array, classes: tuple[str, ...] | None) -> np.ndarray:
    """Numbers, or places in the classes; NaN or -1 for what is missing, or no number."""
    if classes is None:
        return np.array([_number(text) for text in texts.to_pylist()], float)
    places = pc.index_in(texts, pa.array(classes))
    return np.asarray(places.fill_null(-1).to_numpy(zero_copy_only=False), np.int32)


def _number(text: str | None) -> float:
    try:
        return float("nan" if text is None else text)
    except ValueError:  # a class, which another model predicted
        return float("nan")
