"""Where a scan deviates, as places of the part: points, centre, box, extent, depth, area and volume of each."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.registration.comparison import SCALES
from vlm_inspect.registration.judged import Judged, combined
from vlm_inspect.registration.pose import Pose, apply
from vlm_inspect.registration.surface import Points, Surface

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_EDGE = 0.12
"""A finding reaches down to this share of its peak,"""
_FLOOR = 3.0
"""but no lower than this many normal spreads, which noise reaches."""
_SURE = 10.0
"""Where single planes deviate by so many, they say alone how far it reaches: the coarse scale is wider than a flaw."""
_LEAST = 4
"""Fewest planes of a finding."""
_OPPOSITE, _OVER = -0.7, 0.5
"""Cosine between the directions, and share of the smaller size aside, up to which two findings face each other."""


@dataclass(frozen=True, eq=False)
class Finding:
    """One connected place that deviates; lengths in the scan's unit, places in its own coordinates."""

    strength: float
    """Peak, in normal spreads."""
    depth: float
    """Signed height at the peak: positive is material too much, negative too little."""
    unseen: bool
    """The scan has no surface there, as in a hole: `depth` is then how far the nearest lies."""
    peak: tuple[float, float, float]
    centre: tuple[float, float, float]
    """Mean of its planes, weighed by their area: what stands out most of a bend is its end."""
    box: tuple[tuple[float, float, float], tuple[float, float, float]]
    """Lowest and highest coordinates."""
    size: float
    """Longest extent: diameter where it is round."""
    area: float
    volume: float
    """Signed, as `depth`."""
    points: Points
    """(K, 3): its planes."""

    def told(self, unit: str) -> str:
        """Say it: "0.42 mm below the reference over 2.1 mm (3.1 mm², 0.6 mm³ missing)"."""
        if self.unseen:
            return f"material missing, nearest surface {abs(self.depth):.2f} {unit} away, over {self.size:.2g} {unit}"
        side = "above" if self.depth > 0.0 else "below"
        lost = "extra" if self.volume > 0.0 else "missing"
        amount = f"{self.area:.2g} {unit}², {abs(self.volume):.2g} {unit}³ {lost}"
        return f"{abs(self.depth):.2f} {unit} {side} the reference over {self.size:.2g} {unit} ({amount})"


@dataclass(frozen=True, eq=False)
class _Places:
    """The planes of the scan, then those of the anchor: K in all."""

    points: Points
    fine: NDArray[np.float64]
    """At the finer scale of points,"""
    strength: NDArray[np.float64]
    """and at the stronger of their scales: they say how far a place reaches,"""
    rank: NDArray[np.float64]
    """and with the zones, which place comes first: a zone is wider than a flaw, and surer than a point."""
    height: NDArray[np.float64]
    """Signed: positive is material too much."""
    unseen: NDArray[np.bool_]
    area: NDArray[np.float64]
    outward: Points
    scan: int
    """How many are the scan's."""


def find(scan: Surface, anchor: Surface, judged: Judged, to_scan: Pose, *, limit: float, most: int) -> list[Finding]:
    """Return the places that deviate by `limit` normal spreads or more, as channels together say; strongest first.

    Args:
        scan: its surface in the frame of the references.
        anchor: the reference that it was held against.
        judged: its deviations.
        to_scan: the pose from that frame to the scan's own coordinates.
        limit: least score of a peak, in normal spreads.
        most: most places returned.
    """
    by_channel = np.concatenate([judged.off, judged.lacking], axis=1)
    strength = by_channel[:SCALES].max(axis=0)
    places = _Places(
        np.concatenate([scan.points, anchor.points]),
        by_channel[0],
        strength,
        np.exp(combined(np.log(np.maximum(np.stack([strength, strength, by_channel[SCALES]], axis=1), 1e-9)))),
        np.concatenate([judged.signed, -judged.depth]),
        np.concatenate([np.zeros(len(scan.points), dtype=bool), judged.comparison.unseen]),
        np.concatenate([scan.areas, anchor.areas]),
        np.concatenate([scan.outward, anchor.outward]),
        len(scan.points),
    )
    graph = _neighbours(scan, anchor, judged)
    left = np.where(places.strength >= _FLOOR, places.strength, 0.0)
    found: list[NDArray[np.intp]] = []
    while len(found) < most and (rank := places.rank * (left > 0.0)).max(initial=0.0) >= limit:
        members = _members(places, left, int(rank.argmax()), graph)
        inner = _sure(places, members, graph)
        left[members] = 0.0
        left[np.unique(graph[members].indices)] = 0.0  # the slope of a finding is none
        if len(inner) >= _LEAST:
            found.append(inner)
    return [_finding(places, members, to_scan) for members in _through_walls(places, found)]


