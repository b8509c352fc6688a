"""What is kept of a frame: coarse grey values, and how much moves where, and how. A few kilobytes, whatever its size.

Every frame is reduced to at most `SIDE` pixels first, and the shake of its camera taken out (`camera.py`). Motion is
dense optical flow from the frame before (DIS: Kroeger et al., ECCV 2016, arXiv 1603.03590), summed over small cells;
only pixels that changed beyond the noise count, so that
flow that was merely interpolated into an even wall says nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.localization.clip_events.camera import Anchor, CameraWatch

SIDE = 320
"""Longest side in pixels of the frames that are analysed."""
BIN = 4
"""Pixels a side of what one grey value stands for."""
CELL = 8
"""Pixels from one place that is judged to the next; its own extent is three times that."""
_FINEST = 1
"""Flow is measured at half the size that is analysed; at a quarter somebody far away is two pixels wide."""
_NOISE_SIGMAS = 2.0
"""A pixel has changed where it differs by more than this many standard deviations of the frame's noise."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ClipFeatures:
    """What is kept of consecutive frames."""

    grey: Floats
    """(N, h, w) in [0, 255]: mean grey of squares of `BIN` pixels."""
    motion: Floats
    """(N, gh, gw, 3) of squares of `CELL` pixels: the share that changed, and its velocity times that share, in pixels
    a frame, to the right and down. Of the first frame of a clip: those of the second."""
    shift: Floats
    """(N,), >= 0: by how many pixels the camera shook; taken out of the above."""
    moved: NDArray[np.bool_]
    """(N,): whether the camera has moved away from where it stood, so that nothing here is of the normal scene."""

    def __len__(self) -> int:
        return len(self.grey)

    @property
    def grid_hw(self) -> tuple[int, int]:
        """Places that are judged, down and across."""
        return self.motion.shape[1], self.motion.shape[2]

    def part(self, first: int, end: int) -> "ClipFeatures":
        """Return the frames from `first` to before `end`."""
        return ClipFeatures(self.grey[first:end], self.motion[first:end], self.shift[first:end], self.moved[first:end])

    def then(self, later: "ClipFeatures") -> "ClipFeatures":
        """Return these frames and those after them."""
        names = ("grey", "motion", "shift", "moved")
        return ClipFeatures(*(np.concatenate([getattr(self, one), getattr(later, one)]) for one in names))


def analysed_size(size_hw: tuple[int, int]) -> tuple[int, int]:
    """Return width and height at which frames of that size are analysed: at most `SIDE` pixels on the longer side, at
    least 3 cells on the shorter one.
    """
    scale = min(1.0, SIDE / max(size_hw))
    width, height = (max(3 * CELL, round(side * scale)) for side in (size_hw[1], size_hw[0]))
    return width, height


def reduce_frame(image: NDArray[np.uint8], size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a frame, uint8 (H, W, 3) RGB, as grey (h, w)."""
    import cv2

    if size_wh != (image.shape[1], image.shape[0]):
        image = np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA))
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


class FeatureReader:
    """Makes features of frames that come one after the other; remembers the last one alone."""

    def __init__(self, size_wh: tuple[int, int], anchor: Anchor | None = None) -> None:
        """Begin a clip.

        Args:
            size_wh: at which its frames are analysed.
            anchor: the normal scene of that size, which a shake is taken out against; None: the camera is not followed.
        """
        import cv2

        self._camera = None if anchor is None else CameraWatch(anchor)
        self._size_wh = size_wh
        self._flow: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._flow.setFinestScale(_FINEST)
        self._last: NDArray[np.uint8] | None = None

    def read(self, images: Iterator[NDArray[np.uint8]], at_most: int) -> ClipFeatures | None:
        """Return the features of the next frames, uint8 RGB; None where there is none left."""
        greys: list[Floats] = []
        motions: list[Floats] = []
        shifts: list[float] = []
        moved: list[bool] = []
        for image in images:
            grey = reduce_frame(image, self._size_wh)
            shift, gone = 0.0, False
            if self._camera is not None:
                grey, shift, gone = self._camera.follow(grey)
            shifts.append(shift)
            moved.append(gone)
            if self._last is not None:
                motions.append(self._motion(self._last, grey))
            greys.append(_binned(grey, BIN))
            self._last = grey
            if len(greys) == at_most:
                break
        if not greys:
            return None
        while len(motions) < len(greys):  # the first frame of a clip has none before it
            motions.insert(0, motions[0] if motions else np.zeros((*_cells_hw(grey.shape), 3), np.float32))
        return ClipFeatures(np.stack(greys), np.stack(motions), np.array(shifts, np.float32), np.array(moved, bool))

    def _motion(self, before: NDArray[np.uint8], after: NDArray[np.uint8]) -> Floats:
        import cv2

        sums = np.asarray(cv2.boxFilter(cv2.absdiff(before, after), cv2.CV_16U, (3, 3), normalize=False))
        changed = sums.astype(np.float32) / 9
        noise = max(1.0, 1.4826 * _median(sums) / 9)
        share = np.clip((changed - _NOISE_SIGMAS * noise) / (2.0 * _NOISE_SIGMAS * noise), 0.0, 1.0)
        if not share.any():
            return np.zeros((*_cells_hw(after.shape), 3), np.float32)
        flow = self._flow.calc(before, after, None)
        return _binned(np.dstack([share, share * flow[..., 0], share * flow[..., 1]]), CELL)


def _median(values: NDArray[np.uint16]) -> float:
    """Return the median, by counting: five times as fast as by order for small whole numbers."""
    below = np.cumsum(np.bincount(values.ravel()))
    middle = np.array([(values.size - 1) // 2, values.size // 2])
    return float(np.searchsorted(below, middle, side="right").mean())


def _cells_hw(shape: tuple[int, ...]) -> tuple[int, int]:
    return max(1, shape[0] // CELL), max(1, shape[1] // CELL)


def _binned(values: NDArray[Any], side: int) -> Floats:
    """Return means over squares; a rest at the right and lower edge is left out."""
    import cv2

    rows, columns = values.shape[0] // side, values.shape[1] // side
    whole = np.ascontiguousarray(values[: rows * side, : columns * side]).astype(np.float32)
    return np.asarray(cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA), dtype=np.float32)
