"""P(anomalous) of every frame of a clip, or sample of a curve, as a table `frame,time_s,score`, and as a picture."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vlm_inspect.frame_curve import LIMIT, FrameCurve
from vlm_inspect.safe_text import plain_line
from vlm_inspect.sample_curve import SampleCurve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_POINTS = 4000
"""Points of the drawn line; of a longer clip the highest of each group of frames."""
_NOTHING = "There is no score: the part was not held against normal ones."
_MADE_BY = "vlm-inspect --curve"
"""Stands in every plot, so that a later one may replace it."""
_INK, _GRID, _LINE, _EVENT, _NORMAL = "#222222", "#d9d9d9", "#1f4e9c", "#d9534f", "#5cb85c"


def render_curve_table(curve: FrameCurve | SampleCurve) -> bytes:
    """Return the CSV: one line for every frame (or `sample`), time in seconds, empty where there is no clock.

    A score that is not known is empty; every frame that was looked at has one.
    """
    lines = [f"{_counted(curve)},time_s,score"]
    times = curve.times_s
    for frame, score in enumerate(curve.scores.tolist()):
        time = "" if times is None else _written(float(times[frame]), curve)
        lines.append(f"{frame},{time},{score:.12g}" if np.isfinite(score) else f"{frame},{time},")
    return ("\n".join(lines) + "\n").encode("ascii")


def render_no_table(counted: str, reasons: Sequence[str]) -> bytes:
    """Return the CSV of a part that was not compared: its header, and lines after # that say why.

    Args:
        counted: `frame` or `sample`.
        reasons: sentences.
    """
    told = [f"# {plain_line(one)}" for one in (_NOTHING, *reasons)]
    return ("\n".join([f"{counted},time_s,score", *told]) + "\n").encode()


def render_no_plot() -> bytes:
    """Return the PNG of a part that was not compared: it says so."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.2), dpi=100)
    FigureCanvasAgg(figure)
    figure.text(0.5, 0.5, _NOTHING, ha="center", va="center", color=_INK)
    return _png(figure)


def is_curve_plot(path: Path) -> bool:
    """Return whether a file is a plot that was written beside a curve."""
    try:
        with path.open("rb") as file:
            return f"Software\0{_MADE_BY}".encode() in file.read(512)
    except OSError:
        return False


def _counted(curve: FrameCurve | SampleCurve) -> str:
    return "frame" if isinstance(curve, FrameCurve) else "sample"


def _written(time_s: float, curve: FrameCurve | SampleCurve) -> str:
    """Return a frame's time to a microsecond; that of a sample to as many digits as tell samples apart."""
    return f"{time_s:.6f}".rstrip("0").rstrip(".") if isinstance(curve, FrameCurve) else f"{time_s:.12g}"


def render_curve_plot(curve: FrameCurve | SampleCurve) -> bytes:
    """Return a PNG of the scores over time (frames or samples where there is no clock), events and limit marked."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    clock = np.arange(len(curve.scores), dtype=np.float64) if curve.times_s is None else curve.times_s
    figure = Figure(figsize=(10, 3.2), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.07, 0.17, 0.91, 0.74))
    if isinstance(curve, FrameCurve) and curve.normal_frames:
        axes.axvspan(clock[0], clock[curve.normal_frames - 1], color=_NORMAL, alpha=0.15, lw=0)
    for event in curve.events:
        axes.axvspan(clock[event.first], clock[event.last], color=_EVENT, alpha=0.2, lw=0)
        axes.plot([clock[event.peak]], [event.score], "v", color=_EVENT, ms=5)
    groups = np.array_split(np.arange(len(clock)), min(len(clock), _MOST_POINTS))
    drawn = [int(group[np.nan_to_num(curve.scores[group]).argmax()]) for group in groups]
    axes.plot(clock[drawn], curve.scores[drawn], color=_LINE, lw=1.1)
    calibrated = isinstance(curve, SampleCurve) or curve.calibrated
    if calibrated:
        axes.axhline(LIMIT, color=_INK, lw=0.8, ls="--")
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlim(float(clock[0]), max(float(clock[-1]), float(clock[0]) + 1e-9))
    axes.set_ylabel("P(anomalous)" if calibrated else "rarity in the clip")
    axes.set_xlabel(_counted(curve) if curve.times_s is None else "time in s")
    axes.grid(color=_GRID, lw=0.6)
    return _png(figure)


def _png(figure: "Figure") -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": _MADE_BY})
    return buffer.getvalue()
