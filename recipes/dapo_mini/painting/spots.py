"""Defects with an area: stains, holes, dents, dirt, colour, wear."""

import cv2
import numpy as np

from recipes.dapo_mini.painting.canvas import Canvas, hue, mix, some_colour
from recipes.dapo_mini.painting.lines import Region, start_on_part
from recipes.dapo_mini.painting.noise import (
    Field,
    Random,
    bend,
    blob,
    coordinates,
    fractal,
    place_blob,
    smooth,
    white,
)


def some_area(random: Random, canvas: Canvas, small: float, large: float) -> float:
    """Return a share of the picture; small ones are as frequent as large ones in octaves."""
    return float(np.exp(random.uniform(np.log(small), np.log(min(large * canvas.growth, 0.4)))))


def spot(random: Random, canvas: Canvas, area: float, *, rough: float = 0.35, stretch: float = 2.5) -> Field:
    """Return an irregular spot on the part: (S, S), positive inside."""
    field = place_blob(blob(random, canvas.side, area, rough=rough, stretch=stretch), canvas.part, random)
    return np.where(canvas.part, field, -1).astype(np.float32)


def soften(field: Field, softness: float) -> Field:
    """Return a share in [0, 1] that rises over the outline of a spot, wider for larger `softness`."""
    return np.asarray(np.clip(field / max(softness, 1e-3) + 0.5, 0, 1), np.float32)


def _visible(share: Field, least: float = 0.3) -> Region:
    return np.asarray(share > least)


def stain(random: Random, canvas: Canvas) -> Region:
    """Translucent spot of another colour, sometimes with a darker rim."""
    field = spot(random, canvas, some_area(random, canvas, 0.001, 0.08))
    share = soften(field, random.uniform(0.05, 0.6))
    if random.random() < 0.4:
        share = np.maximum(share * 0.5, np.exp(-((field / 0.08) ** 2)) * (field > -0.5)).astype(np.float32)
    colour = some_colour(random, grey=0.5)
    canvas.colour = mix(canvas.colour, canvas.colour * colour, share * random.uniform(0.5, 1))
    return _visible(share) | (field > 0.05)


def discoloration(random: Random, canvas: Canvas) -> Region:
    """An area whose colour has shifted while its texture stays."""
    field = spot(random, canvas, some_area(random, canvas, 0.004, 0.12))
    share = soften(field, random.uniform(0.02, 0.6)) * random.uniform(0.5, 1)
    tint = hue(random.uniform(0, 360), random.uniform(0, 0.7), 1.0) * random.uniform(0.5, 1.5)
    shifted = np.clip(canvas.colour * tint, 0, 1)
    canvas.colour = mix(canvas.colour, shifted.astype(np.float32), share)
    return _visible(share, 0.25)


def hole(random: Random, canvas: Canvas) -> Region:
    """Pit or hole: dark, with a rim that catches light."""
    many = random.random() < 0.25
    field = np.full((canvas.side, canvas.side), -1, np.float32)
    for _ in range(int(random.integers(2, 7)) if many else 1):
        one = spot(random, canvas, some_area(random, canvas, 0.0003, 0.004 if many else 0.02), rough=0.25, stretch=1.8)
        field = np.maximum(field, one)
    share = soften(field, random.uniform(0.05, 0.3))
    dark = np.asarray(canvas.colour.mean(axis=(0, 1)) * random.uniform(0, 0.5), np.float32)
    canvas.colour = mix(canvas.colour, dark, share * random.uniform(0.5, 1))
    canvas.relief = (
        canvas.relief - share * random.uniform(2, 8) + np.exp(-((field / 0.2) ** 2)) * random.uniform(0, 1.5)
    )
    return _visible(share)


def dent(random: Random, canvas: Canvas) -> Region:
    """Bump or dimple: only the relief changes."""
    field = spot(random, canvas, some_area(random, canvas, 0.002, 0.04), rough=0.15, stretch=2)
    share = soften(field - 0.2, 0.9)
    depth = random.uniform(2, 7) * canvas.side / 320 * random.choice([-1, -1, 1])
    canvas.relief = canvas.relief + cv2.GaussianBlur(share, (0, 0), 1.2) * depth
    canvas.colour = canvas.colour * (1 - random.uniform(0, 0.15) * share[..., None])
    return _visible(share, 0.2)


