"""Defects of form: chipped, broken, bent, missing, misplaced."""

import cv2
import numpy as np

from recipes.dapo_mini.painting.canvas import Canvas, mix
from recipes.dapo_mini.painting.lines import Region
from recipes.dapo_mini.painting.noise import Random, bend, blob, fractal, place_blob
from recipes.dapo_mini.painting.spots import away_from_middle, edge_distance, soften, some_area, spot


def _outline(canvas: Canvas) -> Region:
    """Return the pixels of the part that lie at its outline; all of it where it has none."""
    if canvas.part.all():
        return canvas.part
    distance = edge_distance(canvas)
    rim = canvas.part & (distance < max(2.0, canvas.side * 0.01))
    return rim if rim.any() else canvas.part


def _take_away(random: Random, canvas: Canvas, share: np.ndarray) -> None:
    """Remove a share of the part: the ground shows, or the inside of the material where there is no ground."""
    if canvas.ground is not None and random.random() < 0.7:
        colour, relief = canvas.ground.colour, canvas.ground.relief
    else:
        rough = fractal(random, canvas.side, random.uniform(10, 40), 4, 0.7)
        tone = np.clip(canvas.colour.mean(axis=(0, 1)) * random.uniform(0.3, 1.7), 0.03, 1)
        colour = np.clip(tone * (1 + 0.15 * rough[..., None]), 0, 1).astype(np.float32)
        relief = canvas.relief - random.uniform(2, 6) + rough * random.uniform(0.5, 2)
    canvas.colour = mix(canvas.colour, colour, share)
    canvas.relief = np.asarray(canvas.relief * (1 - share) + relief * share, np.float32)


def chip(random: Random, canvas: Canvas) -> Region:
    """A small piece has broken off, at the outline where there is one."""
    field = blob(random, canvas.side, some_area(random, canvas, 0.0008, 0.015), rough=0.5)
    field = np.where(canvas.part, place_blob(field, _outline(canvas), random), -1).astype(np.float32)
    share = soften(field, 0.1)
    _take_away(random, canvas, share)
    return np.asarray(share > 0.4)


def broken(random: Random, canvas: Canvas) -> Region:
    """A large piece is gone, along a jagged line."""
    side = canvas.side
    if random.random() < 0.5 and not canvas.part.all():
        line = away_from_middle(random, side) * 4 + random.uniform(0.05, 0.15) * fractal(random, side, 10, 4, 0.6)
        inside = canvas.part & (line > np.quantile(line[canvas.part], random.uniform(0.75, 0.97)))
        share = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 0.6)
    else:
        field = blob(random, side, some_area(random, canvas, 0.008, 0.06), rough=0.7)
        share = soften(np.where(canvas.part, place_blob(field, _outline(canvas), random), -1).astype(np.float32), 0.08)
    _take_away(random, canvas, share)
    return np.asarray(share > 0.4)


def bent(random: Random, canvas: Canvas) -> Region:
    """A stretch of it is pushed aside."""
    side = canvas.side
    field = soften(
        place_blob(blob(random, side, some_area(random, canvas, 0.01, 0.06), rough=0.1), canvas.part, random), 1.5
    )
    angle, far = random.uniform(0, 2 * np.pi), random.uniform(0.02, 0.07) * side
    across, down = field * np.float32(far * np.cos(angle)), field * np.float32(far * np.sin(angle))
    canvas.colour = bend(canvas.colour, across, down)
    canvas.relief = bend(canvas.relief, across, down)
    return np.asarray(field > 0.35)


def missing(random: Random, canvas: Canvas) -> Region:
    """A feature has gone: its place is filled with what is beside it."""
    side = canvas.side
    field = soften(spot(random, canvas, some_area(random, canvas, 0.004, 0.04), rough=0.15), 0.15)
    if canvas.ground is not None and random.random() < 0.6:
        canvas.colour = mix(canvas.colour, canvas.ground.colour, field)
        canvas.relief = np.asarray(canvas.relief * (1 - field) + canvas.ground.relief * field, np.float32)
        return np.asarray(field > 0.4)
    inside = field > 0.4
    ring = (cv2.dilate(inside.astype(np.uint8), np.ones((9, 9))) > 0) & ~inside & canvas.part
    tone = np.median(canvas.colour[ring], axis=0) if ring.any() else canvas.colour.mean(axis=(0, 1))
    grain = 0.02 * fractal(random, side, 30, 3)[..., None]
    canvas.colour = mix(canvas.colour, np.clip(tone * (1 + grain), 0, 1).astype(np.float32), field)
    canvas.relief = canvas.relief * (1 - field) + cv2.GaussianBlur(canvas.relief, (0, 0), 6) * field
    return np.asarray(inside)


def misplaced(random: Random, canvas: Canvas) -> Region:
    """A piece of the picture sits where another should be."""
    side = canvas.side
    share = soften(spot(random, canvas, some_area(random, canvas, 0.003, 0.05), rough=0.2), 0.1)
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), random.uniform(20, 340), random.uniform(0.7, 1.4))
    turn[:, 2] += random.uniform(-0.3, 0.3, 2) * side
    size = (side, side)
    colour = cv2.warpAffine(canvas.colour, turn, size, borderMode=cv2.BORDER_REFLECT)
    relief = cv2.warpAffine(canvas.relief, turn, size, borderMode=cv2.BORDER_REFLECT)
    canvas.colour = mix(canvas.colour, colour, share)
    canvas.relief = np.asarray(canvas.relief * (1 - share) + relief * share, np.float32)
    return np.asarray(share > 0.4)
