"""The colour-coded picture of a scan's deviation: blue below the reference, grey where it agrees, red above it."""

import numpy as np
from numpy.typing import NDArray

from converters.view import View
from vlm_inspect.localization.deviation_colours import deviation_colours, full_scale


def deviation_picture(view: View, signed: NDArray[np.float32], typical: float, largest: float, unit: str) -> View:
    """Return the picture of a depth view with its deviations in colour; same size, origin and pixels.

    Args:
        view: the depth view.
        signed: float32 (H, W), in `unit`: positive is material too much, negative too little.
        typical: how far normal parts usually differ at a place, in `unit`.
        largest: the largest deviation of all pictures of this part, so that they share one scale.
        unit: of the values.
    """
    import cv2

    full = full_scale(largest, typical)
    mask = view.mask if view.mask is not None else np.ones(view.size_hw, dtype=bool)
    painted = mask | (np.abs(signed) > 0.25 * full)
    colours = deviation_colours(signed / full)
    grey = cv2.cvtColor(view.image, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255.0
    # The depth shows through a little, so that the part's form can be read under the colour.
    shade = np.where(mask, 0.6 + 0.4 * grey, 1.0)[..., None]
    image = np.where(painted[..., None], colours * shade, view.image).astype(np.uint8)
    direction = view.key.partition("/")[2]
    _draw_scale(image, painted, full, unit)
    return View(
        image=image,
        kind="deviation",
        label=f"deviation from the references, {direction or view.label}; blue up to {full:.2f} {unit} below, "
        f"grey 0, red up to {full:.2f} {unit} above",
        origin=view.origin,
        key=f"deviation/{direction}" if direction else "deviation",
        mask=view.mask,
    )


def _draw_scale(image: NDArray[np.uint8], painted: NDArray[np.bool_], full: float, unit: str) -> None:
    """Draw a lying bar from below to above, in the corner that shows least of the part."""
    import cv2

    height, width = image.shape[:2]
    text, bar = max(0.4, width / 1280), max(5, height // 64)
    tall, wide, edge = 4 * bar, round(0.5 * width), max(6, width // 40)
    corners = [(y, x) for y in (height - edge - tall, edge) for x in (edge, width - edge - wide)]
    y, x = min(corners, key=lambda corner: painted[corner[0] :, corner[1] :][:tall, :wide].sum())
    image[y : y + bar, x : x + wide] = deviation_colours(np.linspace(-1, 1, wide, dtype=np.float32)[None])
    ink = (0, 0, 0) if image[0, 0].mean() > 127 else (255, 255, 255)
    for value, words in ((-full, f"-{full:.2f}"), (0.0, "0"), (full, f"+{full:.2f} {unit}")):
        at = x + round((wide - 1) * (value / full + 1.0) / 2.0)
        cv2.line(image, (at, y), (at, y + bar + 2), ink, 1)
        (length, _), _ = cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, text, 1)
        left = min(max(at - length // 2, x), width - length - 2)
        below = y + bar + round(13 * max(1.0, text / 0.4))
        cv2.putText(image, words, (left, below), cv2.FONT_HERSHEY_SIMPLEX, text, ink, 1, cv2.LINE_AA)
