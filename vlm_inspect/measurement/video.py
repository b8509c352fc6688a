"""Checks of a clip, in one pass over its frames; memory does not grow with the length."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from converters.sample import Series, VideoClip
from vlm_inspect.errors import MeasurementError
from vlm_inspect.measurement.foreground import shrunk

_CELLS = 32
"""Cells along the longer side of a frame: the mean of a cell hides the noise of pixels, not a small part that moves."""
_SAME = 1.5
"""Most change of a cell, in grey levels of 255, between two frames that show the same."""
_LEAST_FROZEN_S = 0.5
_DARK = 0.10 * 255
_DARK_SHARE = 0.98
"""A frame is black when this share of it is darker than 10 % of white."""


def frame_rate(clip: VideoClip) -> float:
    """Return the mean number of frames a second, as the container states it."""
    _require_clock(clip)
    return clip.fps


def duration(sample: VideoClip | Series) -> float:
    """Return the length of a clip, or of a curve from its first to its last value, in seconds."""
    if isinstance(sample, VideoClip):
        _require_clock(sample)
        return sample.duration_s
    if sample.time_is_index:
        raise MeasurementError("the file has no time column, so its length in seconds is not known")
    return float(sample.time_s[-1] - sample.time_s[0])


def frozen_seconds(clip: VideoClip) -> float:
    """Return the seconds over which the picture stands still, in runs of at least 0.5 s.

    Still means that no cell of the picture (1/32 of its longer side) changes by more than 1.5 grey levels of 255.
    A scene in which nothing moves looks the same as a frozen camera.
    """
    _require_clock(clip)
    least = max(1, round(_LEAST_FROZEN_S * clip.fps))
    runs = _runs(_scan(clip)[0])
    return sum(run for run in runs if run >= least) / clip.fps


def black_seconds(clip: VideoClip) -> float:
    """Return the seconds during which at least 98 % of the picture is darker than 10 % of white."""
    _require_clock(clip)
    return float(_scan(clip)[1].sum()) / clip.fps


def _require_clock(clip: VideoClip) -> None:
    if clip.time_is_index:
        raise MeasurementError("the clip keeps no time (a folder of frames has numbers only); give it as a video file")


@lru_cache(maxsize=2)
def _scan(clip: VideoClip) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return for each frame whether it shows the same as the one before, and whether it is black."""
    import cv2

    still, black = [], []
    before: NDArray[np.float32] | None = None
    for frame in clip.frames():
        cells = cv2.cvtColor(shrunk(frame.image, _CELLS), cv2.COLOR_RGB2GRAY).astype(np.float32)
        same = before is not None and before.shape == cells.shape and bool(np.abs(cells - before).max() <= _SAME)
        still.append(same)
        black.append(float((cells < _DARK).mean()) >= _DARK_SHARE)
        before = cells
    if not still:
        raise MeasurementError("the clip has no frame that can be decoded")
    return np.array(still), np.array(black)


def _runs(flags: NDArray[np.bool_]) -> list[int]:
    """Return the lengths of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]])))
    return [int(stop - start) for start, stop in edges.reshape(-1, 2)]
