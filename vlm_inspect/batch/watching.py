"""`watch_parts`: parts judged as they arrive, until somebody ends it."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from vlm_inspect.batch.destinations import Destinations
from vlm_inspect.batch.journal import Journal
from vlm_inspect.batch.line import Line
from vlm_inspect.batch.run import settle_moved
from vlm_inspect.inspector import Inspector
from vlm_inspect.sinks.row import Row

_WRITE_EVERY_S = 2.0
_SHARE = 0.05
"""Largest share of the time that goes into writing the tables anew."""


def watch_parts(
    inspector: Inspector,
    arrivals: Callable[[Journal], Iterable[Path | None]],
    destinations: Destinations,
    *,
    judged_by: str,
    workers: int = 1,
    told: Callable[[Row, Counter[str]], None] = lambda row, counts: None,
) -> Counter[str]:
    """Judge parts as they arrive; returns how many of each outcome there were in this run.

    A part is judged once, by its content. The tables are written anew a few seconds after a part, and at the end.

    Args:
        inspector: judges every part.
        arrivals: given the journal, in which the known parts are by digest: an iterator of parts, and of None where
            there is nothing new. When it ends, the parts at work are finished.
        destinations: what becomes of the parts.
        judged_by: digest of what the rows depend on but the parts.
        workers: threads that judge.
        told: told each row, and how many of each outcome there are.

    Raises:
        InspectError: journal, table or another destination cannot be written.
    """
    counts: Counter[str] = Counter()
    with Journal(destinations.journal, judged_by, resume=True, by_content=True) as journal:
        line = destinations.line(journal, inspector.backend.name)
        settle_moved(journal)
        tables = _Tables(destinations, line, title=inspector.rules.class_name)
        tables.write()
        try:
            with_beats = _with_beats(arrivals(journal), tables.write_sometimes)
            for judged in inspector.inspect_many(with_beats, workers=workers, waiting=0):
                row = line.take(judged)
                counts[row.outcome] += 1
                tables.stale = True
                told(row, counts)
        finally:
            if tables.stale:
                tables.write()
    return counts


def _with_beats(parts: Iterable[Path | None], beat: Callable[[], None]) -> Iterable[Path | None]:
    for part in parts:
        if part is None:
            beat()
        yield part


class _Tables:
    """Writes the tables when they are stale, seldom enough."""

    def __init__(self, destinations: Destinations, line: Line, *, title: str) -> None:
        self._destinations, self._line, self._title = destinations, line, title
        self.stale = False
        self._next = 0.0

    def write(self) -> None:
        began = time.monotonic()
        self._destinations.write(list(self._line.journal.rows.values()), self._line, title=self._title)
        self.stale = False
        now = time.monotonic()
        self._next = now + max(_WRITE_EVERY_S, (now - began) / _SHARE)

    def write_sometimes(self) -> None:
        if self.stale and time.monotonic() >= self._next:
            self.write()
