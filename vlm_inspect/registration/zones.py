"""A surface in some thousand zones of one size: what a scan says of a zone is pooled, and held against like zones.

A flaw is wider than the spacing of points. The mean deviation of a zone and those around it has a small standard error
where a single point tells nothing, so a dent of 0.1 mm that eight points show stands out of noise of 0.02 mm.

Parts of one lot differ in features: a recess that is cut deeper deviates all over, on all its walls. Two references do
not show that. A zone is therefore held against the zones of the same part whose surroundings look alike (FPFH,
descriptors.py), too, and against those of its own face beyond what a flaw covers: what they share is taken off, and how
much like ones scatter counts as normal. What is left is counted in what normal parts leave after the same: a tube that
is 0.02 mm wider all over hides no dent of 0.1 mm, nor does a plate whose one side lies 0.03 mm further out.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.registration.consensus import cell_side, described
from vlm_inspect.registration.surface import Points, Surface, nearest

_SIDE = 0.015
"""Least side of a zone, as a share of the part's size."""
_AROUND, _FACING = 7, 0.5
"""Zones that are pooled, its own included, and the least cosine between the directions that they face."""
_ALIKE, _APART = 16, 0.06
"""Zones that a zone is held against, and how far they lie apart at least, as a share of the part's size."""
_BESIDE, _SAME_FACE = 16, 0.97
"""Zones of the same face that a zone is held against, and the least cosine between the directions that they face."""
_BLOCK = 500
_SHARED = 6.0
_SCATTER = 3.0
"""Times the part's own spread up to which what zones share, and how they scatter, may explain a deviation."""

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pooled:
    """What a scan says of K zones."""

    means: Values
    """(K,): mean signed deviation, in the unit of the scans."""
    counts: Values
    """(K,): points that it rests on."""


@dataclass(frozen=True, eq=False)
class Zones:
    """The zones of a reference with M planes."""

    zone: NDArray[np.intp]
    """(M,): of each plane."""
    around: NDArray[np.intp]
    """(K, n): the zones nearest to each, itself among them."""
    within: NDArray[np.bool_]
    """(K, n): which of them are pooled."""
    alike: NDArray[np.intp]
    """(K, m): the zones that look most like it."""
    beside: NDArray[np.intp]
    """(K, b): the nearest of those that face as it does and lie beyond what a flaw covers; its own number where there
    are too few."""
    centres: Points
    """(K, 3), in the unit of the scans."""
    outward: Points
    """(K, 3): unit vectors out of the material."""

    @property
    def count(self) -> int:
        """Number of zones, K."""
        return len(self.around)

    def pooled(self, planes: NDArray[np.intp], values: Values) -> Pooled:
        """Return the means of signed deviations (N,) that points have at planes (N,) of the reference."""
        own = self.zone[planes]
        sums = np.bincount(own, values, minlength=self.count)
        counts = np.bincount(own, minlength=self.count).astype(np.float64)
        totals = (counts[self.around] * self.within).sum(axis=1)
        return Pooled((sums[self.around] * self.within).sum(axis=1) / np.maximum(totals, 1.0), totals)

    def averaged(self, values: Values) -> Values:
        """Return values (K,) of zones, each averaged with those around it."""
        return np.asarray((values[self.around] * self.within).sum(axis=1) / self.within.sum(axis=1))

    def explained(self, off: Values, seen: NDArray[np.bool_], part: float) -> "Explained":
        """Return what other zones explain of deviations (K,).

        Args:
            off: (K,) signed deviations from a mean normal part.
            seen: (K,) which zones the scan shows.
            part: the normal spread of the whole part; so many times this explain a deviation at most.
        """
        known = np.where(seen, off, np.nan)
        shared, scatter = _middle(known[self.alike], _SHARED * part)
        others = np.where(self.beside == np.arange(self.count)[:, None], np.nan, known[self.beside])
        face = _middle(others, _SHARED * part)[0]
        low, high = np.minimum(shared, face), np.maximum(shared, face)
        return Explained(shared, np.minimum(low, 0.0), np.maximum(high, 0.0), np.minimum(scatter, _SCATTER * part))

    def beyond_others(self, off: Values, spread: Values, seen: NDArray[np.bool_], part: float) -> Values:
        """Return how far deviations (K,) go beyond what others explain, in normal spreads, >= 0; 0 where unseen.

        Args:
            off: (K,) signed deviations from a mean normal part.
            spread: (K,) > 0, normal spread of what is left.
            seen: (K,) which zones the scan shows.
            part: as in `explained`.
        """
        others = self.explained(off, seen, part)
        return np.asarray(np.where(seen, np.abs(others.left(off)) / np.maximum(spread, others.scatter), 0.0))


