"""Turned, milled and cut parts as surfaces that points are drawn from: screw, gear, plate and tube, in mm.

Every solid is drawn with the small differences of one lot. No noise here: a scanner adds it (generated_scans.py).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from vlm_inspect.demo.scan_files import FloatArray, Surface, grid_surface, scan_surface
from vlm_inspect.demo.screw import ScrewShape, draw_shape, screw_surface

Sampler = Callable[[int, np.random.Generator], FloatArray]


@dataclass(frozen=True)
class Solid:
    """One part: where its points come from, and how long it is."""

    sample: Sampler
    """(count, rng) -> (count, 3), spread evenly over the surface."""
    axis: int
    """The longest direction."""
    low: float
    high: float
    """Ends along it, in mm."""
    cut_axis: int
    sign: float
    """Along which axis, and to which side, the end lies that a cut takes off: a screw's tip, a gear's upper face."""
    end: float
    """Where that end is, in mm."""
    turns_over: bool = False
    """Whether it looks the same turned over about the x axis."""


def screw(rng: np.random.Generator, *, flaw: str = "") -> Solid:
    """Return an M4 screw, upright on its tip; flaw: "missing thread"."""
    shape = draw_shape(rng)
    values = dict(vars(shape))
    if flaw == "missing thread":
        middle = rng.uniform(6.0, 10.0)
        values["stripped"] = (middle - 1.5, middle + 1.5)
    shape = ScrewShape(**values)
    return Solid(_of_surface(screw_surface(shape)), 2, 0.0, shape.length, 2, -1.0, 0.0)


def gear(rng: np.random.Generator, *, flaw: str = "", teeth: int = 18) -> Solid:
    """Return a spur gear of module 1 with a bore and a keyway; flaw: "missing tooth"."""
    width = 8.0 + rng.uniform(-0.03, 0.03)
    tip, bore = 10.0 + rng.uniform(-0.03, 0.03), 3.0 + rng.uniform(-0.02, 0.02)
    angles = np.linspace(0.0, 2 * math.pi, 1440, endpoint=False)
    wave = np.clip(1.6 * np.cos(teeth * angles), -1.0, 1.0)
    outer = tip - 1.1 + 1.1 * wave
    if flaw == "missing tooth":
        gone = 2 * math.pi * int(rng.integers(teeth)) / teeth
        off = np.abs((angles - gone + math.pi) % (2 * math.pi) - math.pi)
        outer = np.where(off < math.pi / teeth, tip - 2.2, outer)
    key = np.abs((angles + math.pi) % (2 * math.pi) - math.pi) < 0.35
    inner = np.where(key, bore + 1.0, bore)
    return Solid(_of_surface(_ring(angles, inner, outer, width)), 0, -tip, tip, 2, 1.0, width, turns_over=True)


def tube(rng: np.random.Generator, *, flaw: str = "") -> Solid:
    """Return a tube with a flange at its lower end, one side of it flat."""
    length = 30.0 + rng.uniform(-0.06, 0.06)
    radius, wall = 6.0 + rng.uniform(-0.02, 0.02), 1.2 + rng.uniform(-0.02, 0.02)
    flange = 10.0 + rng.uniform(-0.03, 0.03)
    profile = [
        (radius - wall, 0.0), (flange, 0.0), (flange, 2.5), (radius, 2.5), (radius, length), (radius - wall, length),
        (radius - wall, 0.0),
    ]  # fmt: skip
    angles = np.linspace(0.0, 2 * math.pi, 480, endpoint=False)
    rings = []
    for (r0, z0), (r1, z1) in pairwise(profile):
        steps = max(2, round(math.hypot(r1 - r0, z1 - z0) / 0.2))
        for share in np.arange(steps) / steps:
            rings.append((r0 + share * (r1 - r0), z0 + share * (z1 - z0)))
    rings.append(profile[-1])
    grid = np.array([_flattened(angles, r, z) for r, z in rings])
    return Solid(_of_surface(grid_surface(grid)), 2, 0.0, length, 2, 1.0, length)


def plate(rng: np.random.Generator, *, flaw: str = "") -> Solid:
    """Return a plate of 40 x 24 x 3 mm with three holes; flaw: "missing hole"."""
    length = 40.0 + rng.uniform(-0.05, 0.05)
    sides = np.array([length, 24.0 + rng.uniform(-0.04, 0.04), 3.0 + rng.uniform(-0.02, 0.02)])
    holes = [(8.0, 7.0, 2.5), (8.0, 17.0, 2.0), (29.0, 12.0, 4.0)]
    holes = [(x + rng.uniform(-0.03, 0.03), y + rng.uniform(-0.03, 0.03), r) for x, y, r in holes]
    if flaw == "missing hole":
        del holes[int(rng.integers(2))]
    return Solid(lambda count, draw: _plate_points(sides, holes, count, draw), 0, 0.0, length, 0, 1.0, length)


SOLIDS: dict[str, Callable[..., Solid]] = {"screw": screw, "gear": gear, "plate": plate, "tube": tube}


def _of_surface(surface: Surface) -> Sampler:
    return lambda count, rng: scan_surface(surface, rng, count=count, noise_mm=0.0)


def _ring(angles: FloatArray, inner: FloatArray, outer: FloatArray, width: float) -> Surface:
    """Return the closed surface between two outlines, radius over angle, from z = 0 to the width."""
    up, across = np.linspace(0.0, 1.0, 25)[:, None], np.linspace(0.0, 1.0, 25)[:, None]
    walls = [
        (outer + 0.0 * up, up * width),
        (outer + across[1:] * (inner - outer), np.full((24, 1), width)),
        (inner + 0.0 * up[1:], (1.0 - up[1:]) * width),
        (inner + across[1:] * (outer - inner), np.zeros((24, 1))),
    ]
    rows = [np.stack([r * np.cos(angles), r * np.sin(angles), np.broadcast_to(z, r.shape)], axis=-1) for r, z in walls]
    return grid_surface(np.concatenate(rows))


def _flattened(angles: FloatArray, radius: float, height: float) -> FloatArray:
    """Return a circle (A, 3), cut straight where it reaches beyond x = 8.5 mm."""
    x, y = radius * np.cos(angles), radius * np.sin(angles)
    return np.stack([np.minimum(x, 8.5), y, np.full_like(x, height)], axis=-1)


def _plate_points(
    sides: FloatArray, holes: list[tuple[float, float, float]], count: int, rng: np.random.Generator
) -> FloatArray:
    """Draw points (count, 3) evenly over faces, edges and hole walls."""
    a, b, c = sides
    walls = [2 * math.pi * r * c for *_, r in holes]
    areas = np.array([a * b, a * b, a * c, a * c, b * c, b * c, *walls])
    open_area = 1.0 - sum(math.pi * r**2 for *_, r in holes) / (a * b)
    areas[:2] *= open_area
    each = rng.multinomial(count, areas / areas.sum())
    made = [_face(sides, holes, k, int(each[k]), rng) for k in range(6)]
    for (x, y, r), n in zip(holes, each[6:], strict=True):
        angle, z = rng.uniform(0, 2 * math.pi, n), rng.uniform(0, c, n)
        made.append(np.stack([x + r * np.cos(angle), y + r * np.sin(angle), z], axis=1))
    return np.concatenate(made)


def _face(
    sides: FloatArray, holes: list[tuple[float, float, float]], face: int, count: int, rng: np.random.Generator
) -> FloatArray:
    axis, at_end = (2, 1, 0)[face // 2], face % 2
    made: list[FloatArray] = []
    while sum(map(len, made)) < count:
        points = rng.uniform(0.0, 1.0, (count + 16, 3)) * sides
        points[:, axis] = at_end * sides[axis]
        if axis == 2:
            for x, y, r in holes:
                points = points[np.hypot(points[:, 0] - x, points[:, 1] - y) >= r]
        made.append(points)
    return np.concatenate(made)[:count]
