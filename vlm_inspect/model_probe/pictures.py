"""Pictures that a model is tested with: drawn at random, so that only who sees them can tell what they show."""

from random import Random

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""uint8, HWC, RGB."""

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 30, 30),
    "green": (30, 160, 50),
    "blue": (40, 70, 220),
    "yellow": (245, 220, 40),
    "black": (15, 15, 15),
    "white": (250, 250, 250),
    "orange": (245, 140, 20),
    "purple": (140, 40, 170),
}
SIDE = 192
"""Side in pixels: large enough for every model's smallest patch, small enough to cost next to nothing."""
_GREY = 128
_LINE = 90


def draw_disc(colour: str, row: int, column: int) -> Picture:
    """Return a grey square of 3 x 3 cells with a disc in one of them; rows and columns from 1."""
    picture = np.full((SIDE, SIDE, 3), _GREY, dtype=np.uint8)
    cell = SIDE // 3
    for line in (cell, 2 * cell):
        picture[line - 1 : line + 1] = _LINE
        picture[:, line - 1 : line + 1] = _LINE
    y, x = np.mgrid[:SIDE, :SIDE]
    inside = (x - (column - 0.5) * cell) ** 2 + (y - (row - 0.5) * cell) ** 2 < (0.36 * cell) ** 2
    picture[inside] = COLOURS[colour]
    return picture


def draw_colour(colour: str) -> Picture:
    """Return a square of one colour."""
    return np.full((SIDE // 2, SIDE // 2, 3), COLOURS[colour], dtype=np.uint8)


def draw_plate(random: Random, *, anomalous: bool) -> Picture:
    """Return a grey plate with four holes; the anomalous one lacks a hole and has a long dark scratch."""
    side = 2 * SIDE
    noise = np.random.default_rng(random.randrange(2**32))
    grey = 165.0 + 4.0 * noise.standard_normal((side, side)) + 3.0 * noise.standard_normal((side, 1))
    y, x = np.mgrid[:side, :side] / side
    holes = [(0.2, 0.2), (0.2, 0.8), (0.8, 0.2), (0.8, 0.8)]
    if anomalous:
        holes.pop(random.randrange(4))
        slope = random.uniform(0.3, 0.6)
        along = (x > 0.3) & (x < 0.75) & (np.abs(y - 0.35 - slope * (x - 0.3)) < 0.012)
        grey[along] = 35.0
    for row, column in holes:
        grey[(y - row) ** 2 + (x - column) ** 2 < 0.07**2] = 25.0
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)
