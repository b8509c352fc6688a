"""`Look`: a photo, made small, with the part on its plain background where there is one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.view import View
from vlm_inspect.localization.foreground import see_foreground

_SIDE = 256
"""Longest side in pixels at which photos are looked at: a defect of 3 % of it is 8 pixels."""
_EDGE_PX = 2
"""Pixels at the outline of the part whose colour does not count: they are half background."""
_LEAST_PX = 50
"""Pixels of a part below which its outline counts, too."""


@dataclass(frozen=True, eq=False)
class Look:
    """One photo."""

    lab: NDArray[np.float32]
    """(H, W, 3): CIELAB, L in [0, 100]."""
    part: NDArray[np.bool_] | None
    """(H, W): the largest thing on the plain background; None where the background is not plain, or shows no part."""
    rest: NDArray[np.bool_]
    """(H, W): what else stands there; False everywhere without a part."""
    is_clear: bool = True
    """Whether that is a part beyond doubt: something large beside it makes a shape that is none."""

    @property
    def side(self) -> int:
        """Longest side in pixels."""
        height, width = self.rest.shape
        return int(max(height, width))

    @property
    def inside(self) -> NDArray[np.bool_] | None:
        """(H, W): the part without its outline; None without a part."""
        import cv2

        if self.part is None:
            return None
        side = 2 * _EDGE_PX + 1
        inside = cv2.erode(self.part.astype(np.uint8), np.ones((side, side), np.uint8)) > 0
        return np.asarray(inside) if int(inside.sum()) >= _LEAST_PX else self.part

    @property
    def in_pieces(self) -> float:
        """What share of all that stands on the background is not the largest of it, in [0, 1)."""
        if self.part is None:
            return 0.0
        rest = int(self.rest.sum())
        return rest / (rest + int(self.part.sum()))


def look_at(view: View) -> Look:
    """Look at a view that shows a whole photo."""
    import cv2

    height, width = view.size_hw
    scale = min(1.0, _SIDE / max(height, width))
    size = max(8, round(width * scale)), max(8, round(height * scale))
    small = cv2.resize(view.image, size, interpolation=cv2.INTER_AREA)
    lab: NDArray[np.float32] = cv2.cvtColor(small.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)
    found = see_foreground(view.image)
    if found is None or found.doubt == "area":
        return Look(lab, None, np.zeros(size[::-1], bool))
    seen = cv2.resize(found.mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(seen, connectivity=8)
    if count < 2:
        return Look(lab, None, np.zeros(size[::-1], bool))
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    rest = np.asarray((seen > 0) & (labels != largest))
    return Look(lab, np.asarray(labels == largest), rest, is_clear=not found.doubt)
