"""Blurs and noise that change slowly, of large photographs at the price of small ones: drawn small, and enlarged."""

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.planting.noise import Noise, noise_of_grain

_MOST_SIDE = 1024
"""Pictures up to this longest side in pixels are worked on as they are."""
_LEAST_SIGMA = 4.0
"""A shrunk picture is blurred by so many of its pixels at least: shrinking takes nothing that the blur leaves."""


def blurred(picture: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Return a picture, (h, w) or (h, w, C), blurred by a Gaussian of this standard deviation in pixels."""
    import cv2

    height, width = picture.shape[:2]
    shrink = min(max(height, width) / _MOST_SIDE, sigma / _LEAST_SIGMA)
    if shrink <= 1.0:
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT), np.float32)
    small = cv2.resize(
        picture, (max(1, round(width / shrink)), max(1, round(height / shrink))), interpolation=cv2.INTER_AREA
    )
    soft = cv2.GaussianBlur(small, (0, 0), sigma / shrink, borderType=cv2.BORDER_REFLECT)
    return np.asarray(cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def slow_noise(size_hw: tuple[int, int], grain_px: float, generator: np.random.Generator) -> Noise:
    """Return gradient noise as `noise_of_grain` does."""
    import cv2

    shrink = max(size_hw) / _MOST_SIDE
    if shrink <= 1.0:
        return noise_of_grain(size_hw, grain_px, generator)
    small = round(size_hw[0] / shrink), round(size_hw[1] / shrink)
    noise = noise_of_grain(small, grain_px / shrink, generator)
    return np.asarray(cv2.resize(noise, size_hw[::-1], interpolation=cv2.INTER_CUBIC), np.float32)
