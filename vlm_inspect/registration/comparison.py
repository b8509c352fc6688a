"""A scan held against a reference: signed distances both ways, at two scales, in the unit of the scans.

Signs keep noise from adding up: means of signed distances tend to zero where the surfaces agree. A median over the
nearest points comes first, so that a stray point near the surface moves nothing.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.registration.surface import NEIGHBOURS, Gaps, Points, Surface, nearest, surface
from vlm_inspect.registration.thinning import Cells, averaged

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

MOST_PLANES = 60_000
"""Most planes of one side of a comparison; a denser scan is averaged in cells first."""
SCALES = 2
"""Fine: the median of nine neighbouring points. Coarse: means of that over some forty: for what is wide and shallow."""
_MEDIAN_OF = 9
_UNSEEN = 4.0
"""A place farther than this many spacings from a scan's surface, nearest to its rim, is a hole or was not scanned."""
_PAST = 1.5
"""One this many spacings past a rim was not scanned: a thin shaft has no place farther from what a scan shows of it."""
_OPPOSITE = 0.5
"""Cosine against each other from which a place has only the other side of a wall near it, which tells nothing of it."""
_APART = 2.5
"""A place farther than this many spacings from a scan's surface has none of its points near it."""
_LONELY = 5.0
"""A point this many times farther from its fourth neighbour than is usual belongs to no surface."""

_STRAY, _COMPANY = 6.0, 2
"""Robust deviations from the points around beyond which a point is a stray, and how many of those that lie half as far
off on the same side make it none."""

FEWEST = 20
"""Points of a cloud from which on strays can be told."""
_FEW, _SPARSE, _BALL, _SAMPLED = 0.5, 0.25, 1.5, 500
"""Shares of the usual number of points, in a cell and within so many of its sides, below which a dense scan has no
surface there; and at how many cells what is usual is counted."""

STRAY_AMONG = 5
"""Points, itself included, that tell whether a point belongs to a surface."""

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Comparison:
    """A scan with N planes against a reference with M planes."""

    off: Values
    """(SCALES, N): signed distance of the scan's points from the reference; positive: material too much."""
    plane: NDArray[np.intp]
    """(N,): the reference's plane that each point was held against."""
    raw: Values
    """(N,): the same as `off` before anything is averaged: noise of the scanner, and no more."""
    stray: NDArray[np.bool_]
    """(N,): which points lie alone, far from what the points around say."""
    lacking: Values
    """(SCALES, M): signed distance of the reference's points from the scan; positive: material lacking. Where the scan
    has no surface it is how far the nearest lies."""
    apart: NDArray[np.bool_]
    """(M,): whether no surface of the scan lies near that place. Elsewhere the scan's own points tell what is lacking:
    a plane of a coarse scan that bridges a groove does not."""
    unseen: NDArray[np.bool_]
    """(M,): the scan has no surface at that place of the reference."""
    edge: NDArray[np.bool_]
    """(N,): whether the scan's surface ends at that point, or near it."""
    rim: NDArray[np.bool_]
    """(M,): what the scan has nearest to that place is the rim of its surface, or lies beside it."""

    @property
    def deviations(self) -> tuple[Values, Values]:
        """(N,) and (M,), >= 0: how far, fine scale."""
        return np.abs(self.off[0]), np.abs(self.lacking[0])


def scan_surface(points: Points) -> Surface:
    """Return the surface of a scan's points (N, 3), averaged where they are many; strays are left out."""
    return surface(without_strays(averaged(points, MOST_PLANES)))


def without_strays(cells: Cells) -> Points:
    """Return the points (M, 3) of cells without those that no surface is near of; all of them where most would go."""
    from scipy.spatial import cKDTree

    points = cells.points
    if len(points) < FEWEST:
        return points
    tree = cKDTree(points)
    kept = on_surface(points, nearest(tree, points, STRAY_AMONG)[0][:, -1])[0] & ~sparse(cells, tree)
    return points if kept.all() else points[kept]


