"""`Row`: one part in the table, and the table as CSV that a spreadsheet may open."""

import csv
import datetime
import io
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from converters.digest import sha256_of
from converters.errors import ConversionError
from vlm_inspect.part_queue import Judged
from vlm_inspect.safe_text import path_text, plain_line, table_cell

COLUMNS = (
    *("source", "outcome", "score", "answer", "defects", "review_reasons"),
    *("serial", "sha256", "model", "localizer", "created_at"),
)


class Row(BaseModel):
    """One part: the columns of the table, and the page about it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    outcome: Literal["OK", "NG", "REVIEW", "ERROR"]
    score: float | None = Field(default=None, ge=0.0, le=1.0)
    """P(anomalous); None of a part that could not be judged."""
    answer: str = ""
    defects: str = ""
    review_reasons: str = ""
    """Why a person must look; of a part that could not be judged: why not."""
    serial: str = ""
    sha256: str = ""
    model: str = ""
    localizer: str = ""
    created_at: str
    page: str = ""
    """Name of its page in the gallery's folder; empty: none."""


def make_row(judged: Judged[Path], *, model: str, serial: re.Pattern[str] | None = None, page: str = "") -> Row:
    """Return the row of a part.

    Args:
        judged: what became of it.
        model: who was asked, for a part without an examination.
        serial: searched in the file's name; its group named serial, else its first one, else the whole match counts.
        page: name of its page, where there is one.
    """
    number = path_text(find_serial(judged.source.name, serial))
    if judged.examination is None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return Row(
            source=path_text(judged.source),
            outcome="ERROR",
            review_reasons=path_text(judged.error),
            serial=number,
            sha256=_digest(judged.source),
            model=model,
            created_at=now,
        )
    found = judged.examination.inspection
    kinds = Counter(f"{one.type} ({one.severity})" for one in found.defects)
    return Row(
        source=path_text(judged.source),
        outcome=found.outcome,
        score=found.score,
        answer=found.answer,
        defects="; ".join(kind if count == 1 else f"{count} x {kind}" for kind, count in kinds.items()),
        review_reasons="; ".join(found.review_reasons),
        serial=number,
        sha256=found.provenance.input_sha256,
        model=found.model,
        localizer=found.localizer,
        created_at=found.provenance.created_at,
        page=page,
    )


def find_serial(name: str, pattern: re.Pattern[str] | None) -> str:
    """Return the serial number in a file's name; empty where the pattern finds none."""
    found = None if pattern is None else pattern.search(name)
    if found is None or pattern is None:
        return ""
    group: str | int = "serial" if "serial" in pattern.groupindex else min(pattern.groups, 1)
    return found.group(group) or ""


def write_csv(rows: Iterable[Row]) -> bytes:
    """Return the table as UTF-8 CSV with a header; no cell holds a control character or is taken for a formula."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_cell(getattr(row, name)) for name in COLUMNS])
    return text.getvalue().encode("utf-8", errors="replace")


def _cell(value: str | float | None) -> str:
    if isinstance(value, float):
        return f"{value:.6f}"
    return table_cell(plain_line(value or ""))


def _digest(source: Path) -> str:
    try:  # a pipe would be waited for without end
        return sha256_of(source) if source.is_file() or source.is_dir() else ""
    except (OSError, ConversionError):
        return ""
