"""Materials that fill a picture: each family is a formula with random numbers in it."""

from collections.abc import Callable

import cv2
import numpy as np

from recipes.dapo_mini.painting.canvas import Canvas, fill, mix, near, some_colour
from recipes.dapo_mini.painting.noise import (
    Field,
    Random,
    bend,
    borders,
    cells,
    coordinates,
    fractal,
    smooth,
    streaks,
    white,
)

Painter = Callable[[Random, int], Canvas]


def _whole(colour: np.ndarray, relief: Field, gloss: float = 0.0, *, flat: bool = False) -> Canvas:
    side = relief.shape[0]
    colour = np.asarray(np.clip(colour, 0, 1), np.float32)
    return Canvas(colour, np.asarray(relief, np.float32), np.ones((side, side), bool), gloss, flat=flat)


def stone(random: Random, side: int) -> Canvas:
    """Concrete, stone, cast metal, foam: rough at many scales."""
    field = fractal(random, side, random.uniform(3, 40), 6, random.uniform(0.5, 0.95))
    base = some_colour(random)
    colour = base * (1 + random.uniform(0.03, 0.2) * field[..., None])
    return _whole(colour, field * random.uniform(0, 1.2), random.uniform(0, 0.2))


def brushed(random: Random, side: int) -> Canvas:
    """Brushed or milled metal: fine lines in one direction."""
    angle = random.choice([0.0, 90.0, random.uniform(0, 180)])
    field = streaks(random, side, angle, random.uniform(0.05, 0.3), random.uniform(0.4, 1.5))
    coarse = streaks(random, side, angle, 0.3, random.uniform(2, 8))
    base = some_colour(random, grey=0.8)
    colour = base * (1 + random.uniform(0.03, 0.12) * field + random.uniform(0, 0.08) * coarse)[..., None]
    return _whole(colour, field * random.uniform(0, 0.5), random.uniform(0.1, 0.5))


def weave(random: Random, side: int) -> Canvas:
    """Woven cloth: warp over weft, in steps of one to four."""
    x, y = coordinates(side, random.choice([0.0, random.uniform(-45, 45)]))
    pitch, step = side / random.uniform(14, 70), int(random.integers(1, 5))
    u, v = x * side / 2 / pitch, y * side / 2 / pitch
    jitter = random.uniform(0, 0.12)
    u, v = u + jitter * smooth(random, side, 12), v + jitter * smooth(random, side, 12)
    over = (np.floor(u) + step * np.floor(v)) % (step + 1) < 1
    across = np.sqrt(np.clip(1 - (2 * (u % 1) - 1) ** 2, 0, 1))
    along = np.sqrt(np.clip(1 - (2 * (v % 1) - 1) ** 2, 0, 1))
    relief = np.where(over, across + 0.3, along) * pitch * random.uniform(0.1, 0.3)
    warp = some_colour(random)
    weft = near(random, warp, random.choice([0.05, 0.3]))
    colour = np.where(over[..., None], warp, weft) * (0.6 + 0.4 * np.where(over, across, along))[..., None]
    colour = colour * (1 + 0.05 * streaks(random, side, 0, 0.02, 0.6)[..., None])
    return _whole(colour, relief)


def grid(random: Random, side: int) -> Canvas:
    """Meshes and perforated sheets: a lattice over a ground."""
    x, y = coordinates(side, random.choice([0.0, random.uniform(-45, 45)]))
    pitch = side / random.uniform(8, 30)
    u, v = x * side / 2 / pitch, y * side / 2 / pitch
    if random.random() < 0.5:
        u = u + 0.5 * (np.floor(v) % 2)
    du, dv = (u % 1) - 0.5, (v % 1) - 0.5
    width = random.uniform(0.12, 0.33)
    if random.random() < 0.5:
        distance = 0.5 - np.maximum(np.abs(du), np.abs(dv)) - width / 2
    else:
        distance = np.hypot(du, dv) - width
    solid = 1 / (1 + np.exp(np.clip(distance * pitch, -20, 20) * random.choice([1.0, -1.0])))
    front, back = some_colour(random), some_colour(random)
    if np.abs(front - back).max() < 0.25:
        back = np.clip(front * 0.3, 0, 1)
    colour = mix(fill(side, back), front, np.asarray(solid, np.float32))
    colour = colour * (1 + random.uniform(0.01, 0.08) * fractal(random, side, 20, 3)[..., None])
    return _whole(colour, solid * random.uniform(0, 3), random.uniform(0, 0.3))


