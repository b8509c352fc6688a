"""Small patches of a surface, each held against the ring around it: what stands out where a part is otherwise alike.

Parts of one lot differ in features that are wider than a flaw: a plate is 0.03 mm wider, a recess 0.08 mm deeper, and
a pose is some micrometres off. All of that moves a patch and the ring around it alike, so what a patch deviates beyond
its ring is the flaw, noise, and how unlike two parts are over such a short way. Noise is known from the scan itself:
the mean over n points scatters by the scatter of single ones over the square root of n.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.registration.comparison import Comparison
from vlm_inspect.registration.surface import Points, Surface, nearest
from vlm_inspect.registration.thinning import thinned_by
from vlm_inspect.registration.zones import Values, zones_of

if TYPE_CHECKING:
    from scipy.sparse import csr_array
    from scipy.spatial import cKDTree

_SIDE, _SPACINGS = 0.007, 2.0
"""Side of a cell: a share of the part's size, at least so many spacings of the reference."""
_RADII = (0.012, 0.02)
"""Of patches, in shares of the part's size; a patch of one cell and those around it at least."""
_RING = (1.5, 3.5)
"""Where the ring begins and ends, in radii."""
_FACING = 0.6
"""Least cosine between the directions that a patch and what counts of its surroundings face."""
_FEWEST_RING = 8
"""Points of a ring from which on it is held against."""


@dataclass(frozen=True, eq=False)
class Contrast:
    """What C patches of one radius show, in the unit of the scans; see `Patches.contrasts`."""

    off: Values
    """(C,): signed deviation of the patch beyond its ring; the patch's own where it has none."""
    noise: Values
    """(C,), >= 0: variance of that by the scatter of single points."""
    counts: Values
    """(C,): points of the patch,"""
    ring: Values
    """(C,): and of the ring."""


Contrasts = Sequence[Contrast]
"""By radius."""


@dataclass(frozen=True, eq=False)
class Patches:
    """The patches of a reference with M planes, one around each of C cells, by radius."""

    cell: NDArray[np.intp]
    """(M,): of each plane."""
    zone: NDArray[np.intp]
    """(C,): the zone (zones.py) that each cell lies in."""
    discs: tuple["csr_array", ...]
    """(C, C) of zeros and ones, by radius: which cells lie in each other's patch, each pair once,"""
    rings: tuple["csr_array", ...]
    """and which in the ring around it."""

    @property
    def count(self) -> int:
        """Number of cells, C."""
        return len(self.zone)

    def contrasts(self, found: Comparison, counted: NDArray[np.bool_]) -> Contrasts:
        """Return what a scan's points say of the patches, by radius.

        Args:
            found: the scan's comparison with the reference.
            counted: (N,) which of its points count.
        """
        cell, off = self.cell[found.plane[counted]], found.raw[counted]
        sums = np.stack([np.bincount(cell, weights, self.count) for weights in (None, off, off**2)], axis=1)
        return [
            _contrast(sums + disc @ sums + disc.T @ sums, ring @ sums + ring.T @ sums)
            for disc, ring in zip(self.discs, self.rings, strict=True)
        ]


def _contrast(disc: Values, ring: Values) -> Contrast:
    """Return a contrast from numbers of points, sums and sums of squares (C, 3) of patches and of rings."""
    least = np.maximum(ring[:, 0], 1.0)
    around = ring[:, 1] / least
    scatter = np.maximum(ring[:, 2] / least - around**2, 0.0)
    level = np.where(ring[:, 0] < _FEWEST_RING, 0.0, around)
    noise = scatter * (1.0 / np.maximum(disc[:, 0], 1.0) + 1.0 / np.maximum(ring[:, 0], _FEWEST_RING))
    return Contrast(disc[:, 1] / np.maximum(disc[:, 0], 1.0) - level, noise, disc[:, 0], ring[:, 0])


@lru_cache(maxsize=4)
def patches_of(reference: Surface) -> Patches:
    """Return the patches of a reference, learned once while it is used."""
    from scipy.spatial import cKDTree

    size = float(np.linalg.norm(np.ptp(reference.points, axis=0)))
    least = _SPACINGS * reference.spacing
    kept = thinned_by(reference.points, max(_SIDE * size, least))
    centres, outward, zones = reference.points[kept], reference.outward[kept], zones_of(reference)
    tree, reach = cKDTree(centres), [max(radius * size, least) for radius in _RADII]
    near = _near(tree, outward, _RING[1] * reach[-1])
    return Patches(
        _facing(tree, outward, reference.points, reference.outward),
        _facing(cKDTree(zones.centres), zones.outward, centres, outward),
        tuple(near.between(0.0, radius) for radius in reach),
        tuple(near.between(_RING[0] * radius, _RING[1] * radius) for radius in reach),
    )


@dataclass(frozen=True, eq=False)
class _Near:
    """Pairs (P,) of different cells that face alike, each once, and how far they lie apart; C cells in all."""

    one: NDArray[np.intp]
    other: NDArray[np.intp]
    apart: Values
    count: int

    def between(self, low: float, high: float) -> "csr_array":
        """Return which cells (C, C) lie so far from each other, each pair once."""
        from scipy.sparse import coo_array

        kept = (self.apart >= low) & (self.apart <= high)
        pairs = (self.one[kept], self.other[kept])
        return coo_array((np.ones(len(pairs[0])), pairs), shape=(self.count, self.count)).tocsr()


def _near(tree: "cKDTree", outward: Points, within: float) -> _Near:
    """Return the pairs of a tree's points that lie within a distance of each other and face alike."""
    one, other = tree.query_pairs(within, output_type="ndarray").T
    one, other = np.ascontiguousarray(one), np.ascontiguousarray(other)  # of millions of pairs: axis by axis is faster
    alike = sum(way[one] * way[other] for way in outward.T.copy()) > _FACING
    one, other = one[alike], other[alike]
    apart = np.sqrt(sum((axis[one] - axis[other]) ** 2 for axis in tree.data.T.copy()))
    return _Near(one, other, apart, tree.n)


def _facing(tree: "cKDTree", outward: Points, points: Points, ways: Points) -> NDArray[np.intp]:
    """Return for each point (M, 3) the nearest of a tree's that faces as it does; the nearest where none does."""
    near = nearest(tree, points, 4)[1]
    agrees = np.einsum("mkj,mj->mk", outward[near], ways) > 0.5
    return np.asarray(np.take_along_axis(near, agrees.argmax(axis=1)[:, None], axis=1)[:, 0])
