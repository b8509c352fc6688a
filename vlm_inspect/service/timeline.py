"""What a curve or a clip shows over time, as JSON values: lines to draw, the marked stretches, the frames to play."""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from converters.errors import ConversionError
from converters.frame_grid import FramesOrigin
from converters.sample import Series
from converters.series_plot import PlotOrigin, thin_out
from converters.view import BoxXyxyn, View
from vlm_inspect.frame_curve import LIMIT, FrameCurve
from vlm_inspect.inspection import CurveEventRecord, EventRecord, Inspection
from vlm_inspect.report.marks import marks_of_view
from vlm_inspect.sample_curve import SampleCurve
from vlm_inspect.store import Case

Clock = Literal["s", "frame", "sample"]
Number = float | None
_COLUMNS = 1500
"""Columns of pixels for which a line keeps its lowest and highest values."""
MOST_CHANNELS = 24


@dataclass(frozen=True)
class Line:
    """One curve, thinned out so that every spike stays."""

    name: str
    unit: str
    times: tuple[float, ...]
    """In the clock of its timeline."""
    values: tuple[Number, ...]
    """None: missing."""
    limit: Number = None
    """Beyond which a value is no normal one."""


@dataclass(frozen=True)
class Stretch:
    """One marked stretch."""

    first: float
    peak: float
    last: float
    """In the clock of its timeline."""
    text: str
    score: Number = None
    channels: tuple[int, ...] = ()
    """Indices of the lines it is marked on; empty: all."""
    defect: int | None = None
    """Row of the defect that it is, from 1."""
    places: tuple[tuple[int, BoxXyxyn], ...] = ()
    """Frame numbers and boxes: where it is on the clip."""


@dataclass(frozen=True)
class Film:
    """The frames of a clip that can be played."""

    count: int
    marks: tuple[tuple[int, float], ...]
    """Frame numbers with their times, rising, ends included; between two of them time runs evenly."""


