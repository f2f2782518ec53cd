"""Which predictions were drawn at random, so that their labels measure the model, and how many of
their inputs were unlike those of the training. Of earlier predictions, none was drawn.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
INDEXES = {
    "predictions_by_sample": ["id"],
    "predictions_by_uncertainty": ["uncertainty", "id"],
    "predictions_by_unfamiliar": ["unfamiliar", "id"],
}


def upgrade() -> None:
    for name, type_, default in (
        ("is_sample", sa.Boolean(), sa.false()),
        ("unfamiliar", sa.Integer(), "0"),
    ):
        column = sa.Column(name, type_, nullable=False, server_default=default)
        op.add_column("predictions", column)
    op.drop_index("predictions_by_uncertainty", "predictions")
    for name, further in INDEXES.items():
        op.create_index(name, "predictions", ["is_sample", *further])


def downgrade() -> None:
    for name in INDEXES:
        op.drop_index(name, "predictions")
    op.create_index("predictions_by_uncertainty", "predictions", ["uncertainty"])
    op.drop_column("predictions", "unfamiliar")
    op.drop_column("predictions", "is_sample")
