"""Normal states that last far too long, or far too short, for what the others of their place say.

What is given as normal is not always: a bottle may topple in the beginning of a clip. One such length would stretch the
range of its place, or make an end of its being a clock. Where most lengths of a place agree, those that do not are left
out (by the median, which half of them cannot move), and so are the frames in which many places have one.
"""

import numpy as np
from numpy.typing import NDArray

MOST_ODD = 0.5
"""Share of normal frames that are left out; where more disagree, nobody knows which of them are normal."""
_FACTOR = 1.6
"""A length beyond the median of its place and state by such a factor is odd."""
_MOST_OF_A_PLACE = 1 / 3
"""Share of the lengths of a place and state; where more are odd, they do not repeat, and none is left out."""
_LEAST_COUNT = 4
"""Lengths of a place and state below which nothing is told of them."""
_TOLD_SHARE = 0.15
"""Frames disagree with the others where this share of the places that are clocks has an odd length. On generated belts
at most 11 % had one in beginnings that are normal, and at least 26 % where something was wrong."""
_EDGE_SHARE = 0.1
"""They reach down to this share on both sides."""
_LEAST_PLACES = 5


def find_odd_lengths(key: NDArray[np.int64], length: NDArray[np.int64], whole: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which lengths are odd, (R,).

    Args:
        key: (R,), place and state of each.
        length: (R,), in frames.
        whole: (R,), False where a length is only known to be at least so much: odd if that is too long.
    """
    if not whole.any():
        return np.zeros(len(key), bool)
    size = int(key.max()) + 1
    logs = np.log(length + 0.5)
    median, count = _medians(key[whole], logs[whole], size)
    away = logs - median[key]
    odd = (np.where(whole, np.abs(away), away) > np.log(_FACTOR)) & (count[key] >= _LEAST_COUNT)
    share = np.bincount(key[whole], odd[whole], size) / np.maximum(count, 1)
    return np.asarray(odd & (share[key] <= _MOST_OF_A_PLACE))


def find_odd_frames(count: int, places: int, spans: tuple[NDArray[np.int64], NDArray[np.int64]]) -> NDArray[np.bool_]:
    """Return in which frames of a stretch many places have an odd length, (N,).

    Args:
        count: N.
        places: how many places are clocks.
        spans: first frames and lengths of the odd ones, of these places.
    """
    first, length = spans
    change = np.bincount(first, minlength=count + 1) - np.bincount(first + length, minlength=count + 1)
    odd = np.cumsum(change)[:count]
    wide = np.r_[False, odd >= max(_LEAST_PLACES, _EDGE_SHARE * places), False]
    edges = np.flatnonzero(np.diff(wide.astype(np.int8)))
    found = np.zeros(count, bool)
    for begin, end in edges.reshape(-1, 2):
        found[begin:end] = odd[begin:end].max() >= max(_LEAST_PLACES, _TOLD_SHARE * places)
    return found


def _medians(
    key: NDArray[np.int64], values: NDArray[np.float64], size: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the median of each key, (size,), infinite where it has no value, and how many values it has."""
    order = np.lexsort((values, key))
    ordered = values[order]
    count = np.bincount(key, minlength=size)
    begin = np.cumsum(count) - count
    known = count > 0
    median = np.full(size, np.inf)
    low, high = (begin + (count - 1) // 2)[known], (begin + count // 2)[known]
    median[known] = (ordered[low] + ordered[high]) / 2
    return median, count
