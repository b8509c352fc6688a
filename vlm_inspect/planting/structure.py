"""The planted defect that is everywhere: the fine structure of the whole part, or of much of it, is another.

A cloth that is woven too tightly, a ground face whose lines run another way, a cast surface that came out coarse: no
place of it is unlike what references show somewhere, and all of it together is. Shade and colour stay what they are;
what changes is the grain, the picture less its slow part.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.planting.marks import Changed
from vlm_inspect.planting.noise import noise_of_grain
from vlm_inspect.planting.surface import Pixels, Spot, Surface
from vlm_inspect.planting.uneven import blurred, extent

_GRAIN = 0.03
"""What is wider than about this share of the surface's diameter is shade, and stays."""
_LEAST_GRAIN = 2.0
"""Grey levels (mean absolute) of the grain from which on a surface has structure that can change."""
_MOST_SCALE, _MOST_STRETCH, _MOST_TURN = math.log(1.6), math.log(1.8), math.pi / 4
_SMEAR = (0.006, 0.03)
"""Length of a smear, and the longer is how far a shift moves the grain at most, in shares of the surface's diameter."""
_FIELD = (0.02, 0.3)
"""How wide the bumps of a warp and the bands of a shift are, likewise; log-uniform."""

_FADE = 0.015
"""How wide the border is in which moved grain fades into what stayed, likewise."""

Change = Callable[[Spot, np.random.Generator], Pixels]


def structure(spot: Spot, generator: np.random.Generator) -> Changed:
    """Grain that is coarser or finer, turned, stretched, drawn out or sharpened one way, warped, or out of step."""
    change = _CHANGES[int(generator.integers(len(_CHANGES)))]
    return change(spot, generator), extent(spot, generator)


