"""Where a scan deviates, as places of the part: points, centre, box, extent, depth, area and volume of each."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.registration.comparison import SCALES
from vlm_inspect.registration.judged import Judged, combined
from vlm_inspect.registration.pose import Pose, apply
from vlm_inspect.registration.surface import Points, Surface
from vlm_inspect.registration.told_finding import OTHER_SIDE

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_EDGE = 0.12
"""A finding reaches down to this share of its peak,"""
_FLOOR = 3.0
"""but no lower than this many normal spreads, which noise reaches, unless its zones deviate and planes say little;"""
_HALF = 0.5
"""and one that zones alone show to this share of its zone's deviation."""
_SURE = 10.0
"""Where single planes deviate by so many, they say alone how far it reaches: the coarse scale is wider than a flaw."""
_LEAST = 4
"""Fewest planes of a finding."""
_DIRECTIONS = 200
_GAP, _WITHIN, _LIKE = 0.15, 0.35, 0.15
"""Shares of the larger size up to which two findings nearly touch, and have their middles in one place; and of the
strength that the weaker has at least."""
_AS_STRONG = 0.6
"""The same of two faces of a wall that is bent."""
_BOTH = 0.3
"""Share of a finding's area on the other side of the reference from which it has both."""
_ONE_WAY, _OPPOSITE, _OVER = 0.4, -0.7, 0.5
"""Length of a finding's mean direction from which it has one (half a shaft has 0.6), cosine between two of them, and
share of the smaller size aside, up to which two findings face each other."""


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
    """Signed, as `depth`; of a wall that is bent, on the side of `depth` alone."""
    points: Points
    """(K, 3): its planes."""
    both_sides: bool = False
    """Whether as large an area lies on the other side of the reference: a wall is bent, or lies elsewhere."""

    def told(self, unit: str) -> str:
        """Say it: "0.42 mm below the reference over 2.1 mm (3.1 mm², 0.6 mm³ missing)".

        Of a bend: "..., the other side above".
        """
        if self.unseen:
            return f"material missing, nearest surface {abs(self.depth):.2f} {unit} away, over {self.size:.2g} {unit}"
        side = "above" if self.depth > 0.0 else "below"
        lost = "extra" if self.volume > 0.0 else "missing"
        amount = f"{self.area:.2g} {unit}², {abs(self.volume):.2g} {unit}³ {lost}"
        said = f"{abs(self.depth):.2f} {unit} {side} the reference over {self.size:.2g} {unit} ({amount})"
        return f"{said}, {OTHER_SIDE} {'below' if self.depth > 0.0 else 'above'}" if self.both_sides else said


@dataclass(frozen=True, eq=False)
class _Places:
    """The planes of the scan, then those of the anchor: K in all."""

    points: Points
    fine: NDArray[np.float64]
    """At the finer scale of points,"""
    strength: NDArray[np.float64]
    """and at the stronger of their scales: they say how far a place reaches,"""
    zones: NDArray[np.float64]
    """Of the zones, wider than a flaw and surer than a point: where points say nothing, they say how far it reaches;"""
    rank: NDArray[np.float64]
    """and together, which place comes first."""
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
        by_channel[SCALES],
        np.exp(combined(np.log(np.maximum(np.stack([strength, strength, by_channel[SCALES]], axis=1), 1e-9)))),
        np.concatenate([judged.signed, -judged.depth]),
        np.concatenate([np.zeros(len(scan.points), dtype=bool), judged.comparison.unseen]),
        np.concatenate([scan.areas, anchor.areas]),
        np.concatenate([scan.outward, anchor.outward]),
        len(scan.points),
    )
    graph = _neighbours(scan, anchor, judged)
    left = np.where((places.strength >= _FLOOR) | (places.zones >= limit), places.strength, 0.0)
    found: list[NDArray[np.intp]] = []
    while len(found) < most and (rank := places.rank * (left > 0.0)).max(initial=0.0) >= limit:
        top = int(rank.argmax())
        members = _members(places, left, top, graph)
        wide = _by_zones(places, members, top, graph)
        inner = _sure(places, members, graph) if wide is None else wide
        both = np.union1d(members, inner)
        left[both] = 0.0
        left[np.unique(graph[both].indices)] = 0.0  # the slope of a finding is none
        left[_skirt(places, top, limit, graph)] = 0.0
        if len(inner) >= _LEAST:
            found.append(inner)
    return [_finding(places, members, to_scan) for members in _joined(places, found)]


def _by_zones(places: _Places, members: NDArray[np.intp], top: int, graph: "csr_array") -> NDArray[np.intp] | None:
    """Return the scan's planes around one whose zones deviate half as much, where single planes say nothing."""
    if top >= places.scan or places.strength[members].max() >= _FLOOR:
        return None
    alike = np.flatnonzero(places.zones[: places.scan] >= _HALF * places.zones[top])
    return _connected(alike, top, graph)


def _skirt(places: _Places, top: int, limit: float, graph: "csr_array") -> NDArray[np.intp]:
    """Return the planes that say nothing themselves, in zones that deviate with the one at the top of a finding."""
    if places.zones[top] < limit:
        return np.zeros(0, dtype=np.intp)
    around = _connected(np.flatnonzero(places.zones >= limit), top, graph)
    return np.asarray(around[places.strength[around] < _FLOOR])


def _sure(places: _Places, members: NDArray[np.intp], graph: "csr_array") -> NDArray[np.intp]:
    """Return those of a finding's planes that the finer scale shows, where it shows them surely; else all."""
    fine = np.zeros(len(places.fine))
    fine[members] = np.where(places.fine[members] >= _FLOOR, places.fine[members], 0.0)
    if fine.max() < _SURE:
        return members
    inner = _members(places, fine, int(fine.argmax()), graph)
    return inner if len(inner) >= _LEAST else members


