"""Events: stretches of a clip whose curve exceeds the limit of normal, each with its times, its place and its path."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from converters.view import BoxXyxyn
from vlm_inspect.frame_curve import ClipEvent, EventKind, TrackPoint
from vlm_inspect.localization.clip_events.curve import ClipCurve, probability_of
from vlm_inspect.localization.clip_events.extent import EDGE, LIMIT, REACH_FRAMES, REACH_S, extent_of, peak_of
from vlm_inspect.localization.clip_events.normality import Channel
from vlm_inspect.localization.clip_events.things import Thing, tell_things_apart

_APART_S = 0.5
_APART_FRAMES = 8
"""Exceedings closer than this are one event; frames where the clip keeps no time."""
_HOT = 0.5
"""A place belongs to an event where its heat lies above this share of the way from usual to its peak."""
_LENGTHS: EventKind = "duration"
_TRACK_POINTS = 20
_MOVES = 0.05
"""Share of the frame by which what moves is displaced at least."""


def find_events(curve: ClipCurve, channels: Sequence[Channel], most: int = 50) -> list[ClipEvent]:
    """Return the events of a clip in the order of time; of more than `most` the highest.

    Args:
        curve: of the clip.
        channels: in the order of its scores.
        most: how many.
    """
    heights = curve.heights
    spans = sorted(_spans(heights, curve.times_s), key=lambda span: -heights[span[0] : span[1] + 1].max())[:most]
    told = [
        (thing.height, _event(curve, channels, thing))  # at once: a thing holds the heat of its stretch
        for span in sorted(spans)
        for thing in tell_things_apart(curve, channels, span) or [_only_thing(curve, span)]
    ]
    highest = sorted(told, key=lambda one: -one[0])[:most]
    return sorted((event for _, event in highest), key=lambda event: (event.first, event.last))


def _only_thing(curve: ClipCurve, span: tuple[int, int]) -> Thing:
    """Return a stretch as the one thing that it is."""
    first, last = span
    own = curve.heights[first : last + 1]
    peak = first + peak_of(own, lambda index: curve.heat_at(first + index))
    return Thing(first, peak, last, float(own.max()), curve.heat_at)


def _spans(heights: NDArray[np.float64], times_s: NDArray[np.float64] | None) -> list[tuple[int, int]]:
    clock = np.arange(len(heights)) if times_s is None else times_s
    apart, most = (_APART_FRAMES, REACH_FRAMES) if times_s is None else (_APART_S, REACH_S)
    reach = max(1, round(most * (len(clock) - 1) / max(float(clock[-1] - clock[0]), 1e-9)))
    found: list[tuple[int, int]] = []
    for begin, end in _stretches(heights > EDGE):
        if not (heights[begin : end + 1] > LIMIT).any():
            continue
        first, last = (begin + index for index in extent_of(heights[begin : end + 1], reach))
        if found and clock[first] - clock[found[-1][1]] <= apart:
            found[-1] = (found[-1][0], last)
        else:
            found.append((first, last))
    return found


def _stretches(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return first and last index of every run of True."""
    edges = np.diff(np.r_[0, flags.astype(np.int8), 0])
    return list(zip(np.flatnonzero(edges == 1).tolist(), (np.flatnonzero(edges == -1) - 1).tolist(), strict=True))


def _event(curve: ClipCurve, channels: Sequence[Channel], thing: Thing) -> ClipEvent:
    first, peak, last = thing.first, thing.peak, thing.last
    leading = _leading(curve.scores[peak], channels)
    frames = np.unique(np.linspace(first, last, min(_TRACK_POINTS, last - first + 1)).round().astype(int)).tolist()
    seen = [frame for frame in frames if thing.heat_at(frame).max() > 0.0] or [peak]
    track = [TrackPoint(frame, _time(curve, frame), hot_box(thing.heat_at(frame))) for frame in seen]
    return ClipEvent(
        first=first,
        peak=peak,
        last=last,
        first_s=_time(curve, first),
        peak_s=_time(curve, peak),
        last_s=_time(curve, last),
        score=float(probability_of(np.array(thing.height))),
        box_xyxyn=hot_box(thing.heat_at(peak)),
        kind=leading.name,
        note=leading.said,
        track=tuple(track) if _wanders(track) else (),
    )


def _leading(scores: NDArray[np.float32], channels: Sequence[Channel]) -> Channel:
    """Return the channel that says what is seen: the highest, but how long something lasts only where nothing else
    exceeds the limit. What looks or moves as nothing normally does upsets lengths, too, and they say less of it.
    """
    shown = [c for c, one in enumerate(channels) if one.name != _LENGTHS and scores[c] > LIMIT]
    return channels[max(shown or range(len(channels)), key=lambda c: float(scores[c]))]


def hot_box(heat: NDArray[np.float32]) -> BoxXyxyn:
    """Return the box around the hottest place of a frame and what is hot beside it."""
    import cv2

    peak = float(heat.max())
    hot = heat >= max(_HOT * peak, 1e-6) if peak > 0 else heat >= peak
    _, labels = cv2.connectedComponents(hot.astype(np.uint8), connectivity=8)
    y, x = np.unravel_index(int(heat.argmax()), heat.shape)
    area = labels == labels[y, x]
    rows, columns = np.flatnonzero(area.any(axis=1)), np.flatnonzero(area.any(axis=0))
    height, width = heat.shape
    return (
        float(columns[0] / width),
        float(rows[0] / height),
        float((columns[-1] + 1) / width),
        float((rows[-1] + 1) / height),
    )


def _wanders(track: list[TrackPoint]) -> bool:
    middles = np.array([((p.box_xyxyn[0] + p.box_xyxyn[2]) / 2, (p.box_xyxyn[1] + p.box_xyxyn[3]) / 2) for p in track])
    return bool(len(middles) > 1 and np.ptp(middles, axis=0).max() > _MOVES)


def _time(curve: ClipCurve, frame: int) -> float | None:
    return None if curve.times_s is None else float(curve.times_s[frame])
