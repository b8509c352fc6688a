"""Screws as 3-D scans: M4 x 20, countersunk, Phillips recess, rolled thread; normal ones and five kinds of defect.

A screw is built upright on its tip: axis +z, tip at z = 0, head's top at z = length. The side is a radius over height
and angle, the head's top a height over the plane; dents, blobs and bends then move the vertices of that surface.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vlm_inspect.demo.scan_files import FloatArray, Pose, Surface, grid_surface, random_pose, scan_surface, write_scan
from vlm_inspect.demo.truth import DemoCase, DemoDefect
from vlm_inspect.inspection import Outcome

RULES = "rules/screw.yaml"
POINTS = 42_000
NOISE_MM = 0.012
REFERENCES = 6

_PITCH_MM = 0.7
_ROOT_MM, _CREST_MM = 1.57, 1.98
_TIP_MM = 1.5
_NECK_MM, _NECK_LENGTH_MM = 1.75, 0.9
_RIM_MM, _EDGE_MM = 0.35, 0.12
_WING_MM, _WING_WIDTH_MM = 2.15, 1.0


@dataclass(frozen=True)
class ScrewShape:
    """Dimensions in mm of one screw; they differ a little from screw to screw."""

    length: float = 20.0
    head_radius: float = 3.9
    crest: float = _CREST_MM
    recess_depth: float = 1.7
    thread_phase: float = 0.0
    """Turns."""
    stripped: tuple[float, float] | None = None
    """Heights between which the thread is gone."""


Bend = Callable[[FloatArray], FloatArray]


def write_screws(folder: Path, generator: Callable[[str], np.random.Generator]) -> list[DemoCase]:
    """Write every screw under `folder/screw`; returns their truth, paths relative to `folder`."""
    references = tuple(f"screw/references/normal_{i:02d}.ply" for i in range(1, REFERENCES + 1))
    (folder / "screw" / "references").mkdir(parents=True)
    for name in references:
        _write_part(folder / name, generator(name), _normal)
    parts: dict[str, tuple[_Maker, str | None]] = {
        "screw/normal.ply": (_normal, None),
        "screw/missing_thread.ply": (_missing_thread, "missing thread"),
        "screw/bent.ply": (_bent, "bent"),
        "screw/short.pcd": (_short, "short"),
        "screw/dent.xyz": (_dented, "dent"),
        "screw/blob.ply": (_blobbed, "contamination"),
    }
    cases = []
    for source, (make, defect_type) in parts.items():
        centre_mm = _write_part(folder / source, generator(source), make)
        defects = () if defect_type is None else (DemoDefect(type=defect_type, point_mm=centre_mm),)
        outcome: Outcome = "NG" if defects else "OK"
        cases.append(DemoCase(source=source, rules=RULES, references=references, outcome=outcome, defects=defects))
    return cases


_Maker = Callable[[np.random.Generator], tuple[Surface, FloatArray]]


def _write_part(path: Path, rng: np.random.Generator, make: _Maker) -> tuple[float, float, float]:
    surface, centre_mm = make(rng)
    pose: Pose = random_pose(rng)
    points = scan_surface(surface, rng, count=int(POINTS * rng.uniform(0.92, 1.08)), noise_mm=NOISE_MM)
    write_scan(path, pose.move(points))
    x, y, z = (round(float(v), 3) for v in pose.move(centre_mm))
    return x, y, z


def draw_shape(rng: np.random.Generator) -> ScrewShape:
    """Draw the dimensions of a normal screw: what one lot of rolled screws varies by."""
    return ScrewShape(
        length=20.0 + rng.uniform(-0.08, 0.08),
        head_radius=3.9 + rng.uniform(-0.04, 0.04),
        crest=_CREST_MM + rng.uniform(-0.02, 0.02),
        recess_depth=1.7 + rng.uniform(-0.07, 0.07),
        thread_phase=rng.uniform(-0.02, 0.02),
    )


def _normal(rng: np.random.Generator) -> tuple[Surface, FloatArray]:
    return screw_surface(draw_shape(rng)), np.zeros(3)


def _missing_thread(rng: np.random.Generator) -> tuple[Surface, FloatArray]:
    centre = rng.uniform(6.5, 9.5)
    shape = replace(draw_shape(rng), stripped=(centre - 2.0, centre + 2.0))
    return screw_surface(shape), np.array([0.0, 0.0, centre])


def _short(rng: np.random.Generator) -> tuple[Surface, FloatArray]:
    shape = replace(draw_shape(rng), length=18.2 + rng.uniform(-0.05, 0.05))
    return screw_surface(shape), np.zeros(3)


def _bent(rng: np.random.Generator) -> tuple[Surface, FloatArray]:
    surface = screw_surface(replace(draw_shape(rng), length=19.95))  # bent, it still passes the length check
    angle = rng.uniform(0, 2 * math.pi)
    bend = _bend_below(4.5, math.radians(17.0), np.array([math.cos(angle), math.sin(angle), 0.0]))
    centre = bend(np.array([[0.0, 0.0, 1.5]]))[0]  # middle of what is off by more than a quarter of the tip's shift
    return replace(surface, vertices=bend(surface.vertices)), centre


def _dented(rng: np.random.Generator) -> tuple[Surface, FloatArray]:
    surface = screw_surface(draw_shape(rng))
    centre, outward = _spot(rng, height=rng.uniform(7.0, 10.0), radius=_CREST_MM)
    return replace(surface, vertices=_press_ball(surface.vertices, centre, outward)), centre - 0.55 * outward


def _blobbed(rng: np.random.Generator) -> tuple[Surface, FloatArray]:
    surface = screw_surface(draw_shape(rng))
    centre, outward = _spot(rng, height=rng.uniform(9.0, 12.0), radius=1.8)
    return replace(surface, vertices=_raise_blob(surface.vertices, centre, outward)), centre + 0.6 * outward


def _spot(rng: np.random.Generator, *, height: float, radius: float) -> tuple[FloatArray, FloatArray]:
    """Return a point on the shaft at a random angle, and the outward direction there."""
    angle = rng.uniform(0, 2 * math.pi)
    outward = np.array([math.cos(angle), math.sin(angle), 0.0])
    return outward * radius + [0.0, 0.0, height], outward


def screw_surface(shape: ScrewShape) -> Surface:
    """Return the closed surface of a screw, upright on its tip, in mm."""
    angles = np.linspace(0, 2 * math.pi, 240, endpoint=False)
    heights = np.arange(0.0, shape.length - _EDGE_MM, 0.05)
    side = _turn(_side_radius(shape, heights[:, None], angles[None, :]), heights[:, None], angles)
    tip = _turn(np.array([[0.0], [_TIP_MM * 0.5], [_TIP_MM]]), np.zeros((3, 1)), angles)
    radii = np.linspace(shape.head_radius - _EDGE_MM, 0.0, 110)[:, None]
    top_x, top_y = radii * np.cos(angles), radii * np.sin(angles)
    top = np.stack([top_x, top_y, shape.length - _recess(shape, top_x, top_y)], axis=-1)
    return grid_surface(np.concatenate([tip, side, top]))


def _turn(radius: FloatArray, height: FloatArray, angles: FloatArray) -> FloatArray:
    x, y = radius * np.cos(angles), radius * np.sin(angles)
    return np.stack([x, y, np.broadcast_to(height, x.shape)], axis=-1)


def _side_radius(shape: ScrewShape, z: FloatArray, angle: FloatArray) -> FloatArray:
    """Radius in mm of tip, thread, neck, countersink and rim at height z; the shapes broadcast."""
    neck_z = shape.length - _RIM_MM - (shape.head_radius - _NECK_MM)
    runout = np.clip((neck_z - _NECK_LENGTH_MM - z) / _PITCH_MM, 0, 1)
    root = _ROOT_MM + (_NECK_MM - _ROOT_MM) * (1 - runout)
    depth = (shape.crest - root) * runout
    if shape.stripped:
        low, high = shape.stripped
        depth = depth * (1 - _window(z, low, high, 0.25))
    turns = (z - shape.length) / _PITCH_MM - angle / (2 * math.pi) + shape.thread_phase  # counted from the head
    shaft = root + depth * _thread_height(turns)
    shaft = np.minimum(shaft, _TIP_MM + z)  # the tip's 45 degree chamfer
    cone = np.minimum(_NECK_MM + (z - neck_z), shape.head_radius)
    return np.asarray(np.where(z < neck_z, shaft, cone))


def _thread_height(turns: FloatArray) -> FloatArray:
    """Metric profile over one turn, 0 at the root to 1 at the crest: crest P/8, root P/4 (ISO 68-1)."""
    off_crest = np.abs(np.mod(turns, 1.0) - 0.5)
    return np.asarray(np.clip((0.375 - off_crest) / (0.375 - 0.0625), 0.0, 1.0))


def _recess(shape: ScrewShape, x: FloatArray, y: FloatArray) -> FloatArray:
    """Depth in mm of the Phillips recess: two crossed wings with sloping floors and steep walls."""

    def wing(along: FloatArray, across: FloatArray) -> FloatArray:
        floor = shape.recess_depth * np.clip(1.0 - np.abs(along) / _WING_MM, 0, 1) ** 0.6
        wall = np.clip((_WING_WIDTH_MM / 2 - np.abs(across)) * 4.0, 0, None)
        return np.asarray(np.minimum(floor, wall))

    cone = np.clip(shape.recess_depth * 1.15 - 1.5 * np.hypot(x, y), 0, None)
    return np.asarray(np.maximum(np.maximum(wing(x, y), wing(y, x)), cone))


def _window(z: FloatArray, low: float, high: float, ramp: float) -> FloatArray:
    return np.asarray(np.clip((z - low) / ramp + 0.5, 0, 1) * np.clip((high - z) / ramp + 0.5, 0, 1))


def _bend_below(height: float, angle: float, sideways: FloatArray) -> Bend:
    """Return the map that bends everything below `height` by `angle` radians, over 1 mm of the axis."""

    def bend(points: FloatArray) -> FloatArray:
        below = np.clip(height - points[:, 2], 0, None)
        turn = angle * np.clip(below, 0, 1.0)
        arc, straight = np.clip(below, 0, 1.0), np.clip(below - 1.0, 0, None)
        half = np.maximum(angle, 1e-12)
        drop = np.sin(turn) / half + straight * math.cos(angle)
        shift = (1 - np.cos(turn)) / half + straight * math.sin(angle)
        lever = points @ sideways  # distance from the axis in the plane of the bend
        across = points - lever[:, None] * sideways
        bent = across * [1, 1, 0] + (shift + lever * np.cos(turn))[:, None] * sideways
        bent[:, 2] = np.where(below > 0, height - drop + lever * np.sin(turn), points[:, 2])
        return np.asarray(np.where((arc > 0)[:, None], bent, points))

    return bend


def _press_ball(points: FloatArray, centre: FloatArray, outward: FloatArray) -> FloatArray:
    """Press a ball into the surface: what lies inside it moves down to it; 0.55 mm deep, 2.4 mm wide."""
    depth, width = 0.55, 2.4
    radius = (depth**2 + (width / 2) ** 2) / (2 * depth)
    offset, up = _local(points, centre, outward)
    inside = (offset < width / 2) & (up > -1.0)
    ball = (radius - depth) - np.sqrt(np.clip(radius**2 - offset**2, 0, None))
    sink = np.where(inside, np.minimum(ball - up, 0), 0.0)
    return np.asarray(points + sink[:, None] * outward)


def _raise_blob(points: FloatArray, centre: FloatArray, outward: FloatArray) -> FloatArray:
    """Let a drop of solder sit on the surface: 1.0 mm high, 2.6 mm wide, not quite round."""
    offset, up = _local(points, centre, outward)
    near = (offset < 1.3) & (up > -1.2)
    lumps = 1.0 + 0.12 * np.sin(3.1 * points[:, 2]) + 0.08 * np.sin(5.0 * points[:, 0] + 1.0)
    height = lumps * np.sqrt(np.clip(1 - (offset / 1.3) ** 2, 0, None))
    lift = np.where(near, np.maximum(height - up, 0) * (height > 0), 0.0)
    return np.asarray(points + lift[:, None] * outward)


def _local(points: FloatArray, centre: FloatArray, outward: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return distance from the line through `centre` along `outward`, and height along it, both (N,) in mm."""
    relative = points - centre
    up = relative @ outward
    return np.linalg.norm(relative - up[:, None] * outward, axis=1), up