def sparse(cells: Cells, tree: "cKDTree") -> NDArray[np.bool_]:
    """Return which cells (M,) hold few points, with few around them, so that none of them is of a surface.

    Of a dense scan 0.2 % strays are 1 % of the cells, close enough to each other that the distances between cells tell
    nothing. A tree over the cells' points is given.
    """
    counts = cells.counts
    usual, found = float(np.median(counts)), np.zeros(len(counts), dtype=bool)
    asked = np.flatnonzero(counts <= _FEW * usual)
    if not len(asked):
        return found
    some = np.arange(0, len(counts), -(-len(counts) // _SAMPLED))
    counted = np.append(counts, 0)  # where there are fewer neighbours, the index is that of no cell
    asked_of, usually = (
        counted[nearest(tree, cells.points[rows], NEIGHBOURS, within=_BALL * cells.side)[1]].sum(axis=1)
        for rows in (asked, some)
    )
    found[asked] = asked_of < _SPARSE * float(np.median(usually))
    return found


def on_surface(points: Points, reach: NDArray[np.float64]) -> tuple[NDArray[np.bool_], float]:
    """Return which points (N,) are no strays, and the distance beyond which one is; infinite where most would go.

    Args:
        points: (N, 3).
        reach: (N,), distance from each to the farthest of its `STRAY_AMONG` nearest, itself among them.
    """
    limit = _LONELY * max(float(np.median(reach)), 1e-300)
    kept = reach <= limit
    return (kept, limit) if kept.mean() >= 0.5 else (np.ones(len(points), dtype=bool), np.inf)


def compare(scan: Surface, reference: Surface) -> Comparison:
    """Return the comparison of two surfaces that lie in one frame.

    The reference says which side of the scan is outside: of a scan from one side, its own shape does not.
    """
    there = reference.gaps(reference.held_against(scan))
    scan = scan.facing_as(reference.outward[there.plane], near_enough(scan, reference, there))
    return comparison_of(scan, reference, there, scan.gaps(reference.smoothed))


def near_enough(scan: Surface, reference: Surface, there: Gaps) -> NDArray[np.bool_]:
    """Return for which of the scan's points (N,), from where they lie, the reference says what is outside."""
    return np.asarray(there.distance < _UNSEEN * max(scan.spacing, reference.spacing))


def comparison_of(scan: Surface, reference: Surface, there: Gaps, back: Gaps) -> Comparison:
    """Return the comparison from where the points of both lie against the other.

    Args:
        scan: turned as the reference says.
        reference: the other.
        there: the scan's N points against the reference.
        back: the reference's M points against the scan.
    """
    spacing = max(scan.spacing, reference.spacing)
    signed = _signed(there)
    off = smoothed(scan, signed)
    raw = signed + np.einsum("ij,ij->i", scan.points - reference.held_against(scan), reference.outward[there.plane])
    lacking = smoothed(reference, _signed(back))
    rim = scan.rim[back.plane] | (back.beside > 0.0)
    facing = np.einsum("ij,ij->i", scan.outward[back.plane], reference.outward)
    behind = (facing < -_OPPOSITE) & (back.distance > spacing)
    beside = back.beside > np.abs(back.across)
    past = scan.rim[back.plane] & beside & (back.distance > _PAST * spacing)
    far = back.distance > _UNSEEN * spacing
    unseen = behind | past | (far & (scan.rim[back.plane] | (facing < 0.0) | beside))
    far |= behind | past
    for _ in range(3):  # single planes of a rim are told wrongly: the places around decide
        unseen = far & (unseen[reference.near].sum(axis=1) > 0.5 * far[reference.near].sum(axis=1))
    edge = np.asarray(scan.rim[scan.near].any(axis=1))
    stray = strays(scan, raw, off[0])
    return Comparison(off, there.plane, raw, stray, lacking, back.distance > _APART * spacing, unseen, edge, rim)


def far_off(found: Comparison) -> float:
    """Return how far off nine in ten points of a scan lie at most, at the fine scale, in its unit."""
    return float(np.quantile(np.abs(found.off[0]), 0.9))


def smoothed(one: Surface, values: Values) -> Values:
    """Return values (N,) of a surface's points at each of its scales, (SCALES, N)."""
    around = values[one.near[:, :_MEDIAN_OF]]
    middle = around.shape[1] // 2
    fine = np.partition(around, middle, axis=1)[:, middle]
    return np.stack([fine, fine[one.near].mean(axis=1)[one.near].mean(axis=1)])


def strays(scan: Surface, raw: Values, usual: Values) -> NDArray[np.bool_]:
    """Return which points (N,) are off by far more than noise, and nearly alone in that.

    Points on the steep side of a burr are as far from the median of those around, but not alone.

    Args:
        scan: their surface.
        raw: (N,) signed deviations.
        usual: (N,) medians of those around.
    """
    apart = raw - usual
    far = np.flatnonzero(np.abs(apart) > _STRAY * 1.4826 * float(np.median(np.abs(apart))) + 1e-12)
    around = (raw[scan.near[far, 1:]] - usual[far, None]) * np.sign(apart[far, None])
    found = np.zeros(len(raw), dtype=bool)
    found[far] = (around > 0.5 * np.abs(apart[far, None])).sum(axis=1) < _COMPANY
    return found


def _signed(gaps: Gaps) -> Values:
    """Return the distances (N,) with their sign; past a rim, where planes tell no side, there is material too much."""
    past = gaps.beside > np.abs(gaps.across)
    return np.asarray(gaps.distance * np.where(past, 1.0, np.sign(gaps.across)))
