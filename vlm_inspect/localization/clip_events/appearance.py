"""How a place looks, against how it normally looks: the distance to the nearest of normal frames, in grey levels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.localization.clip_events.features import ClipFeatures, Floats
from vlm_inspect.localization.clip_events.grid import LeftOut

_SIDE = 4
"""Grey values a side of what is compared at a place: as wide as two cells."""
_MOST = 512
"""Most normal frames that are remembered."""


class AppearanceChannel:
    """Normal looks, place by place."""

    name = "appearance"
    said = "it looks there as it normally never does"

    def __init__(self, stretches: Sequence[ClipFeatures]) -> None:
        """Learn from stretches of normal clips, all of one grid."""
        stretch = np.concatenate([np.full(len(one), k) for k, one in enumerate(stretches)])
        frame = np.concatenate([np.arange(len(one)) for one in stretches])
        kept = np.unique(np.linspace(0, len(stretch) - 1, min(_MOST, len(stretch))).round().astype(int))
        looks = np.concatenate([_patches(one) for one in stretches])[kept]
        self._stretch, self._frame = stretch[kept], frame[kept]
        self._memory = _by_place(looks)
        self._squares = (self._memory**2).sum(axis=2)

    def heat(self, features: ClipFeatures, left_out: LeftOut | None = None) -> Floats:
        """Return how far each place is from its nearest normal look, (N, gh, gw), in grey levels, >= 1."""
        count = len(features)
        looks = _by_place(_patches(features))
        hidden = None
        if left_out is not None:
            hidden = left_out.hides(self._stretch, self._frame, np.arange(count))
        nearest = np.empty((len(looks), count), np.float32)
        for place, (look, memory, squares) in enumerate(zip(looks, self._memory, self._squares, strict=True)):
            apart = (look**2).sum(axis=1)[:, None] + squares - 2 * look @ memory.T
            if hidden is not None:
                apart[hidden] = np.inf
            nearest[place] = apart.min(axis=1)
        distance = np.sqrt(np.maximum(nearest, 0.0) / _SIDE**2 + 1.0)  # less than a grey level is none
        return np.ascontiguousarray(distance.T.reshape(count, *features.grid_hw))


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
