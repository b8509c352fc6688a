"""`Inspection`: the result, verdict and evidence fused, in the shape of its JSON."""

from pathlib import Path
from typing import Any, Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, PrivateAttr, field_validator

from converters.view import ViewKind
from vlm_inspect.errors import OutputError
from vlm_inspect.file_writing import write_atomically
from vlm_inspect.frame_curve import EventKind
from vlm_inspect.safe_text import path_text
from vlm_inspect.sensitivity.record import Sensitivity
from vlm_inspect.verdict import RuleStatus, Severity

Outcome = Literal["OK", "NG", "REVIEW"]
DefectSource = Literal["model", "heatmap", "measurement", "both"]
EXIT_CODES: dict[str, int] = {"OK": 0, "NG": 1, "REVIEW": 3}
Box = tuple[float, float, float, float]
Point = tuple[float, float, float]


def is_none(value: object) -> bool:
    """Return whether a key has no value, and so is left out."""
    return value is None


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _write_undecodable_names_out(cls, value: Any) -> Any:
        """A note or a label may name a file whose name is no text; JSON holds nothing but text."""
        if isinstance(value, str):
            return path_text(value)
        if isinstance(value, tuple):
            return tuple(path_text(one) if isinstance(one, str) else one for one in value)
        return value


class Measured(_Record):
    """Value of a check, with its unit."""

    value: float
    unit: str


class RuleOutcome(_Record):
    """One row of the rule table."""

    id: str
    status: RuleStatus
    reason: str
    severity: Severity = "major"
    source: DefectSource
    measured: Measured | None = None


class SeenRecord(_Record):
    """A view, or a box of one: what a step showed, where a defect is seen."""

    view: int
    box_xyxyn: Box | None = None


class DefectOutcome(_Record):
    """One defect, with its place on a view and on the part."""

    type: str
    severity: Severity
    view: int | None
    box_xyxyn: Box | None
    score: float = Field(ge=0.0, le=1.0)
    source: DefectSource
    description: str = ""
    source_xyxy: Box | None = None
    page: int | None = None
    point_mm: Point | None = None
    size_mm: float | None = None
    depth_mm: float | None = Field(default=None, exclude_if=is_none)
    """Signed: positive is material too much. This and the three below are left out where no deviation was measured."""
    box_mm: tuple[Point, Point] | None = Field(default=None, exclude_if=is_none)
    """Lowest and highest coordinates, in the scan's own frame."""
    area_mm2: float | None = Field(default=None, exclude_if=is_none)
    volume_mm3: float | None = Field(default=None, exclude_if=is_none)
    """Signed as `depth_mm`: negative is missing, positive extra material."""
    frame: int | None = None
    time_s: float | None = None
    sample: int | None = None
    """Sample number, of a curve that keeps no time."""
    channel: str | None = Field(default=None, exclude_if=is_none)
    """Name of the channel of a curve; left out of everything else."""
    seen_on: tuple[SeenRecord, ...] = Field(default=(), exclude_if=lambda seen: not seen)
    """Where else this defect is seen, each other view once; left out where there is none."""


class TrackPointRecord(_Record):
    """Where the hottest place of an event is in one frame."""

    frame: int
    time_s: float | None
    box_xyxyn: Box
    """Relative to the frame."""


class EventRecord(_Record):
    """A stretch of a clip that exceeds what normal frames reach."""

    kind: EventKind
    """What is unusual at its peak: how it moves, how fast, how it looks; or else how long a state lasts."""
    description: str
    score: float = Field(ge=0.0, le=1.0)
    """Its highest P(anomalous)."""
    start_frame: int
    """Its first frame, from 0."""
    peak_frame: int
    """The frame in which most of it is to be seen."""
    end_frame: int
    """Its last frame, which belongs to it."""
    start_s: float | None
    """Seconds of its first frame; null where the clip keeps no time."""
    peak_s: float | None
    """Seconds of that frame; likewise."""
    end_s: float | None
    """Seconds of its last frame; likewise."""
    box_xyxyn: Box
    """Its place at the peak, relative to the frame."""
    track: tuple[TrackPointRecord, ...] = ()
    """Where it is from time to time; empty where it stays in its place."""


class CurveEventRecord(_Record):
    """A stretch of a sensor curve that exceeds what normal curves reach."""

    channels: tuple[str, ...]
    """Which of its channels are unusual."""
    description: str
    score: float = Field(ge=0.0, le=1.0)
    """P(anomalous) at its peak."""
    start_sample: int
    """Its first sample, from 0."""
    peak_sample: int
    """Its most unusual sample."""
    end_sample: int
    """Its last sample, which belongs to it."""
    start_s: float | None
    """Seconds of its first sample, as in the file; null where the curve keeps no time."""
    peak_s: float | None
    """Seconds of the most unusual sample; likewise."""
    end_s: float | None
    """Seconds of its last sample; likewise."""


class ViewRecord(_Record):
    """What the model was shown, without the pixels."""

    index: int
    kind: ViewKind
    size_hw: tuple[int, int]
    label: str