def wood(random: Random, side: int) -> Canvas:
    """Wood: rings cut along the trunk, with fine fibres."""
    angle = random.choice([0.0, 90.0, random.uniform(0, 180)])
    x, y = coordinates(side, angle)
    warped = y * random.uniform(3, 12) + random.uniform(0.3, 1.5) * fractal(random, side, 2, 2) + 0.3 * x
    rings = np.abs((warped % 1) * 2 - 1) ** random.uniform(0.5, 2)
    fibres = streaks(random, side, -angle, 0.08, 0.6)
    base = np.array([random.uniform(0.4, 0.8), random.uniform(0.28, 0.55), random.uniform(0.12, 0.4)], np.float32)
    colour = base * (1 - random.uniform(0.1, 0.35) * rings + random.uniform(0.02, 0.1) * fibres)[..., None]
    return _whole(colour, fibres * random.uniform(0, 0.5), random.uniform(0, 0.2))


def tiles(random: Random, side: int) -> Canvas:
    """Tiles, bricks, paving: plates with joints between them."""
    x, y = coordinates(side, random.choice([0.0, random.uniform(-30, 30)]))
    rows, ratio = random.uniform(2, 9), random.choice([1.0, 2.0, 3.0])
    u, v = x * rows / 2 / ratio + random.random(), y * rows / 2 + random.random()
    row = np.floor(v)
    u = u + random.choice([0.0, 0.5]) * (row % 2)
    near_joint = np.minimum(0.5 - np.abs((u % 1) - 0.5), (0.5 - np.abs((v % 1) - 0.5)) / ratio) * ratio
    width = random.uniform(0.01, 0.05)
    plate = 1 / (1 + np.exp(-np.clip((near_joint - width) * side / rows, -20, 20)))
    number = (np.floor(u) * 31 + row * 17).astype(np.int64) % 97
    shades = random.normal(0, random.choice([0.0, 0.08]), 97).astype(np.float32)
    base, joint = some_colour(random), some_colour(random, grey=0.9)
    texture = fractal(random, side, random.uniform(5, 40), 4, 0.7)
    colour = base * (1 + shades[number] + random.uniform(0.01, 0.12) * texture)[..., None]
    colour = mix(fill(side, joint), colour, np.asarray(plate, np.float32))
    return _whole(colour, plate * random.uniform(0.5, 4) + 0.2 * texture, random.uniform(0, 0.4))


def speckle(random: Random, side: int) -> Canvas:
    """Terrazzo, granite, chipboard, carpet: grains of several colours."""
    count = int(random.uniform(300, 6000))
    _, labels = cells(random, side, count)
    palette = np.stack([some_colour(random) for _ in range(int(random.integers(2, 6)))])
    base = palette[0]
    shares = random.dirichlet(np.ones(len(palette)) * 0.8)
    pick = random.choice(len(palette), labels.max() + 1, p=shares)
    strength = random.uniform(0.1, 0.8)
    colour = base * (1 - strength) + strength * palette[pick][labels]
    colour = cv2.GaussianBlur(np.asarray(colour, np.float32), (0, 0), random.uniform(0.4, 1.2))
    height = random.standard_normal(labels.max() + 1).astype(np.float32)[labels] * random.choice([0.0, 0.3])
    return _whole(colour, height, random.uniform(0, 0.3))


