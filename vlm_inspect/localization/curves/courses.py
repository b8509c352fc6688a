"""The course of a stretch of a curve against every stretch of another: a matrix profile, amplitudes kept.

The profile of Yeh et al., "Matrix Profile I", ICDM 2016, as a join of two curves, with the Euclidean distance itself
instead of that of z-normalised stretches: a level that shifted and a stroke that is too weak are defects here. Every
start in the other curve is tried, so the two need no common phase.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
_AT_ONCE, _AT_ONCE_NEAR = 64, 16
"""Stretches that are compared at once, which bounds the memory; the second where each has few to be compared with."""
_LEAST = 0.01
"""Of a channel's standard deviation: less is no distance."""


@dataclass(frozen=True, eq=False)
class Courses:
    """Distances of W stretches, in standard deviations of each channel, root mean square over the stretch."""

    starts: NDArray[np.int64]
    """(W,): first sample of each."""
    single: NDArray[np.float64]
    """(W, C): every channel to its own nearest stretch."""
    together: NDArray[np.float64]
    """(W, C): all channels to one and the same nearest stretch: the distance over all of them, for the channel that is
    most of it, and less for the others in the proportion of their own."""


def nearest_courses(curve: Floats, other: Floats, length: int, *, reach: int | None, shift: int = 0) -> Courses:
    """Compare the stretches of a curve, each begun a quarter of its length after the one before, with all of another.

    Args:
        curve: (C, N), in standard deviations of each channel.
        other: (C, M), likewise.
        length: samples of a stretch, >= 2; N and M are no shorter.
        reach: by how many samples the starts may differ; None: by any number.
        shift: by how many samples the other runs later, where there is a reach.
    """
    starts = starts_of(curve.shape[1], length, max(1, length // 4))
    cut = np.lib.stride_tricks.sliding_window_view
    queries = cut(curve, length, axis=1)[:, starts]
    others = cut(other, length, axis=1)
    count = len(curve)
    single, together = np.empty((len(starts), count)), np.empty((len(starts), count))
    for rows, columns, banned in _blocks(starts, others.shape[1], reach, shift):
        squares = [_squares(queries[c][rows], others[c][columns]) for c in range(count)]
        if banned is not None:
            for one in squares:
                one[banned] = np.inf
        single[rows] = np.stack([one.min(axis=1) for one in squares], axis=1)
        total = np.mean(squares, axis=0)
        best = total.argmin(axis=1)
        row = np.arange(len(best))
        parts = np.stack([one[row, best] for one in squares], axis=1)
        share = parts / np.maximum(parts.max(axis=1, keepdims=True), 1e-12)
        together[rows] = share * total[row, best][:, None]
    return Courses(starts, _roots(single), _roots(together))


def starts_of(count: int, length: int, hop: int) -> NDArray[np.int64]:
    """Return where stretches of a curve of so many samples begin; the last ends with the curve."""
    starts = np.arange(0, count - length + 1, hop)
    return starts if starts[-1] + length == count else np.append(starts, count - length)


def _blocks(
    starts: NDArray[np.int64], others: int, reach: int | None, shift: int
) -> Iterator[tuple[slice, slice, NDArray[np.bool_] | None]]:
    """Yield rows, the columns that they are compared with, and which of those lie too far off."""
    at_once = _AT_ONCE if reach is None else _AT_ONCE_NEAR
    for first in range(0, len(starts), at_once):
        rows = slice(first, min(first + at_once, len(starts)))
        if reach is None:
            yield rows, slice(0, others), None
            continue
        at = starts[rows] + shift
        low = min(max(0, int(at[0]) - reach), others - 1)
        high = max(low + 1, min(others, int(at[-1]) + reach + 1))
        apart = np.abs(at[:, None] - np.arange(low, high))
        # A curve that runs longer than its references is compared with their end.
        yield rows, slice(low, high), apart > np.maximum(reach, apart.min(axis=1, keepdims=True))


def _squares(one: Floats, other: Floats) -> Floats:
    """Return mean squared differences (Q, R) of rows (Q, m) and (R, m)."""
    one, other = np.ascontiguousarray(one), np.ascontiguousarray(other)
    own = (one**2).mean(axis=1)[:, None] + (other**2).mean(axis=1)[None]
    return np.asarray(own - 2.0 / one.shape[1] * (one @ other.T), np.float32)


def _roots(squares: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sqrt(np.maximum(squares, 0.0) + _LEAST**2)
