"""Places of a part at which a scan has too few points: its own density says how few are too few.

A scan of n points over a surface has a Poisson number of them in any patch of it. Around every zone of the reference
lies a patch in which sixteen are expected. One that holds as few as come by chance in one patch of a hundred thousand
was not scanned, however coarse the scan is. Rims, which tell the same on dense scans, are told badly on coarse ones.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.registration.judged import Judged
from vlm_inspect.registration.surface import Surface, nearest
from vlm_inspect.registration.zones import Zones, zones_of

_EXPECTED, _CHANCE = 16.0, 1e-5
"""Points that are expected in a patch, and the probability of as few as there are below which it was not scanned."""
_PATCHED, _FACING = 160, 0.3
"""Zones nearest to one of which those that face alike, by the cosine of their directions, make its patch."""
_TOUCH, _BESIDE = 8, 16
"""Nearest zones that belong to one empty place, and that lie beside it."""
_OFF, _ELSEWHERE, _OPEN = 5.0, 0.3, 0.05
"""Share of the points beside it, so many normal spreads off, from which the surface lies elsewhere, and that of points
at a rim below which it does not end there: beside flaws the first is 0.4 to 1 or the second 0, beside what was not
scanned the first is 0 and the second 0.26 to 1."""


@dataclass(frozen=True, eq=False)
class _Patches:
    """The patches of a reference with K zones, and what they hold with every further zone."""

    near: NDArray[np.intp]
    """(K, k): the zones nearest to each, itself first."""
    facing: NDArray[np.bool_]
    """(K, k): which of them face as it does."""
    areas: NDArray[np.float64]
    """(K,): of the zones, in the unit of the scans squared."""


def voids(anchor: Surface, judged: Judged) -> NDArray[np.bool_]:
    """Return the zones (K,) of the reference whose surroundings were not scanned, as far as numbers of points tell.

    Places where the references themselves have few points, as steep walls, are expected to have few.
    """
    from scipy.special import pdtr

    zones, found = zones_of(anchor), judged.comparison
    patches = _patches(anchor)
    own = zones.zone[found.plane]
    counts = np.bincount(own[~found.stray], minlength=zones.count).astype(np.float64)
    expected = patches.areas * _usual(zones, patches, judged.pooled.counts)
    held = np.cumsum(counts[patches.near] * patches.facing, axis=1)
    asked = np.cumsum(expected[patches.near] * patches.facing, axis=1)
    density = _density(held, asked, counts.sum() / max(float(expected.sum()), 1e-300))
    last = np.minimum((asked * density < _EXPECTED).sum(axis=1), asked.shape[1] - 1)[:, None]
    held, asked = (np.take_along_axis(one, last, axis=1)[:, 0] for one in (held, asked * density))
    few = pdtr(held, asked) < _CHANCE
    few[few] = _ends(zones, patches.near[few], few, judged)
    return np.asarray(few)


def _ends(zones: Zones, near: NDArray[np.intp], few: NDArray[np.bool_], judged: Judged) -> NDArray[np.bool_]:
    """Return at which of the zones with few points (F,) the scan ends: elsewhere its surface lies off, as at a new end.

    Args:
        zones: of the reference.
        near: (F, k), the zones nearest to each.
        few: (K,), which zones those are.
        judged: the scan's deviations.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    own, size = zones.zone[judged.comparison.plane], len(near)
    place = np.where(few, np.cumsum(few) - 1, size)
    start, end = np.repeat(np.arange(size), _TOUCH), place[near[:, :_TOUCH]].ravel()
    kept = end < size
    pairs = (start[kept], end[kept])
    count, one = connected_components(coo_array((kept[kept], pairs), shape=(size, size)), False)
    ends = np.zeros(count, dtype=bool)
    for number in range(count):
        beside = np.zeros(zones.count, dtype=bool)
        beside[near[one == number, :_BESIDE]] = True
        asked = beside[own]
        off, rim = judged.off[0, asked] > _OFF, judged.comparison.edge[asked]
        ends[number] = not asked.any() or (off.mean() < _ELSEWHERE and rim.mean() >= _OPEN)
    return np.asarray(ends[one])


def zone_areas(anchor: Surface) -> NDArray[np.float64]:
    """Return the area (K,) of each zone of a reference, in the unit of the scans squared."""
    return _patches(anchor).areas


@lru_cache(maxsize=4)
def _patches(anchor: Surface) -> _Patches:
    from scipy.spatial import cKDTree

    zones = zones_of(anchor)
    near = nearest(cKDTree(zones.centres), zones.centres, _PATCHED)[1]
    facing = np.einsum("kij,kj->ki", zones.outward[near], zones.outward) > _FACING
    areas = np.bincount(zones.zone, anchor.areas, minlength=zones.count)
    return _Patches(near, facing, areas.astype(np.float64))


def _usual(zones: Zones, patches: _Patches, counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the density (K,), at most 1, of the references' points at each zone, over that of most zones."""
    areas = (patches.areas[zones.around] * zones.within).sum(axis=1)
    density = counts / np.maximum(areas, 1e-300)
    return np.asarray(np.minimum(density / max(float(np.median(density)), 1e-300), 1.0))


def _density(held: NDArray[np.float64], asked: NDArray[np.float64], least: float) -> float:
    """Return the points that a scan has for one that is expected, where it has any: the median of patches that would
    hold a dozen if it showed everything, `least` on the mean."""
    last = np.minimum((asked * least < 12.0).sum(axis=1), asked.shape[1] - 1)[:, None]
    held, asked = (np.take_along_axis(one, last, axis=1)[:, 0] for one in (held, asked))
    some = (held > 0.0) & (asked > 0.0)
    return max(least, float(np.median(held[some] / asked[some]))) if some.any() else least
