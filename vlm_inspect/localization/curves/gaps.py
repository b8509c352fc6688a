"""Where samples of a channel are missing, and which of its stretches are therefore not known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.sample import Series

_JUMP = 3.0
"""Usual steps of a clock beyond which rows are missing."""


@dataclass(frozen=True)
class Gap:
    """Samples in a row that are missing."""

    first: int
    last: int
    """Sample numbers; `last` belongs to it, and lies before `first` where the file has no row for them at all."""
    begin_s: float
    end_s: float
    """The times of the samples around it, from the curve's start."""

    @property
    def lasts_s(self) -> float:
        """From the sample before to the one after it."""
        return self.end_s - self.begin_s


def gaps_of(series: Series, column: int) -> list[Gap]:
    """Return the gaps in one channel in the order of time; one that has no value at all is a gap without end.

    Rows that a file lacks show in its clock alone: a step of more than three usual ones is a gap in every channel.
    """
    missing = np.flatnonzero(~np.isfinite(series.values[:, column]))
    end = len(series.time_s) - 1
    if len(missing) > end:
        return [Gap(0, end, -np.inf, np.inf)]
    time = series.time_s - series.time_s[0]
    runs = np.split(missing, np.flatnonzero(np.diff(missing) > 1) + 1) if len(missing) else []
    found = [Gap(int(r[0]), int(r[-1]), float(time[max(r[0] - 1, 0)]), float(time[min(r[-1] + 1, end)])) for r in runs]
    known = {sample for gap in found for sample in (gap.first - 1, gap.last)}
    jumps = [k for k in clock_jumps(series).tolist() if k not in known]
    found += [Gap(k + 1, k, float(time[k]), float(time[k + 1])) for k in jumps]
    return sorted(found, key=lambda gap: gap.begin_s)


def clock_jumps(series: Series) -> NDArray[np.int64]:
    """Return the samples after which rows are missing, as far as the clock tells; none of a curve without one."""
    steps = np.diff(series.time_s)
    if series.time_is_index or not len(steps):
        return np.zeros(0, np.int64)
    return np.flatnonzero(steps > _JUMP * np.median(steps))


def longest_gap_s(series: Series, column: int) -> float:
    """Return how long the longest gap of a channel lasts; 0: it has none."""
    return max((gap.lasts_s for gap in gaps_of(series, column)), default=0.0)


def samples_in(gaps: Sequence[Sequence[Gap]], count: int) -> NDArray[np.bool_]:
    """Return (N,): True for samples in a gap of any channel."""
    found = np.zeros(count, dtype=bool)
    for gap in (gap for channel in gaps for gap in channel):
        found[gap.first : gap.last + 1] = True
    return found


def stretches_in(
    gaps: Sequence[Sequence[Gap]], middles: NDArray[np.float64], half_s: float, *, together: bool = False
) -> NDArray[np.bool_]:
    """Return (W, C): True for stretches that touch a gap.

    Args:
        gaps: of each channel.
        middles: (W,) of the stretches, in seconds from the curve's start.
        half_s: half of how long they last.
        together: a stretch is of all channels, so a gap in one of them counts for all.
    """
    touched = np.zeros((len(middles), len(gaps)), dtype=bool)
    for k, channel in enumerate(gaps):
        for gap in channel:
            touched[:, k] |= (middles + half_s > gap.begin_s) & (middles - half_s < gap.end_s)
    return np.repeat(touched.any(axis=1, keepdims=True), len(gaps), axis=1) if together else touched
