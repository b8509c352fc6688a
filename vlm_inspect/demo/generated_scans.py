"""Scans of generated parts with known truth: what is wrong, where, how large, and which points show it.

A class is a kind of part (solids.py). Scans differ in the number of points, noise, pose, strays, and some show the part
from one side only. Everything follows from the seed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from converters.sample import PointCloud
from vlm_inspect.demo.scan_files import FloatArray, Pose, random_pose
from vlm_inspect.demo.solids import SOLIDS, Solid
from vlm_inspect.planting.scans import PlantedScan, ScanDefect, plant
from vlm_inspect.registration.surface import surface
from vlm_inspect.registration.thinning import averaged

FLAWS: Final[dict[str, tuple[str, ...]]] = {
    "screw": ("missing thread", "dent", "bend", "wrong length", "blob", "burr"),
    "gear": ("missing tooth", "dent", "chip", "wrong length", "blob", "burr"),
    "plate": ("missing hole", "dent", "hole", "bend", "wrong length", "burr"),
    "tube": ("dent", "hole", "bend", "wrong length", "blob", "burr"),
}
"""What can be wrong with each class."""
_OF_SHAPE = frozenset({"missing thread", "missing tooth", "missing hole"})
_WHOLE = frozenset({*_OF_SHAPE, "wrong length", "bend", "hole"})
"""Flaws that a scan from one side may hide."""
_PLANTED: Final[dict[str, ScanDefect]] = {"dent": "dent", "chip": "missing", "blob": "extra", "burr": "bump"}
_OFF_MM = 0.05
"""A point that a bend or a cut leaves farther than this from the sound surface shows it (moved along it, none does),"""
_SKIN = 100_000
_APART_MM = 0.2
"""and one that is farther than this from every point of the sound part shows a flaw of its shape."""


@dataclass(frozen=True)
class Scanner:
    """How a scan is taken."""

    points: tuple[int, int] = (5_000, 400_000)
    """Fewest and most; drawn evenly in the logarithm."""
    noise_mm: tuple[float, ...] = (0.005, 0.01, 0.02)
    partial: float = 0.1
    """Share of scans that show one side only."""
    strays: float = 0.002
    """Most strays, as a share of the points."""


@dataclass(frozen=True, eq=False)
class GeneratedScan:
    """One scan and its truth; places in the scan's own coordinates, mm."""

    cloud: PointCloud
    flaw: str
    """"": a sound part."""
    shows: NDArray[np.bool_]
    """(N,): which points lie on the flaw."""
    noise_mm: float
    partial: bool
    depth_mm: float = 0.0
    """Of a planted flaw; 0 for others."""
    centre_mm: FloatArray = field(default_factory=lambda: np.zeros(3))
    """Middle of the points that show the flaw."""
    size_mm: float = 0.0
    """Longest extent of those points."""


def generate(
    name: str, seed: int, *, normal: int, anomalous: int, scanner: Scanner | None = None
) -> Iterator[GeneratedScan]:
    """Yield sound scans of a class, then flawed ones, each kind of flaw in turn.

    Args:
        name: a key of `FLAWS`.
        seed: the same one gives the same scans.
        normal: how many sound ones.
        anomalous: how many flawed ones.
        scanner: how they are taken; None: as a `Scanner` does without being told more.
    """
    for i in range(normal + anomalous):
        yield scan_at(name, seed, i, normal=normal, scanner=scanner)


def scan_at(name: str, seed: int, index: int, *, normal: int, scanner: Scanner | None = None) -> GeneratedScan:
    """Return one scan of those that `generate` yields, without the ones before it."""
    kinds, rng = FLAWS[name], np.random.default_rng([seed, list(SOLIDS).index(name), index])
    flaw = "" if index < normal else kinds[(index - normal) % len(kinds)]
    return draw(name, flaw, rng, scanner or Scanner())


def draw(
    name: str, flaw: str, rng: np.random.Generator, scanner: Scanner, *, depth_mm: float | None = None
) -> GeneratedScan:
    """Return one scan of a class with that flaw ("": none); `depth_mm` of a planted one, else drawn from 0.1 to 1."""
    from scipy.spatial import cKDTree

    low, high = scanner.points
    count = round(float(np.exp(rng.uniform(np.log(low), np.log(high)))))
    noise, partial = float(rng.choice(scanner.noise_mm)), bool(rng.random() < scanner.partial)
    state = int(rng.integers(2**63))
    solid = SOLIDS[name](np.random.default_rng(state), flaw=flaw if flaw in _OF_SHAPE else "")
    points, shows, planted = solid.sample(count, rng), np.zeros(count, dtype=bool), None
    if flaw in _PLANTED:
        points, planted = _planted(points, flaw, rng, depth_mm)
        shows = planted.points
    elif flaw == "hole":
        points, shows = _drilled(points, rng)
    elif flaw == "bend":
        straight, points = points, _bent(solid, points, rng)
        shows = _off(points, straight, solid, state)
    elif flaw == "wrong length":
        whole, points = points, _cut_off(solid, points, rng)
        shows = _off(points, whole, solid, state)
    elif flaw:
        sound = SOLIDS[name](np.random.default_rng(state)).sample(200_000, rng)
        shows = np.asarray(cKDTree(sound).query(points)[0] > _APART_MM)
    partial = partial and flaw not in _WHOLE
    if partial:
        kept = _one_side(points, None if planted is None else planted.outward, rng)
        points, shows = points[kept], shows[kept]
    points = points + rng.normal(scale=noise, size=points.shape)
    strays = _strays(points, scanner.strays, rng)
    points, shows = np.concatenate([points, strays]), np.concatenate([shows, np.zeros(len(strays), dtype=bool)])
    pose = random_pose(rng)
    depth = 0.0 if planted is None else planted.depth_mm
    return _with_truth(pose, points, shows, flaw=flaw, noise=noise, partial=partial, depth=depth)


