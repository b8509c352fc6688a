"""How a place looks, against how it normally looks: the distance to the nearest of normal frames, in grey levels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.frame_curve import EventKind
from vlm_inspect.localization.clip_events.features import ClipFeatures, Floats
from vlm_inspect.localization.clip_events.grid import LeftOut

_SIDE = 4
"""Grey values a side of what is compared at a place: as wide as two cells."""
_MOST = 512
"""Most normal frames that are remembered."""
_RUN = 16
"""Consecutive frames that are remembered together."""


class AppearanceChannel:
    """Normal looks, place by place.

    What moves looks in between two frames as their mixture, so a look is compared with every mixture of two consecutive
    normal ones (the nearest feature line: Li & Lu, IEEE Trans. Neural Networks 10(2), 1999, eq. 2, cut to the segment).
    """

    name: EventKind = "appearance"
    said = "it looks there as it normally never does"

    def __init__(self, stretches: Sequence[ClipFeatures], kept: Sequence[NDArray[np.bool_]]) -> None:
        """Learn from stretches of normal clips, all of one grid.

        Args:
            stretches: S of them.
            kept: of each which frames count, (N,); at least one in all.
        """
        stretch = np.concatenate([np.full(len(one), k) for k, one in enumerate(stretches)])
        frame = np.concatenate([np.arange(len(one)) for one in stretches])
        counted = np.flatnonzero(np.concatenate(list(kept)))
        kept_frames = counted[_kept(len(counted))]
        looks = np.concatenate([_patches(one) for one in stretches])[kept_frames]
        self._stretch, self._frame = stretch[kept_frames], frame[kept_frames]
        self._memory = _by_place(looks)
        self._squares = (self._memory**2).sum(axis=2)
        follows = (np.diff(self._stretch) == 0) & (np.diff(self._frame) == 1)
        self._breaks = np.flatnonzero(~follows)
        """Memories that are followed by one of another moment."""

    def heat(self, features: ClipFeatures, left_out: LeftOut | None = None) -> Floats:
        """Return how far each place is from its nearest normal look, (N, gh, gw), in grey levels, >= 1."""
        count = len(features)
        looks = _by_place(_patches(features))
        hidden = None
        if left_out is not None:
            hidden = left_out.hides(self._stretch, self._frame, np.arange(count))
        nearest = np.empty((len(looks), count), np.float32)
        for place, (look, memory, squares) in enumerate(zip(looks, self._memory, self._squares, strict=True)):
            nearest[place] = (look**2).sum(axis=1) + self._nearest(look, memory, squares, hidden)
        distance = np.sqrt(np.maximum(nearest, 0.0) / _SIDE**2 + 1.0)  # less than a grey level is none
        return np.ascontiguousarray(distance.T.reshape(count, *features.grid_hw))

    def _nearest(
        self, look: Floats, memory: Floats, squares: Floats, hidden: NDArray[np.bool_] | None
    ) -> NDArray[np.float32]:
        """Return the least squared distance (N,) to a normal look, or to what lies between two consecutive ones, less
        the square of the look itself.

        Args:
            look: (N, D) looks q that are judged.
            memory: (M, D) looks a.
            squares: (M,), a.a.
            hidden: (N, M), memories that play no part; None: all do.
        """
        apart = look @ memory.T  # becomes a.a - 2 q.a, in place as all that follows: these are the costly arrays
        apart *= -2.0
        apart += squares
        if hidden is not None:
            apart[hidden] = np.inf
        step = memory[1:] - memory[:-1]
        step[self._breaks] = 0.0  # from a look to itself
        length = np.maximum((step**2).sum(axis=1), 1e-6)
        toward = look @ step.T
        toward -= (memory[:-1] * step).sum(axis=1)  # (q - a).(b - a)
        along = np.minimum(toward, length)
        np.maximum(along, 0.0, out=along)
        toward *= 2.0
        toward -= along
        toward *= along
        toward /= length  # by how much nearer the nearest point between a and b is than a
        np.subtract(apart[:, :-1], toward, out=toward)
        if hidden is not None:
            toward[hidden[:, 1:]] = np.inf
        last = apart[:, -1] if hidden is None else apart.min(axis=1)
        return np.asarray(np.minimum(toward.min(axis=1, initial=np.inf), last), np.float32)


def _kept(count: int) -> NDArray[np.int64]:
    """Return which of so many frames are remembered: all, or short runs of consecutive ones, evenly spaced."""
    if count <= _MOST:
        return np.arange(count)
    starts = np.linspace(0, count - _RUN, _MOST // _RUN).round().astype(int)
    return np.unique(starts[:, None] + np.arange(_RUN))


def _by_place(looks: Floats) -> Floats:
    """Return (N, gh, gw, D) as (gh * gw, N, D)."""
    count, rows, columns, size = looks.shape
    return np.ascontiguousarray(looks.transpose(1, 2, 0, 3).reshape(rows * columns, count, size))


def _patches(features: ClipFeatures) -> Floats:
    """Return the grey values around each place, (N, gh, gw, 16)."""
    rows, columns = features.grid_hw
    padded = np.pad(features.grey, ((0, 0), (1, 2), (1, 2)), mode="edge")
    windows: NDArray[np.float32] = np.lib.stride_tricks.sliding_window_view(padded, (_SIDE, _SIDE), axis=(1, 2))
    return windows[:, : 2 * rows : 2, : 2 * columns : 2].reshape(len(features), rows, columns, -1)
