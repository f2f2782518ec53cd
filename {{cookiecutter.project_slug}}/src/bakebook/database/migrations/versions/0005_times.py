"""An index by which `nb monitor` counts the predictions of a window, and draws some of them."""

from alembic import op

revision = "0005"
down_revision = "0004"
NAME = "predictions_by_time"


def upgrade() -> None:
    op.create_index(NAME, "predictions", ["made_at", "model_version", "unfamiliar", "id"])


def downgrade() -> None:
    op.drop_index(NAME, "predictions")
