"""A point cloud as a surface of small planes, and the distance of points to it.

The distance to the nearest *point* of a scan is half a point spacing even where two scans agree. So every point
carries the least-squares plane of its neighbours, and distance is taken to that plane: sampling and noise average
out. Beside the plane's own patch (past an edge, across a gap) the distance along the plane counts as well.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

NEIGHBOURS = 12
"""Points that one plane rests on, itself included."""
_PATCH = 1.5
"""Radius of a plane's own patch, in point spacings."""
_BEYOND = 2.5
"""Point spacings by which a surface may be nearer than its nearest point."""

_ONE_SIDED = 0.33
"""The mean of points spread over half a disc lies 0.42 of its radius from the middle; over a whole one, at it."""
_ASIDE, _DISC = (0.28, 0.42, 0.6), (1.0, 0.5, 0.25)
"""How far to one side, in shares of the radius, the middle of points lies that fill so much of a disc; by chance, that
of twelve all around lies 0.18 off, seldom more than 0.28."""

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Gaps:
    """Where points (M, 3) lie against a surface; everything in its unit."""

    across: NDArray[np.float64]
    """(M,): distance to the closest plane, along its normal; positive on the side of `Surface.outward`."""
    beside: NDArray[np.float64]
    """(M,): how far past the patch of that plane, along it; 0 on the patch."""
    plane: NDArray[np.intp]
    """(M,): which plane."""

    @property
    def distance(self) -> NDArray[np.float64]:
        """(M,), >= 0: distance to the surface."""
        return np.asarray(np.hypot(self.across, self.beside))


@dataclass(frozen=True, eq=False)
class Surface:
    """Planes of one cloud, one per point."""

    points: Points
    """(N, 3), the scan's unit."""
    centres: Points
    """(N, 3): mean of each point's neighbours; lies on its plane."""
    normals: Points
    """(N, 3): unit normal of each plane, sign arbitrary."""
    roughness: NDArray[np.float64]
    """(N,): RMS distance of each point's neighbours to its plane: noise, and curvature that the spacing cannot show."""
    spacing: float
    """Median distance between neighbours, in the scan's unit."""
    near: NDArray[np.int32]
    """(N, k): each point's neighbours, itself first."""
    tree: "cKDTree"
    """Over `points`."""

    @cached_property
    def outward(self) -> Points:
        """(N, 3): the normals, signs made one: out of the material where the scan shows a part from all sides."""
        from vlm_inspect.registration.orientation import outward_signs

        signs = outward_signs(self.points, self.normals, self.near, self.spacing)
        return np.asarray(self.normals * signs[:, None])

    @cached_property
    def smoothed(self) -> Points:
        """(N, 3): every point moved along its normal onto its own plane: the same cloud with less noise."""
        off = np.einsum("ij,ij->i", self.points - self.centres, self.normals)
        return np.asarray(self.points - off[:, None] * self.normals)

    @cached_property
    def areas(self) -> NDArray[np.float64]:
        """(N,): the area that each plane stands for: pi r^2 over the number of neighbours within r, where these lie all
        around.

        At a rim they fill half of that disc, in a corner a quarter; how far their middle lies to one side tells which:
        by 4 / (3 pi) of r of half a disc, by the square root of 2 times that of a quarter.
        """
        far = np.linalg.norm(self.points[self.near[:, -1]] - self.points, axis=1)
        off = self.centres - self.points
        along = off - np.einsum("ij,ij->i", off, self.normals)[:, None] * self.normals  # past an edge is no rim
        aside = np.linalg.norm(along, axis=1) / np.maximum(far, 1e-300)
        disc = np.interp(aside, _ASIDE, _DISC)
        return np.asarray(disc * np.pi * far**2 / self.near.shape[1])

    @cached_property
    def rim(self) -> NDArray[np.bool_]:
        """(N,): whether the surface ends there: the neighbours of most planes around lie to one side."""
        reach = np.linalg.norm(self.points[self.near[:, -1]] - self.points, axis=1)
        aside = np.linalg.norm(self.centres - self.points, axis=1) > _ONE_SIDED * reach
        return np.asarray(aside[self.near].mean(axis=1) > 0.4)

    def turned_inside_out(self) -> "Surface":
        """Return the same surface with the other side outward."""
        other = replace(self)
        other.__dict__["outward"] = -self.outward
        return other

    def facing_as(self, outward: Points, known: NDArray[np.bool_]) -> "Surface":
        """Return the same surface with its outside as told (N, 3) where that is known; elsewhere as the most agree."""
        agrees = np.einsum("ij,ij->i", self.outward, outward)
        sure = known & (np.abs(agrees) > 0.3)
        whole = 1.0 if not sure.any() or (agrees[sure] > 0.0).mean() >= 0.5 else -1.0
        other = replace(self)
        kept = ("smoothed", "areas", "rim")
        other.__dict__.update({name: self.__dict__[name] for name in kept if name in self.__dict__})
        other.__dict__["outward"] = self.outward * np.where(sure, np.sign(agrees), whole)[:, None]
        return other

    def seen_from(self, sensor: Points) -> "Surface":
        """Return the same surface with its outside towards the sensor (3,) that saw it.

        A scan from one side is open: its own shape does not tell a dent from a bump.
        """
        rays = sensor - self.points
        length = np.maximum(np.linalg.norm(rays, axis=1, keepdims=True), 1e-300)
        return self.facing_as(rays / length, np.ones(len(rays), dtype=bool))

    def held_against(self, scan: "Surface") -> Points:
        """Return the points (N, 3) of a scan that are held against this surface: with less noise."""
        return scan.smoothed

    def gaps(self, points: Points, *, candidates: int = 3, signed: bool = True) -> Gaps:
        """Return where each point lies against this surface.

        Args:
            points: (M, 3).
            candidates: how many of the nearest planes to try; the closest counts (at an edge they differ).
            signed: whether `across` tells the sides apart; that needs `outward`, which takes time to learn.
        """
        return self.gaps_to(points, nearest(self.tree, points, candidates)[1], signed=signed)

    def gaps_to(self, points: Points, near: NDArray[np.intp], *, signed: bool = True) -> Gaps:
        """Return the same from the planes to try, (M, candidates), the nearest first."""
        normals = self.outward if signed else self.normals
        best = np.full(len(points), np.inf)
        across, beside, plane = np.zeros(len(points)), np.zeros(len(points)), near[:, 0].copy()
        for column in near.T:
            normal = normals[column]
            off = points - self.points[column]
            along = np.einsum("ij,ij->i", off, normal)
            flat = np.sqrt(np.maximum(np.einsum("ij,ij->i", off, off) - along**2, 0.0))
            aside = np.maximum(flat - _PATCH * self.spacing, 0.0)
            height = np.einsum("ij,ij->i", points - self.centres[column], normal)
            squared = height**2 + aside**2
            better = squared < best
            best[better] = squared[better]
            across[better], beside[better], plane[better] = height[better], aside[better], column[better]
        return Gaps(across, beside, plane)

    def distances(self, points: Points, *, candidates: int = 3, within: float = np.inf) -> NDArray[np.float64]:
        """Return the distance of each point (M, 3) to this surface, in the scan's unit; see `gaps`.

        Infinite where it is more than `within`, which saves most of the time; it may be there as it is.
        """
        far, near = nearest(self.tree, points, candidates, within=within + _BEYOND * self.spacing)
        found = far[:, 0] < np.inf
        near = np.where(far[found] < np.inf, near[found], near[found, :1])
        distances = np.full(len(points), np.inf)
        distances[found] = self.gaps_to(points[found], near, signed=False).distance
        return distances

    def average(self, values: NDArray[np.float64], *, neighbours: int = 6) -> NDArray[np.float64]:
        """Return values (N,) of the points, each averaged with those of its nearest neighbours, at most NEIGHBOURS."""
        return np.asarray(values[self.near[:, :neighbours]].mean(axis=1))


