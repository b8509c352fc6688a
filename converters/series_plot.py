"""Line plots whose pixels map back to seconds: one panel a channel, a shared time axis, every spike visible."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from converters.sample import Series
from converters.view import BoxXyxyn, Pane, Place, View, ViewBudget

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Limits = tuple[float, float]
"""Lowest and highest value of an axis, in the channel's unit."""

_DPI = 100
_WIDTH, _HEIGHT = 900, 500
_PANEL_HEIGHT = 190
_LEFT, _RIGHT, _TOP, _BOTTOM, _BETWEEN = 88, 18, 20, 54, 22
_INK, _GRID, _LINE = "#222222", "#d9d9d9", "#1f4e9c"


@dataclass(frozen=True)
class PlotPanel:
    """One channel's rectangle, inside its axes."""

    box_xyxy: tuple[int, int, int, int]
    """Pixels of the view; x1 and y1 exclusive."""
    channel: int
    t0: float
    t1: float
    """Seconds at the left and right edge."""
    y0: float
    y1: float
    """Values at the bottom and top edge."""
    name: str = ""
    """Of the channel, or its number in words."""


@dataclass(frozen=True)
class PlotOrigin:
    """Maps a box of a plot to a second, or to a sample of a curve that keeps no time."""

    size_hw: tuple[int, int]
    panels: tuple[PlotPanel, ...]
    """At least one; all share the time axis."""
    time_is_index: bool = False
    """True where the axis counts samples."""

    def locate(self, box_xyxyn: BoxXyxyn) -> Place:
        """Return the time at the box's centre, beside the axes at their nearer end, and the channel that is nearest."""
        x, y = ((box_xyxyn[k] + box_xyxyn[k + 2]) / 2 * self.size_hw[1 - k] for k in (0, 1))
        panel = min(self.panels, key=lambda one: max(one.box_xyxy[1] - y, y - one.box_xyxy[3], 0.0))
        left, _, right, _ = panel.box_xyxy
        share = min(max((x - left) / (right - left), 0.0), 1.0)
        time, channel = panel.t0 + share * (panel.t1 - panel.t0), panel.name or None
        return Place(sample=round(time), channel=channel) if self.time_is_index else Place(time_s=time, channel=channel)


def value_limits(values: NDArray[np.float64]) -> Limits:
    """Return the range of an axis that shows all values with a margin of 5 %; (-1, 1) where there is none."""
    known = values[np.isfinite(values)]
    if not known.size:
        return -1.0, 1.0
    low, high = float(known.min()), float(known.max())
    margin = 0.05 * (high - low)
    if margin <= 1e-12 * max(abs(low), abs(high)):  # constant: neither a zero range nor one of rounding noise
        margin = 0.05 * max(abs(low), abs(high)) or 1.0
    return low - margin, high + margin


def draw_panels(
    series: Series, channels: range, limits: Sequence[Limits], budget: ViewBudget, *, is_split: bool
) -> View:
    """Draw the panels of some channels into one view; `is_split` where the series has more plots than this."""
    size_hw = _plot_size(len(channels), budget.max_side)
    time = float(series.time_s[0]), float(series.time_s[-1])
    panels = tuple(
        PlotPanel(box, channel, *time, *limits[channel], name=_name(series, channel))
        for box, channel in zip(_panel_boxes(size_hw, len(channels)), channels, strict=True)
    )
    mask = np.zeros(size_hw, dtype=np.bool_)
    for x0, y0, x1, y1 in (panel.box_xyxy for panel in panels):
        mask[y0:y1, x0:x1] = True
    return View(
        image=_draw(series, panels, size_hw),
        kind="plot",
        label=_label(series, channels, is_split),
        origin=PlotOrigin(size_hw, panels, series.time_is_index),
        key=f"plot/{series.names[channels[0]] or channels[0] + 1}" if is_split else "plot",
        mask=mask,
        panes=tuple(Pane(panel.box_xyxy, _title(series, panel.channel)) for panel in panels),
    )


def _plot_size(panels: int, max_side: int) -> tuple[int, int]:
    height = max(_HEIGHT, _TOP + _BOTTOM + panels * _PANEL_HEIGHT + (panels - 1) * _BETWEEN)
    return min(height, max_side), min(_WIDTH, max_side)


def _panel_boxes(size_hw: tuple[int, int], count: int) -> list[tuple[int, int, int, int]]:
    height, width = size_hw
    room = (height - _TOP - _BOTTOM - (count - 1) * _BETWEEN) // count
    tops = [_TOP + k * (room + _BETWEEN) for k in range(count)]
    return [(_LEFT, top, width - _RIGHT, top + room) for top in tops]


