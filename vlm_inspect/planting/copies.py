"""Changed copies of a picture: the same part as it might lie and be lit another time."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_CHANGES: Final = (
    # turn in degrees, size, shift in shares of the sides, brightness
    (0.0, 1.0, (0.013, 0.009), 0.92),
    (2.0, 1.0, (-0.008, 0.012), 1.06),
    (-2.0, 1.02, (0.006, -0.014), 1.0),
    (4.0, 0.98, (-0.011, -0.007), 0.96),
)
COPIES: Final = len(_CHANGES)


def changed_copy(picture: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """Return a copy of a picture (uint8, HWC) turned, moved, resized and relit a little; number 0 to `COPIES` - 1.

    What comes in at the border is mirrored.
    """
    import cv2

    turn, size, (right, down), light = _CHANGES[number]
    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), turn, size)
    matrix[:, 2] += right * width, down * height
    moved = cv2.warpAffine(picture, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(np.clip(np.rint(moved.astype(np.float32) * light), 0, 255), np.uint8)
