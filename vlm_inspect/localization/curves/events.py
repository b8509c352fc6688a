"""When a curve leaves what normal ones do: P(anomalous) of every sample, and events with start, peak and end."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from converters.sample import Series
from vlm_inspect.localization.curves.deviation import CurveDeviation
from vlm_inspect.localization.curves.gaps import samples_in
from vlm_inspect.localization.curves.readings import read_event
from vlm_inspect.sample_curve import SampleCurve, SampleEvent
from vlm_inspect.tolerance import Tolerance

_EDGE = 0.8
"""An event reaches down to this share of the limit on both sides."""
_INVOLVED = 0.7
"""A channel takes part in an event that rises to this share of the highest one there."""
_MOST = 50
_SAID = (
    "level, spread or frequencies as in no reference",
    "a course as in no reference",
    "level, spread or frequencies over a longer time as in no reference",
    "a course over a longer time as in no reference",
    "channels beside each other as in no reference",
    "it ends before any reference does",
)
"""What each kind of evidence means, in words."""


def curve_events(series: Series, found: CurveDeviation, references: Sequence[Series] = ()) -> SampleCurve | None:
    """Return P(anomalous) of every sample and the events; None where a single reference sets no limit.

    Samples whose values are missing, more in a row than in any reference, get no score.

    Args:
        series: the curve.
        found: how far it is off.
        references: with the channels of `found` in their order; they tell what values are usual.
    """
    tolerance = found.tolerance
    if tolerance is None:
        return None
    highest = found.heights.max(axis=1)
    chance = np.array([tolerance.probability(float(one)) for one in highest])
    scores = np.interp(series.time_s - series.time_s[0], found.middles, chance)
    scores[samples_in(found.unseen, len(scores))] = np.nan
    spans = sorted(_spans(highest, tolerance.limit), key=lambda span: -highest[span[0] : span[1] + 1].max())[:_MOST]
    events = tuple(_event(series, found, tolerance, span, references) for span in sorted(spans))
    return SampleCurve(None if series.time_is_index else series.time_s, scores, events)


def _spans(heights: NDArray[np.float64], limit: float) -> list[tuple[int, int]]:
    """Return first and last window of each event; exceedings with one quiet window between them are one."""
    found: list[tuple[int, int]] = []
    hot = np.flatnonzero(heights > _EDGE * limit)
    for run in np.split(hot, np.flatnonzero(np.diff(hot) > 2) + 1):
        if len(run) and heights[run].max() > limit:
            found.append((int(run[0]), int(run[-1])))
    return found


def _event(
    series: Series, found: CurveDeviation, tolerance: Tolerance, windows: tuple[int, int], references: Sequence[Series]
) -> SampleEvent:
    first, last = windows
    span = slice(first, last + 1)
    heights, fine = found.heights[span], found.fine[span]
    column = int(heights.max(axis=0).argmax())
    telling = fine if fine.max() > tolerance.limit else heights  # a short window tells the moment better
    kind = int(found.kinds[first + int(heights[:, column].argmax()), column])
    hot = first + np.flatnonzero(telling.max(axis=1) > _EDGE * tolerance.limit)
    first, peak, last = int(hot[0]), first + int(telling.max(axis=1).argmax()), int(hot[-1])
    involved = np.flatnonzero(heights.max(axis=0) >= max(tolerance.limit, _INVOLVED * heights.max()))
    involved = involved[np.argsort(-heights.max(axis=0)[involved], kind="stable")]  # the most unusual is named first
    start, top, end = (_sample(series, float(found.middles[k])) for k in (first, peak, last))
    start_s, top_s, end_s = (None if series.time_is_index else float(series.time_s[k]) for k in (start, top, end))
    names = tuple(series.names[found.channels[k]] or f"channel {found.channels[k] + 1}" for k in involved)
    event = SampleEvent(
        start,
        top,
        end,
        start_s,
        top_s,
        end_s,
        score=tolerance.probability(float(heights.max())),
        channels=names,
        note=_SAID[kind],
    )
    return _with_reading(event, series, found.channels[column], [(one, column) for one in references])


def _with_reading(event: SampleEvent, series: Series, channel: int, usual: Sequence[tuple[Series, int]]) -> SampleEvent:
    """Return an event with what its values show in words, and its peak where they lie farthest outside."""
    values = [one.values[:, k] for one, k in usual if one.units[k] == series.units[channel]]
    reading = read_event(series, channel, (event.first, event.last), values)
    peak = event.peak if reading.extreme is None else reading.extreme
    peak_s = None if event.peak_s is None else float(series.time_s[peak])
    return replace(event, peak=peak, peak_s=peak_s, note="; ".join((event.note, *reading.words)))


def _sample(series: Series, since_s: float) -> int:
    """Return the sample that is nearest to a moment, in seconds from the curve's start."""
    time = series.time_s - series.time_s[0]
    after = min(int(np.searchsorted(time, since_s)), len(time) - 1)
    return after - 1 if after and since_s - time[after - 1] < time[after] - since_s else after