def _name(series: Series, channel: int) -> str:
    return series.names[channel] or f"channel {channel + 1}"


def _title(series: Series, channel: int) -> str:
    name, unit = _name(series, channel), series.units[channel]
    return f"{name} [{unit}]" if unit else name


def _label(series: Series, channels: range, is_split: bool) -> str:
    names = ", ".join(_title(series, channel) for channel in channels)
    first, last = series.time_s[0], series.time_s[-1]
    span = f"samples {first:.10g} to {last:.10g}" if series.time_is_index else f"{first:.10g} s to {last:.10g} s"
    part = f" (channels {channels[0] + 1} to {channels[-1] + 1} of {series.values.shape[1]})" if is_split else ""
    return f"plot of {names}{part}, {span}"


def _draw(series: Series, panels: Sequence[PlotPanel], size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height, width = size_hw
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    for panel in panels:
        axes = _add_axes(figure, panel, size_hw)
        _draw_curve(axes, series, panel)
        axes.set_ylabel(_title(series, panel.channel), fontsize=11, color=_INK, parse_math=False)
        axes.yaxis.set_label_coords((16 - _LEFT) / (panel.box_xyxy[2] - panel.box_xyxy[0]), 0.5)
        axes.tick_params(labelbottom=panel is panels[-1])
    axes.set_xlabel("sample" if series.time_is_index else "time [s]", fontsize=11, color=_INK)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)  # a name in a script without a font
        canvas.draw()  # type: ignore[no-untyped-call]  # matplotlib does not annotate it
    return np.array(canvas.buffer_rgba())[:, :, :3].copy()  # type: ignore[no-untyped-call]  # nor this


def _add_axes(figure: "Figure", panel: PlotPanel, size_hw: tuple[int, int]) -> "Axes":
    height, width = size_hw
    x0, y0, x1, y1 = panel.box_xyxy
    axes = figure.add_axes((x0 / width, 1 - y1 / height, (x1 - x0) / width, (y1 - y0) / height), facecolor="white")
    axes.set_xlim(panel.t0, panel.t1)
    axes.set_ylim(panel.y0, panel.y1)
    axes.set_axisbelow(True)
    axes.grid(visible=True, color=_GRID, linewidth=0.8)
    axes.tick_params(labelsize=10, color=_INK, labelcolor=_INK)
    axes.ticklabel_format(axis="y", scilimits=(-3, 4), useOffset=False)  # long numbers would run into the name
    return axes


def _draw_curve(axes: "Axes", series: Series, panel: PlotPanel) -> None:
    values = series.values[:, panel.channel]
    shown = thin_out(series.time_s, values, panel.box_xyxy[2] - panel.box_xyxy[0])
    time_s, values = series.time_s[shown], values[shown]
    axes.plot(time_s, values, color=_LINE, linewidth=1.3, solid_joinstyle="round")
    known = np.concatenate([[False], np.isfinite(values), [False]])
    alone = known[1:-1] & ~known[:-2] & ~known[2:]
    if alone.any():  # a line needs two ends: a sample between two missing ones is a dot
        axes.plot(time_s[alone], values[alone], color=_LINE, linestyle="none", marker=".", markersize=5)


def thin_out(time_s: NDArray[np.float64], values: NDArray[np.float64], columns: int) -> NDArray[np.int64]:
    """Return the indices of the samples that decide which pixels a line plot of so many columns sets.

    First, lowest, highest and last of each pixel column: M4 of Jugel et al., "M4: A Visualization-Oriented Time Series
    Data Aggregation", VLDB 2014, section 4. A spike of one sample among millions stays.
    """
    if len(values) <= 4 * columns:
        return np.arange(len(values))
    edges = np.searchsorted(time_s, np.linspace(time_s[0], time_s[-1], columns + 1)[1:-1])
    starts = np.unique(np.concatenate([[0], edges]))
    starts = starts[starts < len(values)]
    kept: list[int] = []
    for first, end in zip(starts, np.append(starts[1:], len(values)), strict=True):
        known = np.flatnonzero(np.isfinite(values[first:end])) + first
        if not known.size:
            kept.append(int(first))  # NaN: the line has a gap here
            continue
        inside = values[known]
        kept += sorted({int(known[0]), int(known[inside.argmin()]), int(known[inside.argmax()]), int(known[-1])})
    return np.array(kept, dtype=np.int64)
