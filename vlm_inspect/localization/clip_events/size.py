"""How large something is, against how large things normally are that far from the camera.

What stands out from the usual picture is cut into connected shapes. Under perspective what is far is small: the
logarithm of a shape's size is therefore foretold by a plane from where it stands on the ground, its lower edge, fitted
to the shapes of normal frames. A group that walks together is one shape, so that sizes up to that of usual groups are
normal wherever they come.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.frame_curve import EventKind
from vlm_inspect.localization.clip_events.features import ClipFeatures, Floats
from vlm_inspect.localization.clip_events.grid import LeftOut
from vlm_inspect.localization.clip_events.planes import fitted_plane, plane_at

_LEAST_CONTRAST = 10.0
"""Grey levels by which a shape stands out at least."""
_NOISE_FACTOR = 4.0
_LEAST_AREA = 3
"""Squares of a shape, each as large as one grey value stands for."""
_MOST = 6.0
"""A greater factor says no more."""
_LEAST_SHAPES = 20
"""Normal shapes below which nothing is said of size."""


@dataclass(frozen=True, eq=False)
class _Shapes:
    """Connected shapes of some frames; S of them."""

    frame: NDArray[np.int64]
    foot: NDArray[np.float64]
    """(S, 2): lower edge and middle, as shares of the picture down and across."""
    size: NDArray[np.float64]
    """(S,): natural logarithm of the area."""
    whole: NDArray[np.bool_]
    """(S,): whether it touches no edge of the picture, where nobody knows how large it is."""
    boxes: NDArray[np.int64]
    """(S, 4): left, top, width, height in squares."""


class SizeChannel:
    """Normal size by place."""

    name: EventKind = "size"
    said = "something is larger than anything normally is that far away"

    def __init__(self, stretches: Sequence[ClipFeatures]) -> None:
        """Learn from stretches of normal clips, all of one grid."""
        every = max(1, sum(map(len, stretches)) // 200)
        grey = np.concatenate([one.grey[::every] for one in stretches])
        self._usual = np.median(grey, axis=0)
        noise = 1.4826 * np.median(np.abs(grey - self._usual), axis=0)
        self._contrast = np.maximum(_LEAST_CONTRAST, _NOISE_FACTOR * noise)
        shapes = [self._shapes(one) for one in stretches]
        foot = np.concatenate([one.foot[one.whole] for one in shapes])
        size = np.concatenate([one.size[one.whole] for one in shapes])
        self._plane = np.array([np.inf, 0.0, 0.0])
        if len(size) >= _LEAST_SHAPES:
            self._plane = fitted_plane(foot, size, np.ones(len(size)))

    def heat(self, features: ClipFeatures, left_out: LeftOut | None = None) -> Floats:
        """Return by which factor each place is part of something too large, (N, gh, gw), >= 1.

        What is left out still takes part: it hardly moves three numbers that hundreds of shapes set.
        """
        rows, columns = features.grid_hw
        heat = np.ones((len(features), rows, columns), np.float32)
        found = self._shapes(features)
        factor = np.clip(np.exp(found.size - plane_at(self._plane, found.foot)), 1.0, _MOST)
        for frame, value, (left, top, wide, high) in zip(found.frame, factor, found.boxes // 2, strict=True):
            part = heat[frame, top : top + high + 1, left : left + wide + 1]
            np.maximum(part, value, out=part)
        return heat

    def _shapes(self, features: ClipFeatures) -> _Shapes:
        import cv2

        high, wide = features.grey.shape[1:]
        rows: list[tuple[int, ...]] = []
        foot: list[tuple[float, float]] = []
        for index in range(len(features)):
            apart = (np.abs(features.grey[index] - self._usual) > self._contrast).astype(np.uint8)
            _, _, stats, _ = cv2.connectedComponentsWithStats(apart, connectivity=8)
            for left, top, width, height, area in stats[1:].tolist():
                if area >= _LEAST_AREA:
                    rows.append((index, left, top, width, height, area))
                    foot.append(((top + height) / high, (left + width / 2) / wide))
        told = np.array(rows, np.int64).reshape(-1, 6)
        left, top, width, height = told[:, 1:5].T
        whole = (left > 0) & (top > 0) & (left + width < wide) & (top + height < high)
        return _Shapes(
            told[:, 0], np.array(foot).reshape(-1, 2), np.log(np.maximum(told[:, 5], 1.0)), whole, told[:, 1:5]
        )