@dataclass(frozen=True, eq=False)
class Explained:
    """What other zones explain of the deviations of K zones."""

    alike: Values
    """(K,): what like zones share."""
    low: Values
    """(K,), <= 0,"""
    high: Values
    """(K,), >= 0: between them nothing is left."""
    scatter: Values
    """(K,), >= 0: how much like zones differ."""

    def left(self, off: Values) -> Values:
        """Return what is left of deviations (K,), signed."""
        return np.asarray(off - np.clip(off, self.low, self.high))


def _middle(values: Values, most: float) -> tuple[Values, Values]:
    """Return median and robust scatter of rows (K, m); 0 where too few are known, and a median of `most` at most."""
    known = np.isfinite(values).sum(axis=1) >= max(1, values.shape[1] // 4)
    values = np.where(known[:, None], values, 0.0)
    middle = np.clip(np.nanmedian(values, axis=1), -most, most)
    return middle, np.asarray(1.4826 * np.nanmedian(np.abs(values - middle[:, None]), axis=1))


@lru_cache(maxsize=4)
def zones_of(reference: Surface) -> Zones:
    """Return the zones of a reference, learned once while it is used."""
    from scipy.spatial import cKDTree

    size = float(np.linalg.norm(np.ptp(reference.points, axis=0)))
    centres, looks = described(reference, max(cell_side(reference), _SIDE * size))
    outward = reference.outward[nearest(reference.tree, centres)[1][:, 0]]
    tree = cKDTree(centres)
    near = nearest(tree, reference.points, 4)[1]
    facing = np.einsum("mkj,mj->mk", outward[near], reference.outward) > _FACING
    zone = np.take_along_axis(near, facing.argmax(axis=1)[:, None], axis=1)[:, 0]  # the nearest where none faces so
    around = nearest(tree, centres, 2 * _AROUND)[1]
    within = np.einsum("mkj,mj->mk", outward[around], outward) > _FACING
    within &= np.cumsum(within, axis=1) <= _AROUND
    within[:, 0] = True
    alike = _alike(centres, looks, _APART * size)
    return Zones(zone, around, within, alike, _beside(centres, outward, _APART * size), centres, outward)


def _alike(centres: Points, looks: NDArray[np.float32], apart: float) -> NDArray[np.intp]:
    """Return the zones (K, m) that look most like each, of those that lie far enough from it."""
    count = min(_ALIKE, len(centres))
    found = np.zeros((len(centres), count), dtype=np.intp)
    place, length = centres.astype(np.float32), (looks**2).sum(axis=1)
    for start in range(0, len(centres), _BLOCK):
        rows = slice(start, start + _BLOCK)
        unlike = length[rows, None] + length[None] - 2.0 * looks[rows] @ looks.T
        off = place[rows, None] - place[None]
        unlike[np.einsum("abj,abj->ab", off, off) < apart**2] = np.inf
        found[rows] = np.argpartition(unlike, count - 1, axis=1)[:, :count]
    return found


def _beside(centres: Points, outward: Points, apart: float) -> NDArray[np.intp]:
    """Return the nearest zones (K, b) that face as each does and lie far enough from it; itself for missing ones."""
    count = min(_BESIDE, len(centres))
    found = np.zeros((len(centres), count), dtype=np.intp)
    place, way = centres.astype(np.float32), outward.astype(np.float32)
    length = (place**2).sum(axis=1)
    for start in range(0, len(centres), _BLOCK):
        rows = slice(start, start + _BLOCK)
        far = length[rows, None] + length[None] - 2.0 * place[rows] @ place.T
        far[(far < apart**2) | (way[rows] @ way.T < _SAME_FACE)] = np.inf
        nearest_ones = np.argpartition(far, count - 1, axis=1)[:, :count]
        lost = ~np.isfinite(np.take_along_axis(far, nearest_ones, axis=1))
        found[rows] = np.where(lost, np.arange(len(centres))[rows, None], nearest_ones)
    return found
