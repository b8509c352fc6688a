"""Outlines of planted defects: blobs, strokes, cracks and rectangles of a stated area, with soft edges.

Every function returns an opacity, float32 (h, w) in [0, 1], of the spot's window.
"""

import math

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.planting.noise import noise_of_grain
from vlm_inspect.planting.surface import Spot

Opacity = NDArray[np.float32]


def blob(spot: Spot, generator: np.random.Generator, *, edge_px: float = 0.7, ragged: float = 0.35) -> Opacity:
    """Return an uneven ellipse; `ragged` is how far its outline wanders, as a share of its radius."""
    distance, _ = _from_center(spot, generator, least_aspect=0.45)
    noise = noise_of_grain(spot.size_hw, max(2.0, 0.6 * spot.diameter), generator)
    return _soft(1.0 - distance + ragged * noise, edge_px / max(1.0, spot.diameter / 2))


def soft_disc(spot: Spot, generator: np.random.Generator) -> tuple[Opacity, NDArray[np.float32]]:
    """Return a hump that falls smoothly to nothing at the rim of an ellipse, and the unit vectors away from its middle.

    Returns:
        Opacity (h, w), and (h, w, 2) of y and x.
    """
    distance, away = _from_center(spot, generator, least_aspect=0.6)
    hump = np.where(distance < 1.25, np.cos(np.minimum(distance / 1.25, 1.0) * np.pi / 2) ** 2, 0.0)
    return hump.astype(np.float32), away


def stroke(spot: Spot, generator: np.random.Generator, *, jagged: bool) -> Opacity:
    """Return a thin line of the spot's area: a slightly bent scratch, or a crack that changes its direction."""
    import cv2

    thin, thinnest = (12.0, 36.0) if jagged else (8.0, 30.0)
    aspect = float(np.exp(generator.uniform(math.log(thin), math.log(thinnest))))
    width = max(1.0, math.sqrt(spot.area / aspect))
    length = spot.area / width
    angle = float(generator.uniform(0, 2 * np.pi))
    steps = 14
    bends = generator.normal(0, 0.5 if jagged else 0.02, steps) + float(generator.normal(0, 0.04))
    angles = angle + (bends if jagged else np.cumsum(bends))
    moves = np.column_stack([np.cos(angles), np.sin(angles)]) * length / steps
    points = np.vstack([[0.0, 0.0], np.cumsum(moves, axis=0)])
    points += np.array(spot.center_yx[::-1]) - points.mean(axis=0)
    drawn = np.zeros(spot.size_hw, np.uint8)
    fine = np.rint(points * 16).astype(np.int32)
    if width < 1.5:
        cv2.polylines(drawn, [fine], False, 255, 1, cv2.LINE_AA, shift=4)
    else:
        for k in range(steps):  # thinner towards its ends
            taper = 0.5 + 0.5 * math.sin(math.pi * (k + 0.5) / steps)
            thickness = max(1, round(1.25 * width * taper))
            cv2.line(drawn, fine[k].tolist(), fine[k + 1].tolist(), 255, thickness, cv2.LINE_AA, shift=4)
    return np.asarray(drawn / 255.0, np.float32)


def rectangle(spot: Spot, generator: np.random.Generator, center_yx: tuple[float, float] | None = None) -> Opacity:
    """Return a turned rectangle, nearly upright, with sides up to 1 : 2.5."""
    import cv2

    aspect = float(np.exp(generator.uniform(math.log(0.4), math.log(2.5))))
    sides = math.sqrt(spot.area * aspect), math.sqrt(spot.area / aspect)
    row, column = center_yx or spot.center_yx
    box = cv2.boxPoints(((column, row), sides, float(generator.normal(0, 4))))
    drawn = np.zeros(spot.size_hw, np.uint8)
    cv2.fillPoly(drawn, [np.rint(box * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    return np.asarray(drawn / 255.0, np.float32)


def _from_center(
    spot: Spot, generator: np.random.Generator, *, least_aspect: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the distance from the middle in radii of a turned ellipse of the spot's area, and the unit vectors."""
    aspect = math.sqrt(float(generator.uniform(least_aspect, 1.0)))
    angle = float(generator.uniform(0, np.pi))
    radius = max(0.8, spot.diameter / 2)
    y, x = np.ogrid[: spot.size_hw[0], : spot.size_hw[1]]
    dy, dx = (y - spot.center_yx[0]).astype(np.float32), (x - spot.center_yx[1]).astype(np.float32)
    along, across = math.cos(angle) * dx + math.sin(angle) * dy, math.cos(angle) * dy - math.sin(angle) * dx
    distance = np.hypot(along * aspect, across / aspect) / radius
    length = np.maximum(np.hypot(dy, dx), 1e-6)
    return distance.astype(np.float32), np.stack([dy / length, dx / length], axis=-1).astype(np.float32)


def _soft(height: NDArray[np.float32], edge: float) -> Opacity:
    """Return 1 where the height is above 0, 0 below, and a ramp between."""
    return np.asarray(np.clip(0.5 + height / (2 * max(edge, 1e-3)), 0.0, 1.0), np.float32)
