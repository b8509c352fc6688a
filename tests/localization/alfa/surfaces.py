"""Made-up surfaces with a known place of damage."""

import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]


def green_surface(seed: int, side: int = 64) -> Rgb:
    """A green surface with a little noise."""
    noise = np.random.default_rng(seed).normal(0, 6, (side, side, 3))
    return np.clip(np.array([60.0, 150.0, 70.0]) + noise, 0, 255).astype(np.uint8)


def with_square(picture: Rgb, box_xyxy: tuple[int, int, int, int], colour: tuple[int, int, int] = (220, 40, 40)) -> Rgb:
    """The picture with a square pasted on it."""
    x0, y0, x1, y1 = box_xyxy
    pasted = picture.copy()
    pasted[y0:y1, x0:x1] = colour
    return pasted


def peak_xy(heat: NDArray[np.float32], side: int = 64) -> tuple[float, float]:
    """Centre of the hottest cell in pixels."""
    y, x = np.unravel_index(int(heat.argmax()), heat.shape)
    return (float(x) + 0.5) * side / heat.shape[1], (float(y) + 0.5) * side / heat.shape[0]
