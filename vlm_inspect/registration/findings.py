"""Where a scan deviates, as places of the part: points, centre, box, extent, depth, area and volume of each."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.registration.flaw_extent import FEWEST, bent_with, end_of, shown_by, top_height
from vlm_inspect.registration.flaw_joining import joined
from vlm_inspect.registration.judged import Judged
from vlm_inspect.registration.longest import longest_extent
from vlm_inspect.registration.places import Members, Places, places_of
from vlm_inspect.registration.pose import Pose, apply
from vlm_inspect.registration.surface import Points, Surface
from vlm_inspect.registration.told_finding import OTHER_SIDE

_EDGE = 0.12
"""A finding reaches down to this share of its peak,"""
_FLOOR = 3.0
"""but no lower than this many normal spreads, which noise reaches, unless its zones deviate and planes say little;"""
_HALF = 0.5
"""and one that zones alone show to this share of its zone's deviation."""
_SURE = 10.0
"""Where single planes deviate by so many, they say alone how far it reaches: the coarse scale is wider than a flaw."""
_WIDE, _LEAK, _STEP = 0.02, 10.0, 1.3
"""Share of the scan's area from which a finding may have leaked into a face that deviates as a whole: it has where it
is so many times as large as what stands out half as far as its peak; and the steps in which its threshold rises."""
_BOTH = 0.3
"""Share of a finding's area on the other side of the reference from which it has both."""
_OF_BEND = 0.5
"""Share of the planes of a weaker finding within a bend, or of a bend's within it, from which it is part of that."""


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


def find(scan: Surface, anchor: Surface, judged: Judged, to_scan: Pose, *, limit: float, most: int) -> list[Finding]:
    """Return the places that deviate by `limit` normal spreads or more, as channels together say; strongest first.

    Those that zones alone show come last, however wide they are: where one ends is in doubt.

    Args:
        scan: its surface in the frame of the references.
        anchor: the reference that it was held against.
        judged: its deviations.
        to_scan: the pose from that frame to the scan's own coordinates.
        limit: least score of a peak, in normal spreads.
        most: most places returned.
    """
    places = places_of(scan, anchor, judged)
    if judged.score() >= limit:  # the whole stands out by several places, each a little below it
        limit = min(limit, float(places.rank.max(initial=0.0)))
    left = np.where((places.strength >= _FLOOR) | (places.zones >= limit), places.strength, 0.0)
    found: list[Members] = []
    while len(found) < most and (rank := places.rank * (left > 0.0)).max(initial=0.0) >= limit:
        top = _told_by_points(places, left, int(rank.argmax()), limit)
        members = _members(places, left, top)
        wide = _by_zones(places, members, top)
        inner = _sure(places, members) if wide is None else wide
        both = np.union1d(members, inner)
        left[both] = 0.0
        left[np.unique(places.graph[both].indices)] = 0.0  # the slope of a finding is none
        left[_skirt(places, top, limit)] = 0.0
        if len(inner) >= FEWEST:
            found.append(inner)
    ends = [end_of(places, members) for members in found]
    made: list[Finding] = []
    bent: list[tuple[float, Members]] = []
    for flaw in joined(places, found, ends):
        members, end = (np.concatenate([each[i] for i in flaw]) for each in (found, ends))
        both_sides = _on_both_sides(places, members)
        shown = bent_with(places, members) if both_sides else shown_by(places, members, end)
        one = _finding(places, members, shown, to_scan, both_sides, evenly=len(end) > 0 and not both_sides)
        if any(one.strength < strength and _share_half(shown, bend) for strength, bend in bent):
            continue
        made.append(one)
        if both_sides:
            bent.append((one.strength, shown))
    return sorted(made, key=lambda one: one.strength < _FLOOR)


def _told_by_points(places: Places, left: NDArray[np.float64], top: int, limit: float) -> int:
    """Return the place to begin with: where planes say nothing at the top, the surest of those that moved its zone."""
    if places.strength[top] >= _FLOOR or places.zones[top] < limit:
        return top
    around = places.connected(np.flatnonzero(places.zones >= limit), top)
    surest = int(around[left[around].argmax()])
    return surest if left[surest] >= _SURE else top


