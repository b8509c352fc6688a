"""What of a photograph is part, and what background.

The background is what the border of the picture shows: each pixel's distance in CIELAB to the nearest of a few border
colours is split in two by Otsu's threshold ("A threshold selection method from gray-level histograms", 1979). That
holds for parts photographed on a plain or shaded table. It does not for a surface that fills the picture (there is no
background), a part as dark or as light as the table, or one that covers most of the border: then `foreground` is None,
and what rests on it cannot be measured.
"""

import numpy as np
from numpy.typing import NDArray

_SIDE = 512
"""Longest side in pixels at which the split is made."""
_BORDER = 0.02
_LEAST_CONTRAST = 12.0
"""Least distance in CIELAB between the medians of the two classes; less is shading."""
_LEAST_SEPARATION = 3.0
"""The same, in robust standard deviations of the background: a texture is not a background."""
_LEAST_AREA = 1e-3

Mask = NDArray[np.bool_]


def foreground(image: NDArray[np.uint8]) -> Mask | None:
    """Return where the part is, or None where no part stands out from the colour of the border.

    Args:
        image: uint8, HWC, RGB.

    Returns:
        bool, HW, at most 512 pixels a side (the picture, made smaller).
    """
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    lab = lab_pixels(shrunk(image, _SIDE))
    distance = np.min([np.linalg.norm(lab - colour, axis=2) for colour in _border_colours(lab)], axis=0)
    if float(np.ptp(distance)) < _LEAST_CONTRAST:
        return None
    mask = distance > threshold_otsu(distance)
    if not mask.any() or mask.all() or not _stands_out(distance, mask):
        return None
    return np.asarray(ndimage.binary_opening(mask, iterations=1))


def parts(mask: Mask, *, least: float = _LEAST_AREA) -> int:
    """Return the number of connected pieces (8 neighbours) that cover at least this share of the picture."""
    from scipy import ndimage

    labels, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    areas = np.bincount(labels.ravel())[1:]
    return int((areas >= least * mask.size).sum())


def shrunk(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return the picture with its longest side at most `side` pixels, averaged over areas."""
    import cv2

    height, width = image.shape[:2]
    scale = side / max(height, width)
    if scale >= 1.0:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def lab_pixels(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return CIELAB (D65) of sRGB pixels, float32: L in [0, 100], a and b about [-128, 127]."""
    from skimage.color import rgb2lab

    return np.asarray(rgb2lab(image), dtype=np.float32)


def _border_colours(lab: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return the median colour of each side of the border, and of the whole of it."""
    band = max(1, round(_BORDER * min(lab.shape[:2])))
    sides = [lab[:band], lab[-band:], lab[:, :band], lab[:, -band:]]
    flat = [side.reshape(-1, 3) for side in sides]
    whole = np.median(np.concatenate(flat), axis=0)
    medians = [np.asarray(np.median(side, axis=0)) for side in flat]
    # A side that is covered by the part has the part's colour: only sides like the whole border count.
    return [whole, *(m for m in medians if np.linalg.norm(m - whole) < 2 * _LEAST_CONTRAST)]


def _stands_out(distance: NDArray[np.float32], mask: Mask) -> bool:
    inside, outside = distance[mask], distance[~mask]
    middle = float(np.median(outside))
    gap = float(np.median(inside)) - middle
    noise = 1.4826 * float(np.median(np.abs(outside - middle)))
    return gap >= _LEAST_CONTRAST and gap >= _LEAST_SEPARATION * noise