def has_grain(surface: Surface) -> bool:
    """Tell whether the part has fine structure that could be another."""
    import cv2

    stride = max(1, int(max(surface.part.shape) / 512))
    grey = surface.picture[::stride, ::stride].mean(axis=2).astype(np.float32)
    inside = cv2.erode(surface.part[::stride, ::stride].astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    if not inside.any():
        return False
    slow = cv2.GaussianBlur(grey, (0, 0), max(1.0, _GRAIN * surface.longer_side_px / stride / 2))
    return float(np.abs(grey - slow)[inside].mean()) >= _LEAST_GRAIN


def rescaled(spot: Spot, generator: np.random.Generator) -> Pixels:
    """Return the window with its grain coarser or finer, by up to 1.6 times."""
    scale = math.exp(_sign(generator) * _strength(spot) * _MOST_SCALE)
    return _transformed(spot, scale * np.eye(2))


def turned(spot: Spot, generator: np.random.Generator) -> Pixels:
    """Return the window with its grain turned, by up to 45 degrees."""
    return _transformed(spot, _rotation(_sign(generator) * _strength(spot) * _MOST_TURN))


def stretched(spot: Spot, generator: np.random.Generator) -> Pixels:
    """Return the window with its grain stretched one way, by up to 1.8 times."""
    way = _rotation(float(generator.uniform(0, np.pi)))
    longer = math.exp(_strength(spot) * _MOST_STRETCH)
    return _transformed(spot, way @ np.diag([longer, 1.0 / math.sqrt(longer)]) @ way.T)


def drawn_out(spot: Spot, generator: np.random.Generator) -> Pixels:
    """Return the window smeared one way, or as much sharper that way."""
    import cv2

    length = max(3.0, float(generator.uniform(*_SMEAR)) * spot.diameter)
    side = 2 * math.ceil(length / 2) + 1
    line = np.zeros((side, side), np.float32)
    angle = float(generator.uniform(0, np.pi))
    reach = np.array([math.cos(angle), math.sin(angle)]) * length / 2
    ends = [np.rint((side // 2 + sign * reach) * 16).astype(np.int32).tolist() for sign in (-1, 1)]
    cv2.line(line, ends[0], ends[1], 1.0, 1, cv2.LINE_8, shift=4)
    smeared = cv2.filter2D(spot.pixels, -1, line / line.sum(), borderType=cv2.BORDER_REFLECT)
    share = np.float32(_sign(generator) * math.sqrt(_strength(spot)))
    return np.asarray(spot.pixels + share * (smeared - spot.pixels), np.float32)


def warped(spot: Spot, generator: np.random.Generator) -> Pixels:
    """Return the window with its grain pushed about by a field of fine bumps."""
    grain = _between(_FIELD, generator) * spot.diameter
    moves = [noise_of_grain(spot.size_hw, grain, generator) for _ in range(2)]
    far = min(_strength(spot) * 0.8 * grain, _SMEAR[1] * spot.diameter)
    return _moved(spot, *(far * move for move in moves))


def out_of_step(spot: Spot, generator: np.random.Generator) -> Pixels:
    """Return the window with bands of its grain shifted along themselves, each by an amount of its own."""
    angle = float(generator.uniform(0, np.pi))
    y, x = np.mgrid[: spot.size_hw[0], : spot.size_hw[1]].astype(np.float32)
    across = (np.cos(angle) * y - np.sin(angle) * x) / np.float32(_between(_FIELD, generator) * spot.diameter)
    across -= across.min()
    steps = generator.uniform(-1, 1, int(across.max()) + 2).astype(np.float32)
    far = _strength(spot) * _SMEAR[1] * spot.diameter
    shift = far * np.interp(across, np.arange(len(steps)), steps)
    return _moved(spot, shift * np.float32(np.sin(angle)), shift * np.float32(np.cos(angle)))


_CHANGES: tuple[Change, ...] = (rescaled, turned, stretched, drawn_out, warped, out_of_step)


def _transformed(spot: Spot, matrix: NDArray[np.float64]) -> Pixels:
    """Return the window with its grain seen through a matrix (2, 2) around the middle of the part."""
    inverse = np.linalg.inv(matrix)
    rows, columns = np.nonzero(spot.part)
    middle = np.array([columns.mean(), rows.mean()])
    y, x = np.mgrid[: spot.size_hw[0], : spot.size_hw[1]].astype(np.float32)
    from_x, from_y = x - middle[0], y - middle[1]
    to_x = inverse[0, 0] * from_x + inverse[0, 1] * from_y + middle[0]
    to_y = inverse[1, 0] * from_x + inverse[1, 1] * from_y + middle[1]
    return _moved(spot, (to_y - y).astype(np.float32), (to_x - x).astype(np.float32))


def _moved(spot: Spot, down: NDArray[np.float32], right: NDArray[np.float32]) -> Pixels:
    """Return the window with the grain of each pixel taken from so many pixels (h, w) further down and right.

    Where that would come from beyond the part the grain stays as it is; in between it fades from one to the other: a
    seam would be a defect with a place.
    """
    import cv2

    slow = _slow(spot)
    part = spot.part.astype(np.float32)
    grain = (spot.pixels - slow) * part[:, :, None]
    y, x = np.mgrid[: spot.size_hw[0], : spot.size_hw[1]].astype(np.float32)
    at_x, at_y = (x + right).astype(np.float32), (y + down).astype(np.float32)
    moved = cv2.remap(grain, at_x, at_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    inside = cv2.remap(part, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    fade = max(2.0, _FADE * spot.diameter)
    fading = np.clip(2 * blurred(inside, fade) - 1, 0, 1) * inside
    return np.asarray(slow + grain + fading[:, :, None] * (moved - grain), np.float32)


def _slow(spot: Spot) -> Pixels:
    """Return the window without its grain, averaged inside the part alone."""
    sigma = max(1.5, _GRAIN * spot.diameter / 2)
    weight = blurred(spot.part.astype(np.float32), sigma)
    total = blurred(spot.pixels * spot.part[:, :, None], sigma)
    return np.asarray(np.where(spot.part[:, :, None], total / np.maximum(weight, 1e-3)[:, :, None], spot.pixels))


def _strength(spot: Spot) -> float:
    """Return how far the change goes, as a share of the most, in (0, 1].

    The square of the contrast asked for: grain that has moved by little differs from pixel to pixel as much as grain
    that has moved by much.
    """
    return min(1.0, spot.amplitude / spot.surface.range) ** 2


def _between(ends: tuple[float, float], generator: np.random.Generator) -> float:
    return math.exp(float(generator.uniform(math.log(ends[0]), math.log(ends[1]))))


def _sign(generator: np.random.Generator) -> float:
    return 1.0 if generator.random() < 0.5 else -1.0


def _rotation(angle: float) -> NDArray[np.float64]:
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