def _by_zones(places: Places, members: Members, top: int) -> Members | None:
    """Return the scan's planes around one whose zones deviate half as much, where single planes say nothing."""
    if top >= places.own or places.strength[members].max() >= _FLOOR:
        return None
    alike = np.flatnonzero(places.zones[: places.own] >= _HALF * places.zones[top])
    return places.connected(alike, top)


def _skirt(places: Places, top: int, limit: float) -> Members:
    """Return the planes that say nothing themselves, in zones that deviate with the one at the top of a finding."""
    if places.zones[top] < limit:
        return np.zeros(0, dtype=np.intp)
    around = places.connected(np.flatnonzero(places.zones >= limit), top)
    return np.asarray(around[places.strength[around] < _FLOOR])


def _sure(places: Places, members: Members) -> Members:
    """Return those of a finding's planes that the finer scale shows, where it shows them surely; else all."""
    fine = np.zeros(len(places.fine))
    fine[members] = np.where(places.fine[members] >= _FLOOR, places.fine[members], 0.0)
    if fine.max() < _SURE:
        return members
    inner = _members(places, fine, int(fine.argmax()))
    return inner if len(inner) >= FEWEST else members


def _members(places: Places, left: NDArray[np.float64], top: int) -> Members:
    """Return the planes around one that is left, connected, on its side of the reference.

    Where they reach over a whole face, which deviates as lots do, while few stand out half as far as the peak, the
    threshold rises until they do not.
    """
    least = _EDGE * left[top] if left[top] < _SURE else max(_FLOOR, _EDGE * left[top])
    side = np.sign(places.height) == np.sign(places.height[top])
    found = places.connected(np.flatnonzero((left >= least) & side), top)
    core, wide = None, _WIDE * float(places.area[: places.own].sum())
    while least < _HALF * left[top] and float(places.area[found].sum()) > wide:
        if core is None:
            core = places.connected(np.flatnonzero((left >= _HALF * left[top]) & side), top)
            wide = max(wide, _LEAK * float(places.area[core].sum()))
        least *= _STEP
        found = places.connected(np.flatnonzero((left >= least) & side), top)
    return found


def _on_both_sides(places: Places, members: Members) -> bool:
    """Whether much of a finding lies on the other side of the reference than its strongest place."""
    strongest = members[places.strength[members].argmax()]
    area, same = places.area[members], places.height[members] * places.height[strongest] > 0.0
    return float(area[~same].sum()) > _BOTH * float(area.sum())


def _share_half(one: Members, other: Members) -> bool:
    """Whether the smaller of two places lies in the other with half of its planes."""
    return len(np.intersect1d(one, other)) > _OF_BEND * min(len(one), len(other))


def _finding(
    places: Places, members: Members, shown: Members, to_scan: Pose, both_sides: bool, *, evenly: bool = False
) -> Finding:
    """Return the finding of its members, and of the planes that show how far it reaches.

    With `evenly` each point counts the same for its middle: areas at a rim, as a new end has, are told badly.
    """
    strongest = members[places.strength[members].argmax()]
    depth = float(places.height[strongest])
    own = shown[shown < places.own]
    told = len(own) >= FEWEST  # by the scan's own points, where it has some
    shown = own if told else shown
    area, height = places.area[shown], places.height[shown]
    if told and not both_sides:
        height = places.raw[own]
        if strongest < places.own:
            depth = float(np.sign(depth)) * top_height(np.sign(depth) * height)
    points = apply(to_scan, places.points[shown])
    low, high = points.min(axis=0), points.max(axis=0)
    return Finding(
        strength=float(places.strength[strongest]),
        depth=depth,
        unseen=bool(places.unseen[members].mean() > 0.5),
        peak=_triple(points[places.strength[shown].argmax()]),
        centre=_triple(np.average(points, axis=0, weights=None if evenly else area)),
        box=(_triple(low), _triple(high)),
        size=longest_extent(points),
        area=float(area.sum()),
        volume=float((area * height)[height * depth > 0.0 if both_sides else slice(None)].sum()),
        points=points,
        both_sides=both_sides,
    )


def _triple(point: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(point[0]), float(point[1]), float(point[2])
