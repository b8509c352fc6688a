"""`watch_parts`: parts judged as they arrive, until somebody ends it."""

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from vlm_inspect.batch.destinations import Destinations
from vlm_inspect.batch.journal import Journal
from vlm_inspect.batch.run import settle_moved
from vlm_inspect.batch.tables import Tables
from vlm_inspect.inspector import Inspector
from vlm_inspect.sinks.row import Row


def watch_parts(
    inspector: Inspector,
    arrivals: Callable[[Journal], Iterable[Path | None]],
    destinations: Destinations,
    *,
    judged_by: str,
    workers: int = 1,
    told: Callable[[Row, Counter[str]], None] = lambda row, counts: None,
    progress: Callable[[str], None] = lambda step: None,
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
        progress: told what is at work; empty: nothing.

    Raises:
        InspectError: journal, table or another destination cannot be written.
    """
    counts: Counter[str] = Counter()
    with Journal(destinations.journal, judged_by, resume=True, by_content=True) as journal:
        line = destinations.line(journal, inspector.backend.name)
        settle_moved(journal)
        tables = Tables(destinations, line, lambda: list(journal.rows.values()), title=inspector.rules.class_name)
        tables.write()
        try:
            with_beats = _with_beats(arrivals(journal), tables.write_sometimes)
            for judged in inspector.inspect_many(with_beats, workers=workers, waiting=0, progress=progress):
                row = line.take(judged)
                counts[row.outcome] += 1
                tables.stale = True
                told(row, counts)
                progress("")
        finally:
            if tables.stale:
                tables.write()
    return counts


def _with_beats(parts: Iterable[Path | None], beat: Callable[[], None]) -> Iterable[Path | None]:
    for part in parts:
        if part is None:
            beat()
        yield part
