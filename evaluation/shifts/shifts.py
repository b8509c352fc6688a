"""Changes of light and camera, by name: on a picture and, where things move, on its mask.

Strength 1 is a change that an inspection line sees between two days; 0 changes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
_BASE_SIDE = 512
"""Blur is told for pictures of this longest side in pixels."""


@dataclass(frozen=True)
class Shift:
    """One change."""

    name: str
    change: Callable[[Picture, float, np.random.Generator], Picture]
    """Of a picture, uint8 (H, W, 3) RGB, by strength; the generator draws noise."""
    moves: bool = False
    """Whether things change their place, so that a mask must be changed alike."""


def _scaled(picture: Picture, factor: NDArray[np.float32] | float) -> Picture:
    return np.asarray(np.clip(np.rint(picture.astype(np.float32) * factor), 0, 255), np.uint8)


def _brighter(picture: Picture, strength: float, _: np.random.Generator) -> Picture:
    return _scaled(picture, 1 + 0.3 * strength)


def _darker(picture: Picture, strength: float, _: np.random.Generator) -> Picture:
    return _scaled(picture, max(0.0, 1 - 0.3 * strength))


def _sideways(picture: Picture, strength: float, _: np.random.Generator) -> Picture:
    across = np.linspace(1 - 0.35 * strength, 1 + 0.35 * strength, picture.shape[1], dtype=np.float32)
    return _scaled(picture, np.maximum(across, 0)[None, :, None])


def _warmer(picture: Picture, strength: float, _: np.random.Generator) -> Picture:
    gains = np.array([1 + 0.12 * strength, 1.0, max(0.0, 1 - 0.12 * strength)], np.float32)
    return _scaled(picture, gains)


def _moved(picture: Picture, turn_deg: float, size: float, shift: float) -> Picture:
    import cv2

    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), turn_deg, size)
    matrix[:, 2] += shift * width, shift * height
    flat = picture.ndim == 2
    how = cv2.INTER_NEAREST if flat else cv2.INTER_LINEAR
    edge = cv2.BORDER_CONSTANT if flat else cv2.BORDER_REFLECT_101
    return np.asarray(cv2.warpAffine(picture, matrix, (width, height), flags=how, borderMode=edge), np.uint8)


def _turned(picture: Picture, strength: float, _: np.random.Generator) -> Picture:
    return _moved(picture, 4 * strength, 1.0, 0.0)


def _displaced(picture: Picture, strength: float, _: np.random.Generator) -> Picture:
    return _moved(picture, 0.0, 1.0, 0.03 * strength)


def _nearer(picture: Picture, strength: float, _: np.random.Generator) -> Picture:
    return _moved(picture, 0.0, 1 + 0.08 * strength, 0.0)


def _blurred(picture: Picture, strength: float, _: np.random.Generator) -> Picture:
    import cv2

    sigma = 1.5 * strength * max(picture.shape[:2]) / _BASE_SIDE
    return picture if sigma <= 0 else np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8)


def _noisy(picture: Picture, strength: float, generator: np.random.Generator) -> Picture:
    noise = generator.normal(0.0, 8.0 * strength, picture.shape)
    return np.asarray(np.clip(np.rint(picture + noise), 0, 255), np.uint8)


SHIFTS = {
    shift.name: shift
    for shift in (
        Shift("brighter", _brighter),
        Shift("darker", _darker),
        Shift("side-light", _sideways),
        Shift("warmer", _warmer),
        Shift("turned", _turned, moves=True),
        Shift("displaced", _displaced, moves=True),
        Shift("nearer", _nearer, moves=True),
        Shift("blurred", _blurred),
        Shift("noisy", _noisy),
    )
}
"""The first four are of the light, the others of the camera."""
