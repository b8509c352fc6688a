"""One curve against one other: how far each of its windows is off, by every kind of evidence."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from converters.sample import Series
from vlm_inspect.localization.curves.courses import nearest_courses
from vlm_inspect.localization.curves.windows import Grid, evened, grid_of, windows

KINDS = ("features", "course", "lasting features", "long course", "channels together")
"""Level, spread and frequencies of a window; its course, sample by sample; the features of four windows in a row; the
course of a longer stretch; that of all channels at one and the same moment."""
FINE = 2
"""So many of them, the first, tell the moment well: their windows are short."""
_MOST_SAMPLES = 4096
"""Samples of a curve whose course is compared; a longer one is averaged down, and its features see the rest."""
_NEAR_WINDOWS = 0.75
"""Windows apart in time that still count as the same time."""
_LASTING = 4
"""Windows in a row whose features count together: what is faint and lasts."""
_LONG = 4
"""A longer stretch is so many windows, or one and a half periods of what repeats."""
_REPEATS = 0.3
"""Autocorrelation from which on a curve repeats."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Measure:
    """How curves of one class are compared."""

    grid: Grid
    thinning: int
    """Steps of the grid that are one sample of a course."""
    lengths: tuple[int, int]
    """Samples of a course: of a window, of a longer stretch."""
    centre: Floats
    spread: Floats
    """(C,): mean and standard deviation of each channel."""
    scale: Floats
    """(C, F): what one unit of distance is, a channel and feature."""
    in_step: bool = False
    """True: a window is compared with those of the same time."""

    @property
    def step_s(self) -> float:
        """Seconds from one sample of a course to the next."""
        return self.grid.step_s * self.thinning

    @property
    def reach_s(self) -> float:
        """Seconds by which windows of one time may differ."""
        return _NEAR_WINDOWS * self.grid.samples * self.grid.step_s

    @property
    def half_lengths_s(self) -> tuple[float, ...]:
        """Half of how long a stretch of each of `KINDS` lasts, in seconds."""
        window, short, long = self.grid.samples * self.grid.step_s, *(n * self.step_s for n in self.lengths)
        lasting = window + (_LASTING - 1) * self.grid.hop * self.grid.step_s
        return 0.5 * window, 0.5 * short, 0.5 * lasting, 0.5 * long, 0.5 * long


@dataclass(frozen=True, eq=False)
class PreparedCurve:
    """A curve, ready to be compared."""

    middles: Floats
    """(W,): of its windows, in seconds from its start."""
    features: Floats
    """(W, C, F)."""
    course: NDArray[np.float32]
    """(C, N), in standard deviations of each channel."""
    length_s: float
    lag_s: float = 0.0
    """By how much it runs behind the first reference; 0 where curves of its class are not in step."""

    @property
    def moments(self) -> Floats:
        """(W,): the middles of its windows, in seconds of the first reference."""
        return self.middles - self.lag_s


@dataclass(frozen=True, eq=False)
class Distances:
    """How far the windows of a curve are off, by each of `KINDS`: a single channel has no channels together, and
    lasting features are there once the nearest reference of each window is found."""

    middles: tuple[Floats, ...]
    """(W,) each."""
    values: tuple[Floats, ...]
    """(W, C) each, > 0."""

    def nearer(self, other: "Distances") -> "Distances":
        """Return the distances to the nearer of two references, window by window."""
        values = [np.minimum(one, two) for one, two in zip(self.values, other.values, strict=True)]
        if len(values) == len(KINDS) - 1:  # channels belong together, so all are those of one reference
            one, two = self.values[-1], other.values[-1]
            values[-1] = np.where(one.max(axis=1, keepdims=True) <= two.max(axis=1, keepdims=True), one, two)
        return replace(self, values=tuple(values))

    def with_lasting(self) -> "Distances":
        """Return the distances with those of several windows in a row, once the nearest are found."""
        from scipy.ndimage import uniform_filter1d

        lasting = uniform_filter1d(self.values[0], _LASTING, axis=0, mode="nearest")
        at = KINDS.index("lasting features")
        values = (*self.values[:at], lasting, *self.values[at:])
        return Distances((*self.middles[:at], self.middles[0], *self.middles[at:]), values)


