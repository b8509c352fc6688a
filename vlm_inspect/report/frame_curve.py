"""The curve of a clip as a table, `frame,time_s,score`, and as a picture."""

import io

import numpy as np

from vlm_inspect.frame_curve import LIMIT, FrameCurve

_MOST_POINTS = 4000
"""Points of the drawn line; of a longer clip the highest of each group of frames."""
_INK, _GRID, _LINE, _EVENT, _NORMAL = "#222222", "#d9d9d9", "#1f4e9c", "#d9534f", "#5cb85c"


def render_curve_table(curve: FrameCurve) -> bytes:
    """Return the CSV: one line for every frame, time in seconds, empty where the clip keeps no time.

    A score that is not known is empty; every frame that was looked at has one.
    """
    lines = ["frame,time_s,score"]
    times = curve.times_s
    for frame, score in enumerate(curve.scores.tolist()):
        time = "" if times is None else f"{times[frame]:.6f}".rstrip("0").rstrip(".")
        lines.append(f"{frame},{time},{score:.12g}" if np.isfinite(score) else f"{frame},{time},")
    return ("\n".join(lines) + "\n").encode("ascii")


def render_curve_plot(curve: FrameCurve) -> bytes:
    """Return a PNG of the scores over time (over frames where the clip keeps no time), events and limit marked."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    clock = np.arange(len(curve.scores), dtype=np.float64) if curve.times_s is None else curve.times_s
    figure = Figure(figsize=(10, 3.2), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.07, 0.17, 0.91, 0.74))
    if curve.normal_frames:
        axes.axvspan(clock[0], clock[curve.normal_frames - 1], color=_NORMAL, alpha=0.15, lw=0)
    for event in curve.events:
        axes.axvspan(clock[event.first], clock[event.last], color=_EVENT, alpha=0.2, lw=0)
        axes.plot([clock[event.peak]], [event.score], "v", color=_EVENT, ms=5)
    groups = np.array_split(np.arange(len(clock)), min(len(clock), _MOST_POINTS))
    drawn = [int(group[np.nan_to_num(curve.scores[group]).argmax()]) for group in groups]
    axes.plot(clock[drawn], curve.scores[drawn], color=_LINE, lw=1.1)
    if curve.calibrated:
        axes.axhline(LIMIT, color=_INK, lw=0.8, ls="--")
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlim(float(clock[0]), max(float(clock[-1]), float(clock[0]) + 1e-9))
    axes.set_ylabel("P(anomalous)" if curve.calibrated else "rarity in the clip")
    axes.set_xlabel("frame" if curve.times_s is None else "time in s")
    axes.grid(color=_GRID, lw=0.6)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
