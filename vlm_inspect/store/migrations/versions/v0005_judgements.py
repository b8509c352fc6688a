"""What people judge of a part. Version 0.4 kept it among the corrections: those are moved here."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the table, and move what is known."""
    judgements = op.create_table(
        "judgements",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("case_id", sa.String(24), sa.ForeignKey("cases.id", ondelete="CASCADE"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(8), nullable=False),
        sa.Column("judged_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.UniqueConstraint("case_id", "number", name="uq_judgements_case_number"),
    )
    corrections = sa.table(
        "corrections", *(sa.column(name) for name in ("id", "case_id", "number", "kind", "payload", "created_at"))
    )
    query = sa.select(corrections).where(corrections.c.kind == "judgement").order_by(corrections.c.number)
    counts: dict[str, int] = {}
    for row in op.get_bind().execute(query).mappings().all():
        told = _payload(row["payload"])
        if told is None:
            continue  # it stays where it is: damaged, but not lost
        counts[row["case_id"]] = counts.get(row["case_id"], 0) + 1
        values = {"case_id": row["case_id"], "number": counts[row["case_id"]], "created_at": row["created_at"]}
        op.bulk_insert(judgements, [{**values, **told, "judged_by": ""}])
        op.execute(corrections.delete().where(corrections.c.id == row["id"]))


def _payload(text: str) -> dict[str, str] | None:
    try:
        told = json.loads(text)
        outcome, words = told["outcome"], told["words"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if outcome not in ("OK", "NG") or not isinstance(words, str):
        return None
    return {"outcome": outcome, "reason": words}
