"""How predictions are selected, with their newest label."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from bakebook.database.schema import labels, predictions

_later = labels.alias("later")


# Of a label: nobody has labelled the prediction since
IS_NEWEST = ~sa.exists().where(
    _later.c.prediction_id == labels.c.prediction_id,
    _later.c.id > labels.c.id,
)


_labelled = predictions.outerjoin(
    labels,
    sa.and_(labels.c.prediction_id == predictions.c.id, IS_NEWEST),
)
WITH_LABEL = sa.select(
    *predictions.c,
    labels.c.label,
    labels.c.labelled_by,
    labels.c.labelled_at,
).select_from(_labelled)


Row = dict[str, Any]  # a row of a table, by column


@dataclass(frozen=True)
class Filter:
    """Which predictions are asked for; what is empty does not restrict them."""

    before: str = ""  # an id
    model_version: str = ""
    predicted: str = ""
    labelled: bool | None = None
    wrong: bool = False  # only those whose label differs
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class PredictionPage:
    """Predictions with their newest label, the newest first, and the `before` of the next page, if
    there is one.
    """

    rows: list[Row]
    following: str | None


def conditions(filter_: Filter) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if filter_.before:
        found.append(predictions.c.id < filter_.before)
    if filter_.model_version:
        found.append(predictions.c.model_version == filter_.model_version)
    if filter_.predicted:
        found.append(predictions.c.predicted == filter_.predicted)
    if filter_.labelled is not None:
        found.append(labels.c.id.is_not(None) if filter_.labelled else labels.c.id.is_(None))
    if filter_.wrong:
        found.append(labels.c.label != predictions.c.predicted)
    if filter_.since:
        found.append(predictions.c.made_at >= filter_.since)
    if filter_.until:
        found.append(predictions.c.made_at < filter_.until)
    return found
