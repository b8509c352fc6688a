"""When an event begins, is most to be seen, and ends."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

LIMIT = 1.0
EDGE = 0.6
"""An event reaches down to this height on both sides, no further than `REACH_S`: where a curve rises a little when the
normal frames end, and much some seconds later, the event begins with the second."""
REACH_S = 0.5
REACH_FRAMES = 8
"""The same where a clip keeps no time."""
_MOST_SEEN = 512
"""Frames of an event of which the heat is looked at; of a longer one so many, evenly spaced."""


def extent_of(heights: NDArray[np.floating], reach: int) -> tuple[int, int]:
    """Return the first and last index of what exceeds the limit, and of what leads up to it and away from it.

    Args:
        heights: (N,), one of them at least beyond the limit.
        reach: by how many frames it goes beyond what exceeds the limit at most.
    """
    above = np.flatnonzero(heights > LIMIT)
    first, last = int(above[0]), int(above[-1])
    low = np.flatnonzero(heights <= EDGE)
    before, after = low[low < first], low[low > last]
    begin = int(before[-1]) + 1 if len(before) else 0
    end = int(after[0]) - 1 if len(after) else len(heights) - 1
    return max(begin, first - reach), min(end, last + reach)


def peak_of(heights: NDArray[np.floating], heat_at: Callable[[int], NDArray[np.float32]]) -> int:
    """Return the index at which most of an event is to be seen: where most heat lies beyond the limit.

    Its height is no guide. A state that lasts too long is highest when it ends, at the last place where it does, and by
    then what caused it may have left the picture.

    Args:
        heights: (N,), one of them at least beyond the limit.
        heat_at: heat (gh, gw) by index.
    """
    beyond = np.flatnonzero(heights > LIMIT)
    if len(beyond) > _MOST_SEEN:
        beyond = beyond[np.linspace(0, len(beyond) - 1, _MOST_SEEN).round().astype(int)]
    seen = [float(np.maximum(heat_at(int(index)) - LIMIT, 0.0).sum()) for index in beyond]
    return int(beyond[int(np.argmax(seen))])