def _with_truth(
    pose: Pose, points: FloatArray, shows: NDArray[np.bool_], *, flaw: str, noise: float, partial: bool, depth: float
) -> GeneratedScan:
    points = pose.move(points)
    cloud = PointCloud(Path(f"{flaw or 'sound'}.ply"), points)
    if not shows.any():
        return GeneratedScan(cloud, flaw, shows, noise, partial, depth)
    flawed = points[shows]
    axes = np.linalg.svd(flawed - flawed.mean(axis=0), full_matrices=False)[2]
    size = float(np.ptp(flawed @ axes[0]))
    return GeneratedScan(cloud, flaw, shows, noise, partial, depth, flawed.mean(axis=0), size)


def _planted(
    points: FloatArray, flaw: str, rng: np.random.Generator, depth_mm: float | None
) -> tuple[FloatArray, PlantedScan]:
    depth = float(np.exp(rng.uniform(np.log(0.1), 0.0))) if depth_mm is None else depth_mm
    size = max(2.0, (3.0 if flaw == "chip" else 6.0) * depth)
    cloud, truth = plant(PointCloud(Path("part.ply"), points), _PLANTED[flaw], size, rng, depth_mm=depth)
    return cloud.points, truth


def _drilled(points: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Drill a hole of 1.5 to 3 mm through a wall; returns the points and which of them lie on the hole's own wall."""
    from scipy.spatial import cKDTree

    skin = surface(averaged(points, 20_000).points)
    facing = skin.outward[cKDTree(skin.points).query(points)[1]]
    radius = rng.uniform(0.75, 1.5)
    for _ in range(200):
        k = int(rng.integers(len(skin.points)))
        outward, offset = skin.outward[k], points - skin.points[k]
        height = offset @ outward
        near = np.linalg.norm(offset - height[:, None] * outward, axis=1) < radius
        far = near & (facing @ outward < -0.9) & (height < 0.0) & (height > -4.0)
        if far.sum() >= 3:
            break
    depth = -float(np.median(height[far])) if far.any() else 1.0
    gone = near & (height > -depth - 0.5) & (height < 0.5)
    across = np.linalg.svd(outward[None])[2][1:]
    count = max(6, round(2.0 * depth / radius * gone.sum() / 2.0))
    angle, level = rng.uniform(0.0, 2 * np.pi, count), rng.uniform(-depth, 0.0, count)
    round_about = np.cos(angle)[:, None] * across[0] + np.sin(angle)[:, None] * across[1]
    wall = skin.points[k] + radius * round_about + level[:, None] * outward
    kept = points[~gone]
    return np.concatenate([kept, wall]), np.arange(len(kept) + count) >= len(kept)


def _bent(solid: Solid, points: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Bend the last third of a part away from its axis, by 0.4 to 1.2 mm at its end."""
    start = solid.low + 0.67 * (solid.high - solid.low)
    share = np.clip((points[:, solid.axis] - start) / (solid.high - start), 0.0, None)
    bent = points.copy()
    bent[:, 2 if solid.axis != 2 else int(rng.integers(2))] += rng.uniform(0.4, 1.2) * share**2
    return bent


def _cut_off(solid: Solid, points: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Cut a part off square, 0.5 to 1.5 mm short of its end."""
    end = solid.end - solid.sign * rng.uniform(0.5, 1.5)
    cut = points.copy()
    cut[:, solid.cut_axis] = solid.sign * np.minimum(solid.sign * points[:, solid.cut_axis], solid.sign * end)
    return cut


def _one_side(points: FloatArray, outward: FloatArray | None, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which points a scanner on one side sees; on the side of a flaw, where there is one."""
    skin = surface(averaged(points, 20_000).points)
    facing = skin.outward[skin.tree.query(points)[1]]
    towards = rng.normal(size=3) if outward is None else outward + 0.3 * rng.normal(size=3)
    return np.asarray(facing @ (towards / np.linalg.norm(towards)) > -0.25)


def _off(points: FloatArray, before: FloatArray, solid: Solid, seed: int) -> NDArray[np.bool_]:
    """Return which points (N, 3) have moved from where they were (N, 3), and off the surface of the sound solid."""
    moved: NDArray[np.bool_] = np.linalg.norm(points - before, axis=1) > _OFF_MM
    sound = surface(solid.sample(_SKIN, np.random.default_rng(seed)))
    moved[moved] = sound.distances(points[moved]) > _OFF_MM
    return moved


def _strays(points: FloatArray, share: float, rng: np.random.Generator) -> FloatArray:
    low, high = points.min(axis=0), points.max(axis=0)
    count = int(rng.uniform(0.0, share) * len(points))
    return np.asarray(rng.uniform(low - 0.1 * (high - low), high + 0.1 * (high - low), (count, 3)))