def leather(random: Random, side: int) -> Canvas:
    """Leather, orange peel, hammered paint: bumps with creases between."""
    distance, labels = cells(random, side, int(random.uniform(150, 2500)))
    crease = cv2.GaussianBlur(borders(labels).astype(np.float32), (0, 0), random.uniform(0.8, 2))
    base = some_colour(random, grey=0.3)
    colour = base * (1 - random.uniform(0.1, 0.6) * np.clip(crease, 0, 1) + 0.03 * white(random, side))[..., None]
    relief = -distance * random.uniform(0.5, 3) - crease * random.uniform(0, 3)
    return _whole(colour, cv2.GaussianBlur(relief, (0, 0), 0.8), random.uniform(0.05, 0.5))


def plain(random: Random, side: int) -> Canvas:
    """Moulded plastic, painted sheet, glass, film: almost nothing to see."""
    grain = white(random, side) * random.uniform(0, 0.03) + fractal(random, side, 8, 3) * random.uniform(0, 0.03)
    colour = some_colour(random) * (1 + grain[..., None])
    return _whole(colour, smooth(random, side, 3) * random.uniform(0, 3), random.uniform(0, 0.6))


def stripes(random: Random, side: int) -> Canvas:
    """Corrugated, ribbed, knitted, printed lines: waves in one direction, straight or bent."""
    x, y = coordinates(side, random.choice([0.0, 90.0, random.uniform(0, 180)]))
    count = random.uniform(6, 60)
    phase = y * count / 2 + random.choice([0.0, 0.3]) * np.sin(x * random.uniform(3, 40))
    phase = phase + random.uniform(0, 0.15) * smooth(random, side, 6)
    wave = np.sin(2 * np.pi * phase)
    if random.random() < 0.4:
        wave = np.tanh(wave * 4)
    base = some_colour(random)
    other = near(random, base, 0.35)
    colour = mix(fill(side, base), other, np.asarray(wave / 2 + 0.5, np.float32))
    colour = colour * (1 + random.uniform(0.01, 0.08) * fractal(random, side, 30, 3)[..., None])
    return _whole(colour, wave * side / count * random.uniform(0, 0.25), random.uniform(0, 0.3))


def fibres(random: Random, side: int) -> Canvas:
    """Felt, paper, fibreboard, fur: crossing short streaks, darker where the material is thin."""
    angle = random.uniform(0, 180)
    spread = random.choice([15.0, 90.0])
    field = sum(
        streaks(random, side, angle + random.uniform(-spread, spread), random.uniform(0.01, 0.05), 0.5)
        for _ in range(int(random.integers(2, 4)))
    )
    base = some_colour(random)
    colour = base * (1 + random.uniform(0.03, 0.15) * np.asarray(field, np.float32))[..., None]
    return _whole(colour, np.asarray(field, np.float32) * random.uniform(0, 0.5))


def marble(random: Random, side: int) -> Canvas:
    """Marble, smoke, poured paint: veins bent by noise."""
    field = fractal(random, side, random.uniform(2, 5), 5, 0.55)
    push = random.uniform(0.02, 0.12) * side
    field = bend(field, push * fractal(random, side, 3, 3), push * fractal(random, side, 3, 3))
    vein = np.exp(-np.abs(field) * random.uniform(2, 8))
    base = some_colour(random)
    colour = mix(fill(side, base), near(random, base, 0.25), np.asarray(vein, np.float32))
    return _whole(colour * (1 + 0.05 * field[..., None]), np.zeros((side, side), np.float32), random.uniform(0, 0.5))


SURFACES: dict[str, Painter] = {
    "stone": stone,
    "brushed": brushed,
    "weave": weave,
    "grid": grid,
    "wood": wood,
    "tiles": tiles,
    "speckle": speckle,
    "leather": leather,
    "plain": plain,
    "stripes": stripes,
    "fibres": fibres,
    "marble": marble,
}
