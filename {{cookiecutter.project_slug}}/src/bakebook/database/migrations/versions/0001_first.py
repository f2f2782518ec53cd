"""Predictions, labels, tokens."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

JSON = sa.JSON().with_variant(JSONB(), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "predictions",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("made_at", TIME, nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("caller", sa.String(64), nullable=False),
        sa.Column("model_version", sa.String(12), nullable=False),
        sa.Column("inputs", JSON, nullable=False),
        sa.Column("predicted", sa.Text, nullable=False),
        sa.Column("probabilities", JSON),
        sa.Column("uncertainty", sa.Float),
        sa.Column("latency_ms", sa.Float, nullable=False),
    )
    op.create_index("predictions_by_uncertainty", "predictions", ["uncertainty"])
    op.create_table(
        "labels",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("prediction_id", sa.String(36), sa.ForeignKey("predictions.id"), nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("labelled_by", sa.String(64), nullable=False),
        sa.Column("labelled_at", TIME, nullable=False),
    )
    op.create_index("labels_by_prediction", "labels", ["prediction_id", "id"])
    op.create_table(
        "tokens",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False, unique=True),
        sa.Column("made_at", TIME, nullable=False),
    )


def downgrade() -> None:
    for name in ("tokens", "labels", "predictions"):
        op.drop_table(name)
