"""A scan that has been compared, and the same scan with some points moved: what did not move is not measured again.

Qualification plants defects on scans that are known already. A planted scan differs from its own near the defect alone:
planes are fitted anew where a neighbour moved, distances are taken anew to and from those planes, and all else is taken
over. The result is that of a comparison from nothing, but for three things that a defect hardly changes: the cells in
which a dense scan is averaged, its point spacing, and the sides of planes that the reference does not tell.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.registration.comparison import (
    FEWEST,
    MOST_PLANES,
    STRAY_AMONG,
    Comparison,
    compare,
    comparison_of,
    near_enough,
    on_surface,
    scan_surface,
    sparse,
)
from vlm_inspect.registration.orientation import outward_again
from vlm_inspect.registration.surface import NEIGHBOURS, Gaps, Points, Surface, nearest, planes, surface
from vlm_inspect.registration.thinning import Cells, averaged

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

_CANDIDATES = 3
"""Nearest planes among which a place of the reference finds its closest, as in `Surface.gaps`."""
_UNSURE = 0.3
"""Cosine to the reference's normal below which that does not tell the side, as in `Surface.facing_as`."""


@dataclass(frozen=True, eq=False)
class Change:
    """What makes a scan another than the one that it was made of."""

    sound: Points
    """(N, 3): the points of that one."""
    kept: NDArray[np.bool_]
    """(N,): which points are left."""
    moved: NDArray[np.bool_]
    """(N,): which of them lie elsewhere."""

    @classmethod
    def nothing(cls, points: Points) -> "Change":
        """Return no change of points (N, 3)."""
        return cls(points, np.ones(len(points), dtype=bool), np.zeros(len(points), dtype=bool))

    @property
    def touched(self) -> NDArray[np.bool_]:
        """(N,): which points moved or are gone."""
        return self.moved | ~self.kept


@dataclass(frozen=True, eq=False)
class KnownScan:
    """A scan and its comparison with a reference, with what is needed to compare it again after a change."""

    cells: Cells
    place: NDArray[np.intp]
    """(C,): the plane of each cell; -1: a stray has none."""
    scan: Surface
    """P planes, turned as the reference says."""
    reference: Surface
    comparison: Comparison
    reach: NDArray[np.float64]
    """(P,): distance of each point to the farthest of its neighbours."""
    stray_beyond: float
    """Distance to the farthest of `STRAY_AMONG` points beyond which a point is a stray."""
    there: Gaps
    """The P points against the reference."""
    back: Gaps
    """The reference's M points against the scan."""
    tried: NDArray[np.intp]
    """(M, 3): the planes that `back` chose from."""
    back_reach: NDArray[np.float64]
    """(M,): distance to the farthest of them."""

    def changed(self, points: Points, change: Change) -> tuple[Surface, Comparison]:
        """Return surface and comparison of the scan after a change.

        Args:
            points: (N', 3), those that are left, in the frame of the reference.
            change: that made them; `sound` in any frame.
        """
        if not change.touched.any():
            return self.scan, self.comparison
        moved = self._moved(points, change)
        if len(moved.kept) < FEWEST:
            scan = scan_surface(points)
            return scan, compare(scan, self.reference)
        scan, rows = self._planes(moved)
        there = self._there(scan, moved, rows)
        return scan, comparison_of(scan, self.reference, there, self._back(scan, moved, rows))

    def _moved(self, points: Points, change: Change) -> "_Moved":
        """Return where the planes' points lie after the change."""
        cells = np.zeros(len(self.place), dtype=bool)
        cells[self.cells.cell[change.touched]] = True
        of_left = self.cells.cell[change.kept]
        asked = cells[of_left]
        count = np.bincount(of_left[asked], minlength=len(cells))
        sums = [np.bincount(of_left[asked], points[asked, axis], minlength=len(cells)) for axis in range(3)]
        touched = np.flatnonzero(cells & (self.place >= 0))
        left = touched[count[touched] > 0]
        positions, gone = self.scan.points.copy(), np.zeros(len(self.scan.points), dtype=bool)
        positions[self.place[left]] = np.stack(sums, axis=1)[left] / count[left, None]
        gone[self.place[touched]] = count[touched] == 0
        return self._without_strays(_Moved(positions, self.place[left], gone, _tree(positions[~gone])))

    def _without_strays(self, moved: "_Moved") -> "_Moved":
        """Return the same without what has become a stray: moved off, or left alone where its neighbours are gone."""
        if not np.isfinite(self.stray_beyond):
            return moved
        asked = np.flatnonzero(moved.touched[self.scan.near].any(axis=1) & ~moved.gone)
        far = nearest(moved.tree, moved.positions[asked], STRAY_AMONG)[0][:, -1]
        lonely = asked[far > self.stray_beyond]
        if not len(lonely):
            return moved
        gone = moved.gone.copy()
        gone[lonely] = True
        changed = moved.changed[~np.isin(moved.changed, lonely)]
        return _Moved(moved.positions, changed, gone, _tree(moved.positions[~gone]))

    def _planes(self, moved: "_Moved") -> tuple[Surface, NDArray[np.intp]]:
        """Return the surface after the change, and which planes (R,) of the old one were fitted anew."""
        old = self.scan
        anew = np.asarray(moved.touched[old.near].any(axis=1))
        anew[_reached(old.points, moved.elsewhere, self.reach)] = True
        anew[moved.changed] = True
        rows = np.flatnonzero(anew & ~moved.gone)
        near = nearest(moved.tree, moved.positions[rows], NEIGHBOURS)[1]
        kept, here = moved.kept, moved.index[rows]
        points = moved.positions[kept]
        centres, normals, roughness = old.centres[kept], old.normals[kept], old.roughness[kept]
        neighbours, outward = moved.index[old.near[kept]].astype(np.int32), old.outward[kept]
        centres[here], normals[here], roughness[here] = planes(points[near])
        neighbours[here] = near
        outward[here] = _turned_as(normals[here], outward[here])
        outward[here] = outward_again(points, outward, neighbours, old.spacing, here)
        made = Surface(points, centres, normals, roughness, old.spacing, neighbours, moved.tree)
        made.__dict__["outward"] = outward
        return made, rows

    def _there(self, scan: Surface, moved: "_Moved", rows: NDArray[np.intp]) -> Gaps:
        """Return the scan's points against the reference; turns the new planes as that says."""
        here = moved.index[rows]
        found = self.reference.gaps(self.reference.held_against(scan)[here])
        there = _replaced(self.there, moved.kept, here, found)
        agrees = np.einsum("ij,ij->i", scan.outward[here], self.reference.outward[found.plane])
        sure = near_enough(scan, self.reference, found) & (np.abs(agrees) > _UNSURE)
        scan.outward[here] *= np.where(sure, np.sign(agrees), 1.0)[:, None]
        return there

    def _back(self, scan: Surface, moved: "_Moved", rows: NDArray[np.intp]) -> Gaps:
        """Return the reference's points against the scan."""
        other = moved.gone.copy()
        other[rows] = True
        anew = np.asarray(other[self.tried].any(axis=1))
        anew[_reached(self.reference.smoothed, moved.elsewhere, self.back_reach)] = True
        places = np.flatnonzero(anew)
        found = scan.gaps(self.reference.smoothed[places], candidates=_CANDIDATES)
        back = Gaps(self.back.across, self.back.beside, moved.index[self.back.plane])
        return _replaced(back, slice(None), places, found)


