"""What people judge of the parts of cases: kept, read back, and joined to lists."""

import datetime
from typing import cast

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from vlm_inspect.errors import StoreError
from vlm_inspect.store.case import Judged, Judgement
from vlm_inspect.store.listing import find_id
from vlm_inspect.store.tables import CaseRow, JudgementRow, check_types


def add_judgement(session: Session, case_id: str, outcome: Judged, *, by: str, reason: str) -> Judgement:
    """Add what a person judged, within the session's transaction.

    Raises:
        StoreError: there is no such case, the outcome is none, or nobody is named.
    """
    if outcome not in ("OK", "NG"):
        raise StoreError(f"{outcome!r} is no judgement; a person judges a part OK or NG")
    if not by.strip():
        raise StoreError("nobody is named; say who judges with --by NAME")
    found = find_id(session, case_id)
    session.execute(select(CaseRow.id).where(CaseRow.id == found).with_for_update())
    newest = session.scalar(select(func.max(JudgementRow.number)).where(JudgementRow.case_id == found)) or 0
    row = JudgementRow(
        case_id=found,
        number=newest + 1,
        outcome=outcome,
        by=by.strip(),
        reason=reason.strip(),
        created_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
    session.add(row)
    session.flush()
    return _judgement(row)


def judgements_of(session: Session, case_id: str) -> tuple[Judgement, ...]:
    """Return what people judged of a case, in order, by the whole id."""
    query = select(JudgementRow).where(JudgementRow.case_id == case_id).order_by(JudgementRow.number)
    return tuple(_judgement(row) for row in session.scalars(query))


def _judgement(row: JudgementRow) -> Judgement:
    try:
        check_types(row)
    except ValueError as error:
        raise StoreError(f"a judgement of case {row.case_id} cannot be read: {error}; the store is damaged") from error
    if row.outcome not in ("OK", "NG"):
        raise StoreError(f"a judgement of case {row.case_id} cannot be read; the store is damaged")
    return Judgement(row.number, cast(Judged, row.outcome), row.by, row.reason, row.created_at)