@dataclass(frozen=True)
class Timeline:
    """What is drawn of a curve or a clip."""

    kind: Literal["curve", "clip"]
    clock: Clock
    lines: tuple[Line, ...]
    stretches: tuple[Stretch, ...]
    normal_until: Number = None
    """Until when the clip's own beginning was taken as normal."""
    film: Film | None = None
    left_out: int = 0
    """Channels that are not drawn."""

    def values(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def is_over_time(case: Case) -> bool:
    """Return whether a case is one of a curve or a clip."""
    return any(view.kind in ("plot", "frames") for view in case.inspection.views)


def timeline_of_curve(curve: FrameCurve, inspection: Inspection) -> Timeline:
    """Return what a clip shows over time, from the number that every frame has."""
    count = len(curve.scores)
    times = np.arange(count, dtype=np.float64) if curve.times_s is None else curve.times_s
    name = "P(anomalous)" if curve.calibrated else "rarity"
    line = _line(name, "", times, curve.scores, LIMIT if curve.calibrated else None)
    stretches = tuple(
        Stretch(
            float(times[event.first]),
            float(times[event.peak]),
            float(times[event.last]),
            text=event.note,
            score=event.score,
            defect=_defect_within(inspection, event.first, event.last),
            places=tuple((one.frame, one.box_xyxyn) for one in event.track) or ((event.peak, event.box_xyxyn),),
        )
        for event in curve.events
    )
    normal = float(times[min(curve.normal_frames, count) - 1]) if curve.normal_frames else None
    clock: Clock = "frame" if curve.times_s is None else "s"
    return Timeline("clip", clock, (line,), stretches, normal, Film(count, _film_marks(times)))


def timeline_of_case(case: Case) -> Timeline:
    """Return what a kept case shows over time: the values of a curve, read again, or the frames of a clip.

    Raises:
        StoreError: the input was not kept, or is gone.
        ConversionError: it cannot be read any more.
    """
    with tempfile.TemporaryDirectory() as folder:  # with the name it had: a table is told by its ending, too
        path = case.write_input(Path(folder))
        if any(view.kind == "plot" for view in case.inspection.views):
            return _of_series(case, path)
        return _of_clip(case, path)


def timeline_of_samples(series: Series, curve: SampleCurve | None, inspection: Inspection) -> Timeline:
    """Return what a sensor curve shows over time, with the number that every sample has, where they are known."""
    names = [name or f"channel {k + 1}" for k, name in enumerate(series.names)]
    drawn = range(min(len(names), MOST_CHANNELS))
    lines = [_line(names[k], series.units[k], series.time_s, series.values[:, k], None) for k in drawn]
    if curve is not None and len(curve.scores) == len(series.time_s):
        lines.append(_line("P(anomalous)", "", series.time_s, curve.scores, LIMIT))
    stretches = tuple(_of_curve_event(event, names, series, inspection) for event in inspection.curve_events)
    clock: Clock = "sample" if series.time_is_index else "s"
    return Timeline("curve", clock, tuple(lines), stretches, left_out=len(names) - len(drawn))


def _of_curve_event(event: CurveEventRecord, names: Sequence[str], series: Series, inspection: Inspection) -> Stretch:
    numbers = (min(one, len(series.time_s) - 1) for one in (event.start_sample, event.peak_sample, event.end_sample))
    first, peak, last = (float(series.time_s[one]) for one in numbers)
    channels = tuple(names.index(one) for one in event.channels if one in names[:MOST_CHANNELS])
    rows = enumerate(inspection.defects, start=1)
    at = (
        (row, float(one.sample) if one.time_s is None and one.sample is not None else one.time_s) for row, one in rows
    )
    defect = next((row for row, time in at if time is not None and first <= time <= last), None)
    return Stretch(first, peak, last, event.description, event.score, channels, defect)


def _of_series(case: Case, path: Path) -> Timeline:
    from converters.registry import read

    series = read(path)
    if not isinstance(series, Series):
        raise ConversionError(f"{path.name}: it was a curve when it was inspected, and is none now")
    told = timeline_of_samples(series, None, case.inspection)
    return told if told.stretches else replace(told, stretches=_all_marked(case))


def _all_marked(case: Case) -> tuple[Stretch, ...]:
    return tuple(one for index in range(len(case.views)) for one in _marked(case, index))


def _of_clip(case: Case, path: Path) -> Timeline:
    from converters.video_source import open_source

    source = open_source(path)
    origins = [view.origin for view in case.views if isinstance(view.origin, FramesOrigin)]
    cells = [cell for origin in origins for cell in origin.cells]
    known = next((origin.frame_count for origin in origins if origin.frame_count), None)
    count = known or source.expected or max((cell.frame for cell in cells), default=0) + 1
    keeps_time = all(cell.time_s is not None for cell in cells)
    marks = tuple((cell.frame, cell.time_s or 0.0) if keeps_time else (cell.frame, float(cell.frame)) for cell in cells)
    stretches = tuple(_of_event(event, case.inspection) for event in case.inspection.events)
    stretches = stretches or _all_marked(case)
    return Timeline("clip", "s" if keeps_time else "frame", (), stretches, film=Film(count, _with_ends(marks, count)))


def _of_event(event: EventRecord, inspection: Inspection) -> Stretch:
    frames = event.start_frame, event.peak_frame, event.end_frame
    seconds = event.start_s, event.peak_s, event.end_s
    first, peak, last = (float(n) if s is None else s for n, s in zip(frames, seconds, strict=True))
    places = tuple((one.frame, one.box_xyxyn) for one in event.track) or ((event.peak_frame, event.box_xyxyn),)
    defect = _defect_within(inspection, event.start_frame, event.end_frame)
    return Stretch(first, peak, last, event.description, event.score, (), defect, places)


def _marked(case: Case, index: int) -> list[Stretch]:
    """Return the marks of a view as stretches of time."""
    view = case.views[index]
    found = []
    for mark in marks_of_view(case.inspection, case.evidence, index):
        told = None if mark.number is None else case.inspection.defects[mark.number - 1]
        text = "" if told is None else " ".join(filter(None, (told.type, told.description)))
        stretch = _stretch(view, mark.box_xyxyn, text)
        if stretch is not None:
            found.append(replace(stretch, score=None if told is None else told.score, defect=mark.number))
    return found


def _stretch(view: View, box_xyxyn: BoxXyxyn, text: str) -> Stretch | None:
    """Return when a box of a plot or of a grid of frames begins and ends, and where; None: the view keeps no time."""
    if isinstance(view.origin, PlotOrigin):
        first, last, channel = _span_of_plot(view.origin, box_xyxyn)
        return Stretch(first, (first + last) / 2, last, text, channels=(channel,))
    if not isinstance(view.origin, FramesOrigin):
        return None
    place = view.origin.locate(box_xyxyn)
    frame = place.frame or 0
    time = float(frame) if place.time_s is None else place.time_s
    height, width = view.origin.frame_size_hw
    x0, y0, x1, y1 = place.source_xyxy or (0.0, 0.0, float(width), float(height))
    return Stretch(time, time, time, text, places=((frame, (x0 / width, y0 / height, x1 / width, y1 / height)),))


def _span_of_plot(origin: PlotOrigin, box_xyxyn: BoxXyxyn) -> tuple[float, float, int]:
    height, width = origin.size_hw
    y = (box_xyxyn[1] + box_xyxyn[3]) / 2 * height
    panel = min(origin.panels, key=lambda one: max(one.box_xyxy[1] - y, y - one.box_xyxy[3], 0.0))
    left, _, right, _ = panel.box_xyxy
    shares = (min(max((x * width - left) / (right - left), 0.0), 1.0) for x in (box_xyxyn[0], box_xyxyn[2]))
    first, last = (panel.t0 + share * (panel.t1 - panel.t0) for share in shares)
    return first, last, panel.channel


def _defect_within(inspection: Inspection, first: int, last: int) -> int | None:
    """Return the row of the defect whose frame lies in a stretch of frames; None: of none."""
    rows = enumerate(inspection.defects, start=1)
    return next((row for row, one in rows if one.frame is not None and first <= one.frame <= last), None)


def _line(name: str, unit: str, times: NDArray[np.float64], values: NDArray[np.float64], limit: Number) -> Line:
    kept = thin_out(times, values, _COLUMNS)
    known = tuple(float(value) if np.isfinite(value) else None for value in values[kept])
    return Line(name, unit, tuple(float(time) for time in times[kept]), known, limit)


def _film_marks(times: NDArray[np.float64]) -> tuple[tuple[int, float], ...]:
    """Return frames with their times: the two ends where time runs evenly, else up to 500 between them."""
    ends = np.linspace(times[0], times[-1], len(times))
    even = len(times) < 3 or float(np.abs(times - ends).max()) < 0.5 * float(ends[1] - ends[0])
    count = min(len(times), 2 if even else 500)
    chosen = np.unique(np.linspace(0, len(times) - 1, count).round().astype(int))
    return tuple((int(frame), float(times[frame])) for frame in chosen)


def _with_ends(marks: Sequence[tuple[int, float]], count: int) -> tuple[tuple[int, float], ...]:
    """Return the frames of a grid with their times, and the first and the last of the clip beside them."""
    known = sorted(dict(marks).items())
    if len(known) < 2:
        return ((0, 0.0), (count - 1, float(count - 1))) if count > 1 else ((0, 0.0),)
    (frame_a, time_a), (frame_b, time_b) = known[0], known[-1]
    pace = (time_b - time_a) / (frame_b - frame_a)
    if frame_a > 0:
        known.insert(0, (0, time_a - pace * frame_a))
    if frame_b < count - 1:
        known.append((count - 1, time_b + pace * (count - 1 - frame_b)))
    return tuple(known)
