"""Scans of generated parts with known truth: what is wrong, where, how large, and which points show it.

A class is a kind of part (solids.py). Scans differ in the number of points, noise, pose, strays, and some show the part
from one side only. Everything follows from the seed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from converters.sample import PointCloud
from vlm_inspect.demo.scan_files import FloatArray, Pose, random_pose
from vlm_inspect.demo.solids import SOLIDS, Solid
from vlm_inspect.planting.scans import COUNTS, PlantedScan, ScanDefect, plant
from vlm_inspect.registration.longest import longest_extent
from vlm_inspect.registration.surface import NEIGHBOURS, planes, surface
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
"""A point shows a bend or a cut that leaves it farther than this from the sound surface: moved along it, none does."""
_SKIN = 100_000
_SAMPLE, _HIGH_MM, _APART_MM = 400_000, 0.1, 0.17
"""Of a part of another shape a point shows it farther than this above the sound surface, or from each of so many of its
points: by chance no point of a sound part is."""


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
    or_shows: NDArray[np.bool_] | None = None
    """(N,): points that show the flaw with equal right: a part that looks the same turned over, and is too thin, has
    lost either face."""
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
    low, high = scanner.points
    count = round(float(np.exp(rng.uniform(np.log(low), np.log(high)))))
    noise, partial = float(rng.choice(scanner.noise_mm)), bool(rng.random() < scanner.partial)
    state = int(rng.integers(2**63))
    solid = SOLIDS[name](np.random.default_rng(state), flaw=flaw if flaw in _OF_SHAPE else "")
    sound = SOLIDS[name](np.random.default_rng(state)) if flaw in _OF_SHAPE else solid
    points, planted = solid.sample(count, rng), None
    shows, or_shows = np.zeros(count, dtype=bool), None
    if flaw in _PLANTED:
        points, planted = _planted(points, flaw, rng, depth_mm)
        shows = _off(points, planted.points, sound, state, COUNTS * planted.depth_mm)
    elif flaw == "hole":
        points, shows = _drilled(points, rng)
    elif flaw:
        points, shows, or_shows = _misshapen(points, flaw, sound, state, rng)
    partial = partial and flaw not in _WHOLE
    if partial:
        kept = _one_side(points, None if planted is None else planted.outward, rng)
        points, shows = points[kept], shows[kept]
    points = points + rng.normal(scale=noise, size=points.shape)
    strays = _strays(points, scanner.strays, rng)
    points, nothing = np.concatenate([points, strays]), np.zeros(len(strays), dtype=bool)
    shows = np.concatenate([shows, nothing])
    or_shows = None if or_shows is None else np.concatenate([or_shows, nothing])
    pose = random_pose(rng)
    depth = 0.0 if planted is None else planted.depth_mm
    found = _with_truth(pose, points, shows, flaw=flaw, noise=noise, partial=partial, depth=depth)
    return replace(found, or_shows=or_shows)


def _misshapen(
    points: FloatArray, flaw: str, sound: Solid, state: int, rng: np.random.Generator
) -> tuple[FloatArray, NDArray[np.bool_], NDArray[np.bool_] | None]:
    """Return the points of a part that is bent, too short or of another shape, which show it, and which may as well."""
    if flaw == "bend":
        bent = _bent(sound, points, rng)
        return bent, _off(bent, _moved(bent, points), sound, state, _OFF_MM), None
    if flaw != "wrong length":
        return points, _beyond(points, sound, state), None
    cut, end = _cut_off(sound, points, rng)
    shows = _off(cut, _moved(cut, points), sound, state, _OFF_MM)
    if not sound.turns_over:
        return cut, shows, None
    over = cut * [1.0, -1.0, -1.0] + [0.0, 0.0, end]
    return cut, shows, _off(over, over[:, sound.cut_axis] >= end - 1e-9, sound, state, _OFF_MM)


def _with_truth(
    pose: Pose, points: FloatArray, shows: NDArray[np.bool_], *, flaw: str, noise: float, partial: bool, depth: float
) -> GeneratedScan:
    points = pose.move(points)
    cloud = PointCloud(Path(f"{flaw or 'sound'}.ply"), points)
    if not shows.any():
        return GeneratedScan(cloud, flaw, shows, noise, partial, depth)
    flawed = points[shows]
    size = longest_extent(flawed)
    return GeneratedScan(cloud, flaw, shows, noise, partial, depth, centre_mm=flawed.mean(axis=0), size_mm=size)


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


def _cut_off(solid: Solid, points: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, float]:
    """Cut a part off square, 0.5 to 1.5 mm short of its end; returns where that is then, too."""
    end = solid.end - solid.sign * rng.uniform(0.5, 1.5)
    cut = points.copy()
    cut[:, solid.cut_axis] = solid.sign * np.minimum(solid.sign * points[:, solid.cut_axis], solid.sign * end)
    return cut, end


def _one_side(points: FloatArray, outward: FloatArray | None, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which points a scanner on one side sees; on the side of a flaw, where there is one."""
    skin = surface(averaged(points, 20_000).points)
    facing = skin.outward[skin.tree.query(points)[1]]
    towards = rng.normal(size=3) if outward is None else outward + 0.3 * rng.normal(size=3)
    return np.asarray(facing @ (towards / np.linalg.norm(towards)) > -0.25)


def _moved(points: FloatArray, before: FloatArray) -> NDArray[np.bool_]:
    """Return which points (N, 3) have left where they were (N, 3)."""
    return np.asarray(np.linalg.norm(points - before, axis=1) > _OFF_MM)


def _off(points: FloatArray, asked: NDArray[np.bool_], sound: Solid, state: int, least: float) -> NDArray[np.bool_]:
    """Return which of the points (N, 3) asked for (N,) lie farther than `least` from the sound solid's surface."""
    off = asked.copy()
    skin = surface(sound.sample(_SKIN, np.random.default_rng(state)))
    off[asked] = skin.distances(points[asked]) > least
    return off


def _beyond(points: FloatArray, sound: Solid, state: int) -> NDArray[np.bool_]:
    """Return which points (N, 3) a sound solid has no surface at."""
    from scipy.spatial import cKDTree

    sample = sound.sample(_SAMPLE, np.random.default_rng(state))
    tree = cKDTree(sample)
    gaps = np.asarray(tree.query(points)[0])
    shows, asked = gaps > _APART_MM, np.flatnonzero((gaps > _HIGH_MM) & (gaps <= _APART_MM))
    centres, normals, _ = planes(sample[tree.query(points[asked], k=NEIGHBOURS)[1]])
    shows[asked] = np.abs(np.einsum("ij,ij->i", points[asked] - centres, normals)) > _HIGH_MM
    return np.asarray(shows)


def _strays(points: FloatArray, share: float, rng: np.random.Generator) -> FloatArray:
    low, high = points.min(axis=0), points.max(axis=0)
    count = int(rng.uniform(0.0, share) * len(points))
    return np.asarray(rng.uniform(low - 0.1 * (high - low), high + 0.1 * (high - low), (count, 3)))
