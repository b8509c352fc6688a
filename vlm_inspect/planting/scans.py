"""Defects planted into scans, in mm: where a class has no defective part, these stand in for one.

A dent or a bump moves the skin smoothly; a chip ("missing") and a blob ("extra") are steep. All four are drawn around a
random place of the scan's own surface and move its own points, noise and density included, so that a planted scan is
the same scan with one thing wrong.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from converters.sample import PointCloud, ScanGrid
from vlm_inspect.registration.known_scan import Change
from vlm_inspect.registration.surface import Points, Surface, nearest, surface
from vlm_inspect.registration.thinning import averaged

ScanDefect = Literal["dent", "bump", "missing", "extra"]
SCAN_DEFECTS: tuple[ScanDefect, ...] = get_args(ScanDefect)

_SKIN = 60_000
"""Most planes that tell the inside of a scan from its outside."""
_DEPTH_SHARE = {"dent": 0.25, "bump": 0.25, "missing": 0.5, "extra": 0.5}
"""Depth, or height, over the diameter, where none is given."""
COUNTS = 0.15
"""A point is on the defect from this share of its depth on."""
_OPPOSITE = 0.5
"""Cosine against the defect's direction from which a surface is the far side of a wall."""
_TRIES = 20
_LEAST_POINTS = 6


@dataclass(frozen=True, eq=False)
class PlantedScan:
    """What was planted, in the scan's own coordinates and unit (mm)."""

    kind: ScanDefect
    size_mm: float
    """Diameter."""
    depth_mm: float
    """Largest depth or height over the sound surface."""
    centre_mm: NDArray[np.float64]
    """(3,), on the sound surface."""
    outward: NDArray[np.float64]
    """(3,), unit: out of the material at the centre."""
    points: NDArray[np.bool_]
    """(N',), which points of the planted scan lie on the defect."""
    change: Change
    """What else tells the planted scan from the sound one: nothing."""


def plant(
    cloud: PointCloud, kind: ScanDefect, size_mm: float, rng: np.random.Generator, *, depth_mm: float | None = None
) -> tuple[PointCloud, PlantedScan]:
    """Return a scan with one defect at a random place, and where it is.

    The planted scan has no mesh and no normals, which would contradict its points; a chip that breaks through a thin
    wall leaves points out.

    Args:
        cloud: a sound scan.
        kind: "dent" and "bump" are smooth, "missing" is a steep chip, "extra" a steep blob.
        size_mm: diameter of the defect, in the scan's unit.
        rng: decides the place; the same state gives the same defect.
        depth_mm: depth or height; None: a quarter of the diameter (dent, bump) or a half (missing, extra).

    Raises:
        ValueError: a size or a depth that is not positive.
    """
    depth = _DEPTH_SHARE[kind] * size_mm if depth_mm is None else depth_mm
    if not (size_mm > 0.0 and depth > 0.0):
        raise ValueError(f"a planted defect needs a size and a depth above 0, not {size_mm!r} and {depth!r}")
    skin = _skin(cloud)
    for _ in range(_TRIES):
        made = _planted_at(cloud, skin, _place(skin, size_mm / 2.0, rng), kind, size_mm, depth)
        if made[1].points.sum() >= _LEAST_POINTS:  # a chip just past an edge takes nothing off
            break
    return made


