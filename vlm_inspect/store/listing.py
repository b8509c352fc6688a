"""Finding cases: by the beginning of an id, and by what is known of them."""

import datetime
import re
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.orm import Session

from vlm_inspect.errors import DateError, StoreError, UnknownCaseError
from vlm_inspect.inspection import Outcome
from vlm_inspect.store.case import CaseLine
from vlm_inspect.store.tables import CaseRow, JudgementRow, TurnRow

_ID = re.compile(r"[0-9a-f-]{1,24}")
_NAMED = 3
_MOST = 2**31 - 1
_DAY = 10
_LINE = TypeAdapter(CaseLine)
_FIELDS = tuple(field.name for field in fields(CaseLine))
JudgedAs = Literal["OK", "NG", "none", "any"]


@dataclass(frozen=True)
class Filters:
    """What a case must be; None: it does not matter."""

    outcome: Outcome | None = None
    class_name: str | None = None
    since: str | None = None
    """A date or a time in ISO 8601; without a zone, in UTC."""
    until: str | None = None
    """Likewise; a date means its end."""
    text: str | None = None
    """Must occur in the source's path, the class, the question, the answer or the reasoning; case does not count."""
    judged: JudgedAs | None = None
    """What a person judged last: OK or NG; none: nobody judged it; any: somebody did."""
    serial: str | None = None
    """Serial number or lot of the part."""
    limit: int | None = None
    """Most cases, the newest first."""
    offset: int = 0
    """How many of the newest are passed over."""


def find_id(session: Session, beginning: str) -> str:
    """Return the whole id that begins like this.

    Raises:
        UnknownCaseError: no case or several.
    """
    given = beginning.strip().lower()
    if not _ID.fullmatch(given):
        raise UnknownCaseError(f"{beginning!r} is not the id of a case; vlm-inspect cases lists them")
    query = select(CaseRow.id).where(CaseRow.id.startswith(given, autoescape=True)).order_by(CaseRow.id.desc())
    found = session.scalars(query.limit(_NAMED + 1)).all()
    if given in found:
        return given
    if not found:
        raise UnknownCaseError(f"no case {beginning}; vlm-inspect cases lists them")
    if len(found) > 1:
        more = ", ..." if len(found) > _NAMED else ""
        raise UnknownCaseError(
            f"several cases begin with {beginning}: {', '.join(found[:_NAMED])}{more}; give more of the id"
        )
    return found[0]


def list_lines(session: Session, filters: Filters) -> list[CaseLine]:
    """Return the cases that pass, newest first.

    Raises:
        DateError: a date that is none.
    """
    turns = (
        select(func.count()).select_from(TurnRow).where(TurnRow.case_id == CaseRow.id).correlate(CaseRow)
    ).scalar_subquery()
    query: Select[Any] = select(
        CaseRow.id,
        CaseRow.created_at,
        CaseRow.source,
        CaseRow.class_name,
        CaseRow.outcome,
        CaseRow.score,
        CaseRow.model,
        CaseRow.localizer,
        CaseRow.question,
        turns,
        CaseRow.serial,
        CaseRow.input_sha256,
        JudgementRow.outcome,
        JudgementRow.by,
        JudgementRow.created_at,
    )
    query = _narrowed(query, filters).order_by(CaseRow.created_at.desc(), CaseRow.id.desc())
    return [_line(row) for row in session.execute(query)]


def _line(row: Any) -> CaseLine:
    try:
        return _LINE.validate_python(dict(zip(_FIELDS, row, strict=True)))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise StoreError(
            f"case {row[0]!r} cannot be listed: {first['loc'][0]}: {first['msg']}; the store is damaged"
        ) from error


def count_cases(session: Session, filters: Filters) -> int:
    """Return the number of cases that pass, whatever the limit.

    Raises:
        DateError: a date that is none.
    """
    query = _narrowed(select(func.count(CaseRow.id)), replace(filters, limit=None, offset=0))
    return session.scalar(query) or 0


def _narrowed(query: Select[Any], filters: Filters) -> Select[Any]:
    query = query.outerjoin(JudgementRow, and_(JudgementRow.case_id == CaseRow.id, JudgementRow.number == _newest()))
    if filters.outcome is not None:
        query = query.where(CaseRow.outcome == filters.outcome)
    if filters.class_name is not None:
        query = query.where(CaseRow.class_name == filters.class_name)
    if filters.since is not None:
        query = query.where(CaseRow.created_at >= _moment(filters.since, at_end=False))
    if filters.until is not None:
        query = query.where(CaseRow.created_at <= _moment(filters.until, at_end=True))
    if filters.judged in ("none", "any"):
        query = query.where(JudgementRow.id.is_(None) if filters.judged == "none" else JudgementRow.id.is_not(None))
    elif filters.judged is not None:
        query = query.where(JudgementRow.outcome == filters.judged)
    if filters.serial is not None:
        query = query.where(CaseRow.serial == filters.serial)
    if filters.text:
        searched = (CaseRow.source, CaseRow.class_name, CaseRow.question, CaseRow.answer, CaseRow.reasoning)
        query = query.where(or_(*(column.icontains(filters.text, autoescape=True) for column in searched)))
    if filters.offset:  # SQLite takes no offset without a limit
        query = query.limit(filters.limit or _MOST).offset(filters.offset)
    return query if filters.limit is None else query.limit(filters.limit)


def _newest() -> Any:
    numbers = select(func.max(JudgementRow.number)).where(JudgementRow.case_id == CaseRow.id)
    return numbers.correlate(CaseRow).scalar_subquery()


def _moment(text: str, *, at_end: bool) -> str:
    try:
        moment = datetime.datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        if at_end and len(text.strip()) <= _DAY:
            moment += datetime.timedelta(days=1, seconds=-1)
        return moment.astimezone(datetime.UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError) as error:
        raise DateError(f"{text!r} is not a date; write 2026-03-14 or 2026-03-14T09:26") from error
