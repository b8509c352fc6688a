"""What the values themselves show in an event: that they leave the range of the references, or stand still."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.sample import Series
from vlm_inspect.significant_digits import rounded

_BEYOND = 0.1
"""Of the references' range, by which a value leaves it at least to be told."""
_LEAST_STILL = 10
"""Equal samples in a row that are told as standing still,"""
_LONGER = 3
"""and so many times the longest such run of any reference."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Reading:
    """What is told of an event."""

    words: tuple[str, ...] = ()
    extreme: int | None = None
    """The sample that lies farthest outside the range of the references; None: none does."""


def read_event(series: Series, channel: int, span: tuple[int, int], usual: Sequence[Floats]) -> Reading:
    """Return what the values of one channel show between two samples.

    Args:
        series: the curve.
        channel: index among its channels.
        span: first and last sample.
        usual: values of the same channel in each reference.
    """
    values, unit = series.values[:, channel], series.units[channel]
    known = np.concatenate([one[np.isfinite(one)] for one in usual]) if usual else np.empty(0)
    if not known.size:
        return Reading()
    first, last = span
    low, high = float(known.min()), float(known.max())
    beyond = np.nan_to_num(np.maximum(low - values[first : last + 1], values[first : last + 1] - high), nan=-np.inf)
    words, extreme = [], None
    if beyond.max() > _BEYOND * (high - low):
        extreme = first + int(beyond.argmax())
        words.append(_outside(float(values[extreme]), low, high, unit))
    start, end = _longest_still(values, first, last)
    count = end - start + 1
    if count >= max(_LEAST_STILL, _LONGER * max(_still_in(one) for one in usual)):
        time = series.time_s
        length = f"{count} samples" if series.time_is_index else f"{rounded(float(time[end] - time[start]), 3)} s"
        words.append(f"it stays at exactly {_shown(float(values[start]), unit)} for {length}")
    return Reading(tuple(words), extreme)


def _outside(value: float, low: float, high: float, unit: str) -> str:
    if value < low:
        return f"it falls to {_shown(value, unit)}, below everything in the references, {_shown(low, unit)}"
    return f"it rises to {_shown(value, unit)}, above everything in the references, {_shown(high, unit)}"


def _shown(value: float, unit: str) -> str:
    return f"{rounded(value + 0.0, 4)} {unit}".strip()


def _runs(values: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return first and last samples of runs of equal values."""
    edges = np.flatnonzero(np.diff(values) != 0)
    return np.r_[0, edges + 1], np.r_[edges, len(values) - 1]


def _still_in(values: Floats) -> int:
    starts, ends = _runs(values)
    return int((ends - starts).max()) + 1


def _longest_still(values: Floats, first: int, last: int) -> tuple[int, int]:
    """Return the longest run of equal values that reaches into a span."""
    starts, ends = _runs(values)
    lengths = np.where((starts <= last) & (ends >= first), ends - starts, -1)
    best = int(lengths.argmax())
    return int(starts[best]), int(ends[best])
