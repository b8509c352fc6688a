"""The plots of a curve with its events marked, and the nearest reference drawn beside it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from converters.sample import Series
from converters.series_plot import PlotOrigin, PlotPanel
from converters.view import View
from vlm_inspect.sample_curve import SampleEvent

_EVENT = np.array([217, 83, 79], np.float32)
_REFERENCE = (92, 158, 92)
_TINT = 0.22


def draw_events(
    series: Series,
    events: Sequence[SampleEvent],
    reference: Series | None,
    channels: Sequence[int],
    views: Sequence[View],
) -> Iterator[View]:
    """Yield the plots on which something happened, anew: events in red and numbered, a reference in green.

    Args:
        series: the curve.
        events: in it; a panel shows those of its channel.
        reference: the normal curve it is nearest to; None: none is drawn.
        channels: which channel of the curve each channel of the reference is.
        views: its plots.
    """
    for view in views:
        if not isinstance(view.origin, PlotOrigin):
            continue
        image, marked = view.image.copy(), False
        for panel in view.origin.panels:
            name = series.names[panel.channel] or f"channel {panel.channel + 1}"
            own = [(number, one) for number, one in enumerate(events, 1) if name in one.channels]
            if reference is not None and panel.channel in channels:
                _draw_reference(image, panel, series, reference, channels.index(panel.channel))
            for number, event in own:
                _mark(image, panel, series, number, event)
                marked = True
        if marked:
            beside = "" if reference is None else ", nearest reference in green"
            label = f"{view.label}, events marked{beside}"
            yield replace(view, image=image, kind="deviation", label=label, key=f"events/{view.key}")


def _draw_reference(
    image: NDArray[np.uint8], panel: PlotPanel, series: Series, reference: Series, channel: int
) -> None:
    """Draw one channel of the reference as a line, from the curve's own start. In place."""
    import cv2

    left, top, right, bottom = panel.box_xyxy
    known = np.isfinite(reference.values[:, channel])
    if not known.any():
        return
    time = reference.time_s - reference.time_s[0] + series.time_s[0]
    at = panel.t0 + (np.arange(left, right) + 0.5 - left) / (right - left) * (panel.t1 - panel.t0)
    at = at[at <= time[-1]]
    values = np.interp(at, time[known], reference.values[known, channel])
    rows = bottom - (values - panel.y0) / (panel.y1 - panel.y0) * (bottom - top)
    points = np.stack([left + np.arange(len(at)), np.clip(rows, top, bottom - 1)], axis=1).round().astype(np.int32)
    cv2.polylines(image, [points.reshape(-1, 1, 2)], False, _REFERENCE, 1, cv2.LINE_AA)


def _mark(image: NDArray[np.uint8], panel: PlotPanel, series: Series, number: int, event: SampleEvent) -> None:
    """Tint an event's time, with a line at its peak and its number above. In place."""
    import cv2

    left, top, right, bottom = panel.box_xyxy
    first, peak, last = (
        int(np.clip(left + (series.time_s[k] - panel.t0) / (panel.t1 - panel.t0) * (right - left), left, right - 1))
        for k in (event.first, event.peak, event.last)
    )
    stretch = image[top:bottom, first : max(last, first + 2) + 1]
    stretch[:] = ((1 - _TINT) * stretch + _TINT * _EVENT).astype(np.uint8)
    colour = tuple(int(one) for one in _EVENT)
    cv2.line(image, (peak, top), (peak, bottom - 1), colour, 1)
    cv2.putText(image, str(number), (first + 2, top + 14), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)
