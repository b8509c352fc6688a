"""How far a curve is from its references, window by window, painted as columns on its plots. Nothing is learned.

A window (series_windows.py) is as far off as its features are from those of the nearest window of the references. Which
windows it may be compared with, the references decide: where they look alike at the same second (a press stroke), only
those of that second, so a normal pattern at a wrong time is found; where they do not (a running motor), all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from converters.sample import Series
from converters.series_plot import PlotOrigin
from converters.view import View
from vlm_inspect.evidence import AnomalyMap
from vlm_inspect.localization.series_windows import Grid, grid_of, windows
from vlm_inspect.tolerance import Tolerance, tolerance_from_normals

_TOP = 4
"""The score is the mean of the four highest windows: what lasts one window shows in four that overlap."""
_NEAR_WINDOWS = 0.75
"""Windows apart in time that still count as the same time."""
_SAME_TIME = 2.5
_OTHER_TIME = 2.0
"""References run in step when windows of the same second lie at most 2.5 times as far apart as the nearest of any
second, and windows half a curve later at least twice as far as those of the same second."""
_LEAST_SPREAD = 0.1
"""Of a logarithm: changes of less than a tenth are noise."""

Features = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ReferenceWindows:
    """References made ready once, for any number of curves of their class."""

    names: tuple[str, ...]
    grid: Grid
    middles: tuple[NDArray[np.float64], ...]
    features: tuple[Features, ...]
    """(W, C, F) each."""
    scale: NDArray[np.float64]
    """(C, F): what one unit of distance is, a channel and feature."""
    synchronous: bool
    """True: a window is compared with those of the same time."""
    tolerance: Tolerance | None


def prepare_curves(references: Sequence[Series]) -> ReferenceWindows:
    """Return the windows of reference curves (at least one) and the tolerance that n >= 2 of them set.

    Channels are those of the first; a reference that lacks one of them is left out.
    """
    if not references:
        raise ValueError("a deviation needs at least one reference")
    names = references[0].names
    curves = [curve for one in references if (curve := _with_channels(one, names)) is not None]
    grid = grid_of(curves)
    middles, features = zip(*(windows(curve, grid) for curve in curves), strict=True)
    ready = ReferenceWindows(names, grid, middles, features, _pooled_scale(features), False, None)
    if len(curves) < 2:
        return ready
    if _in_step(ready):
        ready = replace(ready, synchronous=True, scale=_scale_at_each_time(features))
    return replace(ready, tolerance=tolerance_from_normals(_normal_scores(ready)))


def _in_step(ready: ReferenceWindows) -> bool:
    """Tell whether the references look alike at the same second, and unlike at another."""
    timed = replace(ready, synchronous=True)
    free, same, other = (
        float(np.median(scores))
        for scores in (_normal_scores(ready), _normal_scores(timed), _normal_scores(timed, later=0.5))
    )
    return same <= _SAME_TIME * free and other >= _OTHER_TIME * same


def series_deviation(
    series: Series, references: Sequence[Series] | ReferenceWindows, views: Sequence[View]
) -> list[AnomalyMap]:
    """Return one map for each plot: columns of distance to the references, in spreads of normal windows.

    Without references: distance from the curve's own median window, in median absolute deviations; no tolerance.

    Args:
        series: the curve.
        references: normal curves of its class, or what `prepare_curves` made of them; may be empty.
        views: the curve's plots; a plot whose channels the references lack gets no map.
    """
    if isinstance(references, ReferenceWindows) or len(references):
        ready = references if isinstance(references, ReferenceWindows) else prepare_curves(references)
        curve = _with_channels(series, ready.names)
        if curve is None:
            return []
        middles, features = windows(curve, ready.grid)
        distances, nearest = _distances(middles, features, ready)
        channels = [_position(series, name, i) for i, name in enumerate(ready.names)]
        return _maps(series, views, middles, dict(zip(channels, distances.T, strict=True)), ready.tolerance, nearest)
    middles, features = windows(series, grid_of([series]))
    rarity = dict(enumerate(_rarity(features).T))
    return _maps(series, views, middles, rarity, None, None)


def _with_channels(series: Series, names: tuple[str, ...]) -> Series | None:
    """Return the series with just these channels: by name, else by position if it has as many; None: it lacks one."""
    columns = [_position(series, name, i if len(names) == len(series.names) else -1) for i, name in enumerate(names)]
    if -1 in columns:
        return None
    units = tuple(series.units[k] for k in columns)
    return replace(series, values=series.values[:, columns], names=names, units=units)


def _position(series: Series, name: str, otherwise: int) -> int:
    return series.names.index(name) if name in series.names else otherwise


def _pooled_scale(features: Sequence[Features]) -> NDArray[np.float64]:
    """Return robust standard deviations (C, F) over all windows."""
    pooled = np.concatenate(features)
    return _floored(1.4826 * np.median(np.abs(pooled - np.median(pooled, axis=0)), axis=0), pooled)


def _scale_at_each_time(features: Sequence[Features]) -> NDArray[np.float64]:
    """Return standard deviations (C, F) among the references at one time, the median over times."""
    count = min(len(one) for one in features)
    together = np.stack([one[:count] for one in features])
    return _floored(np.median(together.std(axis=0, ddof=1), axis=0), together.reshape(-1, *together.shape[2:]))


def _floored(scale: NDArray[np.float64], pooled: Features) -> NDArray[np.float64]:
    """Keep the unit of distance above rounding: for the mean 2 % of the channel's own spread, else a tenth."""
    level = 0.02 * (np.ptp(pooled[:, :, 0], axis=0) + np.median(np.exp(pooled[:, :, 1]), axis=0))
    scale = np.maximum(scale, _LEAST_SPREAD)
    spread = 1.4826 * np.median(np.abs(pooled[:, :, 0] - np.median(pooled[:, :, 0], axis=0)), axis=0)
    scale[:, 0] = np.maximum.reduce([level, np.minimum(scale[:, 0], spread), np.full(len(level), 1e-12)])
    return scale


