"""Some frames of a clip, without decoding all that comes before: what a person who looks through it needs."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.errors import ConversionError
from converters.video_container import identify_container
from converters.video_source import FrameSource, open_capture, open_source


def frames_from(path: Path, first: int, count: int) -> list[NDArray[np.uint8]]:
    """Return frames one after the other, uint8 HWC RGB; fewer than `count` where the clip ends.

    A video file is searched for the place, by the nearest picture that stands alone; an animation or a folder of
    frames is walked through.

    Args:
        path: the clip; what it is its content tells.
        first: number of the first frame, from 0.
        count: how many, >= 1.

    Raises:
        ConversionError: it is no clip, or cannot be decoded there.
    """
    if not path.is_dir() and identify_container(path) is not None:
        return _sought(path, first, count)
    return _walked(open_source(path), first, count)


def frame_at(path: Path, number: int) -> NDArray[np.uint8]:
    """Return one frame, uint8 HWC RGB.

    Raises:
        ConversionError: the clip has no such frame, or cannot be decoded there.
    """
    found = frames_from(path, number, 1)
    if not found:
        raise ConversionError(f"{path}: the clip has no frame {number}")
    return found[0]


def _sought(path: Path, first: int, count: int) -> list[NDArray[np.uint8]]:
    import cv2

    capture = open_capture(path)
    frames: list[NDArray[np.uint8]] = []
    try:
        if first:
            capture.set(cv2.CAP_PROP_POS_FRAMES, first)
        while len(frames) < count:
            found, image = capture.read()
            if not found:
                break
            frames.append(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8))
    finally:
        capture.release()
    return frames


def _walked(source: FrameSource, first: int, count: int) -> list[NDArray[np.uint8]]:
    frames: list[NDArray[np.uint8]] = []
    for number, (_, image) in enumerate(source.walk(lambda index: first <= index < first + count)):
        if image is not None:
            frames.append(image)
        if number + 1 >= first + count:
            break
    return frames
