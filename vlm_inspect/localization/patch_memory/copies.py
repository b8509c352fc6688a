"""Changed copies of a picture: the same part as it might lie and be lit another time."""

from typing import Final

import numpy as np

from vlm_inspect.localization.framing import Picture

_COPIES: Final = (
    # turn in degrees, size, shift in shares of the sides, brightness
    (0.0, 1.0, (0.013, 0.009), 0.92),
    (2.0, 1.0, (-0.008, 0.012), 1.06),
    (-2.0, 1.02, (0.006, -0.014), 1.0),
    (4.0, 0.98, (-0.011, -0.007), 0.96),
    (-4.0, 1.0, (0.009, 0.011), 1.08),
    (0.0, 0.97, (0.004, -0.005), 1.1),
)


COPIES: Final = len(_COPIES)


def changed_copies(picture: Picture) -> list[Picture]:
    """Return six copies of a picture: turned by up to 4 degrees, moved by about 1 %, up to 3 % larger or smaller, up
    to 10 % brighter or darker. What comes in at the border is mirrored; masked pictures (of scans) stay in place.
    """
    import cv2

    height, width = picture.image.shape[:2]
    copies = []
    for turn, size, (right, down), light in _COPIES:
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), turn, size)
        matrix[:, 2] += right * width, down * height
        if picture.mask is not None:
            matrix = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        moved = cv2.warpAffine(
            picture.image, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
        )
        lit = np.clip(np.rint(moved.astype(np.float32) * light), 0, 255).astype(np.uint8)
        copies.append(Picture(lit, picture.mask))
    return copies