def bubble(random: Random, canvas: Canvas) -> Region:
    """Blisters: round and raised, a few together."""
    side = canvas.side
    middle = start_on_part(random, canvas)
    share = np.zeros((side, side), np.float32)
    rows, columns = np.indices((side, side), np.float32)
    for _ in range(int(random.integers(1, 7))):
        radius = random.uniform(0.008, 0.04) * side
        at = middle + random.normal(0, 0.05 * side, 2)
        away = np.hypot(columns - at[0], rows - at[1]) / radius
        share = np.maximum(share, np.sqrt(np.clip(1 - away**2, 0, 1)) * radius * 0.7)
    share = np.where(canvas.part, share, 0).astype(np.float32)
    canvas.relief = canvas.relief + share
    canvas.colour = canvas.colour * (1 + random.uniform(-0.2, 0.2) * (share > 0.5)[..., None])
    return share > 0.3


def contamination(random: Random, canvas: Canvas) -> Region:
    """Something foreign lies on it: crumbs, chips, a lump of another stuff."""
    side = canvas.side
    field = np.full((side, side), -1, np.float32)
    lumps = int(random.choice([1, 1, 2, 5, 12]))
    middle = start_on_part(random, canvas)
    for _ in range(lumps):
        one = blob(random, side, some_area(random, canvas, 0.0004, 0.03 / lumps**0.7 + 0.0005), rough=0.5)
        here = np.zeros((side, side), bool)
        at = np.clip(middle + random.normal(0, 0.08 * side, 2) * (lumps > 1), 0, side - 1).astype(int)
        here[at[1], at[0]] = True
        field = np.maximum(field, place_blob(one, here, random))
    share = soften(field, random.uniform(0.05, 0.25))
    stuff = some_colour(random) * (1 + random.uniform(0, 0.25) * fractal(random, side, 30, 4)[..., None])
    shadow = cv2.GaussianBlur(np.roll(share, (2, 2), (0, 1)), (0, 0), 2)
    canvas.colour = canvas.colour * (1 - random.uniform(0, 0.4) * shadow * (1 - share))[..., None]
    canvas.colour = mix(canvas.colour, np.clip(stuff, 0, 1).astype(np.float32), share * random.uniform(0.75, 1))
    canvas.relief = canvas.relief + share * np.clip(field, 0, 1) * random.uniform(1, 8)
    return _visible(share)


def liquid(random: Random, canvas: Canvas) -> Region:
    """A drop, oil or glue: a smooth film with an edge and a highlight."""
    field = spot(random, canvas, some_area(random, canvas, 0.002, 0.06), rough=0.4, stretch=4)
    share = soften(field, 0.08)
    tint = hue(random.uniform(20, 60), random.uniform(0, 0.5), random.uniform(0.4, 1.0))
    body = canvas.colour * tint if random.random() < 0.65 else canvas.colour * 0.5 + 0.5 * tint
    canvas.colour = mix(canvas.colour, np.clip(body, 0, 1).astype(np.float32), share * random.uniform(0.5, 1))
    shine = soften(spot(random, canvas, 0.002, rough=0.3) * (share > 0.8) - 0.02, 0.1) * (share > 0.8)
    rim = np.exp(-((field / 0.06) ** 2)) * (share > 0.1)
    canvas.colour = np.clip(canvas.colour + (0.5 * shine + random.uniform(-0.3, 0.3) * rim)[..., None], 0, 1)
    film = cv2.GaussianBlur(canvas.relief, (0, 0), 3) + np.sqrt(np.clip(field, 0, 1)) * random.uniform(0.5, 4)
    canvas.relief = canvas.relief * (1 - share) + film * share
    return _visible(share)


def rust(random: Random, canvas: Canvas) -> Region:
    """Corrosion: clusters of brown grains, or a grey-white bloom."""
    side = canvas.side
    field = spot(random, canvas, some_area(random, canvas, 0.003, 0.08))
    grains = np.clip(fractal(random, side, 40, 3) * 0.6 + field * 2, 0, 1)
    share = np.where(field > -0.2, grains, 0).astype(np.float32)
    colour = hue(random.uniform(8, 35), random.uniform(0.4, 0.9), random.uniform(0.2, 0.6))
    if random.random() < 0.25:
        colour = hue(random.uniform(60, 200), 0.15, 0.8)
    canvas.colour = mix(
        canvas.colour, colour * (1 + 0.2 * white(random, side)[..., None]), share * random.uniform(0.6, 1)
    )
    canvas.relief = canvas.relief + share * fractal(random, side, 60, 2) * random.uniform(0, 1)
    return np.asarray(cv2.morphologyEx((share > 0.3).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5))) > 0)


