"""Serial numbers of parts."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column, and the index by which a part is found."""
    op.add_column("cases", sa.Column("serial", sa.Text()))
    op.create_index("ix_cases_serial", "cases", ["serial"])