def measure_of(curves: Sequence[Series], scale: Floats) -> Measure:
    """Return how curves of one class (at least one, with the same channels) are compared, at any phase."""
    grid = grid_of(list(curves))
    thinning = max(1, -(-_samples(curves, grid.step_s) // _MOST_SAMPLES))
    pooled = np.concatenate([one.values for one in curves])
    known = [column[np.isfinite(column)] for column in pooled.T]
    centre = np.array([float(one.mean()) if one.size else 0.0 for one in known])
    spread = np.array([float(one.std()) if one.size else 0.0 for one in known])
    spread = np.maximum(spread, np.maximum(1e-3 * np.abs(centre), 1e-12))
    measure = Measure(grid, thinning, (2, 2), centre, spread, scale)
    courses = [_course(one, measure) for one in curves]
    shortest = min(one.shape[1] for one in courses)
    window = max(2, min(round(grid.samples / thinning), shortest // 2))
    long = min(_LONG * window, max(window, shortest // 2))
    if (period := _period(courses)) is not None:
        long = int(np.clip(round(1.5 * period), min(2 * window, shortest // 2), max(window, shortest // 4)))
    return replace(measure, lengths=(window, max(2, long)))


def prepare(curve: Series, measure: Measure) -> PreparedCurve:
    """Return a curve with the channels of its class, ready to be compared."""
    middles, features = windows(curve, measure.grid)
    return PreparedCurve(middles, features, _course(curve, measure), float(curve.time_s[-1] - curve.time_s[0]))


def compare(curve: PreparedCurve, other: PreparedCurve, measure: Measure) -> Distances:
    """Return how far the windows of one curve are from the nearest of the other."""
    values = [feature_distances(curve, other, measure)]
    middles = [curve.middles]
    for length in measure.lengths:
        own = _at_least(curve.course, length)
        reach = round(measure.reach_s / measure.step_s) if measure.in_step else None
        shift = round((other.lag_s - curve.lag_s) / measure.step_s)
        found = nearest_courses(own, _at_least(other.course, length), length, reach=reach, shift=shift)
        middles.append(_middles(found.starts, length, own.shape[1], curve, measure))
        values.append(found.single)
    if curve.course.shape[0] > 1:
        middles.append(middles[-1])
        values.append(found.together)
    return Distances(tuple(middles), tuple(values))


def feature_distances(curve: PreparedCurve, other: PreparedCurve, measure: Measure) -> Floats:
    """Return root mean square distances (W, C) over the features, to the nearest window."""
    columns = []
    for c in range(curve.features.shape[1]):
        gaps = (curve.features[:, None, c] - other.features[None, :, c]) / measure.scale[c]
        square = (gaps**2).mean(axis=2)
        if measure.in_step:
            apart = np.abs(curve.moments[:, None] - other.moments[None])
            # A curve that runs longer than its references is compared with their end.
            square = np.where(apart <= np.maximum(measure.reach_s, apart.min(axis=1, keepdims=True)), square, np.inf)
        columns.append(np.sqrt(square.min(axis=1) + 1e-12))
    return np.stack(columns, axis=1)


def _middles(starts: NDArray[np.int64], length: int, count: int, curve: PreparedCurve, measure: Measure) -> Floats:
    """Return the middles of stretches in seconds; a curve that is too short was drawn out to the length of one."""
    middles = np.asarray(starts + (length - 1) / 2, np.float64)
    if count > curve.course.shape[1]:
        return np.asarray(middles / max(1, count - 1) * curve.length_s)
    return middles * measure.step_s + 0.5 * (measure.thinning - 1) * measure.grid.step_s


def _course(curve: Series, measure: Measure) -> NDArray[np.float32]:
    """Return the curve on the grid of its class, (C, N), gaps bridged."""
    time = curve.time_s - curve.time_s[0]
    even = np.arange(0.0, time[-1] + 0.5 * measure.grid.step_s, measure.grid.step_s)
    if len(even) < 2:
        even = np.linspace(0.0, time[-1], 2)
    values = np.stack([evened(time, column, even)[0] for column in curve.values.T])
    whole = max(1, values.shape[1] // measure.thinning) * measure.thinning
    if measure.thinning > 1 and whole >= 2 * measure.thinning:
        values = values[:, :whole].reshape(len(values), -1, measure.thinning).mean(axis=2)
    return np.asarray((values - measure.centre[:, None]) / measure.spread[:, None], np.float32)


def _at_least(course: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """Return a course of at least so many samples: a shorter one is drawn out."""
    count = course.shape[1]
    if count >= length:
        return course
    at = np.linspace(0, count - 1, length)
    return np.stack([np.interp(at, np.arange(count), one) for one in course]).astype(np.float32)


def _samples(curves: Sequence[Series], step_s: float) -> int:
    return max(round(float(one.time_s[-1] - one.time_s[0]) / step_s) + 1 for one in curves)


def _period(courses: Sequence[NDArray[np.float32]]) -> float | None:
    """Return the samples after which most channels repeat: the first high peak of their autocorrelation; None: none."""
    from scipy.signal import find_peaks

    found = []
    for channel in (one for course in courses for one in course):
        count = len(channel)
        spectrum = np.fft.rfft(channel - channel.mean(), 2 * count)
        alike = np.fft.irfft(np.abs(spectrum) ** 2)[:count]
        if count < 8 or alike[0] <= 0:
            continue
        alike = alike / (alike[0] * np.arange(count, 0, -1) / count)
        peaks, heights = find_peaks(alike[: count // 3], height=_REPEATS)
        if len(peaks):
            high = heights["peak_heights"] >= 0.9 * heights["peak_heights"].max()
            found.append(int(peaks[high][0]))
    return float(np.median(found)) if 2 * len(found) > sum(len(course) for course in courses) else None
