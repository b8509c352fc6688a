"""How far a curve is off its references, window by window, and painted as columns on its plots.

The height of a window is the highest share, by any kind of evidence, of how far normal curves go.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from converters.sample import Series
from converters.series_plot import PlotOrigin
from converters.view import View
from vlm_inspect.evidence import AnomalyMap
from vlm_inspect.localization.curves.comparison import FINE, KINDS, PreparedCurve
from vlm_inspect.localization.curves.gaps import Gap, stretches_in
from vlm_inspect.localization.curves.matching import NotComparable, with_channels
from vlm_inspect.localization.curves.names import channel_columns
from vlm_inspect.localization.curves.normality import NormalCurves, rarity
from vlm_inspect.localization.curves.windows import grid_of, windows
from vlm_inspect.tolerance import Tolerance

ENDS_EARLY = len(KINDS)
"""Kind of evidence of a curve that is in step with its references and ends before them."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CurveDeviation:
    """How far each window of a curve is off."""

    middles: Floats
    """(W,): of the windows, in seconds from the curve's start."""
    heights: Floats
    """(W, C): by channels of the references; 1 is the limit of a single one, the tolerance tells that of all."""
    fine: Floats
    """(W, C): the same by the evidence that tells the moment well."""
    kinds: NDArray[np.int64]
    """(W, C): which of `KINDS` is highest; `ENDS_EARLY` at the end of a curve that is too short."""
    channels: tuple[int, ...]
    """(C,): which channel of the curve each is."""
    unseen: tuple[tuple[Gap, ...], ...]
    """(C,): gaps that are longer than those of the references; what touches one has no height."""
    tolerance: Tolerance | None
    nearest: int
    """The reference that it is nearest in all, by its index among all."""
    log_score: float
    """Logarithm of the highest window."""


def curve_deviation(
    series: Series, normal: NormalCurves, *, without: int | None = None
) -> CurveDeviation | NotComparable:
    """Hold a curve against normal ones.

    Args:
        series: the curve.
        normal: what its references say.
        without: which of `normal.curves` plays no part.

    Returns:
        How far it is off, or why that cannot be told: it lacks a channel, or has another clock or unit of time.
    """
    if (refusal := normal.traits.refusal(series)) is not None:
        return refusal
    curve = with_channels(series, normal.names)
    columns = channel_columns(series.names, normal.names)
    assert curve is not None
    assert columns is not None
    own = normal.prepare(curve)
    found = normal.distances(own, without=without)
    unseen = normal.traits.unseen(series)
    shares = _seen(normal.heights(found, without=without), found.middles, unseen, normal)
    middles = own.middles
    each = np.stack([_at(middles, one, share) for one, share in zip(found.middles, shares, strict=True)])
    heights, kinds = each.max(axis=0), each.argmax(axis=0)
    fine = each[:FINE].max(axis=0)
    if (short := _shortfall(own, normal)) > 1.0:
        fine[-1] = np.maximum(fine[-1], 1.0 + short)
        kinds[-1] = np.where(heights[-1] < 1.0 + short, ENDS_EARLY, kinds[-1])
        heights[-1] = np.maximum(heights[-1], 1.0 + short)
    log_score = float(np.log(max(1e-12, heights.max(), *(one.max() for one in shares))))
    nearest = normal.kept[normal.nearest(own)]
    return CurveDeviation(middles, heights, fine, kinds, columns, unseen, normal.tolerance, nearest, log_score)


def signless_channels(normal: NormalCurves, references: Sequence[Series]) -> tuple[str, ...]:
    """Return the channels of which nobody would see that they are turned in sign, as by a sensor wired the wrong way.

    Args:
        normal: what the references say.
        references: all of them.
    """
    first = with_channels(references[normal.kept[0]], normal.names)
    if first is None or normal.tolerance is None:
        return ()
    found = []
    for k, name in enumerate(normal.names):
        if normal.polarity.shows(k):
            continue
        values = first.values.copy()
        values[:, k] *= -1.0
        turned = curve_deviation(replace(first, values=values), normal, without=0)
        if not isinstance(turned, NotComparable) and turned.log_score <= np.log(normal.tolerance.limit):
            found.append(name or f"channel {k + 1}")
    return tuple(found)


def deviation_maps(series: Series, found: CurveDeviation, views: Sequence[View]) -> list[AnomalyMap]:
    """Return one map for each plot: columns of heights; a plot whose channels the references lack gets none."""
    columns = dict(zip(found.channels, found.heights.T, strict=True))
    return _maps(series, views, found.middles, columns, found.tolerance, found.nearest)


def rarity_maps(series: Series, views: Sequence[View]) -> list[AnomalyMap]:
    """Return maps of a curve without references: distance from its own median window; no tolerance."""
    middles, features = windows(series, grid_of([series]))
    return _maps(series, views, middles, dict(enumerate(rarity(features).T)), None, None)


def _seen(
    shares: Sequence[Floats], middles: Sequence[Floats], unseen: Sequence[Sequence[Gap]], normal: NormalCurves
) -> list[Floats]:
    """Return shares (W, C) of each kind with 0 for what touches a gap: the line that bridges it was not measured."""
    if not any(unseen):
        return list(shares)
    halves = normal.measure.half_lengths_s
    together = [name == KINDS[-1] for name in KINDS]
    return [
        np.where(stretches_in(unseen, at, half, together=both), 0.0, share)
        for share, at, half, both in zip(shares, middles, halves, together, strict=False)
    ]


def _at(middles: Floats, own: Floats, shares: Floats) -> Floats:
    """Return shares (V, C) of windows with their own middles (V,) at other middles (W,), (W, C)."""
    return np.stack([np.interp(middles, own, column) for column in shares.T], axis=1)


def _shortfall(curve: PreparedCurve, normal: NormalCurves) -> float:
    """Return by how many windows a curve in step with its references ends before the shortest of them."""
    if not normal.measure.in_step:
        return 0.0
    window_s = normal.measure.grid.samples * normal.measure.grid.step_s
    return (min(one.length_s for one in normal.curves) - curve.length_s) / window_s


def _maps(
    series: Series,
    views: Sequence[View],
    middles: Floats,
    heights: Mapping[int, Floats],
    tolerance: Tolerance | None,
    nearest: int | None,
) -> list[AnomalyMap]:
    """Paint the heights (W,) of each channel over its panels."""
    maps = []
    source = "rarity" if nearest is None else "deviation"
    for i, view in enumerate(views):
        if not isinstance(view.origin, PlotOrigin):
            continue
        panels = [panel for panel in view.origin.panels if panel.channel in heights]
        if not panels:
            continue
        values = np.zeros(view.size_hw, dtype=np.float32)
        for panel in panels:
            left, top, right, bottom = panel.box_xyxy
            share = (np.arange(left, right) + 0.5 - left) / (right - left)
            time = panel.t0 + share * (panel.t1 - panel.t0) - series.time_s[0]
            values[top:bottom, left:right] = np.interp(time, middles, heights[panel.channel])
        score = float(max(heights[panel.channel].max() for panel in panels))
        maps.append(AnomalyMap(i, values, score, source, tolerance=tolerance, nearest_reference=nearest))
    return maps
