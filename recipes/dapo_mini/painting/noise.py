"""Random fields that the painted surfaces are made of: float32 (S, S), mean 0, deviation 1, the same for one seed."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating[Any]]
"""(S, S), float32 or float64."""
Random = np.random.Generator


def standard(field: NDArray[np.floating]) -> Field:
    """Return the field with mean 0 and deviation 1."""
    return np.asarray((field - field.mean()) / (field.std() + 1e-6), np.float32)


def white(random: Random, side: int) -> Field:
    """Return independent values."""
    return random.standard_normal((side, side), np.float32)


def smooth(random: Random, side: int, cells: float) -> Field:
    """Return a field that changes about `cells` times across the picture."""
    count = max(2, round(cells) + 2)
    coarse = random.standard_normal((count, count), np.float32)
    return standard(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC))


def fractal(random: Random, side: int, cells: float, octaves: int = 4, gain: float = 0.55) -> Field:
    """Return a sum of smooth fields, each twice as fine and `gain` times as strong as the one before."""
    total = np.zeros((side, side), np.float32)
    for octave in range(octaves):
        if cells * 2**octave > side:
            break
        total += gain**octave * smooth(random, side, cells * 2**octave)
    return standard(total)


def streaks(random: Random, side: int, angle: float, length: float, width: float) -> Field:
    """Return noise drawn out along a direction.

    Args:
        random: the generator.
        side: side in pixels.
        angle: in degrees.
        length: along the direction, as a share of the side.
        width: across it, in pixels.
    """
    wide = int(side * 1.45)
    field = cv2.GaussianBlur(white(random, wide), (0, 0), sigmaX=max(length * side, 0.5), sigmaY=max(width, 0.3))
    turn = cv2.getRotationMatrix2D((wide / 2, wide / 2), angle, 1.0)
    turned = cv2.warpAffine(field, turn, (wide, wide), borderMode=cv2.BORDER_REFLECT)
    first = (wide - side) // 2
    return standard(turned[first : first + side, first : first + side])


def cells(random: Random, side: int, count: int) -> tuple[Field, NDArray[np.int32]]:
    """Return the distance to the next of `count` random points in cell radii, (S, S), and the number of that point."""
    seeds = np.full((side, side), 255, np.uint8)
    places = random.integers(0, side, (count, 2))
    seeds[places[:, 0], places[:, 1]] = 0
    distance, labels = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    return np.asarray(distance * (count**0.5) / side, np.float32), np.asarray(labels, np.int32)


def borders(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return where the number of the cell changes, (S, S)."""
    edge = np.zeros(labels.shape, bool)
    edge[1:] |= labels[1:] != labels[:-1]
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    return edge


def coordinates(side: int, angle: float = 0.0) -> tuple[Field, Field]:
    """Return x and y in [-1, 1] about the middle, turned by `angle` degrees."""
    axis = (np.arange(side, dtype=np.float32) + 0.5) / side * 2 - 1
    x, y = np.meshgrid(axis, axis)
    c, s = np.float32(np.cos(np.deg2rad(angle))), np.float32(np.sin(np.deg2rad(angle)))
    return c * x + s * y, c * y - s * x


def blob(random: Random, side: int, area: float, *, rough: float = 0.35, stretch: float = 2.5) -> NDArray[np.float32]:
    """Return an irregular spot: (S, S), above 0 inside, about 1 in its middle, below 0 outside.

    Args:
        random: the generator.
        side: side in pixels.
        area: share of the picture that the spot covers.
        rough: how far its outline leaves an ellipse.
        stretch: the most that one axis is longer than the other.
    """
    x, y = coordinates(side, random.uniform(0, 180))
    x = x - random.uniform(-0.8, 0.8)
    y = y - random.uniform(-0.8, 0.8)
    ratio = random.uniform(1, stretch) ** 0.5
    radius = (4 * area / np.pi) ** 0.5
    field = 1 - np.hypot(x * ratio / radius, y / ratio / radius)
    wave = fractal(random, side, min(side / 4, 1.5 / radius), 3, 0.5)
    return np.asarray(field + rough * wave * np.clip(1.2 - np.abs(field) * 0.5, 0, 1), np.float32)


def place_blob(field: NDArray[np.float32], allowed: NDArray[np.bool_], random: Random) -> NDArray[np.float32]:
    """Return the spot moved so that its middle falls on one of the allowed pixels."""
    rows, columns = np.nonzero(allowed)
    if not len(rows):
        return field
    pick = int(random.integers(len(rows)))
    inside = field > 0
    if not inside.any():
        return field
    where = np.argwhere(inside).mean(axis=0)
    shift = np.array([[1, 0, columns[pick] - where[1]], [0, 1, rows[pick] - where[0]]], np.float32)
    return np.asarray(
        cv2.warpAffine(field, shift, field.shape[::-1], borderMode=cv2.BORDER_CONSTANT, borderValue=-1.0), np.float32
    )


def bend(image: NDArray[np.float32], across: Field, down: Field) -> NDArray[np.float32]:
    """Return the picture with every pixel fetched `across` columns and `down` rows away."""
    rows, columns = np.indices(across.shape, np.float32)
    return np.asarray(
        cv2.remap(image, columns + across, rows + down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), np.float32
    )
