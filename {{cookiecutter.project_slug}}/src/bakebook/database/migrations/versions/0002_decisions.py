"""Decisions about models, and a number for each label of a prediction, so that two equal ones that
are sent at once are one.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"

NUMBERED = (
    "UPDATE labels SET number = (SELECT count(*) FROM labels AS earlier"
    " WHERE earlier.prediction_id = labels.prediction_id AND earlier.id <= labels.id)"
)


def upgrade() -> None:
    op.add_column("labels", sa.Column("number", sa.Integer, nullable=False, server_default="0"))
    op.execute(NUMBERED)
    op.create_index("labels_by_number", "labels", ["prediction_id", "number"], unique=True)
    op.create_table(
        "decisions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("decided_by", sa.String(64), nullable=False),
        sa.Column("model_version", sa.String(12), nullable=False),
        sa.Column("replaced", sa.String(12), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("details", sa.JSON().with_variant(JSONB(), "postgresql"), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("decisions")
    op.drop_index("labels_by_number", "labels")
    op.drop_column("labels", "number")