def _planted_at(
    cloud: PointCloud,
    skin: Surface,
    place: tuple[NDArray[np.float64], NDArray[np.float64]],
    kind: ScanDefect,
    size_mm: float,
    depth: float,
) -> tuple[PointCloud, PlantedScan]:
    centre, outward = place
    offset = cloud.points - centre
    height = offset @ outward
    aside = np.linalg.norm(offset - height[:, None] * outward, axis=1) / (size_mm / 2.0)
    inside = (aside < 1.0) & (np.abs(height) < max(size_mm / 2.0, 2.0 * depth))
    _, near = nearest(skin.tree, cloud.points[inside])
    facing = np.zeros(len(inside))
    facing[inside] = skin.outward[near[:, 0]] @ outward
    skin_side = inside & (facing > 0.0)
    target = _target(kind, height, aside, depth)
    moved = np.where(skin_side, target, height)
    points = cloud.points + (moved - height)[:, None] * outward
    defect = np.abs(moved - height) > COUNTS * depth
    kept = np.ones(len(points), dtype=bool)
    if kind in {"dent", "missing"}:
        kept = ~_broken_through(offset, outward, moved, skin_side, inside, facing)
    planted = _rebuilt(cloud, points, kept)
    change = Change(cloud.points, kept, moved != height)
    return planted, PlantedScan(kind, size_mm, depth, centre, outward, defect[kept], change)


@lru_cache(maxsize=8)
def _skin(cloud: PointCloud) -> Surface:
    skin = surface(averaged(cloud.points, _SKIN).points)
    return skin if cloud.viewpoint is None else skin.seen_from(np.asarray(cloud.viewpoint))


def _place(skin: Surface, radius: float, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a random place of the surface, and its normal averaged over the radius; most places will do.

    A place counts where enough points lie within the radius to show the defect; after some tries any place does.
    """
    for _ in range(_TRIES):
        chosen = int(rng.integers(len(skin.points)))
        around = np.array(skin.tree.query_ball_point(skin.points[chosen], max(radius, skin.spacing)))
        facing = around[skin.outward[around] @ skin.outward[chosen] > 0.3]
        if len(facing) >= _LEAST_POINTS:
            break
    normal = skin.outward[facing].mean(axis=0) if len(facing) else skin.outward[chosen]
    return skin.smoothed[chosen], np.asarray(normal / np.linalg.norm(normal))


def _target(
    kind: ScanDefect, height: NDArray[np.float64], aside: NDArray[np.float64], depth: float
) -> NDArray[np.float64]:
    """Return the height (N,) that each point would have on the defect; `aside` in radii."""
    inner = np.clip(1.0 - aside**2, 0.0, 1.0)
    if kind == "dent":
        return height - depth * inner**2
    if kind == "bump":
        return height + depth * inner**2
    if kind == "missing":
        return np.minimum(height, -depth * np.sqrt(inner))
    return np.maximum(height, depth * np.sqrt(inner))


def _broken_through(
    offset: Points,
    outward: NDArray[np.float64],
    moved: NDArray[np.float64],
    skin_side: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    facing: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Return which points (N,) are gone: of the new surface where it would lie behind the far side of a thin wall, and
    of other sides where they would lie above it. A side that meets it at an edge does not end it."""
    from scipy.spatial import cKDTree

    gone = np.zeros(len(offset), dtype=bool)
    near, other = np.flatnonzero(skin_side), np.flatnonzero(inside & (facing <= 0.0))
    far = other[facing[other] < -_OPPOSITE]
    height = offset @ outward
    flat = offset - height[:, None] * outward
    for asked, others, sign in ((near, far, 1.0), (other, near, -1.0)):
        if not len(asked) or not len(others):
            continue
        gap, which = cKDTree(flat[others]).query(flat[asked])
        mine = moved[asked] if sign > 0.0 else height[asked]
        theirs = height[others[which]] if sign > 0.0 else moved[others[which]]
        reach = 3.0 * float(np.median(gap)) + 1e-12
        gone[asked] = (sign * (mine - theirs) < 0.0) & (gap < reach)
    return gone


def _rebuilt(cloud: PointCloud, points: Points, kept: NDArray[np.bool_]) -> PointCloud:
    grid = None if cloud.grid is None else ScanGrid(cloud.grid.size_hw, cloud.grid.pixels[kept])
    colors = None if cloud.colors is None else cloud.colors[kept]
    return replace(cloud, points=np.ascontiguousarray(points[kept]), colors=colors, normals=None, mesh=None, grid=grid)
