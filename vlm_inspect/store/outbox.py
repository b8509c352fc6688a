"""`Outbox`: messages that wait in the store until they have arrived, however often this program is killed.

A message has an id that its receiver knows it by: it is sent at least once, and whoever keeps the ids takes it once.
"""

import datetime
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, select

from vlm_inspect.store.database import Database
from vlm_inspect.store.tables import OutboxRow

_CLAIM_S = 20.0
"""How long a message is left to the process that took it; then another may, because that one is gone. Sending takes
10 s at most."""
_FIRST_WAIT_S, _LONGEST_WAIT_S = 2.0, 900.0
_KEPT_DAYS = 30
"""Days that the ids of messages which have arrived are kept; what they said goes at once."""


@dataclass(frozen=True)
class Message:
    """One message to one receiver."""

    id: str
    target: str
    """URL."""
    body: str
    """JSON."""
    attempts: int = 0
    """How often it was tried before."""


class Outbox:
    """The messages of one store; any number of processes may add and send."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, message: Message) -> None:
        """Keep a message; one whose id is known, as after a kill, is not added again.

        Raises:
            StoreError: the store cannot be written.
        """
        with self._database.writing() as session:
            if session.get(OutboxRow, message.id) is None:
                session.add(
                    OutboxRow(
                        id=message.id,
                        target=message.target,
                        body=message.body,
                        created_at=_now(),
                        attempts=0,
                        next_at=time.time(),
                        delivered_at=None,
                        error="",
                    )
                )

    def take(self, targets: Sequence[str], *, most: int = 1) -> tuple[Message, ...]:
        """Return messages whose time has come, the oldest first; for a while no other process is given them."""
        now = time.time()
        waiting = (OutboxRow.delivered_at.is_(None), OutboxRow.target.in_(targets), OutboxRow.next_at <= now)
        query = select(OutboxRow).where(*waiting).order_by(OutboxRow.created_at, OutboxRow.id).limit(most)
        with self._database.reading() as session:  # most often there is nothing, and nobody has to wait
            if session.scalars(query.limit(1)).first() is None:
                return ()
        with self._database.writing() as session:
            rows = session.scalars(query.with_for_update(skip_locked=True)).all()
            for row in rows:
                row.next_at = now + _CLAIM_S
            return tuple(Message(row.id, row.target, row.body, row.attempts) for row in rows)

    def mark_delivered(self, message: Message) -> None:
        """Say that a message has arrived: its id stays, so that it is not added again; old ones are forgotten."""
        past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=_KEPT_DAYS)
        with self._database.writing() as session:
            row = session.get(OutboxRow, message.id)
            if row is not None:
                row.delivered_at, row.error, row.body = _now(), "", ""
            session.execute(delete(OutboxRow).where(OutboxRow.delivered_at < past.isoformat(timespec="seconds")))

    def mark_failed(self, message: Message, error: str) -> None:
        """Say that it did not arrive; it is tried again after 2 s, 4 s and so on, at last every 15 minutes."""
        with self._database.writing() as session:
            row = session.get(OutboxRow, message.id)
            if row is not None:
                row.next_at = time.time() + min(_FIRST_WAIT_S * 2.0 ** min(row.attempts, 30), _LONGEST_WAIT_S)
                row.attempts, row.error = row.attempts + 1, error

    def count_waiting(self, targets: Sequence[str], *, untried: bool = False) -> int:
        """Return how many messages have not arrived; `untried`: of those that were never tried."""
        query = select(func.count()).where(OutboxRow.delivered_at.is_(None), OutboxRow.target.in_(targets))
        with self._database.reading() as session:
            return session.scalar(query.where(OutboxRow.attempts == 0) if untried else query) or 0


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
