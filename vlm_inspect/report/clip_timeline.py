"""What happens in a clip, on its page: the curve of all frames as a time line, its events with a picture of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np

from converters.frame_grid import FrameCell, FramesOrigin
from converters.view import View
from vlm_inspect.frame_curve import LIMIT, FrameCurve
from vlm_inspect.inspection import Box, EventRecord
from vlm_inspect.report.pictures import data_url
from vlm_inspect.significant_digits import probability_words

_WIDTH, _HEIGHT = 960, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 20, 36
_MOST_POINTS = 900
"""Points of the drawn line; of a longer clip the highest of each group of frames."""
_TICKS = 8
_STEPS = (1.0, 2.0, 5.0, 10.0)
_KINDS = {"motion": "motion", "speed": "speed", "appearance": "looks", "duration": "how long it lasts"}


@dataclass(frozen=True)
class _Shown:
    """One event: the nearest frame to its peak that stands in a view, and when and where that is."""

    event: EventRecord
    kind: str
    when: str
    image: str
    """Data URL; "" where no frame of it is shown."""
    width: int
    height: int
    view: int | None
    frame: int | None
    box_xyxyn: Box | None
    """None where the frame that is shown is another than the peak."""


def render_clip_timeline(curve: FrameCurve | None, events: Sequence[EventRecord], views: Sequence[View]) -> str:
    """Return the section of a page, escaped; "" where there is no curve.

    Args:
        curve: of the clip.
        events: as the inspection holds them.
        views: the grids of its frames.
    """
    if curve is None or len(curve.scores) < 2:
        return ""
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    folder = resources.files("vlm_inspect.report") / "templates"
    template = environment.from_string((folder / "clip.html.j2").read_text(encoding="utf-8"))
    return template.render(
        chance=probability_words,
        drawing=Markup(draw_time_line(curve)),  # numbers alone
        events=[_shown(event, views) for event in events],
        curve=curve,
    )


def draw_time_line(curve: FrameCurve) -> str:
    """Return the SVG: score over time (over frames where the clip keeps none), events shaded and numbered."""
    clock = np.arange(len(curve.scores), dtype=np.float64) if curve.times_s is None else curve.times_s
    begin, end = float(clock[0]), max(float(clock[-1]), float(clock[0]) + 1e-9)

    def x(at: float) -> float:
        return _LEFT + (at - begin) / (end - begin) * (_WIDTH - _LEFT - _RIGHT)

    def y(score: float) -> float:
        return _TOP + (1.0 - score) * (_HEIGHT - _TOP - _BOTTOM)

    def band(kind: str, first: float, last: float) -> str:
        width = max(2.0, x(last) - x(first))
        return f'<rect class="{kind}" x="{x(first):.1f}" y="{_TOP}" width="{width:.1f}" height="{y(0) - _TOP:.1f}"/>'

    parts = [
        f'<svg class="clip" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img" '
        'aria-label="how unusual every frame is, over time">'
    ]
    if curve.normal_frames:
        parts.append(band("clip-normal", begin, float(clock[curve.normal_frames - 1])))
    for number, event in enumerate(curve.events, 1):
        parts.append(band("clip-event", float(clock[event.first]), float(clock[event.last])))
        parts.append(f'<text x="{x(float(clock[event.peak])):.1f}" y="{_TOP - 6}">{number}</text>')
    if curve.calibrated:
        parts.append(f'<line class="clip-limit" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(LIMIT)}" y2="{y(LIMIT)}"/>')
    groups = np.array_split(np.arange(len(clock)), min(len(clock), _MOST_POINTS))
    drawn = [int(group[np.nan_to_num(curve.scores[group]).argmax()]) for group in groups]
    points = " ".join(f"{x(float(clock[k])):.1f},{y(float(np.nan_to_num(curve.scores[k]))):.1f}" for k in drawn)
    parts.append(f'<polyline class="clip-line" points="{points}"/>')
    parts += [f'<text class="clip-left" x="{_LEFT - 6}" y="{y(one) + 4:.1f}">{one:g}</text>' for one in (0.0, 0.5, 1.0)]
    parts += [f'<text x="{x(at):.1f}" y="{_HEIGHT - _BOTTOM + 15}">{at:g}</text>' for at in _ticks(begin, end)]
    unit = "frame" if curve.times_s is None else "time, s"
    parts.append(f'<text x="{(_LEFT + _WIDTH) / 2:.0f}" y="{_HEIGHT - 4}">{unit}</text></svg>')
    return "".join(parts)


def _ticks(begin: float, end: float) -> list[float]:
    """Return round numbers from begin to end, at most about `_TICKS`."""
    rough = max((end - begin) / _TICKS, 1e-9)
    unit = 10.0 ** np.floor(np.log10(rough))
    step = unit * next(one for one in _STEPS if one * unit >= rough * 0.999)
    first = int(np.ceil(begin / step - 1e-9))
    return [round(k * step, 9) for k in range(first, int(end / step + 1e-9) + 1)]


def _shown(event: EventRecord, views: Sequence[View]) -> _Shown:
    cells = [
        (number, view, cell)
        for number, view in enumerate(views)
        if isinstance(view.origin, FramesOrigin)
        for cell in view.origin.cells
        if event.start_frame <= cell.frame <= event.end_frame
    ]
    kind, when = _KINDS[event.kind], _when(event)
    if not cells:
        return _Shown(event, kind, when, "", 0, 0, None, None, None)
    number, view, cell = min(cells, key=lambda one: abs(one[2].frame - event.peak_frame))
    image = _cut(view, cell)
    box = event.box_xyxyn if cell.frame == event.peak_frame else None
    return _Shown(event, kind, when, data_url(image), image.shape[1], image.shape[0], number, cell.frame, box)


def _cut(view: View, cell: FrameCell) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    x0, y0, x1, y1 = cell.box_xyxy
    return np.ascontiguousarray(view.image[y0:y1, x0:x1])


def _when(event: EventRecord) -> str:
    if event.start_s is None or event.peak_s is None or event.end_s is None:
        return f"frames {event.start_frame} to {event.end_frame}, most at {event.peak_frame}"
    return f"{event.start_s:.2f} s to {event.end_s:.2f} s, most at {event.peak_s:.2f} s"
