"""Long thin defects: scratches, cracks, cuts and threads."""

import cv2
import numpy as np
from numpy.typing import NDArray

from recipes.dapo_mini.painting.canvas import Canvas, mix, some_colour
from recipes.dapo_mini.painting.noise import Random, white

Region = NDArray[np.bool_]


def start_on_part(random: Random, canvas: Canvas) -> NDArray[np.float64]:
    """Return a point (x, y) in pixels on the part."""
    rows, columns = np.nonzero(canvas.part)
    if not len(rows):
        return random.uniform(0.2, 0.8, 2) * canvas.side
    pick = int(random.integers(len(rows)))
    return np.array([columns[pick], rows[pick]], np.float64)


def wander(
    random: Random, start: NDArray[np.float64], length: float, *, angle: float, drift: float, kink: float, step: float
) -> NDArray[np.float64]:
    """Return a path (N, 2) that starts at a point: `drift` bends it smoothly, `kink` breaks its direction."""
    count = max(2, int(length / step))
    turn = np.cumsum(random.normal(0, drift, count)) + random.normal(0, kink, count)
    directions = angle + turn
    moves = np.stack([np.cos(directions), np.sin(directions)], axis=1) * step
    return np.vstack([start, start + np.cumsum(moves, axis=0)])


def draw(side: int, path: NDArray[np.float64], width: float) -> NDArray[np.float32]:
    """Return the path as an anti-aliased line, (S, S) in [0, 1]; widths below one pixel come out fainter."""
    layer = np.zeros((side, side), np.uint8)  # OpenCV smooths lines on bytes only
    points = np.round(path * 16).astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(layer, [points], False, 255, max(1, round(width)), cv2.LINE_AA, 4)
    return layer * np.float32(min(1.0, width) / 255)


def region_of(layer: NDArray[np.float32], canvas: Canvas, *, on_part: bool = True) -> Region:
    """Return where a layer shows, a pixel wider, as a person marks it."""
    near = cv2.dilate((layer > 0.25).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return np.asarray(near & canvas.part if on_part else near, np.bool_)


def _contrast(random: Random, canvas: Canvas, where: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a colour that shows on what lies there: much brighter or much darker."""
    inside = where > 0.25
    local = canvas.colour[inside].mean(axis=0) if inside.any() else canvas.colour.mean(axis=(0, 1))
    away = random.uniform(0.25, 0.7)
    bright = random.random() < (0.75 if local.mean() < 0.4 else 0.35)
    target = local + (1 - local) * away if bright else local * (1 - away)
    return np.asarray(np.clip(target, 0, 1), np.float32)


def scratch(random: Random, canvas: Canvas) -> Region:
    """Mark by something hard: thin, nearly straight, sometimes several side by side."""
    side, angle = canvas.side, random.uniform(0, 2 * np.pi)
    start = start_on_part(random, canvas)
    layer = np.zeros((side, side), np.float32)
    length, width = random.uniform(0.05, 0.5) * side, random.uniform(0.7, 3.2) * side / 320
    for _ in range(int(random.choice([1, 1, 1, 2, 3, 6]))):
        path = wander(random, start, length * random.uniform(0.5, 1), angle=angle, drift=0.015, kink=0.02, step=4)
        one = draw(side, path - (path[-1] - start) / 2, width)
        layer = np.maximum(layer, one)
        start = start + random.normal(0, 0.02 * side, 2)
    layer = np.where(canvas.part, layer, 0).astype(np.float32)
    broken = layer * np.clip(1.2 + random.uniform(0, 0.4) * white(random, side), 0, 1)
    canvas.colour = mix(canvas.colour, _contrast(random, canvas, layer), broken * random.uniform(0.3, 1))
    canvas.relief = canvas.relief - layer * random.uniform(0.3, 2)
    return region_of(layer, canvas)


def crack(random: Random, canvas: Canvas) -> Region:
    """Jagged dark line that may branch."""
    side = canvas.side
    start, angle = start_on_part(random, canvas), random.uniform(0, 2 * np.pi)
    length, width = random.uniform(0.08, 0.6) * side, random.uniform(0.8, 3.5) * side / 320
    path = wander(random, start, length, angle=angle, drift=0.08, kink=0.5, step=max(3.0, side / 90))
    layer = draw(side, path, width)
    for _ in range(int(random.choice([0, 0, 1, 2, 4]))):
        at = path[int(random.integers(len(path)))]
        turned = angle + random.choice([-1, 1]) * random.uniform(0.4, 1.3)
        twig = wander(random, at, length * random.uniform(0.2, 0.6), angle=turned, drift=0.08, kink=0.5, step=side / 90)
        layer = np.maximum(layer, draw(side, twig, width * 0.7))
    layer = np.where(canvas.part, layer, 0).astype(np.float32)
    dark = np.asarray(canvas.colour.min(axis=(0, 1)) * random.uniform(0, 0.7), np.float32)
    canvas.colour = mix(canvas.colour, dark, layer * random.uniform(0.45, 1))
    canvas.relief = canvas.relief - layer * random.uniform(0.5, 3)
    return region_of(layer, canvas)


def cut(random: Random, canvas: Canvas) -> Region:
    """Straight slit, open in the middle, with one raised lip."""
    side, start = canvas.side, start_on_part(random, canvas)
    angle, length = random.uniform(0, np.pi), random.uniform(0.06, 0.35) * side
    x, y = np.meshgrid(np.arange(side, dtype=np.float32) - start[0], np.arange(side, dtype=np.float32) - start[1])
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    gap = random.uniform(0.008, 0.03) * side * np.clip(1 - (2 * along / length) ** 2, 0, 1)
    layer = np.clip(gap - np.abs(across - 0.02 * along**2 / side) + 0.5, 0, 1) * (gap > 0)
    layer = np.where(canvas.part, layer, 0).astype(np.float32)
    canvas.colour = mix(canvas.colour, _contrast(random, canvas, layer), layer * random.uniform(0.6, 1))
    lip = np.clip(2 * gap - np.abs(across - gap), 0, None) * (gap > 0.3)
    canvas.relief = canvas.relief - layer * random.uniform(1, 4) + lip.astype(np.float32) * random.uniform(0, 0.4)
    return region_of(layer, canvas)


def thread(random: Random, canvas: Canvas) -> Region:
    """Fibre, hair, swarf or frayed yarn lying on it: curled and of one width, with a shadow."""
    side = canvas.side
    start = start_on_part(random, canvas)
    layer = np.zeros((side, side), np.float32)
    width = random.uniform(0.8, 3.5) * side / 320
    for _ in range(int(random.choice([1, 1, 2, 5]))):
        length, angle = random.uniform(0.08, 0.5) * side, random.uniform(0, 2 * np.pi)
        path = wander(random, start, length, angle=angle, drift=random.uniform(0.08, 0.3), kink=0, step=3)
        layer = np.maximum(layer, draw(side, path, width))
        start = start + random.normal(0, 0.02 * side, 2)
    shadow = cv2.warpAffine(layer, np.array([[1, 0, 2.0], [0, 1, 2.0]], np.float32), (side, side))
    canvas.colour = canvas.colour * (1 - 0.4 * cv2.GaussianBlur(shadow, (0, 0), 1.5))[..., None]
    colour = some_colour(random) if random.random() < 0.5 else _contrast(random, canvas, layer)
    canvas.colour = mix(canvas.colour, colour, layer * random.uniform(0.6, 1))
    canvas.relief = canvas.relief + layer * random.uniform(0.5, 3)
    return region_of(layer, canvas, on_part=False)
