"""Fast point feature histograms (FPFH): what the surface around a point looks like, whichever way it lies.

Rusu, Blodow, Beetz, "Fast point feature histograms (FPFH) for 3D registration", ICRA 2009. For a point p and each
neighbour q with unit normals, the angles of eq. 1 (alpha, phi, theta) are counted in 11 bins each (SPFH); a point's
FPFH adds the mean of its neighbours' SPFH, weighed by 1 / distance (eq. 2).
"""

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.registration.surface import Points, nearest

_BINS = 11
LENGTH = 3 * _BINS
_BLOCK = 4_000
"""Points whose pairs are worked on at a time: bounds the memory."""


def fpfh(points: Points, normals: Points, radius: float, *, most_neighbours: int = 48) -> NDArray[np.float32]:
    """Return one descriptor for each point, float32 (N, LENGTH), each third of it summing to 1.

    Args:
        points: (N, 3), about evenly spread.
        normals: (N, 3), unit, all on one side of the surface.
        radius: of the neighbourhood, in the unit of the points.
        most_neighbours: nearest neighbours within the radius that count.
    """
    from scipy.spatial import cKDTree

    distances, near = nearest(cKDTree(points), points, min(most_neighbours + 1, len(points)))
    counted = (distances <= radius) & (distances > 0.0)
    simple = np.zeros((len(points), LENGTH), dtype=np.float32)
    for start in range(0, len(points), _BLOCK):
        rows = slice(start, start + _BLOCK)
        simple[rows] = _simple(points, normals, near[rows], counted[rows], start)
    weights = np.where(counted, 1.0 / np.maximum(distances, 1e-9 * radius), 0.0)
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
    full = np.empty_like(simple)
    for start in range(0, len(points), _BLOCK):
        rows = slice(start, start + _BLOCK)
        full[rows] = simple[rows] + np.einsum("nk,nkd->nd", weights[rows].astype(np.float32), simple[near[rows]])
    thirds = full.reshape(len(points), 3, _BINS)
    thirds /= np.maximum(thirds.sum(axis=2, keepdims=True), 1e-9)
    return full


def _simple(
    points: Points, normals: Points, near: NDArray[np.intp], counted: NDArray[np.bool_], start: int
) -> NDArray[np.float32]:
    """Return the simplified histograms (n, LENGTH) of points start, start + 1, ... from their own pairs alone."""
    count, k = near.shape
    own = np.arange(start, start + count)
    line = points[near] - points[own][:, None]
    line /= np.maximum(np.linalg.norm(line, axis=2, keepdims=True), 1e-300)
    u, theirs = normals[own][:, None], normals[near]
    phi = (u * line).sum(axis=2)
    v = np.cross(line, np.broadcast_to(u, line.shape))
    v /= np.maximum(np.linalg.norm(v, axis=2, keepdims=True), 1e-12)
    w = np.cross(np.broadcast_to(u, v.shape), v)
    alpha = (v * theirs).sum(axis=2)
    theta = np.arctan2((w * theirs).sum(axis=2), (u * theirs).sum(axis=2)) / np.pi
    histogram = np.zeros(count * LENGTH)
    row = np.repeat(np.arange(count) * LENGTH, k).reshape(count, k)
    for third, value in enumerate((alpha, phi, theta)):
        bins = np.clip(((value + 1.0) * 0.5 * _BINS).astype(np.int64), 0, _BINS - 1)
        index = (row + third * _BINS + bins)[counted]
        histogram += np.bincount(index, minlength=len(histogram))
    found = histogram.reshape(count, 3, _BINS)
    found = found / np.maximum(found.sum(axis=2, keepdims=True), 1.0)
    return np.asarray(found.reshape(count, LENGTH), dtype=np.float32)
