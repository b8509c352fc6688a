"""A curve as short windows, each described by a few robust numbers."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from converters.sample import Series

_BANDS = 4
WINDOWS_A_CURVE = 40
HOPS_A_WINDOW = 4
_LEAST_SAMPLES = 16


@dataclass(frozen=True)
class Grid:
    """How a class of curves is cut: one step, one window length, one level below which change is none."""

    step_s: float
    samples: int
    """Of one window; the next begins a quarter of it later."""
    floor: tuple[float, ...]
    """Smallest spread, a channel, that the logarithm still tells from zero, in the channel's unit."""

    @property
    def hop(self) -> int:
        """Samples from one window to the next."""
        return max(1, self.samples // HOPS_A_WINDOW)


def grid_of(curves: list[Series]) -> Grid:
    """Return the grid that fits curves of one class (at least one, with the same channels)."""
    step = float(np.median([np.median(np.diff(curve.time_s)) for curve in curves]))
    length = float(np.median([curve.time_s[-1] - curve.time_s[0] for curve in curves]))
    count = max(2, round(length / step) + 1)
    samples = min(max(_LEAST_SAMPLES, count // WINDOWS_A_CURVE), max(2, count // 4))
    values = np.concatenate([curve.values for curve in curves])
    spread = [float(np.nanstd(column)) if np.isfinite(column).any() else 0.0 for column in values.T]
    return Grid(step, samples, tuple(1e-3 * s or 1e-9 for s in spread))


def windows(curve: Series, grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the middles (W,) of the windows, in seconds from the curve's start, and features (W, C, F).

    The curve is interpolated onto the grid's step; a gap is bridged by a straight line and counted as missing.
    """
    time = curve.time_s - curve.time_s[0]
    even = np.arange(0.0, time[-1] + 0.5 * grid.step_s, grid.step_s)
    if len(even) < grid.samples:
        even = np.linspace(0.0, time[-1], grid.samples)
    starts = np.arange(0, len(even) - grid.samples + 1, grid.hop)
    if starts[-1] + grid.samples < len(even):  # the last window ends with the curve
        starts = np.append(starts, len(even) - grid.samples)
    cut = starts[:, None] + np.arange(grid.samples)
    middles = even[cut].mean(axis=1)
    channels = [_features(*evened(time, v, even), cut, f) for v, f in zip(curve.values.T, grid.floor, strict=True)]
    return middles, np.stack(channels, axis=1)


def evened(
    time: NDArray[np.float64], values: NDArray[np.float64], even: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return values on the even grid, and 1 where they stand for a missing one."""
    known = np.isfinite(values)
    if not known.any():
        return np.zeros(len(even)), np.ones(len(even))
    missing = np.interp(even, time, (~known).astype(np.float64))
    return np.interp(even, time[known], values[known]), (missing > 0.5).astype(np.float64)


def _features(
    values: NDArray[np.float64], missing: NDArray[np.float64], cut: NDArray[np.intp], floor: float
) -> NDArray[np.float64]:
    """Return the features (W, F) of one channel; logarithms are natural, so 0.7 means twice as much.

    Mean; log standard deviation; log peak; log amplitude in four bands, log-spaced up to half the sampling rate; the
    share of missing values.
    """
    parts = values[cut]
    mean = parts.mean(axis=1)
    rest = parts - mean[:, None]
    spread = np.log(rest.std(axis=1) + floor)
    peak = np.log(np.abs(rest).max(axis=1) + floor)
    power = np.abs(np.fft.rfft(rest * np.hanning(parts.shape[1] + 2)[1:-1], axis=1)) ** 2 / parts.shape[1] ** 2
    bins = power.shape[1]
    edges = np.unique(np.geomspace(1, bins, _BANDS + 1).round().astype(int))
    bands = [power[:, a:b].sum(axis=1) for a, b in pairwise(edges)]
    bands += [np.zeros(len(parts))] * (_BANDS - len(bands))
    energies = [0.5 * np.log(band + floor**2) for band in bands]
    return np.stack([mean, spread, peak, *energies, missing[cut].mean(axis=1)], axis=1)
