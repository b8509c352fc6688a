"""Frames of a clip side by side in one picture, which a browser cuts apart and plays."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

COLUMNS = 4
MOST_FRAMES = 16
_SIDE = 640
"""Longest side of a frame on a sheet, in pixels."""
_WHOLE_SIDE = 1600
"""Longest side of a single frame."""


def draw_sheet(frames: Sequence[NDArray[np.uint8]], *, whole: bool) -> NDArray[np.uint8]:
    """Return frames on one sheet, four a row, left to right and top to bottom; uint8 HWC RGB.

    Args:
        frames: at least one, uint8 HWC RGB, of one size.
        whole: a single frame, larger.
    """
    height, width = frames[0].shape[:2]
    scale = min(1.0, (_WHOLE_SIDE if whole else _SIDE) / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    columns = 1 if whole else COLUMNS
    rows = -(-len(frames) // columns)
    sheet = Image.new("RGB", (columns * size[0], rows * size[1]))
    for number, frame in enumerate(frames):
        small = Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR)
        sheet.paste(small, (number % columns * size[0], number // columns * size[1]))
    return np.asarray(sheet)
