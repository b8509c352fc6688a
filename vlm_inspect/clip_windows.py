"""`ClipWindow`: a stretch of a long clip that a model is asked about by itself.

A request holds so many frames, whatever the clip's length. A clip longer than two windows is therefore cut into windows
of about the same length, and no cut goes through an event. Of more windows than are wanted, those around events come
first, the highest event before the others; what is left is spread evenly over the rest of the clip.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.frame_curve import ClipEvent

_FREE = 0.5
"""A cut moves by at most this share of a window to spare an event."""
_NORMAL = 4
"""Of so many windows one is kept for moments without an event, where not all are shown."""


@dataclass(frozen=True)
class WindowSettings:
    """How a long clip is cut."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - read by pydantic, where a file sets these
    most: int = 8
    """Most windows of a clip, and so requests to the model; 1: the whole clip in one request, whatever its length."""
    length_s: float = 15.0
    """Seconds of a window."""
    length_frames: int = 375
    """Frames of a window, where the clip keeps no time."""

    def __post_init__(self) -> None:
        """Raise ValueError where a number is out of range."""
        if self.most < 1 or self.length_frames < 2 or not 0.1 <= self.length_s <= 86_400:
            raise ValueError("windows: most is at least 1, length_s 0.1 to 86400 and length_frames at least 2")


@dataclass(frozen=True)
class ClipWindow:
    """One stretch of a clip: the frames from `first` to `last`, and the views that show some of them."""

    number: int
    """From 1, in the order of time."""
    count: int
    """How many windows the model is asked about."""
    first: int
    last: int
    """Frame numbers; `last` belongs to it."""
    first_s: float | None
    last_s: float | None
    """None where the clip keeps no time."""
    clip_frames: int
    """Frames of the whole clip."""
    measured: bool
    """Whether every frame of the clip was held against normal ones, those outside of all windows too."""
    views: tuple[int, int] = (0, 0)
    """Its first view among those of the part, and the one after its last."""

    @property
    def span(self) -> str:
        """Which stretch it is, in words."""
        if self.first_s is None or self.last_s is None:
            return f"frames {self.first} to {self.last}"
        return f"{self.first_s:.2f} s to {self.last_s:.2f} s"

    @property
    def name(self) -> str:
        """Number and stretch, in words."""
        return f"window {self.number} of {self.count} ({self.span})"


def plan_windows(
    frame_count: int,
    times_s: NDArray[np.float64] | None,
    settings: WindowSettings,
    *,
    events: Sequence[ClipEvent] = (),
    measured: bool = False,
) -> tuple[ClipWindow, ...]:
    """Return the windows of a clip in the order of time; none of a clip that one request shows.

    Args:
        frame_count: of the clip.
        times_s: (N,), the second of every frame; None where the clip keeps no time.
        settings: how long they are, and how many.
        events: what is known to happen in it.
        measured: see `ClipWindow`.
    """
    clock = np.arange(frame_count, dtype=np.float64) if times_s is None else times_s
    length = float(settings.length_frames) if times_s is None else settings.length_s
    total = float(clock[-1] - clock[0])
    if settings.most < 2 or total <= 2 * length:
        return ()
    wanted = int(np.ceil(total / length))
    spans = _cut(clock, wanted, events) if wanted <= settings.most else _chosen(clock, length, settings.most, events)
    return tuple(
        ClipWindow(
            number=number,
            count=len(spans),
            first=first,
            last=last,
            first_s=None if times_s is None else float(times_s[first]),
            last_s=None if times_s is None else float(times_s[last]),
            clip_frames=frame_count,
            measured=measured,
        )
        for number, (first, last) in enumerate(spans, start=1)
    )


def with_views(windows: Sequence[ClipWindow], counts: Sequence[int]) -> tuple[ClipWindow, ...]:
    """Return windows that know their views: so many of each, one window after the other."""
    ends = np.cumsum(counts).tolist()
    return tuple(replace(one, views=(end - count, end)) for one, count, end in zip(windows, counts, ends, strict=True))


def unseen_share(windows: Sequence[ClipWindow]) -> float:
    """Return the share of the clip's frames that lies in no window, in [0, 1]."""
    return 1.0 - sum(one.last - one.first + 1 for one in windows) / windows[0].clip_frames


def _cut(clock: NDArray[np.float64], count: int, events: Sequence[ClipEvent]) -> list[tuple[int, int]]:
    """Return so many stretches that are the whole clip, as even as events allow."""
    even = np.linspace(clock[0], clock[-1], count + 1)
    free = _FREE * (even[1] - even[0])
    cuts = [0, *(_spared(clock, float(at), float(free), events) for at in even[1:-1]), len(clock)]
    return [(first, end - 1) for first, end in pairwise(cuts) if end > first]


def _spared(clock: NDArray[np.float64], at: float, free: float, events: Sequence[ClipEvent]) -> int:
    """Return the first frame after a cut near a moment: the nearest one that is inside no event."""
    frame = int(np.searchsorted(clock, at))
    ends = [end for event in events if event.first < frame <= event.last for end in (event.first, event.last + 1)]
    near = [end for end in ends if 0 < end < len(clock) and abs(clock[end] - at) < free]
    clear = [end for end in near if not any(event.first < end <= event.last for event in events)]
    return min(clear, key=lambda end: abs(clock[end] - at), default=frame)


def _chosen(clock: NDArray[np.float64], length: float, most: int, events: Sequence[ClipEvent]) -> list[tuple[int, int]]:
    """Return at most so many stretches of one length: around events, then evenly over what is left."""
    slots = np.floor((clock - clock[0]) / length).astype(int)
    count = int(slots[-1]) + 1
    ranked = sorted(events, key=lambda one: -one.score)
    around = [int(slots[event.peak]) for event in ranked]
    around += [slot for event in ranked for slot in range(int(slots[event.first]), int(slots[event.last]) + 1)]
    taken = list(dict.fromkeys(around))[: most - most // _NORMAL]
    rest = [slot for slot in range(count) if slot not in taken]
    left = min(most - len(taken), len(rest))
    taken += [rest[index] for index in np.linspace(0, len(rest) - 1, left).round().astype(int).tolist()]
    starts = np.searchsorted(slots, np.arange(count + 1))
    return [(int(starts[slot]), int(starts[slot + 1]) - 1) for slot in sorted(taken) if starts[slot + 1] > starts[slot]]
