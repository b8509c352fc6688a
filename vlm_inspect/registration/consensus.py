"""Starting poses from points that look alike: for partial scans, and where principal axes say little.

Points of both scans are paired by their FPFH; poses come from random triples of pairs whose mutual distances agree,
and are ranked by how many pairs they bring together (RANSAC, Fischler and Bolles 1981, with the pre-rejection of
Buch et al., "Pose estimation using local structure-specific shape and appearance context", 2013). The draw is seeded:
the same scans give the same poses.
"""

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.registration.descriptors import fpfh
from vlm_inspect.registration.pose import Points, best_rigid
from vlm_inspect.registration.surface import Surface
from vlm_inspect.registration.thinning import thinned_by

_TRIPLES = 60_000
_JUDGED = 3_000
_CELLS = 3_000
"""About so many points of the fixed scan carry a descriptor."""
_REACH = 5.0
"""Radius of a descriptor, in cells."""
_AGREE = 0.9
"""Least ratio of two distances that are taken as one."""


def cell_side(fixed: Surface) -> float:
    """Return the side of the cells by which both scans are thinned before they are described."""
    return float(fixed.spacing * np.sqrt(max(1.0, len(fixed.points) / _CELLS)))


def described(one: Surface, cell: float) -> tuple[Points, NDArray[np.float32]]:
    """Return points (N, 3) of a surface, one a cell, and their descriptors (N, 33)."""
    kept = thinned_by(one.points, cell)
    points = one.points[kept]
    return points, fpfh(points, one.outward[kept], _REACH * cell)


def consensus_poses(
    moving: tuple[Points, NDArray[np.float32]], fixed: tuple[Points, NDArray[np.float32]], cell: float, count: int
) -> NDArray[np.float64]:
    """Return at most `count` poses (K, 4, 4), moving -> fixed, those that most pairs agree on first."""
    a, b = _pairs(moving[1], fixed[1])
    if len(a) < 3:
        return np.zeros((0, 4, 4))
    here, there = moving[0][a], fixed[0][b]
    random = np.random.default_rng(0)
    triple = random.integers(0, len(a), (_TRIPLES, 3))
    triple = triple[_rigid(here[triple], there[triple], cell)][:_JUDGED]
    if not len(triple):
        return np.zeros((0, 4, 4))
    poses = best_rigid(here[triple], there[triple])
    votes = np.concatenate([_votes(poses[i : i + 200], here, there, 2.5 * cell) for i in range(0, len(poses), 200)])
    return np.asarray(poses[np.argsort(-votes, kind="stable")[:count]])


def _pairs(moving: NDArray[np.float32], fixed: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the indices of points that are each other's most alike, and of those that are one-sidedly so if few."""
    squared = (moving**2).sum(axis=1)[:, None] + (fixed**2).sum(axis=1)[None] - 2.0 * moving @ fixed.T
    there, back = squared.argmin(axis=1), squared.argmin(axis=0)
    rows = np.arange(len(moving))
    mutual = back[there] == rows
    if mutual.sum() >= 30:
        rows = rows[mutual]
    return rows, there[rows]


def _rigid(here: NDArray[np.float64], there: NDArray[np.float64], cell: float) -> NDArray[np.bool_]:
    """Return which triples (K, 3, 3) have sides that are long enough, and equal in both scans."""
    good = np.ones(len(here), dtype=bool)
    for i, j in ((0, 1), (1, 2), (2, 0)):
        a = np.linalg.norm(here[:, i] - here[:, j], axis=1)
        b = np.linalg.norm(there[:, i] - there[:, j], axis=1)
        good &= (np.minimum(a, b) > _AGREE * np.maximum(a, b)) & (a > 6.0 * cell)
    return good


def _votes(poses: NDArray[np.float64], here: Points, there: Points, reach: float) -> NDArray[np.int64]:
    moved = np.einsum("kij,nj->kni", poses[:, :3, :3], here) + poses[:, None, :3, 3]
    return np.asarray((((moved - there) ** 2).sum(axis=2) < reach**2).sum(axis=1))