def _joined(places: _Places, found: list[NDArray[np.intp]]) -> list[NDArray[np.intp]]:
    """Return findings, those of one flaw as one, the strongest of each first."""
    flaws: list[list[NDArray[np.intp]]] = []
    for members in found:
        of = [flaw for flaw in flaws if any(_one_flaw(places, other, members) for other in flaw)]
        if of:
            of[0] += [*(one for flaw in of[1:] for one in flaw), members]
            flaws = [flaw for flaw in flaws if not any(flaw is other for other in of[1:])]
        else:
            flaws.append([members])
    return [np.concatenate(flaw) for flaw in flaws]


def _one_flaw(places: _Places, one: NDArray[np.intp], other: NDArray[np.intp]) -> bool:
    """Whether two findings are one flaw: behind each other through a wall, or in pieces, as a thread's turns are."""
    return _face_each_other(places, one, other) or _beside(places, one, other)


def _face_each_other(places: _Places, one: NDArray[np.intp], other: NDArray[np.intp]) -> bool:
    """Whether two findings lie behind each other, no farther apart than they are wide.

    Of one sign they are a hole that is missing, or a dent that shows behind; of two, and alike, a wall that is bent.
    """
    apart_in_sign = np.sign(places.height[one]).sum() * np.sign(places.height[other]).sum() <= 0.0
    if apart_in_sign and _likeness(places, one, other) < _AS_STRONG:
        return False
    ways = [places.outward[members].mean(axis=0) for members in (one, other)]
    lengths = [float(np.linalg.norm(way)) for way in ways]
    if min(lengths) < _ONE_WAY or ways[0] @ ways[1] > _OPPOSITE * lengths[0] * lengths[1]:
        return False
    sizes = [longest_extent(places.points[members]) for members in (one, other)]
    apart = places.points[other].mean(axis=0) - places.points[one].mean(axis=0)
    through = float(apart @ ways[0]) / lengths[0]
    aside = float(np.sqrt(max(float(apart @ apart) - through**2, 0.0)))
    return abs(through) < max(sizes) and aside < _OVER * min(sizes)


def _likeness(places: _Places, one: NDArray[np.intp], other: NDArray[np.intp]) -> float:
    """Return the peak of the weaker of two findings over that of the stronger."""
    low, high = sorted(float(places.strength[members].max()) for members in (one, other))
    return low / high


def _beside(places: _Places, one: NDArray[np.intp], other: NDArray[np.intp]) -> bool:
    """Whether two findings, not too unlike in strength, nearly touch or lie within each other: a dent and its lip."""
    from scipy.spatial import cKDTree

    if _likeness(places, one, other) < _LIKE:
        return False
    wide = max(longest_extent(places.points[members]) for members in (one, other))
    gaps = cKDTree(places.points[one]).query(places.points[other], distance_upper_bound=_GAP * wide)[0]
    middles = [places.points[members].mean(axis=0) for members in (one, other)]
    return bool(np.isfinite(gaps).any() or np.linalg.norm(middles[1] - middles[0]) < _WITHIN * wide)


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
    least = _EDGE * left[top] if left[top] < _SURE else max(_FLOOR, _EDGE * left[top])
    alike = np.flatnonzero((left >= least) & (np.sign(places.height) == np.sign(places.height[top])))
    return _connected(alike, top, graph)


def _connected(alike: NDArray[np.intp], top: int, graph: "csr_array") -> NDArray[np.intp]:
    """Return those of the places, given in order, that are connected with one of them."""
    from scipy.sparse.csgraph import connected_components

    step = graph[alike]
    piece = connected_components(step @ step.T, directed=False)[1]  # neighbours, or with one in common
    return np.asarray(alike[piece == piece[np.searchsorted(alike, top)]])


def _finding(places: _Places, members: NDArray[np.intp], to_scan: Pose) -> Finding:
    own = members[members < places.scan]
    shown = own if len(own) >= _LEAST else members  # the scan's own points where it has some
    points = apply(to_scan, places.points[shown])
    weight, area, height = places.strength[shown], places.area[shown], places.height[shown]
    peak = int(weight.argmax())
    depth = float(places.height[members[places.strength[members].argmax()]])
    same = height * depth > 0.0
    both_sides = float(area[~same].sum()) > _BOTH * float(area.sum())
    low, high = points.min(axis=0), points.max(axis=0)
    return Finding(
        strength=float(places.strength[members].max()),
        depth=depth,
        unseen=bool(places.unseen[members].mean() > 0.5),
        peak=_triple(points[peak]),
        centre=_triple((points * area[:, None]).sum(axis=0) / area.sum()),
        box=(_triple(low), _triple(high)),
        size=longest_extent(points),
        area=float(area.sum()),
        volume=float((area * height)[same if both_sides else slice(None)].sum()),
        points=points,
        both_sides=both_sides,
    )


def longest_extent(points: Points) -> float:
    """Return the extent of points (K, 3), K >= 1, in the direction in which they reach farthest, to 1 %."""
    return float(np.ptp((points - points.mean(axis=0)) @ _directions().T, axis=0).max())


@lru_cache(maxsize=1)
def _directions() -> Points:
    """Return unit vectors (D, 3), spread evenly over half of the sphere."""
    index = np.arange(_DIRECTIONS) + 0.5
    height, turn = index / _DIRECTIONS, np.pi * (1.0 + np.sqrt(5.0)) * index
    aside = np.sqrt(1.0 - height**2)
    return np.column_stack([aside * np.cos(turn), aside * np.sin(turn), height])


def _triple(point: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(point[0]), float(point[1]), float(point[2])
