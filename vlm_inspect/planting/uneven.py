"""The planted defect that has no place: a slow change of a large part of the surface, or of all of it.

A surface that was ground, coated, cleaned or lit differently looks odd as a whole, while no place of it is unlike what
references show somewhere. What the local kinds say of an eye says nothing of that.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.planting.marks import Changed
from vlm_inspect.planting.noise import noise_of_grain
from vlm_inspect.planting.surface import Pixels, Spot

_WORK_SIDE = 256
"""Longest side in pixels at which a slow change is drawn: it has no finer detail."""
_GLOSS = (0.01, 0.05)
_SMEAR = (0.003, 0.02)
"""How wide the structure is that another gloss changes, or a smear takes away, in shares of the surface's diameter."""

Change = Callable[[Spot, np.random.Generator], Pixels]


def uneven(spot: Spot, generator: np.random.Generator) -> Changed:
    """A cloudy shade, a shade from one side to the other, another gloss, or a texture that is smoothed or lost."""
    change = _CHANGES[int(generator.integers(len(_CHANGES)))]
    return change(spot, generator), extent(spot, generator)


def cloudy(spot: Spot, generator: np.random.Generator) -> Pixels:
    """Return the window with clouds of shade, a fifth to four fifths of the surface wide."""
    clouds = noise_of_grain(_small(spot), float(generator.uniform(0.2, 0.8)) * max(_small(spot)), generator)
    return _shaded(spot, _at_full_size(spot, clouds), generator)


def graded(spot: Spot, generator: np.random.Generator) -> Pixels:
    """Return the window darker at one side and brighter at the other."""
    angle = float(generator.uniform(0, 2 * np.pi))
    y, x = np.ogrid[: spot.size_hw[0], : spot.size_hw[1]]
    return _shaded(spot, (np.sin(angle) * y + np.cos(angle) * x).astype(np.float32), generator)


def glossy(spot: Spot, generator: np.random.Generator) -> Pixels:
    """Return the window with stronger or weaker contrast of its texture, as a change of gloss gives it."""
    slow = _smoothed(spot, _GLOSS, generator)
    share = _share(spot)
    gain = np.float32(1.0 + 1.5 * share if generator.random() < 0.5 else 1.0 - 0.8 * share)
    return np.asarray(slow + gain * (spot.pixels - slow), np.float32)


def smeared(spot: Spot, generator: np.random.Generator) -> Pixels:
    """Return the window with its texture smoothed."""
    share = np.float32(0.5 + 0.5 * _share(spot))
    return np.asarray(spot.pixels + share * (_smoothed(spot, _SMEAR, generator) - spot.pixels), np.float32)


_CHANGES: tuple[Change, ...] = (cloudy, graded, glossy, smeared)


def _shaded(spot: Spot, field: NDArray[np.float32], generator: np.random.Generator) -> Pixels:
    """Return the window shaded by a field (h, w), whose standard deviation on the part becomes 0.3 of the amplitude."""
    inside = field[spot.part] if spot.part.any() else field.ravel()
    shade = (field - inside.mean()) * np.float32(0.3 * spot.amplitude / max(float(inside.std()), 1e-6))
    tint = np.ones(3, np.float32)
    if not spot.surface.grey:
        tint = np.clip(1.0 + generator.uniform(-0.4, 0.4, 3), 0.0, 2.0).astype(np.float32)
    return np.asarray(spot.pixels + shade[:, :, None] * tint, np.float32)


def extent(spot: Spot, generator: np.random.Generator) -> NDArray[np.float32]:
    """Return how much of the change each pixel has, (h, w) in [0, 1]: everywhere, or on a share of the part with a soft
    edge, of the area that the spot shall have."""
    whole = float(spot.part.sum())
    if spot.area >= 0.9 * whole:
        return np.ones(spot.size_hw, np.float32)
    field = _at_full_size(spot, noise_of_grain(_small(spot), 0.7 * max(_small(spot)), generator))
    inside = field[spot.part]
    edge = float(np.quantile(inside, 1.0 - spot.area / whole))
    soft = max(0.6 * float(inside.std()), 1e-6)
    return np.asarray(np.clip(0.5 + (field - edge) / soft, 0.0, 1.0), np.float32)


def _smoothed(spot: Spot, widths: tuple[float, float], generator: np.random.Generator) -> Pixels:
    return blurred(spot.pixels, max(1.0, float(generator.uniform(*widths)) * spot.diameter))


def blurred(picture: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Return a picture, (h, w) or (h, w, C), blurred by a Gaussian of this standard deviation in pixels."""
    import cv2

    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT), np.float32)


def _share(spot: Spot) -> float:
    """Return the strength asked for as a share of the picture's range, in (0, 1]."""
    return min(1.0, spot.amplitude / spot.surface.range)


def _small(spot: Spot) -> tuple[int, int]:
    """Return height and width of the window, shrunk to where slow changes are drawn."""
    scale = min(1.0, _WORK_SIDE / max(spot.size_hw))
    return max(2, round(spot.size_hw[0] * scale)), max(2, round(spot.size_hw[1] * scale))


def _at_full_size(spot: Spot, field: NDArray[np.float32]) -> NDArray[np.float32]:
    import cv2

    return np.asarray(cv2.resize(field, spot.size_hw[::-1], interpolation=cv2.INTER_CUBIC), np.float32)
