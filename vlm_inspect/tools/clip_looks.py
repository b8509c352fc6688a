"""Moments of a clip and stretches of a curve, from the file itself."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from converters.frame_grid import draw_grids, fit_layout
from converters.sample import Series, VideoClip
from converters.view import BoxXyxy, BoxXyxyn, View, ViewBudget
from vlm_inspect.significant_digits import rounded
from vlm_inspect.tools.arguments import Moment
from vlm_inspect.tools.material import Material
from vlm_inspect.tools.result import Picture, ToolError, ToolResult

_SMALLEST_STRETCH = 8
"""Fewest samples of a curve that are drawn."""


def show_moment(material: Material, wanted: Moment) -> ToolResult:
    """Draw the frames around a second, or a curve from so many samples before it to so many after."""
    sample = material.sample
    if isinstance(sample, Series):
        return _stretch(sample, wanted)
    if not isinstance(sample, VideoClip):
        raise ToolError("the part is neither a clip nor a curve, so it has no seconds")
    times = frame_times(sample)
    _check_time(wanted.time_s, float(times[0]), float(times[-1]))
    middle = int(np.argmin(np.abs(times - wanted.time_s)))
    first = middle - (wanted.frames // 2) * wanted.step
    indices = [i for i in range(first, first + wanted.frames * wanted.step, wanted.step) if 0 <= i < len(times)]
    budget = ViewBudget(grid=4)
    grids = draw_grids(sample.frames(frozenset(indices)), fit_layout(sample.size_hw, len(indices), budget), sample)
    shown = list(grids)
    return ToolResult(f"{'; '.join(view.label for view in shown)}.", tuple(view.image for view in shown))


def zoom_clip(clip: VideoClip, view: View, box: BoxXyxyn) -> tuple[int, Picture, BoxXyxy]:
    """Return the frame that a box of a grid lies in: its number, its picture at full size, and the box on it."""
    place = view.origin.locate(box)
    if place.frame is None or place.source_xyxy is None:
        raise ToolError("the place of this view in the clip is not kept")
    frame = next(iter(clip.frames(frozenset({place.frame}))), None)
    if frame is None:
        raise ToolError(f"frame {place.frame} cannot be read any more")
    return place.frame, frame.image, place.source_xyxy


def zoom_series(series: Series, view: View, box: BoxXyxyn) -> tuple[Picture, str]:
    """Draw the stretch of a curve that a box of its plot covers."""
    ends = [view.origin.locate((x, box[1], x, box[3])) for x in (box[0], box[2])]
    left, right = (place.sample if place.time_s is None else place.time_s for place in ends)
    if left is None or right is None:
        raise ToolError("the time axis of this view is not kept")
    span = _span(series, left, right)
    inside = np.flatnonzero((series.time_s >= left) & (series.time_s <= right))
    if len(inside) < _SMALLEST_STRETCH:
        raise ToolError(f"{span} holds {len(inside)} samples, too few to draw")
    return _drawn(series, int(inside[0]), int(inside[-1]) + 1), f"the curve from {span}"


def frame_times(clip: VideoClip) -> NDArray[np.float64]:
    """Return the second of every frame, or its number where the clip keeps no time."""
    from converters.video_scan import ScannedFrames

    if isinstance(clip.frames, ScannedFrames):
        return np.asarray(clip.frames.scan.times_s, dtype=np.float64)
    return np.arange(clip.frame_count, dtype=np.float64) / clip.fps


def _stretch(series: Series, wanted: Moment) -> ToolResult:
    _check_time(wanted.time_s, float(series.time_s[0]), float(series.time_s[-1]))
    middle = int(np.argmin(np.abs(series.time_s - wanted.time_s)))
    reach = max(_SMALLEST_STRETCH, wanted.frames * wanted.step)
    first, last = max(0, middle - reach), min(len(series.time_s), middle + reach + 1)
    span = _span(series, series.time_s[first], series.time_s[last - 1])
    return ToolResult(f"The curve from {span}.", (_drawn(series, first, last),))


def _span(series: Series, start: float, end: float) -> str:
    return (
        f"sample {start:.0f} to {end:.0f}" if series.time_is_index else f"{rounded(start, 4)} s to {rounded(end, 4)} s"
    )


def _drawn(series: Series, first: int, last: int) -> Picture:
    from converters.series import render_series

    part = replace(series, time_s=series.time_s[first:last], values=series.values[first:last])
    return render_series(part, ViewBudget())[0].image


def _check_time(time_s: float, first: float, last: float) -> None:
    if not first <= time_s <= last:
        raise ToolError(f"{time_s:g} s lies outside the recording, which runs from {first:g} to {last:g} s")