def surface(points: Points, *, neighbours: int = NEIGHBOURS) -> Surface:
    """Return the surface of a cloud (N, 3), N >= 4."""
    from scipy.spatial import cKDTree

    tree = cKDTree(points)
    distances, near = nearest(tree, points, neighbours)
    centres, normals, roughness = planes(points[near])
    spacing = float(np.median(distances[:, min(3, distances.shape[1] - 1)]))  # the first may be a duplicate point
    return Surface(points, centres, normals, roughness, spacing, near.astype(np.int32), tree)


def nearest(tree: "cKDTree", points: Points, k: int = 1, *, within: float = np.inf) -> tuple[Points, NDArray[np.intp]]:
    """Return distances and indices (N, k) of the k nearest points of a tree, k no more than it holds.

    Farther than `within` nothing is looked for, which saves most of the time: the distance is infinite there, and the
    index that of no point.
    """
    k = min(k, tree.n)
    workers = -1 if len(points) > 20_000 else 1  # starting threads costs about 0.5 ms
    distances, indices = tree.query(points, k=k, workers=workers, distance_upper_bound=within)
    return np.asarray(distances).reshape(len(points), k), np.asarray(indices).reshape(len(points), k)


def planes(patches: Points) -> tuple[Points, Points, NDArray[np.float64]]:
    """Return the least-squares planes of patches (N, k, 3).

    Returns:
        Centres and unit normals (N, 3), and (N,) the RMS distance of a patch's points to its plane.
    """
    centres = patches.mean(axis=1)
    off = patches - centres[:, None]
    variances, axes = np.linalg.eigh(np.matmul(off.transpose(0, 2, 1), off))
    rms = np.sqrt(np.maximum(variances[:, 0], 0.0) / patches.shape[1])
    return centres, np.ascontiguousarray(axes[:, :, 0]), rms
