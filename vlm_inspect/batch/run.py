"""`run_batch`: every part judged, its row in the journal, and the table and the gallery at the end."""

import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from converters.digest import sha256_of
from converters.errors import ConversionError
from vlm_inspect.batch.gallery import Gallery
from vlm_inspect.batch.journal import Journal
from vlm_inspect.batch.row import Row, make_row, write_csv
from vlm_inspect.config import InspectorConfig
from vlm_inspect.file_writing import write_atomically
from vlm_inspect.inspector import Inspector
from vlm_inspect.safe_text import path_text


@dataclass(frozen=True)
class BatchPlan:
    """What a batch does.

    Attributes:
        parts: in the order of the table.
        table: the CSV.
        gallery: folder of the pages; None: none.
        serial: finds the serial number in a file's name.
        workers: threads that judge.
        resume: keep what the journal says of parts that are the same still; failed ones are judged again.
    """

    parts: Sequence[Path]
    table: Path
    gallery: Path | None = None
    serial: re.Pattern[str] | None = None
    workers: int = 1
    resume: bool = False

    @property
    def journal(self) -> Path:
        """The journal's file, beside the table."""
        return journal_of(self.table)


def journal_of(table: Path) -> Path:
    """Return where the journal of a table is."""
    return table.with_name(table.name + ".journal")


def run_batch(
    inspector: Inspector,
    plan: BatchPlan,
    *,
    judged_by: str,
    progress: Callable[[str], None] = lambda step: None,
) -> list[Row]:
    """Judge the parts and write the table; returns the rows in the order of the parts.

    Args:
        inspector: judges every part.
        plan: what is done.
        judged_by: digest of what the judgements depend on; see `digest_of_settings`.
        progress: told how far it is.

    Raises:
        OutputError: journal, table or gallery cannot be written, or the journal cannot be gone on with.
    """
    gallery = None if plan.gallery is None else Gallery(plan.gallery)
    with Journal(plan.journal, judged_by, resume=plan.resume) as journal:
        names = {path: path_text(path) for path in plan.parts}
        todo = [path for path in plan.parts if not _is_done(path, journal.rows.get(names[path]), gallery)]
        pace = Pace(len(plan.parts), len(plan.parts) - len(todo))
        progress(pace.words())
        for judged in inspector.inspect_many(todo, workers=plan.workers):
            page = (
                "" if gallery is None or judged.examination is None else gallery.add(judged.source, judged.examination)
            )
            journal.add(make_row(judged, model=inspector.backend.name, serial=plan.serial, page=page))
            pace.count_one()
            progress(pace.words())
        rows = [journal.rows[names[path]] for path in plan.parts]
        write_atomically(plan.table, write_csv(rows))
        if gallery is not None:
            gallery.write_index(rows, title=inspector.rules.class_name)
        journal.finish()
    return rows


def exit_code_of(rows: Sequence[Row]) -> int:
    """Return 2 where a part could not be judged, else 1 where one is NG, else 3 where one is REVIEW, else 0."""
    counts: Counter[str] = Counter(row.outcome for row in rows)
    return next((code for outcome, code in (("ERROR", 2), ("NG", 1), ("REVIEW", 3)) if counts[outcome]), 0)


def digest_of_settings(config: InspectorConfig, inspector: Inspector, *, serial: str | None) -> str:
    """Return the SHA-256 of what the rows depend on but the parts: settings, rules, calibration, references.

    Raises:
        ConversionError: a reference or the calibration cannot be read.
    """
    files = [*inspector.references, *([config.calibration] if config.calibration else [])]
    told = [config.as_record(), inspector.rules.sha256, [sha256_of(file) for file in files], serial]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


class Pace:
    """How far a batch is, how fast, and how long it will take."""

    def __init__(self, total: int, done: int) -> None:
        """Begin with `done` parts of an earlier run, which do not count for the rate."""
        self.total, self.done = total, done
        self._before = done
        self._began: float | None = None

    def count_one(self) -> None:
        """Count a part; the clock starts at the first, with which the references are read and learned."""
        self.done += 1
        if self._began is None:
            self._before, self._began = self.done, time.monotonic()

    def words(self) -> str:
        """Return one line."""
        text = f"{self.done} of {self.total} parts"
        if self._began is None or self.done == self._before:
            return text
        judged, elapsed_s = self.done - self._before, max(time.monotonic() - self._began, 1e-3)
        left_s = (self.total - self.done) * elapsed_s / judged
        return f"{text}, {60 * judged / elapsed_s:.0f} a minute, about {_duration(left_s)} left"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _is_done(path: Path, row: Row | None, gallery: Gallery | None) -> bool:
    if row is None or row.outcome == "ERROR" or (gallery is not None and not row.page):
        return False
    try:
        return sha256_of(path) == row.sha256
    except ConversionError:
        return False
