"""Parts on a ground: turned, cut, drawn, grown and moulded things, any of them in any pose."""

from collections.abc import Callable

import cv2
import numpy as np

from recipes.dapo_mini.painting.canvas import Canvas, fill, mix, near, some_colour
from recipes.dapo_mini.painting.noise import Field, Random, cells, coordinates, fractal, smooth, streaks, white
from recipes.dapo_mini.painting.surfaces import Painter


def lay(random: Random, ground: Canvas, colour: Field, relief: Field, inside: Field, gloss: float) -> Canvas:
    """Return the ground with a part on it.

    Args:
        random: the generator.
        ground: what the part lies on; kept, for where the part is missing.
        colour: (S, S, 3) of the part.
        relief: (S, S) of the part above the ground.
        inside: (S, S) distance to the outline in pixels, positive inside.
        gloss: of the part.
    """
    share = np.asarray(np.clip(inside + 0.5, 0, 1), np.float32)
    if random.random() < 0.5:  # a soft shadow beside the part
        push = random.uniform(-0.03, 0.03, 2) * ground.side
        move = np.array([[1, 0, push[0]], [0, 1, push[1]]], np.float32)
        shadow = cv2.warpAffine(share, move, share.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
        shadow = cv2.GaussianBlur(shadow, (0, 0), ground.side * random.uniform(0.004, 0.03))
        ground.colour = ground.colour * (1 - random.uniform(0.1, 0.6) * shadow)[..., None]
    joined = np.where(share > 0.5, ground.relief * 0 + relief, ground.relief)
    painted = mix(ground.colour, np.clip(colour, 0, 1), share)
    return Canvas(painted, np.asarray(joined, np.float32), inside > 0, gloss, ground)


def _profile(random: Random, knots: int, *, steps: bool) -> tuple[np.ndarray, np.ndarray]:
    at = np.sort(random.uniform(0, 1, knots))
    values = random.uniform(-1, 1, knots)
    if steps:
        at = np.repeat(at, 2)
        at[1::2] += 0.015
        values = np.r_[values[0], np.repeat(values[:-1], 2), values[-1]][: len(at)]
    return np.r_[0.0, at, 1.1], np.r_[values[0], values, values[-1]]


def turned(random: Random, ground: Canvas) -> Canvas:
    """Caps, rims, washers, lids, lenses, bottles from above: everything depends on the radius."""
    side = ground.side
    x, y = coordinates(side)
    x, y = x - random.normal(0, 0.06), y - random.normal(0, 0.06)
    size = random.uniform(0.45, 0.95)
    radius = np.hypot(x, y) / size
    angle = np.arctan2(y, x)
    tones, heights = (_profile(random, int(random.integers(3, 9)), steps=random.random() < 0.7) for _ in range(2))
    base = some_colour(random)
    tone = np.interp(radius, *tones).astype(np.float32)
    tone += random.choice([0.0, 0.3]) * np.cos(angle * random.integers(1, 4) + random.uniform(0, 6)) * (radius > 0.3)
    colour = base * (1 + random.uniform(0.1, 0.6) * tone + random.uniform(0.005, 0.04) * white(random, side))[..., None]
    relief = np.interp(radius, *heights) * side * random.uniform(0.005, 0.04)
    if random.random() < 0.35:  # teeth or knurls on one ring
        count, where = int(random.integers(8, 70)), random.uniform(0.5, 0.95)
        ring = np.exp(-(((radius - where) / random.uniform(0.04, 0.1)) ** 2))
        relief = relief + ring * np.cos(angle * count) * side / count * 0.15
    relief = cv2.GaussianBlur(relief.astype(np.float32), (0, 0), side * 0.004)
    inside = (1 - radius) * size * side / 2
    if random.random() < 0.3:
        inside = np.minimum(inside, (radius - random.uniform(0.15, 0.6)) * size * side / 2)
    return lay(random, ground, colour, relief, np.asarray(inside, np.float32), random.uniform(0, 0.6))


def rod(random: Random, ground: Canvas) -> Canvas:
    """Screws, bolts, pins, bullets, capsules, cables: a radius along an axis, with or without a thread."""
    side = ground.side
    x, y = coordinates(side, random.uniform(0, 360))
    x, y = x - random.normal(0, 0.08), y - random.normal(0, 0.08)
    half = random.uniform(0.5, 0.9)
    along = x / half / 2 + 0.5
    knots = int(random.integers(2, 6))
    at, width = _profile(random, knots, steps=random.random() < 0.8)
    thick = random.uniform(0.06, 0.22)
    radius = np.interp(along, at, thick * (1 + 0.45 * width))
    if random.random() < 0.6:  # a head
        radius = np.where(along < random.uniform(0.1, 0.25), thick * random.uniform(1.4, 2.2), radius)
    if random.random() < 0.5:  # a tip
        radius = radius * np.clip((1 - along) / random.uniform(0.02, 0.25), 0, 1) ** 0.7
    pitch = random.uniform(0.02, 0.06)
    threaded = ((along > random.uniform(0.25, 0.6)) & (along < random.uniform(0.85, 1.1))) * (random.random() < 0.7)
    phase = 2 * np.pi * (x + random.uniform(0.1, 0.25) * y) / pitch
    radius = radius * (1 - threaded * random.uniform(0.06, 0.16) * (1 + np.cos(phase)))
    edge = np.minimum(radius - np.abs(y), half - np.abs(x)) * side / 2
    dome = np.sqrt(np.clip(radius**2 - y**2, 0, None)) * side / 2
    colour = some_colour(random, grey=0.7) * (1 + random.uniform(0.01, 0.06) * fractal(random, side, 20, 4))[..., None]
    colour = colour * (1 - 0.25 * threaded * (0.5 - 0.5 * np.cos(phase)))[..., None]
    relief = cv2.GaussianBlur(dome.astype(np.float32), (0, 0), 0.8) * random.uniform(0.5, 1)
    return lay(random, ground, colour, relief, np.asarray(edge, np.float32), random.uniform(0.1, 0.7))


def plate(random: Random, ground: Canvas) -> Canvas:
    """Nuts, brackets, gears, gaskets: an outline with sharp or round corners, and holes."""
    side = ground.side
    x, y = coordinates(side, random.uniform(0, 360) if random.random() < 0.7 else 0.0)
    size = random.uniform(0.45, 0.85)
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    kind = random.random()
    if kind < 0.35:  # regular polygon
        corners = int(random.choice([4, 5, 6, 6, 8]))
        sector = 2 * np.pi / corners
        edge = size - radius * np.cos((angle % sector) - sector / 2) / np.cos(sector / 2) * 1.0
    elif kind < 0.55:  # gear
        teeth = int(random.integers(8, 32))
        wave = np.tanh(np.cos(angle * teeth) * random.uniform(1, 6))
        edge = size * (1 + random.uniform(0.03, 0.1) * wave) - radius
    elif kind < 0.8:  # box with round corners
        a, b, corner = size, size * random.uniform(0.35, 1), random.uniform(0.02, 0.2)
        dx, dy = np.abs(x) - a + corner, np.abs(y) - b + corner
        edge = corner - np.hypot(np.clip(dx, 0, None), np.clip(dy, 0, None)) - np.minimum(np.maximum(dx, dy), 0)
    else:  # two boxes joined: an L, T or cross
        a, b, c = size, size * random.uniform(0.2, 0.45), random.uniform(-0.5, 0.5) * size
        first = np.minimum(a - np.abs(x), b - np.abs(y))
        edge = np.maximum(first, np.minimum(b - np.abs(x - c), a - np.abs(y)))
    edge = edge * side / 2
    for hole in _holes(random, size, x, y):
        edge = np.minimum(edge, hole * side / 2)
    bevel = random.uniform(0.01, 0.06) * side
    relief = bevel * random.uniform(0.3, 1) * np.sqrt(np.clip(edge / bevel, 0, 1))
    base = some_colour(random, grey=0.6)
    texture = (
        streaks(random, side, random.uniform(0, 180), 0.1, 0.6)
        if random.random() < 0.4
        else fractal(random, side, random.uniform(4, 40), 4, 0.7)
    )
    colour = base * (1 + random.uniform(0.01, 0.12) * texture)[..., None]
    return lay(
        random,
        ground,
        colour,
        (relief + 0.2 * texture).astype(np.float32),
        edge.astype(np.float32),
        random.uniform(0, 0.6),
    )


def _holes(random: Random, size: float, x: Field, y: Field) -> list[Field]:
    holes: list[Field] = []
    if random.random() < 0.6:
        holes.append(np.hypot(x, y) - size * random.uniform(0.15, 0.5))
    if random.random() < 0.4:
        count, ring, small = (
            int(random.choice([2, 3, 4, 6])),
            size * random.uniform(0.55, 0.75),
            random.uniform(0.04, 0.1),
        )
        start = random.uniform(0, 6.3)
        for turn in start + np.arange(count) * 2 * np.pi / count:
            holes.append(np.hypot(x - ring * np.cos(turn), y - ring * np.sin(turn)) - size * small)
    return holes


def grown(random: Random, ground: Canvas) -> Canvas:
    """Nuts, fruit, pills, tablets, castings: a rounded outline and a domed, grained body with zones."""
    side = ground.side
    x, y = coordinates(side, random.uniform(0, 360))
    x, y = x - random.normal(0, 0.05), (y - random.normal(0, 0.05)) * random.uniform(1, 1.9)
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    size = random.uniform(0.5, 0.85)
    outline = size * np.ones_like(x)
    for harmonic in range(1, 6):
        outline *= 1 + random.normal(0, 0.07 / harmonic) * np.cos(harmonic * angle + random.uniform(0, 6))
    edge = (outline - radius) * side / 2
    flat = random.uniform(0.3, 1)
    dome = np.sqrt(np.clip(1 - (radius / outline) ** random.choice([2, 4, 8]), 0, 1)) * size * side / 2 * flat
    base = some_colour(random, grey=0.25)
    texture = fractal(random, side, random.uniform(3, 30), 5, random.uniform(0.4, 0.8))
    if random.random() < 0.5:  # grain that follows the form
        bands = np.interp(angle, np.linspace(-np.pi, np.pi, 180), random.standard_normal(180)).astype(np.float32)
        texture = 0.5 * texture + bands
    colour = base * (1 + random.uniform(0.01, 0.15) * texture)[..., None]
    if random.random() < 0.5:  # two zones
        zone = x + 0.05 * smooth(random, side, 8) - random.uniform(-0.5, 0.5) * size
        other = np.asarray(near(random, base, 0.25) * (1 + 0.1 * texture[..., None]), np.float32)
        colour = mix(np.asarray(colour, np.float32), other, np.clip(zone * side / 6, 0, 1).astype(np.float32))
    if random.random() < 0.4:  # dots
        distance, _ = cells(random, side, int(random.uniform(40, 800)))
        colour = colour * (1 - random.uniform(0.1, 0.5) * (distance < random.uniform(0.1, 0.3)))[..., None]
    relief = dome + 0.3 * texture * random.uniform(0, 1.5)
    return lay(random, ground, colour, relief.astype(np.float32), edge.astype(np.float32), random.uniform(0, 0.5))


def package(random: Random, ground: Canvas) -> Canvas:
    """Electronic parts: a moulded body with legs on one, two or four sides."""
    side = ground.side
    x, y = coordinates(side, random.choice([0.0, 0.0, 90.0, random.uniform(-8, 8)]))
    x, y = x - random.normal(0, 0.04), y - random.normal(0, 0.1)
    a, b = random.uniform(0.2, 0.5), random.uniform(0.2, 0.45)
    body = np.minimum(a - np.abs(x), b - np.abs(y))
    legs = np.full_like(x, -1.0)
    count, reach = int(random.integers(2, 8)), random.uniform(0.2, 0.5)
    pitch = 2 * a / count
    width = pitch * random.uniform(0.15, 0.3)
    ends = random.choice(["down", "both", "both"])
    for turn in range(count):
        middle = -a + (turn + 0.5) * pitch
        leg = width - np.abs(x - middle)
        down = np.minimum(leg, np.minimum(y, b + reach - y))
        legs = np.maximum(legs, down)
        if ends == "both":
            legs = np.maximum(legs, np.minimum(leg, np.minimum(-y, b + reach + y)))
    tin = np.asarray([random.uniform(0.6, 0.9)] * 3, np.float32) * (1 + 0.04 * fractal(random, side, 10, 3))[..., None]
    mould = some_colour(random, grey=0.9) * random.uniform(0.2, 1) * (1 + 0.06 * white(random, side))[..., None]
    whole = np.maximum(body, legs) * side / 2
    on_body = np.clip(body * side / 2 + 0.5, 0, 1).astype(np.float32)
    colour = mix(np.asarray(tin, np.float32), np.asarray(mould, np.float32), on_body)
    bevel = 0.02 * side
    relief = on_body * 0.05 * side * np.clip(body * side / 2 / bevel, 0, 1) + np.clip(whole, 0, 3)
    if random.random() < 0.6:  # a round mark in the body
        mark = np.hypot(x - random.uniform(-0.6, 0.6) * a, y - random.uniform(-0.6, 0.6) * b) < random.uniform(
            0.03, 0.12
        )
        colour = colour * (1 - 0.4 * mark)[..., None]
        relief = relief - mark * 2
    relief = cv2.GaussianBlur(relief.astype(np.float32), (0, 0), 0.8)
    return lay(
        random, ground, np.asarray(colour, np.float32), relief, whole.astype(np.float32), random.uniform(0.1, 0.5)
    )


def pieces(random: Random, ground: Canvas) -> Canvas:
    """A tray of equal pieces in rows, each turned and toned a little differently."""
    side, count = ground.side, int(random.integers(2, 6))
    shape = random.uniform(0.5, 1.6)
    base, tone = some_colour(random), random.uniform(0.01, 0.1)
    aligned = random.random() < 0.5
    inside, relief = np.full((side, side), -9.0, np.float32), np.zeros((side, side), np.float32)
    colour = fill(side, base)
    cell = 2.0 / count
    squared = random.choice([2.0, 4.0])
    for row in range(count):
        for column in range(count):
            turn = random.normal(0, 3) if aligned else random.uniform(0, 360)
            x, y = coordinates(side)
            x, y = x + 1 - (column + 0.5) * cell + random.normal(0, 0.01), y + 1 - (row + 0.5) * cell
            c, s = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
            u, v = (c * x + s * y) * max(1.0, shape), (c * y - s * x) / min(1.0, shape)
            reach = (np.abs(u) ** squared + np.abs(v) ** squared) ** (1 / squared) / (cell * 0.38)
            edge = (1 - reach) * cell * 0.38 * side / 2
            here = edge > 0
            inside = np.maximum(inside, edge)
            relief[here] = (np.sqrt(np.clip(1 - reach**2, 0, 1)) * cell * side * 0.15)[here]
            colour[here] = base * (1 + random.normal(0, tone))
    colour = colour * (1 + random.uniform(0.01, 0.1) * fractal(random, side, 20, 4)[..., None])
    return lay(random, ground, np.asarray(colour, np.float32), relief, inside, random.uniform(0, 0.5))


Builder = Callable[[Random, Canvas], Canvas]

PARTS: dict[str, Builder] = {
    "turned": turned,
    "rod": rod,
    "plate": plate,
    "grown": grown,
    "package": package,
    "pieces": pieces,
}


def board(random: Random, side: int) -> Canvas:
    """A printed board: tracks, pads and holes on a coloured ground."""
    under, copper = some_colour(random, grey=0.1) * random.uniform(0.4, 1), some_colour(random, grey=0.4)
    if np.abs(under - copper).max() < 0.2:
        copper = np.clip(under + 0.35, 0, 1)
    tracks, drills = np.zeros((side, side), np.uint8), np.zeros((side, side), np.uint8)
    unit = max(4, int(side / random.uniform(20, 45)))
    for _ in range(int(random.integers(10, 45))):
        points = [random.integers(0, side // unit, 2) * unit]
        for _ in range(int(random.integers(1, 4))):
            step = random.integers(-6, 7) * unit
            turn = [(step, 0), (0, step), (step, step), (step, -step)][int(random.integers(4))]
            points.append(points[-1] + np.array(turn))
        width = max(1, int(unit * random.choice([0.3, 0.3, 0.6])))
        line = np.array(points, np.int32).reshape(-1, 1, 2)
        cv2.polylines(tracks, [line], False, 255, width, cv2.LINE_AA)
        for at in (points[0], points[-1]):
            cv2.circle(tracks, (int(at[0]), int(at[1])), int(unit * 0.5), 255, -1, cv2.LINE_AA)
            if random.random() < 0.7:
                cv2.circle(drills, (int(at[0]), int(at[1])), int(unit * 0.2), 255, -1, cv2.LINE_AA)
    drawn, drilled = tracks / np.float32(255), drills / np.float32(255)
    colour = mix(fill(side, np.asarray(under, np.float32)), np.asarray(copper, np.float32), drawn)
    colour = mix(colour, np.asarray(under * 0.3, np.float32), drilled)
    colour = colour * (1 + random.uniform(0.01, 0.08) * fractal(random, side, 30, 4)[..., None])
    relief = (drawn - 2 * drilled) * random.uniform(0, 1.5)
    return Canvas(
        np.clip(colour, 0, 1).astype(np.float32),
        relief.astype(np.float32),
        np.ones((side, side), bool),
        random.uniform(0, 0.3),
    )


BOARDS: dict[str, Painter] = {"board": board}
