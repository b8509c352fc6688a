"""`FrameCurve`: how unusual every frame of a clip is, and the events in it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from converters.view import BoxXyxyn

LIMIT = 0.5
"""Score beyond which a frame is no normal one."""
EventKind = Literal["motion", "speed", "appearance", "duration"]
"""What is unusual at the peak of an event: how it moves, how fast, how it looks; or else how long a state lasts."""


@dataclass(frozen=True)
class TrackPoint:
    """Where the hottest place of an event is in one frame."""

    frame: int
    time_s: float | None
    box_xyxyn: BoxXyxyn


@dataclass(frozen=True)
class ClipEvent:
    """One stretch of frames that exceed the limit."""

    first: int
    peak: int
    last: int
    """Frame numbers; `last` belongs to it, and at `peak` most of it is to be seen."""
    first_s: float | None
    peak_s: float | None
    last_s: float | None
    """None where the clip keeps no time."""
    score: float
    """Its highest P(anomalous), in [0, 1]."""
    box_xyxyn: BoxXyxyn
    """At the peak, relative to the frame."""
    kind: EventKind
    note: str
    """What is unusual, in words."""
    track: tuple[TrackPoint, ...] = ()
    """Where it is from time to time; empty where it stays in its place."""

    @property
    def span(self) -> str:
        """When it happens, in words."""
        if self.first_s is None or self.peak_s is None or self.last_s is None:
            return f"frames {self.first} to {self.last}, most at {self.peak}"
        return f"{self.first_s:.2f} s to {self.last_s:.2f} s, most at {self.peak_s:.2f} s"


@dataclass(frozen=True, eq=False)
class FrameCurve:
    """One number for every frame, all of which were looked at."""

    times_s: NDArray[np.float64] | None
    """(N,); None where the clip keeps no time."""
    scores: NDArray[np.float64]
    """(N,): P(anomalous) in [0, 1], `LIMIT` where a frame leaves what normal ones reach."""
    events: tuple[ClipEvent, ...]
    """In the order of time."""
    normal_frames: int = 0
    """How many frames at the clip's beginning were taken as normal."""
    calibrated: bool = True
    """False where the clip was compared with itself for want of a normal one: a score then says how rare a frame is."""
