"""Checks of one photograph (a page: uint8, HWC, RGB).

Counts and colours rest on the foreground (foreground.py says what that is, and where there is none). Brightness and
sharpness are of the whole picture.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.errors import MeasurementError
from vlm_inspect.measurement.foreground import Mask, foreground, lab_pixels, parts, shrunk

Page = NDArray[np.uint8]
_SIDE = 1024
"""Longest side in pixels at which sharpness is taken, so that it does not depend on the camera's resolution."""


def part_count(page: Page) -> float:
    """Return the number of separate foreground pieces that cover at least 0.1 % of the picture each.

    Parts that touch or overlap count as one.
    """
    return float(parts(_foreground(page)))


def fill_ratio(page: Page) -> float:
    """Return the share of the picture that is foreground, in [0, 1]."""
    return float(_foreground(page).mean())


def mean_color_l(page: Page) -> float:
    """Return the mean lightness L* of the part, CIELAB D65, in [0, 100]; of the whole picture if no part stands out."""
    return float(_mean_lab(page, foreground(page))[0])


def mean_color_a(page: Page) -> float:
    """Return the mean a* of the part, CIELAB D65, green < 0 < red; of the whole picture if no part stands out."""
    return float(_mean_lab(page, foreground(page))[1])


def mean_color_b(page: Page) -> float:
    """Return the mean b* of the part, CIELAB D65, blue < 0 < yellow; of the whole picture if no part stands out."""
    return float(_mean_lab(page, foreground(page))[2])


def color_distance(page: Page, references: Sequence[Page]) -> float:
    """Return the CIEDE2000 distance of the mean colour to that of the nearest reference; about 1 is just visible.

    Of the part where it stands out on both pictures, else of both whole pictures. Formula: Sharma, Wu and Dalal,
    "The CIEDE2000 color-difference formula" (2005).
    """
    from skimage.color import deltaE_ciede2000

    mask = foreground(page)
    masks = [foreground(reference) for reference in references]
    if mask is None or any(m is None for m in masks):
        mask, masks = None, [None] * len(masks)
    own = _mean_lab(page, mask)
    others = [_mean_lab(reference, m) for reference, m in zip(references, masks, strict=True)]
    return min(float(deltaE_ciede2000(own, other)) for other in others)


def sharpness(page: Page) -> float:
    """Return the variance of the Laplacian of the 8-bit grey picture, at most 1024 pixels a side.

    Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy" (2000). It rises with the contrast of the
    scene and with noise, so bounds hold for one set-up only.
    """
    import cv2

    return float(cv2.Laplacian(_grey(shrunk(page, _SIDE)), cv2.CV_64F).var())


def brightness(page: Page) -> float:
    """Return the mean grey level (Rec. 601 luma) of the picture, in [0, 255]."""
    return float(_grey(page).mean())


def _foreground(page: Page) -> Mask:
    mask = foreground(page)
    if mask is None:
        raise MeasurementError("no part stands out from the colour of the picture's border")
    return mask


def _mean_lab(page: Page, mask: Mask | None) -> NDArray[np.float64]:
    """Return the mean CIELAB colour (3,) where the mask is True, or of the whole picture."""
    small = shrunk(page, 512)
    lab = lab_pixels(small)
    pixels = lab.reshape(-1, 3) if mask is None or not mask.any() else lab[mask]
    return np.asarray(pixels.mean(axis=0, dtype=np.float64))


def _grey(page: Page) -> NDArray[np.uint8]:
    import cv2

    return np.asarray(cv2.cvtColor(page, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