def _sure(places: _Places, members: NDArray[np.intp], graph: "csr_array") -> NDArray[np.intp]:
    """Return those of a finding's planes that the finer scale shows, where it shows them surely; else all."""
    fine = np.zeros(len(places.fine))
    fine[members] = np.where(places.fine[members] >= _FLOOR, places.fine[members], 0.0)
    if fine.max() < _SURE:
        return members
    inner = _members(places, fine, int(fine.argmax()), graph)
    return inner if len(inner) >= _LEAST else members


def _through_walls(places: _Places, found: list[NDArray[np.intp]]) -> list[NDArray[np.intp]]:
    """Return findings, those on both faces of a wall as one: a hole that is missing, a dent that shows behind."""
    joined: list[NDArray[np.intp]] = []
    for members in found:
        into = next((i for i, other in enumerate(joined) if _face_each_other(places, other, members)), None)
        if into is None:
            joined.append(members)
        else:
            joined[into] = np.concatenate([joined[into], members])
    return joined


def _face_each_other(places: _Places, one: NDArray[np.intp], other: NDArray[np.intp]) -> bool:
    """Whether two findings of one sign lie behind each other, no farther apart than they are wide."""
    if np.sign(places.height[one]).sum() * np.sign(places.height[other]).sum() <= 0.0:
        return False
    ways = [places.outward[members].mean(axis=0) for members in (one, other)]
    lengths = [float(np.linalg.norm(way)) for way in ways]
    if min(lengths) < -_OPPOSITE or ways[0] @ ways[1] > _OPPOSITE * lengths[0] * lengths[1]:
        return False
    sizes = [_diameter(places.points[members]) for members in (one, other)]
    apart = places.points[other].mean(axis=0) - places.points[one].mean(axis=0)
    through = float(apart @ ways[0]) / lengths[0]
    aside = float(np.sqrt(max(float(apart @ apart) - through**2, 0.0)))
    return abs(through) < max(sizes) and aside < _OVER * min(sizes)


def _neighbours(scan: Surface, anchor: Surface, judged: Judged) -> "csr_array":
    """Return who is whose neighbour among the planes of both, (K, K): on each surface, and from one to the other."""
    from scipy.sparse import coo_array

    n, m = len(scan.points), len(anchor.points)
    across = judged.comparison.plane
    own = np.repeat(np.arange(n), scan.near.shape[1])
    theirs = np.repeat(np.arange(m), anchor.near.shape[1]) + n
    start = np.concatenate([own, theirs, np.arange(n), across + n])
    end = np.concatenate([scan.near.ravel(), anchor.near.ravel() + n, across + n, np.arange(n)])
    return coo_array((np.ones(len(start), dtype=np.int8), (start, end)), shape=(n + m, n + m)).tocsr()


def _members(places: _Places, left: NDArray[np.float64], top: int, graph: "csr_array") -> NDArray[np.intp]:
    """Return the planes around one that is left, connected, on its side of the reference."""
    from scipy.sparse.csgraph import connected_components

    alike = np.flatnonzero((left >= _EDGE * left[top]) & (np.sign(places.height) == np.sign(places.height[top])))
    step = graph[alike]
    piece = connected_components(step @ step.T, directed=False)[1]  # neighbours, or with one in common
    return np.asarray(alike[piece == piece[np.searchsorted(alike, top)]])


def _finding(places: _Places, members: NDArray[np.intp], to_scan: Pose) -> Finding:
    own = members[members < places.scan]
    shown = own if len(own) >= _LEAST else members  # the scan's own points where it has some
    points = apply(to_scan, places.points[shown])
    weight, area = places.strength[shown], places.area[shown]
    peak = int(weight.argmax())
    low, high = points.min(axis=0), points.max(axis=0)
    return Finding(
        strength=float(places.strength[members].max()),
        depth=float(places.height[members[places.strength[members].argmax()]]),
        unseen=bool(places.unseen[members].mean() > 0.5),
        peak=_triple(points[peak]),
        centre=_triple((points * area[:, None]).sum(axis=0) / area.sum()),
        box=(_triple(low), _triple(high)),
        size=_diameter(points),
        area=float(area.sum()),
        volume=float((area * places.height[shown]).sum()),
        points=points,
    )


def _diameter(points: Points) -> float:
    """Return the extent of points (K, 3) along the direction in which they reach farthest."""
    centred = points - points.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2]
    return float(np.ptp(centred @ axes[0]))


def _triple(point: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(point[0]), float(point[1]), float(point[2])