def _normal_scores(ready: ReferenceWindows, *, later: float = 0.0) -> list[float]:
    """Return the score of each reference against the others, which run later by a share of their length."""
    scores = []
    shifted = [(middles + later * middles[-1]) % (middles[-1] + 1e-9) for middles in ready.middles]
    for i in range(len(ready.features)):
        others = replace(
            ready,
            middles=tuple(shifted[:i] + shifted[i + 1 :]),
            features=ready.features[:i] + ready.features[i + 1 :],
        )
        distances, _ = _distances(ready.middles[i], ready.features[i], others)
        scores.append(max(_top_mean(column) for column in distances.T))
    return scores


def _distances(
    middles: NDArray[np.float64], features: Features, ready: ReferenceWindows
) -> tuple[NDArray[np.float64], int]:
    """Return distances (W, C) to the nearest window, and the reference that is nearest in all."""
    reach = _NEAR_WINDOWS * ready.grid.samples * ready.grid.step_s
    each = []
    for other_middles, other in zip(ready.middles, ready.features, strict=True):
        columns = []
        for c in range(features.shape[1]):
            gaps = (features[:, None, c] - other[None, :, c]) / ready.scale[c]
            square = (gaps**2).mean(axis=2)
            if ready.synchronous:
                apart = np.abs(middles[:, None] - other_middles[None])
                # A curve that runs longer than its references is compared with their end.
                square = np.where(apart <= np.maximum(reach, apart.min(axis=1, keepdims=True)), square, np.inf)
            columns.append(np.sqrt(square.min(axis=1)))
        each.append(np.stack(columns, axis=1))
    nearest = int(np.argmin([np.mean(one) for one in each]))
    return np.min(each, axis=0), nearest


def _rarity(features: Features) -> NDArray[np.float64]:
    """Return distances (W, C) from the curve's own median window."""
    gaps = (features - np.median(features, axis=0)) / _pooled_scale([features])
    return np.asarray(np.sqrt((gaps**2).mean(axis=2)))


def _maps(
    series: Series,
    views: Sequence[View],
    middles: NDArray[np.float64],
    distances: dict[int, NDArray[np.float64]],
    tolerance: Tolerance | None,
    nearest: int | None,
) -> list[AnomalyMap]:
    """Paint the distances (W,) of each channel over its panels."""
    maps = []
    source = "rarity" if nearest is None else "deviation"
    for i, view in enumerate(views):
        if not isinstance(view.origin, PlotOrigin):
            continue
        panels = [panel for panel in view.origin.panels if panel.channel in distances]
        if not panels:
            continue
        values = np.zeros(view.size_hw, dtype=np.float32)
        for panel in panels:
            left, top, right, bottom = panel.box_xyxy
            share = (np.arange(left, right) + 0.5 - left) / (right - left)
            time = panel.t0 + share * (panel.t1 - panel.t0) - series.time_s[0]
            values[top:bottom, left:right] = np.interp(time, middles, distances[panel.channel])
        score = max(_top_mean(distances[panel.channel]) for panel in panels)
        maps.append(AnomalyMap(i, values, score, source, tolerance=tolerance, nearest_reference=nearest))
    return maps


def _top_mean(values: NDArray[np.float64]) -> float:
    count = min(_TOP, len(values))
    return float(np.partition(values, -count)[-count:].mean())
