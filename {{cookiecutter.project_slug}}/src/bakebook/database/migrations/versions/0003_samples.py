"""Which predictions were drawn at random, so that their labels measure the model, and how many of
their inputs were unlike those of the training. Of earlier predictions, none was drawn.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    for name, type_, default in (
        ("is_sample", sa.Boolean(), sa.false()),
        ("unfamiliar", sa.Integer(), "0"),
    ):
        column = sa.Column(name, type_, nullable=False, server_default=default)
        op.add_column("predictions", column)
    op.create_index("predictions_by_sample", "predictions", ["is_sample", "id"])
    op.create_index("predictions_by_unfamiliar", "predictions", ["unfamiliar"])


def downgrade() -> None:
    op.drop_index("predictions_by_unfamiliar", "predictions")
    op.drop_index("predictions_by_sample", "predictions")
    op.drop_column("predictions", "unfamiliar")
    op.drop_column("predictions", "is_sample")
