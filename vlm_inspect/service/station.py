"""`Station`: all that the routes of a service share."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from vlm_inspect.service.audit import AuditTrail
from vlm_inspect.service.deliveries import Deliveries
from vlm_inspect.service.judging import Judges
from vlm_inspect.service.metrics import Metrics
from vlm_inspect.service.path_free import PathFree
from vlm_inspect.service.rates import Rates
from vlm_inspect.service.rule_books import RuleBooks
from vlm_inspect.service.sessions import Sessions
from vlm_inspect.service.settings import ServiceSettings
from vlm_inspect.service.spool import Spool
from vlm_inspect.service.staged_references import StagedReferences
from vlm_inspect.service.tokens import Tokens
from vlm_inspect.store import CaseStore

if TYPE_CHECKING:
    from vlm_inspect.calibration_file import Calibration
    from vlm_inspect.chat.corrections import Proposal

_MOST_PROPOSALS = 200
Proposed = TypeVar("Proposed")


@dataclass(frozen=True, eq=False)
class Station:
    """One service at work."""

    settings: ServiceSettings
    spool: Spool
    books: RuleBooks
    staged: StagedReferences
    store: CaseStore
    judges: Judges
    deliveries: Deliveries
    tokens: Tokens
    sessions: Sessions
    audit: AuditTrail
    metrics: Metrics
    path_free: PathFree
    rates: Rates
    guesses: Rates
    """How often one address may show a wrong token."""
    talks: "Talks"
    followed: "Shares"
    """Parts that are followed by server-sent events."""
    arriving: "Shares"
    """Parts that are being sent."""
    proposals: "Proposals[Proposal]"
    calibrations: "Proposals[Calibration]"
    """Likewise by the name of their rule book."""


class Talks:
    """Which cases are being talked over: one answer at a time each, and a bounded number in all."""

    def __init__(self, most: int) -> None:
        """Allow `most` answers in the making."""
        self._most = most
        self._lock = threading.Lock()
        self._busy: set[str] = set()

    @contextmanager
    def over(self, case_id: str) -> Iterator[bool]:
        """Give whether an answer over a case may begin; it ends with the block."""
        with self._lock:
            free = case_id not in self._busy and len(self._busy) < self._most
            if free:
                self._busy.add(case_id)
        try:
            yield free
        finally:
            if free:
                with self._lock:
                    self._busy.discard(case_id)


class Shares:
    """How much somebody does at the same time: whoever leaves streams or uploads open takes connections from others."""

    def __init__(self, most: int) -> None:
        """Allow everybody `most` at a time."""
        self._most = most
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()

    @contextmanager
    def one_more(self, name: str) -> Iterator[bool]:
        """Give whether somebody may begin one more; it ends with the block."""
        with self._lock:
            free = self._open[name] < self._most
            self._open[name] += free
        try:
            yield free
        finally:
            with self._lock:
                self._open[name] -= free
                if not self._open[name]:
                    del self._open[name]


class Proposals(Generic[Proposed]):
    """Changes that nobody has decided on; a restart forgets them, since nothing was changed."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        self._known: dict[tuple[str, int], Proposed] = {}
        self._number = 0

    def add(self, subject: str, proposal: Proposed) -> int:
        """Keep a proposal about a case or a rule book; returns its number."""
        with self._lock:
            self._number += 1
            self._known[subject, self._number] = proposal
            while len(self._known) > _MOST_PROPOSALS:
                self._known.pop(next(iter(self._known)))
            return self._number

    def take(self, subject: str, number: int) -> Proposed | None:
        """Return a proposal and forget it; None: there is none, or somebody else decided."""
        with self._lock:
            return self._known.pop((subject, number), None)
