"""A point cloud as a surface of small planes, and the distance of points to it.

The distance to the nearest *point* of a scan is half a point spacing even where two scans agree. So every point
carries the least-squares plane of its neighbours, and distance is taken to that plane: sampling and noise average
out. Beside the plane's own patch (past an edge, across a gap) the distance along the plane counts as well.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

NEIGHBOURS = 12
"""Points that one plane rests on, itself included."""
_PATCH = 1.5
"""Radius of a plane's own patch, in point spacings."""

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Surface:
    """Planes of one cloud, one per point."""

    points: Points
    """(N, 3), the scan's unit."""
    centres: Points
    """(N, 3): mean of each point's neighbours; lies on its plane."""
    normals: Points
    """(N, 3): unit normal of each plane, sign arbitrary."""
    spacing: float
    """Median distance between neighbours, in the scan's unit."""
    tree: "cKDTree"
    """Over `points`."""

    @property
    def smoothed(self) -> Points:
        """(N, 3): every point moved along its normal onto its own plane: the same cloud with less noise."""
        off = np.einsum("ij,ij->i", self.points - self.centres, self.normals)
        return np.asarray(self.points - off[:, None] * self.normals)

    def distances(self, points: Points, *, candidates: int = 3) -> NDArray[np.float64]:
        """Return the distance of each point to this surface, in the scan's unit.

        Args:
            points: (M, 3).
            candidates: how many of the nearest planes to try; the closest counts (at an edge they differ).
        """
        _, near = nearest(self.tree, points, candidates)
        best = np.full(len(points), np.inf)
        for column in near.T:
            off = points - self.points[column]
            normal = self.normals[column]
            across = np.einsum("ij,ij->i", points - self.centres[column], normal)
            flat = off - np.einsum("ij,ij->i", off, normal)[:, None] * normal
            beside = np.maximum(np.linalg.norm(flat, axis=1) - _PATCH * self.spacing, 0.0)
            best = np.minimum(best, np.hypot(across, beside))
        return best

    def average(self, values: NDArray[np.float64], *, neighbours: int = 6) -> NDArray[np.float64]:
        """Return values (N,) of the points, each averaged with those of its nearest neighbours."""
        _, near = nearest(self.tree, self.points, neighbours)
        return np.asarray(values[near].mean(axis=1))


def surface(points: Points, *, neighbours: int = NEIGHBOURS) -> Surface:
    """Return the surface of a cloud (N, 3), N >= 4."""
    from scipy.spatial import cKDTree

    tree = cKDTree(points)
    distances, near = nearest(tree, points, neighbours)
    centres, normals = planes(points[near])
    spacing = float(np.median(distances[:, min(3, distances.shape[1] - 1)]))  # the first may be a duplicate point
    return Surface(points, centres, normals, spacing, tree)


def nearest(tree: "cKDTree", points: Points, k: int = 1) -> tuple[Points, NDArray[np.intp]]:
    """Return distances and indices (N, k) of the k nearest points of a tree, k no more than it holds."""
    k = min(k, tree.n)
    workers = -1 if len(points) > 20_000 else 1  # starting threads costs about 0.5 ms
    distances, indices = tree.query(points, k=k, workers=workers)
    return np.asarray(distances).reshape(len(points), k), np.asarray(indices).reshape(len(points), k)


def planes(patches: Points) -> tuple[Points, Points]:
    """Return centres and unit normals (N, 3) of the least-squares planes of patches (N, k, 3)."""
    centres = patches.mean(axis=1)
    off = patches - centres[:, None]
    _, axes = np.linalg.eigh(np.einsum("nki,nkj->nij", off, off))
    return centres, np.ascontiguousarray(axes[:, :, 0])


def thinned(points: Points, count: int) -> NDArray[np.int64]:
    """Return indices of at most `count` points, spread evenly over the surface whatever the scan's density.

    One point a cell of a cubic grid, the cell sized so that about `count` remain; the point kept is the first of its
    cell, so the choice depends on the points alone.
    """
    if len(points) <= count:
        return np.arange(len(points))
    low = points.min(axis=0)
    extent = float((points.max(axis=0) - low).max())
    kept = np.arange(0, len(points), -(-len(points) // count))
    if extent <= 0.0:
        return kept
    cell, most = extent / np.sqrt(count), 0
    for _ in range(6):
        first = _first_of_each_cell(points - low, cell)
        if most < len(first) <= count:
            kept, most = first, len(first)
        if 0.85 * count < len(first) <= count:
            break
        # The cells that a surface meets grow with the square of their number along a side.
        cell = max(cell * float(np.sqrt(len(first) / (0.93 * count))), 1e-6 * extent)
    return kept


def _first_of_each_cell(points: Points, cell: float) -> NDArray[np.int64]:
    ijk = (points / cell).astype(np.int64)
    sides = ijk.max(axis=0) + 1
    _, first = np.unique((ijk[:, 0] * sides[1] + ijk[:, 1]) * sides[2] + ijk[:, 2], return_index=True)
    return np.sort(first)
