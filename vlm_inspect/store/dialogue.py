"""What is said over a case, and what comes of it."""

import datetime
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from vlm_inspect.errors import StoreError
from vlm_inspect.store.case import Correction, Turn
from vlm_inspect.store.database import Database
from vlm_inspect.store.files import Bundle, FileFolder
from vlm_inspect.store.listing import find_id
from vlm_inspect.store.records import to_json
from vlm_inspect.store.tables import CaseFileRow, CaseRow, CorrectionRow, TurnRow, check_types

_Value = TypeVar("_Value")
_CALLS = TypeAdapter(tuple[Mapping[str, Any], ...])
_NAMES = TypeAdapter(tuple[str, ...])
_PAYLOAD = TypeAdapter(Mapping[str, Any])


class Dialogue:
    """Turns and corrections by case, replies by request; see `CaseStore`, which is how it is reached."""

    def __init__(
        self, database: Database, files: FileFolder, naming_files: Callable[[], AbstractContextManager[Session]]
    ) -> None:
        """Use the rows and files of a store; `naming_files` gives a session whose rows may name files."""
        self._database = database
        self._files = files
        self._naming_files = naming_files

    def add_turn(
        self,
        case_id: str,
        role: str,
        text: str,
        *,
        tool_calls: Sequence[Mapping[str, Any]],
        pictures: Sequence[Any],
    ) -> Turn:
        """Add a turn at the end."""
        bundle = Bundle()
        names = [bundle.add_picture(picture) for picture in pictures]
        self._files.write(bundle)
        with self._naming_files() if names else self._database.writing() as session:
            found = _locked_case(session, case_id)
            self._files.write(bundle)  # what another process swept in between
            row = TurnRow(
                case_id=found,
                number=_next_number(session, TurnRow, found),
                role=role,
                text=text,
                tool_calls=to_json(list(tool_calls)),
                pictures=to_json(names),
                created_at=_now(),
            )
            session.add(row)
            for name in set(names):
                if session.get(CaseFileRow, (found, name)) is None:
                    session.add(CaseFileRow(case_id=found, name=name))
            session.flush()
            return _turn(row)

    def turns(self, case_id: str) -> tuple[Turn, ...]:
        """Return the turns in order."""
        with self._database.reading() as session:
            found = find_id(session, case_id)
            rows = session.scalars(select(TurnRow).where(TurnRow.case_id == found).order_by(TurnRow.number))
            return tuple(_turn(row) for row in rows)

    def add_correction(
        self, case_id: str, kind: str, payload: Mapping[str, Any], *, accepted: bool | None
    ) -> Correction:
        """Add a correction at the end."""
        with self._database.writing() as session:
            found = _locked_case(session, case_id)
            row = CorrectionRow(
                case_id=found,
                number=_next_number(session, CorrectionRow, found),
                kind=kind,
                payload=to_json(dict(payload)),
                accepted=accepted,
                created_at=_now(),
            )
            session.add(row)
            session.flush()
            return _correction(row)

    def decide_correction(self, case_id: str, number: int, *, accepted: bool) -> None:
        """Keep what somebody decided."""
        with self._database.writing() as session:
            found = find_id(session, case_id)
            query = select(CorrectionRow).where(CorrectionRow.case_id == found, CorrectionRow.number == number)
            row = session.scalars(query).one_or_none()
            if row is None:
                raise StoreError(f"case {found} has no correction {number}")
            row.accepted = accepted

    def corrections(self, case_id: str) -> tuple[Correction, ...]:
        """Return the corrections in order."""
        with self._database.reading() as session:
            found = find_id(session, case_id)
            query = select(CorrectionRow).where(CorrectionRow.case_id == found).order_by(CorrectionRow.number)
            return tuple(_correction(row) for row in session.scalars(query))


def _locked_case(session: Session, case_id: str) -> str:
    """Return the whole id, and keep other writers from adding to the case until the end of the transaction."""
    found = find_id(session, case_id)
    session.execute(select(CaseRow.id).where(CaseRow.id == found).with_for_update())
    return found


def _next_number(session: Session, table: type[TurnRow] | type[CorrectionRow], case_id: str) -> int:
    return (session.scalar(select(func.max(table.number)).where(table.case_id == case_id)) or 0) + 1


def _turn(row: TurnRow) -> Turn:
    return Turn(
        number=row.number,
        role=row.role,
        text=row.text,
        tool_calls=_loaded(row, row.tool_calls, _CALLS),
        pictures=_loaded(row, row.pictures, _NAMES),
        created_at=row.created_at,
    )


def _correction(row: CorrectionRow) -> Correction:
    return Correction(row.number, row.kind, _loaded(row, row.payload, _PAYLOAD), row.accepted, row.created_at)


def _loaded(row: TurnRow | CorrectionRow, text: str, kind: TypeAdapter[_Value]) -> _Value:
    try:
        check_types(row)
        return kind.validate_json(text)
    except ValidationError as error:
        reason = error.errors(include_url=False, include_input=False)[0]["msg"]
        raise StoreError(f"the dialogue of a case cannot be read: {reason}; the store is damaged") from error
    except (ValueError, RecursionError) as error:
        raise StoreError(f"the dialogue of a case cannot be read: {error}; the store is damaged") from error


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
