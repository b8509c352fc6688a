"""`CaseStore`: keep inspections, find them again, talk over them.

    with CaseStore() as store:
        case_id = store.save(examination, "part.ply")
        case = store.load(case_id)

A save writes its files first, then all of its rows in one transaction: a process that is killed in between leaves
files that no case names, which are swept, and never half a case.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from vlm_inspect.errors import StoreError
from vlm_inspect.store.case import Case, CaseLine, Correction, Judged, JudgedCase, Judgement, Turn
from vlm_inspect.store.database import Database
from vlm_inspect.store.dialogue import Dialogue
from vlm_inspect.store.files import STALE_S, FileFolder
from vlm_inspect.store.judgements import add_judgement, judgements_of
from vlm_inspect.store.listing import Filters, count_cases, find_id, list_lines
from vlm_inspect.store.location import Location, find_store
from vlm_inspect.store.outbox import Outbox
from vlm_inspect.store.reading import read_case
from vlm_inspect.store.saving import add_case, prepare
from vlm_inspect.store.tables import CaseFileRow, CaseRow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vlm_inspect.examination import Examination

WAIT_S = 30.0
"""Longest wait for another process that writes, in seconds."""
_SWEEP_EVERY_S = 86_400.0


class CaseStore:
    """The store of cases. Any number of processes may use it at once; close it, or use it in `with`."""

    def __init__(self, named: str | Path | None = None, *, create: bool = True, wait_s: float = WAIT_S) -> None:
        """Open the store, and make or migrate its tables where that is needed.

        Args:
            named: path of a SQLite file, or a postgresql:// URL; None: VLM_INSPECT_STORE, else the user's own store.
            create: whether a store that is not there is made.
            wait_s: longest wait for another process that writes, in seconds.

        Raises:
            StoreError: it cannot be opened, is not there, or belongs to a newer version.
        """
        self.location: Location = find_store(named)
        if not create and self.location.path is not None and not self.location.path.exists():
            raise StoreError(f"{self.location}: no such store; check the path, or keep a first case with ask --save")
        self._database = Database(self.location, wait_s=wait_s)
        self.files = FileFolder(self._folder(), wait_s=wait_s)
        self.outbox = Outbox(self._database)
        self._dialogue = Dialogue(self._database, self.files, self._naming_files)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def save(
        self,
        examination: "Examination",
        source: str | Path,
        *,
        keep_input: bool = False,
        settings: Mapping[str, Any] | None = None,
        case_id: str | None = None,
        serial: str | None = None,
    ) -> str:
        """Keep an inspection, and return the id of its case.

        Args:
            examination: from `Inspector.examine`.
            source: the inspected file or folder.
            keep_input: whether its bytes are kept, too.
            settings: what it was asked with, as JSON values; no keys and passwords.
            case_id: the id, from `new_case_id`, that somebody was promised; one that is kept already stays as it is, so
                that a part judged twice, after a kill, is one case. None: a new one.
            serial: serial number or lot of the part.

        Raises:
            StoreError: the store cannot be written, or the source changed since it was inspected.
        """
        parcel = prepare(examination, Path(source), keep_input=keep_input, settings=settings or {}, serial=serial)
        self.files.write(parcel.bundle)
        with self._naming_files() as session:
            self.files.write(parcel.bundle)  # what another process swept in between
            kept_as = add_case(session, parcel, case_id)
        self._sweep_sometimes()
        return kept_as

    def holds(self, case_id: str) -> bool:
        """Return whether there is a case of this whole id."""
        with self._database.reading() as session:
            return session.get(CaseRow, case_id) is not None

    def load(self, case_id: str) -> Case:
        """Return the case of an id, or of the beginning of one.

        Raises:
            StoreError: there is none, there are several, or it is damaged.
        """
        with self._database.reading() as session:
            row = session.get_one(CaseRow, find_id(session, case_id))
            return read_case(row, self.files)

    def list(self, filters: Filters | None = None) -> "list[CaseLine]":
        """Return the cases that pass the filters, newest first."""
        with self._database.reading() as session:
            return list_lines(session, filters or Filters())

    def find(self, case_id: str) -> str:
        """Return the whole id that begins like this; see `load`."""
        with self._database.reading() as session:
            return find_id(session, case_id)

    def delete(self, case_id: str) -> str:
        """Delete a case with its dialogue, and the files that no other case names; returns its id.

        Raises:
            StoreError: there is none, there are several, or the store cannot be written.
        """
        with self.files.locked():
            with self._database.writing() as session:
                found = find_id(session, case_id)
                its_files = set(session.scalars(select(CaseFileRow.name).where(CaseFileRow.case_id == found)))
                session.execute(delete(CaseRow).where(CaseRow.id == found))
            with self._database.reading() as session:
                of_others = set(session.scalars(select(CaseFileRow.name).where(CaseFileRow.name.in_(its_files))))
            self.files.remove(its_files - of_others)
        return found

    def sweep(self, *, stale_s: float = STALE_S) -> int:
        """Remove files that no case names, and drafts older than `stale_s` seconds; returns how many."""
        with self.files.locked():
            with self._database.reading() as session:
                named = session.scalars(select(CaseFileRow.name).distinct()).all()
            (self.files.folder / ".swept").touch()
            return self.files.sweep(named, stale_s=stale_s)

    def add_turn(
        self,
        case_id: str,
        role: str,
        text: str,
        *,
        tool_calls: Sequence[Mapping[str, Any]] = (),
        pictures: "Sequence[NDArray[Any]]" = (),
    ) -> Turn:
        """Add a turn at the end of the dialogue over a case.

        Args:
            case_id: as in `load`.
            role: who speaks: "user", "assistant", "tool".
            text: what is said.
            tool_calls: tools that were called, with arguments and results, as JSON values.
            pictures: uint8 (H, W, 3) RGB, such as what a tool cut out.

        Raises:
            StoreError: there is no such case, or the store cannot be written.
        """
        return self._dialogue.add_turn(case_id, role, text, tool_calls=tool_calls, pictures=pictures)

    def turns(self, case_id: str) -> tuple[Turn, ...]:
        """Return the dialogue over a case, in order."""
        return self._dialogue.turns(case_id)

    def picture(self, name: str) -> "NDArray[Any]":
        """Return a picture of a turn: uint8 (H, W, 3) RGB."""
        return self.files.picture(name)

    def add_correction(
        self, case_id: str, kind: str, payload: Mapping[str, Any], *, accepted: bool | None = None
    ) -> Correction:
        """Add a change that came out of a case; `accepted` is None until somebody decided."""
        return self._dialogue.add_correction(case_id, kind, payload, accepted=accepted)

    def decide_correction(self, case_id: str, number: int, *, accepted: bool) -> None:
        """Say whether a change was accepted.

        Raises:
            StoreError: there is no such case or change.
        """
        self._dialogue.decide_correction(case_id, number, accepted=accepted)

    def corrections(self, case_id: str) -> tuple[Correction, ...]:
        """Return the changes that came out of a case, in order."""
        return self._dialogue.corrections(case_id)

    def judge(self, case_id: str, outcome: Judged, *, by: str, reason: str = "") -> Judgement:
        """Keep what a person judged of the part of a case; what was judged before stays, and the last one counts.

        Args:
            case_id: as in `load`.
            outcome: OK or NG.
            by: who judged; not empty.
            reason: why, in a few words.

        Raises:
            StoreError: there is no such case, nobody is named, or the store cannot be written.
        """
        with self._database.writing() as session:
            return add_judgement(session, case_id, outcome, by=by, reason=reason)

    def judgements(self, case_id: str) -> tuple[Judgement, ...]:
        """Return what people judged of a case, in order."""
        with self._database.reading() as session:
            return judgements_of(session, find_id(session, case_id))

    def judged_cases(self, filters: Filters | None = None) -> tuple[JudgedCase, ...]:
        """Return the cases that pass the filters and were judged by somebody, newest first, with every judgement."""
        with self._database.reading() as session:
            lines = [line for line in list_lines(session, filters or Filters()) if line.judged is not None]
            return tuple(JudgedCase(line, judgements_of(session, line.id)) for line in lines)

    def count(self, filters: Filters | None = None) -> int:
        """Return the number of cases that pass the filters; their limit and offset do not count."""
        with self._database.reading() as session:
            return count_cases(session, filters or Filters())

    @contextmanager
    def _naming_files(self) -> Iterator[Session]:
        """Give a session whose rows may name files: nobody sweeps until it is committed."""
        with self.files.locked(), self._database.writing() as session:
            yield session

    def _sweep_sometimes(self) -> None:
        try:
            age_s = time.time() - (self.files.folder / ".swept").stat().st_mtime
        except OSError:
            age_s = _SWEEP_EVERY_S
        if age_s >= _SWEEP_EVERY_S:
            with suppress(StoreError):  # the case is kept, whatever becomes of the sweep
                self.sweep()

    def _folder(self) -> Path:
        """Return the folder of the store's files; of a server's database: one that bears its id."""
        if self.location.path is not None:
            return self.location.files
        try:
            return self.location.files / self._database.store_id()
        except StoreError:
            self.close()
            raise
