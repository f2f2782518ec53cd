"""The tables of the database: predictions, the labels that came later, who may call, what was
decided about models, and what the monitor found.
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB


class Utc(sa.TypeDecorator[datetime]):
    """A time in UTC; one without a zone is in UTC. SQLite would forget the zone."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


Json = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
metadata = sa.MetaData()
predictions = sa.Table(
    "predictions",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),  # UUID version 7: ordered by time
    sa.Column("made_at", Utc, nullable=False),
    sa.Column("request_id", sa.String(64), nullable=False),
    sa.Column("caller", sa.String(64), nullable=False),
    sa.Column("model_version", sa.String(12), nullable=False),
    sa.Column("inputs", Json, nullable=False),
    sa.Column("predicted", sa.Text, nullable=False),  # a class, or a number as text
    sa.Column("probabilities", Json),  # of each class; null for a number
    sa.Column("uncertainty", sa.Float),  # 1 - the greatest probability; null for a number
    sa.Column("latency_ms", sa.Float, nullable=False),  # from arrival to just before this row
    # Drawn at random, before anything was known of it: its label measures the model
    sa.Column("is_sample", sa.Boolean, nullable=False, default=False),
    # Inputs that are unlike those of the training
    sa.Column("unfamiliar", sa.Integer, nullable=False, default=0),
    sa.Index("predictions_by_sample", "is_sample", "id"),
    sa.Index("predictions_by_uncertainty", "is_sample", "uncertainty", "id"),
    sa.Index("predictions_by_unfamiliar", "is_sample", "unfamiliar", "id"),
    # What nb monitor counts and draws, without a look at the rows themselves
    sa.Index("predictions_by_time", "made_at", "model_version", "unfamiliar", "id"),
)
labels = sa.Table(  # nothing is overwritten: the newest label of a prediction counts
    "labels",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("prediction_id", sa.String(36), sa.ForeignKey("predictions.id"), nullable=False),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("labelled_by", sa.String(64), nullable=False),
    sa.Column("labelled_at", Utc, nullable=False),
    # The first label of a prediction is 1: of two that are sent at once, one comes second
    sa.Column("number", sa.Integer, nullable=False),
    sa.Index("labels_by_prediction", "prediction_id", "id"),
    sa.Index("labels_by_number", "prediction_id", "number", unique=True),
)
tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("scopes", sa.Text, nullable=False),  # separated by blanks
    sa.Column("sha256", sa.String(64), nullable=False, unique=True),
    sa.Column("made_at", Utc, nullable=False),
)
decisions = sa.Table(  # nothing is changed or removed: it is what an auditor reads
    "decisions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("decided_at", Utc, nullable=False),
    sa.Column("action", sa.String(16), nullable=False),  # rollback, …
    sa.Column("outcome", sa.String(16), nullable=False),  # done or refused
    sa.Column("decided_by", sa.String(64), nullable=False),
    sa.Column("model_version", sa.String(12), nullable=False),  # the one that is decided about
    sa.Column("replaced", sa.String(12), nullable=False),  # the one that served before; may be ""
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("details", Json, nullable=False),
)
reports = sa.Table(  # of nb monitor, for the service's page and its gauges
    "reports",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("made_at", Utc, nullable=False),
    sa.Column("model_version", sa.String(12), nullable=False),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("content", Json, nullable=False),
)
