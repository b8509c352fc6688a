"""`Row`: one part in the tables."""

import datetime
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from converters.digest import sha256_of
from converters.errors import ConversionError
from vlm_inspect.inspection import CurveEventRecord, EventRecord
from vlm_inspect.part_queue import Judged
from vlm_inspect.safe_text import path_text

if TYPE_CHECKING:
    from vlm_inspect.examination import Examination

COLUMNS = (
    *("source", "outcome", "score", "answer", "defects", "review_reasons"),
    *("serial", "sha256", "model", "localizer", "created_at", "events"),
)


class Picture(BaseModel):
    """One page of a photo: its size in pixels, upright."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    page: int = Field(ge=0)
    width: int = Field(ge=1)
    height: int = Field(ge=1)


class Mark(BaseModel):
    """A defect with its place in a photo, for annotations."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str
    severity: str
    score: float = Field(ge=0.0, le=1.0)
    box_xyxy: tuple[float, float, float, float]
    """In pixels of the upright page; pixel i spans i to i + 1."""
    page: int = Field(default=0, ge=0)


class Row(BaseModel):
    """One part: the columns of the table, and what else becomes of it."""

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
    events: str = ""
    """Of a clip or a sensor curve: when each event happens, and what is unusual; empty of another part."""
    page: str = ""
    """Name of its page in the gallery's folder; empty: none."""
    case_id: str = ""
    """What tells it from every other: id of its case, and of the messages about it; empty: nobody asked."""
    moved_to: str = ""
    """Where its file is moved; empty: it stays."""
    kinds: tuple[str, ...] = ()
    """Kinds of its defects, worst first, each once."""
    pictures: tuple[Picture, ...] = ()
    """Pages of a photo; empty of other parts."""
    marks: tuple[Mark, ...] = ()
    shows: str = ""
    """What it shows instead of the part of its references, or beside it, in sentences; empty: nothing of the kind, or
    nobody could tell."""


def make_row(judged: Judged[Path], *, model: str, serial: str = "", page: str = "") -> Row:
    """Return the row of a part.

    Args:
        judged: what became of it.
        model: who was asked, for a part without an examination.
        serial: its serial number; see `serial.py`.
        page: name of its page, where there is one.
    """
    if judged.examination is None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return Row(
            source=path_text(judged.source),
            outcome="ERROR",
            review_reasons=path_text(judged.error),
            serial=path_text(serial),
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
        review_reasons="; ".join(reason.rstrip(".") for reason in found.review_reasons),
        shows=judged.examination.evidence.mismatch,
        serial=path_text(serial),
        sha256=found.provenance.input_sha256,
        model=found.model,
        localizer=found.localizer,
        created_at=found.provenance.created_at,
        events="; ".join([*map(_told, found.events), *map(_told, found.curve_events)]),
        page=page,
        kinds=tuple(dict.fromkeys(one.type for one in found.defects)),
        pictures=_pictures(judged.examination),
        marks=tuple(
            Mark(type=one.type, severity=one.severity, score=one.score, box_xyxy=one.source_xyxy, page=one.page or 0)
            for one in found.defects
            if one.source_xyxy is not None
        ),
    )


def _told(event: EventRecord | CurveEventRecord) -> str:
    """Return when an event happens, in seconds of its own file where that keeps time, in which channels of a curve, and
    what is unusual."""
    what = event.description if isinstance(event, EventRecord) else f"{', '.join(event.channels)}: {event.description}"
    if event.start_s is not None and event.end_s is not None:
        return f"{event.start_s:.2f} s to {event.end_s:.2f} s: {what}"
    if isinstance(event, EventRecord):
        return f"frames {event.start_frame} to {event.end_frame}: {what}"
    return f"samples {event.start_sample} to {event.end_sample}: {what}"


def _pictures(examination: "Examination") -> tuple[Picture, ...]:
    """Return the pages of a photo; the whole view of each comes before its tiles."""
    sizes: dict[int, Picture] = {}
    for view in examination.views:
        place = view.origin.locate((0.0, 0.0, 1.0, 1.0)) if view.kind == "image" else None
        if place is not None and place.source_xyxy is not None and place.point_mm is None and place.frame is None:
            page = place.page or 0
            _, _, right, bottom = place.source_xyxy
            sizes.setdefault(page, Picture(page=page, width=round(right), height=round(bottom)))
    return tuple(sizes.values())


def _digest(source: Path) -> str:
    try:  # a pipe would be waited for without end
        return sha256_of(source) if source.is_file() or source.is_dir() else ""
    except (OSError, ConversionError):
        return ""
