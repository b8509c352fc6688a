"""Which pixels show the part: everything that differs from the colour at the picture's border."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

_WORK_SIDE = 192
"""Longest side in pixels at which the mask is found; the mask only guides cropping and scoring."""
_RING = 0.03
"""Width of the border ring, as a fraction of the shorter side."""
_PLAIN_SPREAD = 6.0
"""Largest robust spread of the ring's colour (CIELAB units) at which the border counts as plain background."""
_PLAIN_SHARE = 0.75
"""Least share of the ring that must be background; parts may touch the border."""
_LEAST_CONTRAST = 10.0
"""Least CIELAB distance between part and background."""
_SOLIDITY = 0.55
"""Least share of its convex hull that the part fills: holes and tracks strewn over a board are no part."""
_AREA_RANGE = (0.01, 0.92)
_BORDER_TOUCH = 0.2
_BORDER_RUNS = 3
"""Most of the picture's border that the part may cover, and in how many runs; more is a texture or a cut-out."""
_SPECK = 0.03
"""Components smaller than this share of the largest are dirt beside the part."""


@dataclass(frozen=True, eq=False)
class Foreground:
    """What differs from a plain background."""

    mask: NDArray[np.bool_]
    """(H, W)."""
    doubt: Literal["", "area", "shape", "edge", "contrast"] = ""
    """Why it is no part: hardly anything or nearly everything, strewn about, cut off all around, or faint."""


def find_foreground(image: NDArray[np.uint8]) -> NDArray[np.bool_] | None:
    """Return the mask of the part, bool (H, W), or None where no part stands out from a plain background.

    Args:
        image: uint8, HWC, RGB.
    """
    found = see_foreground(image)
    return None if found is None or found.doubt else found.mask


def see_foreground(image: NDArray[np.uint8]) -> Foreground | None:
    """Return what differs from the background, a part or not; None where the background is not plain.

    The background is a quadratic surface in CIELAB fitted to the border ring with outliers trimmed, so that
    vignetting and a slow shade do not count as part; the threshold is Otsu's (IEEE Trans. SMC 9(1), 1979), but never
    below four spreads of the background.

    Args:
        image: uint8, HWC, RGB.
    """
    import cv2

    height, width = image.shape[:2]
    scale = min(1.0, _WORK_SIDE / max(height, width))
    size = max(8, round(width * scale)), max(8, round(height * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)
    fitted = _fit_background(lab)
    if fitted is None:
        return None
    background, spread = fitted
    distance = np.linalg.norm(lab - background, axis=2).astype(np.float32)
    mask = _clean(distance > _threshold(distance, spread))
    full = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR)
    return Foreground(np.asarray(full > 0), _doubt(mask, distance))


def _doubt(mask: NDArray[np.bool_], distance: NDArray[np.float32]) -> Literal["", "area", "shape", "edge", "contrast"]:
    if not _AREA_RANGE[0] <= float(mask.mean()) <= _AREA_RANGE[1]:
        return "area"
    if _solidity(mask) < _SOLIDITY:
        return "shape"
    rim = np.concatenate([mask[0], mask[1:, -1], mask[-1, -2::-1], mask[-2:0:-1, 0]])  # clockwise
    if float(rim.mean()) > _BORDER_TOUCH or int((rim & ~np.roll(rim, 1)).sum()) > _BORDER_RUNS:
        return "edge"
    return "contrast" if float(distance[mask].mean()) < 1.5 * _LEAST_CONTRAST else ""


def fit_background(lab: NDArray[np.float32], shown: NDArray[np.bool_]) -> NDArray[np.float32] | None:
    """Return the quadratic surface, (H, W, 3), through where a background is shown; None where nothing is.

    Args:
        lab: (H, W, 3), any unit.
        shown: (H, W): which places count; a quarter of them may be something else.
    """
    return _fit_surface(lab, shown)[0] if shown.any() else None


def _fit_background(lab: NDArray[np.float32]) -> tuple[NDArray[np.float32], float] | None:
    """Return the background surface, (H, W, 3), and its robust spread, or None where the ring is not plain."""
    height, width = lab.shape[:2]
    ring = max(2, round(_RING * min(height, width)))
    border = np.ones((height, width), bool)
    border[ring:-ring, ring:-ring] = False
    surface, residual = _fit_surface(lab, border)
    spread = float(np.median(residual)) / 1.54  # the median norm of a 3-D normal variable is 1.54 sigma
    if spread > _PLAIN_SPREAD or float((residual < max(4 * spread, 5.0)).mean()) < _PLAIN_SHARE:
        return None
    return surface, spread


def _fit_surface(lab: NDArray[np.float32], shown: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the surface, and how far every place that is shown is from it, (N,)."""
    height, width = lab.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    u, v = 2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1
    terms = np.stack([np.ones_like(u), u, v, u * u, v * v, u * v], axis=-1)
    basis, colors = terms[shown], lab[shown].astype(np.float64)
    residual = np.linalg.norm(colors - np.median(colors, axis=0), axis=1)
    for _ in range(4):  # trimmed least squares: a part that touches the border must not bend the surface
        kept = residual <= max(np.quantile(residual, _PLAIN_SHARE), 1.0)
        weights, *_ = np.linalg.lstsq(basis[kept], colors[kept], rcond=None)
        residual = np.linalg.norm(colors - basis @ weights, axis=1)
    surface: NDArray[np.float32] = (terms @ weights).astype(np.float32)
    return surface, residual


def _threshold(distance: NDArray[np.float32], spread: float) -> float:
    import cv2

    scaled = np.clip(distance * 2.0, 0, 255).astype(np.uint8)
    otsu, _ = cv2.threshold(scaled, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return float(max(otsu / 2.0, 4.0 * spread, _LEAST_CONTRAST))


def _clean(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Close gaps, fill holes, and drop specks beside the part."""
    import cv2

    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, kernel)
    opened = cv2.morphologyEx(closed, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3)))
    outlines, _ = cv2.findContours(opened, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    areas = [cv2.contourArea(outline) for outline in outlines]
    kept = [outline for outline, area in zip(outlines, areas, strict=True) if area >= _SPECK * max(areas)]
    filled = np.zeros(mask.shape, np.uint8)
    cv2.drawContours(filled, kept, -1, 1, cv2.FILLED)
    return np.asarray(filled > 0)


def _solidity(mask: NDArray[np.bool_]) -> float:
    """Return the area of the mask over the area of its convex hull."""
    import cv2

    points = cv2.findNonZero(mask.astype(np.uint8))
    return float(mask.sum() / max(cv2.contourArea(cv2.convexHull(points)), 1.0))
