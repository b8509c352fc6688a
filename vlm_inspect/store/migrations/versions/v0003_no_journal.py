"""The journal of replies goes: nothing but its tests ever read it."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Drop the table."""
    op.drop_table("journal")
