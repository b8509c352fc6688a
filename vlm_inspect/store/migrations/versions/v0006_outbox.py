"""Messages that wait to be sent."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "outbox",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.Float(53), nullable=False),
        sa.Column("delivered_at", sa.String(32), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
    )
    op.create_index("ix_outbox_next_at", "outbox", ["delivered_at", "next_at"])
