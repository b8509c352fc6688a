"""`PhotoConditions`: how a photo was taken: its size, light, colour and sharpness, and where in it the part lies.

They say nothing of the part's state; two photos are only compared where these are alike (`photo_mismatch.py`).
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from converters.image import ImageOrigin
from converters.view import View
from vlm_inspect.localization.foreground import Foreground, see_foreground

_RING = 0.03
"""Width of the border that shows the background, as a fraction of the shorter side."""
_WIDTHS = (1.0, 3.0, 9.0)
"""Gaussian widths in pixels: detail between no blur and the first is fine, then come coarser bands."""
RINGS, _RINGS_PX = 12, 192
"""Rings around the middle of a photo, out to its edges, and the side in pixels at which their colours are taken."""
_MEASURABLE = 16
"""Shorter side in pixels below which only the size of a photo is looked at."""


@dataclass(frozen=True)
class PartInPhoto:
    """The part on its plain background, where there is one."""

    sides_px: tuple[float, float]
    """Shorter and longer side of the smallest rectangle around it, in any direction, in pixels of the photo."""
    area_px: float
    """Its area in pixels of the photo."""
    on_edge: float
    """Share of the photo's border that the part covers, in [0, 1]."""


@dataclass(frozen=True, eq=False)
class PhotoConditions:
    """What was measured on one photo."""

    size_wh: tuple[int, int]
    """Width and height of the photo in pixels, before it was made smaller to be looked at."""
    seen_wh: tuple[int, int]
    """Likewise as it is looked at."""
    part: PartInPhoto | None = None
    lacks: Literal["", "background", "part", "rest"] = ""
    """Without a part: whether there is no plain background, nothing on it, or a piece of something that the edge of the
    photo cuts off; "" where something strewn about or faint is there."""
    contrast: float = 0.0
    """Standard deviation of its grey levels, 0 to 128."""
    brightness: float = 0.0
    """Natural logarithm of the mean relative luminance, in [log 0.01, log 1.01]."""
    background_brightness: float = 0.0
    """Likewise of its border."""
    strong_colour: float = 0.0
    """CIELAB chroma that 5 % of the pixels exceed; 0 of a photo in grey."""
    usual_colour: float = 0.0
    """Median CIELAB chroma."""
    background_ab: tuple[float, float] = (0.0, 0.0)
    """Median CIELAB a and b of the border."""
    tones: float = 1.0
    """How many grey levels it uses, weighed by how often: the exponential of their entropy, 1 to 256."""
    colours: int = 1
    """How many different colours its pixels have."""
    detail: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Natural logarithms of the strength (standard deviation in grey levels) of fine, coarse and coarser detail."""
    rings: NDArray[np.float64] | None = None
    """(RINGS, 3): mean CIELAB colours of rings of equal width around its middle, the innermost first."""


def conditions_of(view: View) -> PhotoConditions:
    """Measure a view that shows a whole photo, or a whole page of one."""
    import cv2

    height, width = view.size_hw
    size_wh = _size_of(view)
    if min(height, width) < _MEASURABLE:
        return PhotoConditions(size_wh, (width, height))
    lab = cv2.cvtColor(view.image.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    grey = cv2.cvtColor(view.image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    found = see_foreground(view.image)
    part = _measure_part(found, size_wh[0] / width)
    border = _border(height, width)
    return PhotoConditions(
        size_wh=size_wh,
        seen_wh=(width, height),
        part=part,
        lacks=_lacking(found),
        contrast=float(grey.std()),
        brightness=_brightness(lab[..., 0]),
        background_brightness=_brightness(lab[..., 0][border]),
        strong_colour=float(np.quantile(chroma, 0.95)),
        usual_colour=float(np.median(chroma)),
        background_ab=(float(np.median(lab[..., 1][border])), float(np.median(lab[..., 2][border]))),
        tones=_tones(grey),
        colours=_colours(view.image),
        detail=_detail(grey),
        rings=_rings(lab),
    )


def _size_of(view: View) -> tuple[int, int]:
    if isinstance(view.origin, ImageOrigin):
        x0, y0, x1, y1 = view.origin.window_xyxy
        return x1 - x0, y1 - y0
    return view.size_hw[1], view.size_hw[0]


def _lacking(found: Foreground | None) -> Literal["", "background", "part", "rest"]:
    if found is None:
        return "background"
    if found.doubt == "area":
        return "part" if found.mask.mean() < 0.5 else "rest"
    return "rest" if found.doubt == "edge" else ""


def _measure_part(found: Foreground | None, scale: float) -> PartInPhoto | None:
    import cv2

    if found is None or found.doubt:
        return None
    mask = found.mask
    points = cv2.findNonZero(mask.astype(np.uint8))
    first, second = cv2.minAreaRect(points)[1]
    rim = np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]])
    shorter, longer = sorted((max(first, 1.0) * scale, max(second, 1.0) * scale))
    return PartInPhoto((shorter, longer), float(mask.sum()) * scale**2, float(rim.mean()))


def _border(height: int, width: int) -> NDArray[np.bool_]:
    ring = max(2, round(_RING * min(height, width)))
    border = np.ones((height, width), bool)
    border[ring:-ring, ring:-ring] = False
    return border


def _brightness(lightness: NDArray[np.float32]) -> float:
    """Return the logarithm of the mean luminance of CIELAB lightness; the floor keeps the noise of black out."""
    luminance = float((((lightness + 16.0) / 116.0) ** 3).mean())
    return math.log(luminance + 0.01)


def _tones(grey: NDArray[np.float32]) -> float:
    shares = np.bincount(np.rint(grey).astype(np.intp).ravel(), minlength=256) / grey.size
    used = shares[shares > 0]
    return math.exp(-float((used * np.log(used)).sum()))


def _colours(image: NDArray[np.uint8]) -> int:
    red, green, blue = (image[..., channel].astype(np.uint32) for channel in range(3))
    seen = np.zeros(1 << 24, bool)  # quicker than to sort the pixels
    seen[(red << 16) | (green << 8) | blue] = True
    return int(np.count_nonzero(seen))


def _rings(lab: NDArray[np.float32]) -> NDArray[np.float64]:
    import cv2

    small = cv2.resize(lab, (_RINGS_PX, _RINGS_PX), interpolation=cv2.INTER_AREA).reshape(-1, 3)
    away = (np.arange(_RINGS_PX) + 0.5) / _RINGS_PX * 2.0 - 1.0
    ring = (np.hypot(away[:, None], away[None]) * RINGS).astype(np.intp).ravel()
    return np.stack([small[ring == number].mean(axis=0, dtype=np.float64) for number in range(RINGS)])


def _detail(grey: NDArray[np.float32]) -> tuple[float, float, float]:
    import cv2

    blurred = [grey, *(cv2.GaussianBlur(grey, (0, 0), width) for width in _WIDTHS)]
    fine, coarse, coarser = (math.log(float((near - far).std()) + 1e-3) for near, far in pairwise(blurred))
    return fine, coarse, coarser