def burn(random: Random, canvas: Canvas) -> Region:
    """Scorched: black in the middle, brown around."""
    field = spot(random, canvas, some_area(random, canvas, 0.002, 0.06))
    share = soften(field, random.uniform(0.3, 1.2))
    brown = hue(random.uniform(15, 40), 0.6, 0.35)
    canvas.colour = mix(canvas.colour, canvas.colour * brown, share)
    canvas.colour = canvas.colour * (1 - 0.85 * np.clip(field * 1.5, 0, 1)[..., None])
    return _visible(share)


def wear(random: Random, canvas: Canvas) -> Region:
    """Rubbed or rough: the texture itself has become finer, smoother or coarser."""
    side = canvas.side
    field = spot(random, canvas, some_area(random, canvas, 0.004, 0.1))
    share = soften(field, random.uniform(0.05, 0.4))
    if random.random() < 0.45:
        smoothed = cv2.GaussianBlur(canvas.colour, (0, 0), side / 320 * random.uniform(2, 6))
        canvas.colour = mix(canvas.colour, np.clip(smoothed + random.normal(0, 0.08), 0, 1).astype(np.float32), share)
        canvas.relief = canvas.relief * (1 - share) + cv2.GaussianBlur(canvas.relief, (0, 0), 4) * share
    else:
        grain = fractal(random, side, random.uniform(20, 100), 3, 0.8) * random.uniform(0.1, 0.3)
        lighter = np.clip(canvas.colour * (1 + grain[..., None]) + random.normal(0, 0.08), 0, 1)
        canvas.colour = mix(canvas.colour, lighter.astype(np.float32), share)
        canvas.relief = canvas.relief + share * grain * random.uniform(0, 6)
    return _visible(share)


def misprint(random: Random, canvas: Canvas) -> Region:
    """Ink where none belongs, or printed twice and shifted."""
    side = canvas.side
    if random.random() < 0.4:
        field = spot(random, canvas, some_area(random, canvas, 0.003, 0.05), rough=0.1)
        share = soften(field, 0.1)
        push = random.uniform(0.01, 0.04, 2) * side * random.choice([-1, 1], 2)
        still = np.zeros((side, side), np.float32)
        moved = np.minimum(bend(canvas.colour, still + np.float32(push[0]), still + np.float32(push[1])), canvas.colour)
        canvas.colour = mix(canvas.colour, moved, share)
        return _visible(share)
    letters = np.zeros((side, side), np.uint8)
    at = start_on_part(random, canvas).astype(int)
    text = "".join(random.choice(list("ABEHKMRSX358#*+"), int(random.integers(1, 5))))
    size = side / 512 * random.uniform(0.8, 3)
    start = int(at[0]), int(at[1])
    cv2.putText(letters, text, start, cv2.FONT_HERSHEY_SIMPLEX, size, 255, max(1, int(size * 2.5)), cv2.LINE_AA)
    layer = letters / 255 * np.clip(0.8 + 0.5 * smooth(random, side, 30), 0, 1)
    layer = np.where(canvas.part, layer, 0).astype(np.float32)
    canvas.colour = mix(canvas.colour, some_colour(random, grey=0.7), layer * random.uniform(0.5, 1))
    closed = cv2.morphologyEx((layer > 0.2).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((7, 7)))
    return np.asarray(closed > 0)


def foreign(random: Random, canvas: Canvas) -> Region:
    """A piece of another material set into it."""
    from recipes.dapo_mini.painting.surfaces import SURFACES

    other = SURFACES[str(random.choice(sorted(SURFACES)))](random, canvas.side)
    share = soften(spot(random, canvas, some_area(random, canvas, 0.002, 0.08), rough=0.6), random.uniform(0.03, 0.3))
    strength = random.uniform(0.5, 1)
    canvas.colour = mix(canvas.colour, other.colour, share * strength)
    canvas.relief = canvas.relief * (1 - share) + other.relief * share
    return _visible(share)


def edge_distance(canvas: Canvas) -> Field:
    """Return the distance in pixels of every pixel of the part to its outline; 0 outside."""
    framed = cv2.copyMakeBorder(canvas.part.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    return np.asarray(cv2.distanceTransform(framed, cv2.DIST_L2, 3)[1:-1, 1:-1], np.float32)


def away_from_middle(random: Random, side: int) -> Field:
    """Return the signed distance to a random straight line in picture sides."""
    x, _ = coordinates(side, random.uniform(0, 360))
    return np.asarray(x / 2 - random.uniform(-0.2, 0.2), np.float32)
