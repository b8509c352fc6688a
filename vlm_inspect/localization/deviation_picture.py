"""The colour-coded picture of a scan's deviation: blue where it agrees, red where it is far off, with a scale."""

import numpy as np
from numpy.typing import NDArray

from converters.view import View
from vlm_inspect.tolerance import Tolerance

_LIMITS_SHOWN = 3.0
"""The scale reaches at least so many times the tolerance, so that a normal part stays blue and green."""


def deviation_picture(
    view: View, values: NDArray[np.float32], tolerance: Tolerance | None, largest: float, unit: str
) -> View:
    """Return the picture of a depth view with its deviations in colour; same size, origin and pixels.

    Args:
        view: the depth view.
        values: float32 (H, W), in `unit`.
        tolerance: its limit is marked on the scale.
        largest: the largest value of all pictures of this part, so that they share one scale.
        unit: of the values.
    """
    import cv2

    full = max(largest, _LIMITS_SHOWN * tolerance.limit if tolerance else 0.0, 1e-9)
    mask = view.mask if view.mask is not None else np.ones(view.size_hw, dtype=bool)
    painted = mask | (values > (tolerance.limit if tolerance else 0.1 * full))
    colours = _colours(values / full)
    grey = cv2.cvtColor(view.image, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255.0
    # The depth shows through a little, so that the part's form can be read under the colour.
    shade = np.where(mask, 0.7 + 0.3 * grey, 1.0)[..., None]
    image = np.where(painted[..., None], colours * shade, view.image).astype(np.uint8)
    direction = view.key.partition("/")[2]
    _draw_scale(image, painted, full, tolerance.limit if tolerance else None, unit)
    return View(
        image=image,
        kind="deviation",
        label=f"deviation from the references, {direction or view.label}; blue 0, red {full:.2f} {unit}",
        origin=view.origin,
        key=f"deviation/{direction}" if direction else "deviation",
        mask=view.mask,
    )


def _colours(share: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return RGB in [0, 255] (..., 3) for values in [0, 1]; the dark ends of the map are left out."""
    import cv2

    level = (25 + 215 * np.clip(share, 0.0, 1.0)).astype(np.uint8)
    bgr = cv2.applyColorMap(level, cv2.COLORMAP_TURBO)
    return np.asarray(bgr[..., ::-1], dtype=np.float32)


def _draw_scale(
    image: NDArray[np.uint8], painted: NDArray[np.bool_], full: float, limit: float | None, unit: str
) -> None:
    """Draw a lying bar with its ends, and the tolerance, in words, in the corner that shows least of the part."""
    import cv2

    height, width = image.shape[:2]
    text, bar = max(0.3, width / 1280), max(5, height // 64)
    tall, wide, edge = 4 * bar, round(0.42 * width), max(6, width // 40)
    corners = [(y, x) for y in (height - edge - tall, edge) for x in (edge, width - edge - wide)]
    y, x = min(corners, key=lambda corner: painted[corner[0] :, corner[1] :][:tall, :wide].sum())
    image[y : y + bar, x : x + wide] = _colours(np.linspace(0, 1, wide, dtype=np.float32)[None])
    ink = (0, 0, 0) if image[0, 0].mean() > 127 else (255, 255, 255)
    marks = [(0.0, "0", 0), (full, f"{full:.2f} {unit}", 0)]
    if limit is not None:
        marks.append((limit, f"tolerance {limit:.2f}", 1))
    for value, words, row in marks:
        at = x + round((wide - 1) * min(value / full, 1.0))
        cv2.line(image, (at, y), (at, y + bar + 2 + row * bar), ink, 1)
        (length, _), _ = cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, text, 1)
        left = min(max(at - length // 2, x), width - length - 2)
        below = y + bar + round((13 + 16 * row) * max(1.0, text / 0.4))
        cv2.putText(image, words, (left, below), cv2.FONT_HERSHEY_SIMPLEX, text, ink, 1, cv2.LINE_AA)
