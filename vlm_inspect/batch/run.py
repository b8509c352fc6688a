"""`run_batch`: every part judged, its row in the journal, and the table and the gallery at the end."""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from converters.digest import sha256_of
from converters.errors import ConversionError
from vlm_inspect.batch.destinations import Destinations
from vlm_inspect.batch.journal import Journal
from vlm_inspect.batch.line import Line
from vlm_inspect.batch.tables import Tables
from vlm_inspect.config import InspectorConfig
from vlm_inspect.inspector import Inspector
from vlm_inspect.safe_text import path_text
from vlm_inspect.scoring_version import scoring_version
from vlm_inspect.sinks.row import Row

_LEAST_TIMED_S = 1.0
"""Seconds from which on a rate says something: parts that several workers had at once come one right after another."""


@dataclass(frozen=True)
class BatchSettings:
    """How a batch is done.

    Attributes:
        judged_by: digest of what the rows depend on but the parts; see `digest_of_settings`.
        workers: threads that judge.
        resume: keep what the journal says of parts that are the same still; failed ones are judged again.
    """

    judged_by: str
    workers: int = 1
    resume: bool = False


def run_batch(
    inspector: Inspector,
    parts: Sequence[Path],
    destinations: Destinations,
    settings: BatchSettings,
    *,
    progress: Callable[[str], None] = lambda step: None,
    told: Callable[[Row], None] = lambda row: None,
    begun: Callable[[int], None] = lambda done: None,
) -> list[Row]:
    """Judge the parts and write the tables; returns the rows in the order of the parts, after those that have moved.

    The tables are written anew every few seconds, too, with the parts that are done.

    Args:
        inspector: judges every part.
        parts: in the order of the table.
        destinations: what becomes of them.
        settings: how it is done.
        progress: told how far it is.
        told: told each row as it comes, but for those of an earlier run.
        begun: told how many parts an earlier run has done.

    Raises:
        InspectError: journal, table or another destination cannot be written, or the journal cannot be gone on with.
    """
    with Journal(destinations.journal, settings.judged_by, resume=settings.resume) as journal:
        line = destinations.line(journal, inspector.backend.name)
        moved = settle_moved(journal)
        names = {path: path_text(path) for path in parts}
        todo = [path for path in parts if not _is_done(path, journal.rows.get(names[path]), line)]
        pace = Pace(len(parts), len(parts) - len(todo), settings.workers)
        done = set(parts) - set(todo)

        def rows() -> list[Row]:
            known = [journal.rows[names[path]] for path in parts if path in done]
            return [row for row in moved if row.source not in names.values()] + known

        tables = Tables(destinations, line, rows, title=inspector.rules.class_name)
        begun(pace.done)
        progress(pace.words())
        judged_parts = inspector.inspect_many(todo, workers=settings.workers, progress=pace.at_work(progress))
        with tables.written_if_interrupted():
            for judged in judged_parts:
                told(line.take(judged))
                done.add(judged.source)
                pace.count_one()
                progress(pace.words())
                tables.stale = True
                tables.write_sometimes()
        tables.write()
        journal.finish()
    return rows()


def settle_moved(journal: Journal) -> list[Row]:
    """Return the rows of parts that have moved away.

    The move is the last that becomes of a part: where only that was done before a kill, the row counts now.
    """
    for row in journal.promises:
        if row.moved_to and not Path(row.source).exists() and Path(row.moved_to).exists():
            journal.add(row)
    return [row for row in journal.rows.values() if row.moved_to and not Path(row.source).exists()]


def exit_code_of(rows: Sequence[Row]) -> int:
    """Return 2 where a part could not be judged, else 1 where one is NG, else 3 where one is REVIEW, else 0."""
    counts: Counter[str] = Counter(row.outcome for row in rows)
    return next((code for outcome, code in (("ERROR", 2), ("NG", 1), ("REVIEW", 3)) if counts[outcome]), 0)


def digest_of_settings(config: InspectorConfig, inspector: Inspector, *, sinks: Sequence[str]) -> str:
    """Return the SHA-256 of what the rows depend on but the parts: settings, files, sinks, versions.

    Args:
        config: the settings.
        inspector: made from them.
        sinks: what tells where parts go: what went nowhere would otherwise count as done.

    Raises:
        ConversionError: a reference or the calibration cannot be read.
    """
    files = [*inspector.references, *([config.calibration] if config.calibration else [])]
    told = [
        config.as_record(),
        inspector.rules.sha256,
        [sha256_of(file) for file in files],
        list(sinks),
        scoring_version(),
    ]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


class Pace:
    """How far a batch is, how fast, and how long it will take."""

    def __init__(self, total: int, done: int, workers: int = 1) -> None:
        """Begin with `done` parts of an earlier run, which do not count for the rate; `workers` parts at a time."""
        self.total, self.done = total, done
        self._first, self._before = done + workers, done
        self._began: float | None = None

    def count_one(self) -> None:
        """Count a part; the clock starts when every worker had its first, with which the references are learned."""
        self.done += 1
        if self._began is None and self.done >= self._first:
            self._before, self._began = self.done, time.monotonic()

    def at_work(self, progress: Callable[[str], None]) -> Callable[[str], None]:
        """Return what tells `progress` the step at work on a part after how far the batch is."""
        return lambda step: progress(f"{self.words()}; {step}")

    def words(self) -> str:
        """Return one line."""
        text = f"{self.done} of {self.total} part{'' if self.total == 1 else 's'}"
        if self._began is None or self.done == self._before:
            return text
        judged, elapsed_s = self.done - self._before, time.monotonic() - self._began
        if elapsed_s < _LEAST_TIMED_S:
            return text
        left_s = (self.total - self.done) * elapsed_s / judged
        return f"{text}, {60 * judged / elapsed_s:.0f} a minute, about {_duration(left_s)} left"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _is_done(path: Path, row: Row | None, line: Line) -> bool:
    if row is None or row.outcome == "ERROR" or (line.gallery is not None and not row.page):
        return False
    try:
        return sha256_of(path) == row.sha256
    except ConversionError:
        return False
