"""What the channels share: smoothing of heat over places and frames, and the score of a frame."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SMOOTHED_FRAMES = 1.5
"""Standard deviation in frames of the smoothing over time."""
_TOP = 4
"""A frame scores the mean of its four hottest places: what is one place large shows in several that overlap."""


@dataclass(frozen=True)
class LeftOut:
    """What plays no part when a normal stretch is judged, so that it is not judged by itself."""

    stretches: frozenset[int]
    """Numbers of the stretches that play none at all: those of the same clip."""
    own: int = -1
    """Number of the stretch itself where it is the only one to learn from; frames around each of its frames are left
    out."""
    gap: int = 0
    """Frames before and after that are left out."""
    judged: int = 0
    """Number of the stretch that is judged."""

    def hides(
        self, stretch: NDArray[np.int64], frame: NDArray[np.int64], judged: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Return which memories (M,) are hidden from each judged frame, bool (J, M).

        Args:
            stretch: (M,), where each memory comes from.
            frame: (M,), its frame there.
            judged: (J,), frames of the stretch that is judged.
        """
        whole = np.isin(stretch, list(self.stretches))
        near = (stretch == self.own)[None] & (np.abs(frame[None] - judged[:, None]) <= self.gap)
        hidden: NDArray[np.bool_] = near | whole[None]
        return hidden


def box_mean(values: NDArray[Any], side: int) -> Floats:
    """Return (N, h, w) averaged over squares of `side` places around each place."""
    import cv2

    made = [cv2.blur(np.ascontiguousarray(one), (side, side), borderType=cv2.BORDER_REFLECT) for one in values]
    return np.stack(made).astype(np.float32)


def mean_over_frames(values: Floats, reach: int) -> Floats:
    """Return means over each frame and `reach` frames before and after it; at both ends over as many of the nearest.

    So the first frames of a clip are no noisier than others.
    """
    count = len(values)
    total = np.concatenate([np.zeros_like(values[:1], np.float64), np.cumsum(values, axis=0, dtype=np.float64)])
    first = np.clip(np.arange(count) - reach, 0, max(0, count - 2 * reach - 1))
    end = np.minimum(count, first + 2 * reach + 1)
    width = (end - first).reshape(-1, *[1] * (values.ndim - 1))
    return np.asarray((total[end] - total[first]) / width, dtype=np.float32)


def smooth(heat: Floats) -> Floats:
    """Return heat (N, h, w) smoothed over places and frames."""
    import cv2

    flat = np.ascontiguousarray(box_mean(heat, 3).reshape(len(heat), -1))
    reach = 2 * int(3 * SMOOTHED_FRAMES) + 1
    smoothed = cv2.GaussianBlur(flat, (1, reach), sigmaX=1e-2, sigmaY=SMOOTHED_FRAMES, borderType=cv2.BORDER_REFLECT)
    return np.asarray(smoothed, dtype=np.float32).reshape(heat.shape)


def frame_scores(heat: Floats) -> NDArray[np.float64]:
    """Return the score of each frame, (N,), from smoothed heat (N, h, w)."""
    flat = heat.reshape(len(heat), -1)
    top = min(_TOP, flat.shape[1])
    return np.asarray(np.partition(flat, -top, axis=1)[:, -top:].mean(axis=1), dtype=np.float64)


def enlarged(heat: Floats, size_hw: tuple[int, int]) -> Floats:
    """Return the heat (N, h, w) of every other place on the full grid."""
    return np.ascontiguousarray(heat.repeat(2, axis=1).repeat(2, axis=2)[:, : size_hw[0], : size_hw[1]])
