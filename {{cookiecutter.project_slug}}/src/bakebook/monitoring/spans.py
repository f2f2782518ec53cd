"""The last windows of the database: where they are, and how much is in them. The database counts,
so that a window may have any number of predictions.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np
import sqlalchemy as sa

from bakebook.database.schema import predictions
from bakebook.monitoring import windows
from bakebook.params import Window

DIGITS = 4  # the last of an id are random
DRAWS = 16**DIGITS
ID_LENGTH = 36


@dataclass(frozen=True)
class Span:
    """A window: its number, its begin and end (UTC, without a zone; of so many predictions those of
    its first and last one), how often each model answered, in the order of their first answers, and
    how many predictions have an input that the training did not show. `low` is the least time, or
    id, of its rows; `within` is the condition for them.
    """

    number: int
    start: datetime
    end: datetime
    answers: Mapping[str, int]
    unfamiliar: int
    low: datetime | str
    within: sa.ColumnElement[bool]

    @property
    def predictions(self) -> int:
        return sum(self.answers.values())


def spans(connection: sa.Connection, window: Window, most: int) -> list[Span]:
    """The last `most` windows, from that of the first prediction to that of the last one; of time,
    at most to that of now.
    """
    if isinstance(window, int):
        return list(_of_rows(connection, window, most))
    found = list(_of_time(connection, window, most))
    filled = [place for place, span in enumerate(found) if span.predictions]
    return found[filled[0] :] if filled else []


def within_all(found: Sequence[Span]) -> sa.ColumnElement[bool]:
    """The condition for the rows of all windows."""
    first = found[0].low
    if isinstance(first, str):
        return predictions.c.id >= first
    return sa.and_(predictions.c.made_at >= first, predictions.c.made_at < found[-1].end)


def count_future(connection: sa.Connection, window: Window) -> int:
    """How many predictions are in no window of time, because a clock was ahead."""
    if isinstance(window, int):
        return 0
    end = _moment(number_of(datetime.now(UTC), window) + 1, window)
    query = sa.select(sa.func.count()).where(predictions.c.made_at >= end)
    return int(connection.scalar(query) or 0)


def _of_time(
    connection: sa.Connection, window: Literal["day", "week", "month"], most: int
) -> Iterator[Span]:
    oldest = connection.scalar(sa.select(sa.func.min(predictions.c.made_at)))
    newest = connection.scalar(sa.select(sa.func.max(predictions.c.made_at)))
    if oldest is None or newest is None:
        return
    last = number_of(min(newest, datetime.now(UTC)), window)
    for number in range(max(last - most + 1, number_of(oldest, window)), last + 1):
        start, end = (_moment(one, window) for one in (number, number + 1))
        within = sa.and_(predictions.c.made_at >= start, predictions.c.made_at < end)
        answers, unfamiliar, *_ = _counted(connection, within)
        yield Span(number, start, end, answers, unfamiliar, start, within)


def number_of(moment: datetime, window: Window) -> int:
    """The number of the window of a time."""
    times = np.array([moment.replace(tzinfo=None)], "datetime64[us]")
    return int(windows.numbers(times, window, 0)[0])


def time_text(connection: sa.Connection) -> sa.ColumnElement[str]:
    """The time of a prediction as text (UTC): to convert each would take longer than to read it."""
    time: sa.ColumnElement[object] = predictions.c.made_at
    if connection.dialect.name == "postgresql":
        time = sa.func.timezone("UTC", time)
    return sa.cast(time, sa.Text)


def window_of(found: Sequence[Span], ids: Sequence[str], times: Sequence[str]) -> np.ndarray:
    """The number (n,) of the window of each row, by ids or times (UTC)."""
    lows = [span.low for span in found]
    if isinstance(lows[0], str):
        places = np.searchsorted(np.array(lows), np.array(ids, str), "right")
    else:
        moments = np.array(times, "datetime64[us]")
        places = np.searchsorted(np.array(lows, "datetime64[us]"), moments, "right")
    return np.array([span.number for span in found])[places - 1]


def _moment(number: int, window: str) -> datetime:
    found: datetime = windows.start_of(number, window).astype("datetime64[us]").item()
    return found


def _of_rows(connection: sa.Connection, size: int, most: int) -> Iterator[Span]:
    count = connection.scalar(sa.select(sa.func.count()).select_from(predictions)) or 0
    if not count:
        return
    last = (count - 1) // size
    number = max(0, last - most + 1)
    first = _id_after(connection, "", number * size)
    while first is not None:
        following = _id_after(connection, first, size)
        within = predictions.c.id >= first
        if following is not None:
            within = sa.and_(within, predictions.c.id < following)
        answers, unfamiliar, start, end = _counted(connection, within)
        yield Span(number, start, end, answers, unfamiliar, first, within)
        first = following
        number += 1


def _id_after(connection: sa.Connection, id_: str, rows: int) -> str | None:
    """The id so many rows after another one; None where there are fewer."""
    later = sa.select(predictions.c.id).where(predictions.c.id >= id_)
    return connection.scalar(later.order_by(predictions.c.id).offset(rows).limit(1))


def _counted(
    connection: sa.Connection, within: sa.ColumnElement[bool]
) -> tuple[dict[str, int], int, datetime, datetime]:
    """How often each model answered, how many predictions are unfamiliar, the first and the last
    time.
    """
    first = sa.func.min(predictions.c.made_at)
    is_unfamiliar = sa.case((predictions.c.unfamiliar > 0, 1), else_=0)
    query = sa.select(
        predictions.c.model_version,
        sa.func.count(),
        sa.func.sum(is_unfamiliar),
        first,
        sa.func.max(predictions.c.made_at),
    )
    grouped = query.where(within).group_by(predictions.c.model_version)
    rows = connection.execute(grouped.order_by(first, predictions.c.model_version)).all()
    nothing = datetime.min
    return (
        {model: count for model, count, *_ in rows},
        sum(int(unfamiliar) for _, _, unfamiliar, *_ in rows),
        min((start.replace(tzinfo=None) for *_, start, _ in rows), default=nothing),
        max((end.replace(tzinfo=None) for *_, end in rows), default=nothing),
    )


def drawn(among: sa.ColumnElement[bool], rows: int, most: int) -> sa.ColumnElement[bool]:
    """The condition for about `most` of the `rows` predictions that another condition is for, drawn
    at random; for all where they are fewer.
    """
    if rows <= most:
        return among
    limit = f"{most * DRAWS // rows:0{DIGITS}x}"
    is_drawn = sa.func.substr(predictions.c.id, ID_LENGTH - DIGITS + 1) < limit
    return predictions.c.id.in_(sa.select(predictions.c.id).where(among, is_drawn))