@dataclass(frozen=True, eq=False)
class _Moved:
    """The points of P planes after a change."""

    positions: Points
    """(P, 3)."""
    changed: NDArray[np.intp]
    """Which of them lie elsewhere."""
    gone: NDArray[np.bool_]
    """(P,)."""
    tree: "cKDTree"
    """Over those that are left."""

    @cached_property
    def kept(self) -> NDArray[np.intp]:
        """(P',): those that are left."""
        return np.flatnonzero(~self.gone)

    @cached_property
    def index(self) -> NDArray[np.intp]:
        """(P,): from the planes as they were to those that are left."""
        return np.asarray(np.cumsum(~self.gone) - 1)

    @property
    def touched(self) -> NDArray[np.bool_]:
        """(P,): which lie elsewhere or are gone."""
        found = self.gone.copy()
        found[self.changed] = True
        return found

    @property
    def elsewhere(self) -> Points:
        """(K, 3): where the changed ones lie."""
        return self.positions[self.changed]


def know(points: Points, reference: Surface, scan: Surface | None = None) -> KnownScan:
    """Return a scan with its comparison.

    Args:
        points: (N, 3), N >= 4, in the frame of the reference.
        reference: the surface that it is compared with.
        scan: what `scan_surface` made of the points, where that is known.
    """
    cells = averaged(points, MOST_PLANES)
    kept, limit = np.ones(len(cells.points), dtype=bool), np.inf
    if len(kept) >= FEWEST:
        whole = scan is not None and len(scan.points) == len(kept)
        tree = scan.tree if scan is not None and whole else _tree(cells.points)
        kept, limit = on_surface(cells.points, nearest(tree, cells.points, STRAY_AMONG)[0][:, -1])
        kept = kept & ~sparse(cells, tree)
    scan = surface(cells.points[kept]) if scan is None else scan
    there = reference.gaps(reference.held_against(scan))
    scan = scan.facing_as(reference.outward[there.plane], near_enough(scan, reference, there))
    far, tried = nearest(scan.tree, reference.smoothed, _CANDIDATES)
    back = scan.gaps_to(reference.smoothed, tried)
    return KnownScan(
        cells=cells,
        place=np.where(kept, np.cumsum(kept) - 1, -1),
        scan=scan,
        reference=reference,
        comparison=comparison_of(scan, reference, there, back),
        reach=np.linalg.norm(scan.points[scan.near[:, -1]] - scan.points, axis=1),
        stray_beyond=limit,
        there=there,
        back=back,
        tried=tried,
        back_reach=far[:, -1],
    )


def _reached(points: Points, others: Points, reach: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return which points (P, 3) have one of the others (K, 3) within their own reach (P,)."""
    if not len(others):
        return np.zeros(0, dtype=np.intp)
    widest = float(reach.max())
    inside = (points >= others.min(axis=0) - widest) & (points <= others.max(axis=0) + widest)
    asked = np.flatnonzero(inside.all(axis=1))
    gaps = nearest(_tree(others), points[asked], within=widest)[0][:, 0]
    return np.asarray(asked[gaps <= reach[asked]])


def _turned_as(normals: Points, outward: Points) -> Points:
    """Return normals (R, 3) with the signs that agree with where the outside was."""
    against = np.einsum("ij,ij->i", normals, outward) < 0.0
    return np.asarray(normals * np.where(against, -1.0, 1.0)[:, None])


def _replaced(gaps: Gaps, kept: NDArray[np.intp] | slice, here: NDArray[np.intp], found: Gaps) -> Gaps:
    """Return the gaps that are kept, some of them replaced."""
    across, beside, plane = gaps.across[kept].copy(), gaps.beside[kept].copy(), gaps.plane[kept].copy()
    across[here], beside[here], plane[here] = found.across, found.beside, found.plane
    return Gaps(across, beside, plane)


def _tree(points: Points) -> "cKDTree":
    from scipy.spatial import cKDTree

    return cKDTree(points)