class Usage(_Record):
    """Tokens of the model calls, and the time from the file to the result; of one reply: the time of its call."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency_s: float = 0.0
    calls: int = 0
    cost_usd: float | None = Field(default=None, ge=0.0)
    """What the calls cost in US dollars; None where the price of one of them is not known."""


class WindowRecord(_Record):
    """One window of a long clip that the model was asked about by itself."""

    number: int
    """From 1, in the order of time."""
    first: int
    """Its first frame, from 0."""
    last: int
    """Its last frame."""
    first_s: float | None
    """Second of its first frame; None where the clip keeps no time."""
    last_s: float | None
    """Second of its last frame."""
    views: tuple[int, int]
    """Its first and its last view."""
    anomalous: bool | None
    """What the model says of it; None: its answer could not be read."""


class StepRecord(_Record):
    """One step of an examination."""

    n: int
    """From 1; each rule's reason names these."""
    phase: Literal["observe", "propose", "refute", "judge", "look_again"]
    tool: str | None
    arguments: dict[str, JsonValue] | None
    saw: tuple[SeenRecord, ...]
    said: str
    usage: Usage
    model: str | None = Field(default=None, exclude_if=is_none)
    """Who answered, where it was the second model; left out elsewhere."""
    window: WindowRecord | None = Field(default=None, exclude_if=is_none)
    """Which window of a long clip it is about; left out elsewhere."""


class HypothesisRecord(_Record):
    """Something that may have been wrong with the part, and what became of it."""

    id: str
    """h1, h2, ... of the model; m1, m2, ... of the measurements, by the number of their mark."""
    claim: str
    rule: str | None
    """The rule that it would break; None: of none that is known."""
    view: int | None
    box_xyxyn: Box | None
    expected: str
    """What would be seen if it were so."""
    status: Literal["kept", "dropped", "open"]
    reason: str
    proposed: int | None
    """The step that proposed it; None: the measurements did."""
    steps: tuple[int, ...]
    """The steps that looked at it; without one it is open."""


class Provenance(_Record):
    """What an answer rests on, so that it can be replayed."""

    input_sha256: str
    rules_sha256: str
    prompt_sha256: str
    version: str
    created_at: str
    references_sha256: tuple[str, ...] = ()


class Reports(Protocol):
    """Draws the reports of one inspection; it has the pictures, which the JSON has not."""

    def html_page(self) -> bytes:
        """Return the report as one self-contained HTML page, in UTF-8."""
        ...

    def overlay_png(self) -> bytes:
        """Return the views with heatmaps and marks as a PNG."""
        ...


class Inspection(_Record):
    """The result of one inspection; `model_dump_json()` is the contract's JSON."""

    outcome: Outcome
    score: float = Field(ge=0.0, le=1.0)
    """P(anomalous)."""
    calibrated: bool
    answer: str
    reasoning: str
    review_reasons: tuple[str, ...]
    rules: tuple[RuleOutcome, ...]
    defects: tuple[DefectOutcome, ...]
    """Worst first."""
    views: tuple[ViewRecord, ...]
    notes: tuple[str, ...] = ()
    source: str = ""
    """Path of the part as it was given, empty of a part that came from memory; bytes
    of a name that are no text are written as in \\xe9."""
    model: str
    localizer: str
    usage: Usage
    provenance: Provenance
    steps: tuple[StepRecord, ...] = Field(default=(), exclude_if=lambda steps: not steps)
    """Every step of an agent or of two looks; left out where there was one look alone."""
    unconfirmed: tuple[DefectOutcome, ...] = Field(default=(), exclude_if=lambda places: not places)
    """Places that a heatmap without a tolerance points at and the model says nothing of, hottest first; they decide
    nothing. Left out where there are none."""
    events: tuple[EventRecord, ...] = Field(default=(), exclude_if=lambda events: not events)
    """What happens in a clip beyond what normal clips do, in the order of time; left out where there is none."""
    curve_events: tuple[CurveEventRecord, ...] = Field(default=(), exclude_if=lambda events: not events)
    """Likewise of a sensor curve."""
    hypotheses: tuple[HypothesisRecord, ...] = Field(default=(), exclude_if=lambda found: not found)
    """What an agent thought may be wrong, and what became of it; left out where there was none."""
    sensitivity: Sensitivity | None = None
    """Which planted defects the references would have held up; None where they cannot tell."""

    @property
    def exit_code(self) -> int:
        """Exit code of `vlm-inspect ask`: OK 0, NG 1, REVIEW 3."""
        return EXIT_CODES[self.outcome]

    _reports: Reports | None = PrivateAttr(default=None)

    def save_overlay(self, path: str | Path) -> None:
        """Write the views with heatmaps and marks as a PNG, whole or not at all.

        Raises:
            OutputError: the file cannot be written, or the inspection was read from JSON, which has no pictures.
        """
        write_atomically(Path(path), self._drawn().overlay_png())

    def save_html(self, path: str | Path) -> None:
        """Write the report as one self-contained HTML page; raises what `save_overlay` raises."""
        write_atomically(Path(path), self._drawn().html_page())

    def drawn_by(self, reports: Reports) -> Self:
        """Return the same inspection, which can save its reports."""
        known = self.model_copy()
        known._reports = reports
        return known

    def _drawn(self) -> Reports:
        if self._reports is None:
            raise OutputError("this inspection has no pictures; only what Inspector.inspect returns can be drawn")
        return self._reports

    def __eq__(self, other: object) -> bool:
        """Compare what is said, not what it can be drawn from."""
        return isinstance(other, Inspection) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(self.provenance)
