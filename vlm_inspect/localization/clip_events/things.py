"""What is unusual at the same time in different places: one stretch of a curve that is several events.

A runner who is still in sight when a bicycle comes makes one stretch beyond the limit. What is hot is followed through
places and frames (connected in both); things that are mostly there together are one event, others are events of
their own, which may overlap. Where it is the length of states that tells, nothing is told apart: one cause, a belt
that slows down, shows at many places, one after the other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.localization.clip_events.curve import ClipCurve
from vlm_inspect.localization.clip_events.extent import LIMIT, REACH_FRAMES, REACH_S, extent_of, peak_of
from vlm_inspect.localization.clip_events.grid import frame_scores
from vlm_inspect.localization.clip_events.normality import Channel

_LONGEST = 2000
"""Frames of a stretch that is looked at so closely; a longer one is no passing thing."""
_TOGETHER = 0.5
"""Things that share more than this part of the shorter one's time are one event."""
_LINK_S = 0.15
_LINK_FRAMES = 1
"""What is hot again so much later, at the same place or beside it, is the same thing."""
_LEAST_S = 0.3
_LEAST_FRAMES = 3
"""A thing that lasts no longer belongs to the one that is nearest in time."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Thing:
    """What is unusual in one place, or along one path, for a while."""

    first: int
    peak: int
    last: int
    """Frames of the clip."""
    height: float
    """At its peak, as `Heights`."""
    heat_at: Callable[[int], Floats]
    """Heat (gh, gw) of a frame where it is, 0 elsewhere."""


@dataclass(frozen=True, eq=False)
class _Span:
    """A stretch of a clip."""

    start: int
    heat: Floats
    """(N, gh, gw)."""
    labels: NDArray[np.int32]
    """(N, gh, gw): number of what is hot there, 0 for nothing."""

    def groups(self, reach: int) -> list["_Group"]:
        """Return when each number is there; those that never exceed the limit are left out."""
        from scipy.ndimage import find_objects

        found = []
        for number, box in enumerate(find_objects(self.labels), start=1):
            scores = frame_scores(np.where(self.labels[box] == number, self.heat[box], np.float32(0.0)))
            if scores.max() > LIMIT:
                first, last = (self.start + box[0].start + index for index in extent_of(scores, reach))
                found.append(_Group(first, last, (number,)))
        return found

    def thing(self, numbers: Sequence[int], reach: int) -> Thing | None:
        """Return what these numbers are together; None where it does not exceed the limit."""
        own = np.where(np.isin(self.labels, numbers), self.heat, np.float32(0.0))
        scores = frame_scores(own)
        if scores.max() <= LIMIT:
            return None
        first, last = extent_of(scores, reach)
        return Thing(
            self.start + first,
            self.start + peak_of(scores, lambda index: np.asarray(own[index], np.float32)),
            self.start + last,
            float(scores.max()),
            lambda frame: np.asarray(own[frame - self.start], np.float32),
        )


def tell_things_apart(curve: ClipCurve, channels: Sequence[Channel], span: tuple[int, int]) -> list[Thing]:
    """Return the things of a stretch that exceed the limit, in the order of time; none where it is one event.

    Args:
        curve: of the clip.
        channels: in the order of its scores.
        span: first and last frame of the stretch.
    """
    first, last = span
    highest = first + int(curve.heights[first : last + 1].argmax())
    if last - first >= _LONGEST or channels[int(curve.scores[highest].argmax())].name == "duration":
        return []
    step_s = None if curve.times_s is None else float(curve.times_s[last] - curve.times_s[first]) / max(1, last - first)
    lengths = (_LINK_S, _LINK_FRAMES), (_LEAST_S, _LEAST_FRAMES), (REACH_S, REACH_FRAMES)
    link, least, reach = (_in_frames(*one, step_s) for one in lengths)
    found = _hot_span(curve, span, link)
    groups = _grouped(found.groups(reach), least)
    if len(groups) < 2:
        return []
    told = [found.thing(group.numbers, reach) for group in groups]
    return sorted((one for one in told if one is not None), key=lambda one: one.first)


@dataclass(frozen=True)
class _Group:
    first: int
    last: int
    numbers: tuple[int, ...]

    def gap(self, other: "_Group") -> int:
        """Return the frames between both; negative: by so many they overlap."""
        return max(self.first, other.first) - min(self.last, other.last) - 1

    def is_with(self, other: "_Group") -> bool:
        """Return whether both are mostly there together."""
        return -self.gap(other) > _TOGETHER * (min(self.last - self.first, other.last - other.first) + 1)

    def joined(self, other: "_Group") -> "_Group":
        return _Group(min(self.first, other.first), max(self.last, other.last), self.numbers + other.numbers)


def _hot_span(curve: ClipCurve, span: tuple[int, int], link: int) -> _Span:
    from scipy.ndimage import binary_dilation, label

    heat = np.stack([curve.heat_at(frame) for frame in range(span[0], span[1] + 1)])
    wide = binary_dilation(heat > LIMIT, np.ones((2 * link + 1, 3, 3), bool))
    labels, _ = label(wide, np.ones((3, 3, 3), bool))
    return _Span(span[0], heat, np.asarray(labels, np.int32))


def _grouped(groups: list[_Group], least: int) -> list[_Group]:
    """Join what is there together, then what is short with what is nearest."""
    groups = sorted(groups, key=lambda one: (one.first, one.last))
    joined = True
    while joined:
        joined = False
        for k, one in enumerate(groups):
            if (other := next((two for two in groups[k + 1 :] if one.is_with(two)), None)) is not None:
                groups = _replaced(groups, one, other)
                joined = True
                break
    while (
        len(groups) > 1 and (short := next((one for one in groups if one.last - one.first < least), None)) is not None
    ):
        groups = _replaced(groups, short, min((one for one in groups if one is not short), key=short.gap))
    return groups


def _replaced(groups: list[_Group], one: _Group, other: _Group) -> list[_Group]:
    rest = [group for group in groups if group is not one and group is not other]
    return sorted([*rest, one.joined(other)], key=lambda group: (group.first, group.last))


def _in_frames(seconds: float, frames: int, step_s: float | None) -> int:
    return frames if step_s is None or step_s <= 0 else max(1, round(seconds / step_s))
