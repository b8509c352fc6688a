"""Which points of a scan show a flaw: how far it reaches from where it stands out.

Deviations are medians over nine points, which noise asks for and which blur a flaw by a spacing or two. Where a flaw
is told, its single points say how far it reaches: those that lie off by a share of its height. Where that share lies in
the noise, the profile of a round flaw is fitted to all points around, and says where it meets the surface. Of an end
that was cut off, the reference says what is missing, and the scan's points next to that show it: the whole new end.
"""

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.registration.places import Members, Places, connected_pieces
from vlm_inspect.registration.surface import Points, nearest

SHOWS = 0.15
"""A point shows a flaw from this share of its height on."""
_NOISY = 2.5
"""Times what a single point is in doubt by (noise, and how normal parts differ) that it must lie off by."""
_TOP, _LEAST_TOP = 0.05, 3
"""Share of a finding's points, and how many at least, whose mean is its height."""
_PIECE = 0.1
"""Share of a finding's largest piece from which another counts."""
_LACKS = 0.5
"""Share of a finding's depth from which a place of the reference is missing with it."""
_IN_NOISE = 4.0
"""Times what a single point is in doubt by, below which that share of a flaw's height is not told by single points."""
_ONE_WAY, _FILLED = 0.5, 0.6
"""Length of its planes' mean direction, and share of the planes around its middle that show it, of a round flaw."""
_POWERS, _RADII = (0.5, 1.0, 2.0, 3.0), (0.6, 2.5, 24)
FEWEST = 4
"""Fewest planes of a finding."""


def end_of(places: Places, members: Members) -> Members:
    """Return the scan's planes next to what it lacks where a finding lies, all around; none where nothing is lacking.

    Points of a new end lie off by how far the nearest wall is, which may be thin; the reference's places that are
    missing lie off by how much was cut, all of them.
    """
    none, judged = np.zeros(0, dtype=np.intp), places.judged
    depth = -float(places.height[members[places.strength[members].argmax()]])
    if depth <= 0.0 or (judged.comparison.apart.any() and not judged.depth.any()):  # of a piece no gap tells anything
        return none
    own = members[members < places.own]
    deepest = float(np.abs(places.height[own]).max()) if len(own) else depth
    lacks = np.flatnonzero(judged.comparison.lacking[0] > _LACKS * deepest)
    start = np.zeros(len(places.anchor.points), dtype=bool)
    start[members[members >= places.own] - places.own] = True
    start[places.anchor.near[judged.comparison.plane[own]]] = True
    missing = [piece for piece in connected_pieces(lacks, places.anchor.near) if start[piece].any()]
    if not missing:
        return none
    return np.unique(nearest(places.scan.tree, places.anchor.points[np.concatenate(missing)])[1])


def shown_by(places: Places, members: Members, end: Members) -> Members:
    """Return the scan's planes that show a flaw; the members of its finding where single points say nothing.

    Args:
        places: all there are.
        members: of the finding, all on one side of the reference.
        end: the scan's planes next to what it lacks there.
    """
    own = np.union1d(members[members < places.own], end)
    if len(own) < FEWEST:
        return members
    side = float(np.sign(places.height[members[places.strength[members].argmax()]]))
    around = np.unique(places.scan.near[own]).astype(np.intp)
    share = SHOWS * top_height(side * places.raw[own])
    doubt = np.hypot(places.noise, places.spread[around])
    kept = around[side * places.raw[around] > np.maximum(share, _NOISY * doubt)]
    pieces = connected_pieces(kept, places.scan.near)
    inside = [int(np.isin(piece, own).sum()) for piece in pieces]
    least = max(1.0, _PIECE * max(inside, default=0))
    kept = np.sort(np.concatenate([kept[:0], *(p for p, n in zip(pieces, inside, strict=True) if n >= least)]))
    if len(kept) < FEWEST:
        return members
    return _within_rim(places, kept, side) if share < _IN_NOISE * float(np.median(doubt)) else kept


def top_height(heights: NDArray[np.float64]) -> float:
    """Return the height of a flaw from those of its points (N,), N >= 1, above the surface: the mean of the highest."""
    count = min(len(heights), max(_LEAST_TOP, round(_TOP * len(heights))))
    return float(np.partition(heights, -count)[-count:].mean())


def _within_rim(places: Places, kept: Members, side: float) -> Members:
    """Return the planes within the rim of a round flaw, where the profile that fits best meets the surface.

    `kept` are the planes that noise does not hide; they come back where the flaw is not round, or turns over an edge.
    """
    way = places.scan.outward[kept].mean(axis=0)
    length = float(np.linalg.norm(way))
    if length < _ONE_WAY:
        return kept
    around = np.unique(places.scan.near[places.scan.near[kept]]).astype(np.intp)
    around = around[places.scan.outward[around] @ way > _ONE_WAY * length]
    weight = np.maximum(side * places.raw[kept], 0.0)
    centre = weight @ places.points[kept] / weight.sum()
    aside, own = (_aside(places.points[some] - centre, way / length) for some in (around, kept))
    wide = float(np.quantile(own, 0.9))
    if len(kept) < _FILLED * (aside <= wide).sum():
        return kept
    found = around[aside <= _rim(aside, side * places.raw[around], wide)]
    return found if len(found) >= FEWEST else kept


def _aside(off: Points, way: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far points (N, 3) lie from the axis through the origin in a direction (3,), a unit vector."""
    return np.asarray(np.linalg.norm(off - (off @ way)[:, None] * way, axis=1))


def _rim(aside: NDArray[np.float64], heights: NDArray[np.float64], wide: float) -> float:
    """Return the radius at which a round flaw has `SHOWS` of its height left.

    Of the profiles h (1 - (r / R)^2)^p, steep (p = 1/2) to smooth (3), the one that fits heights (N,) at distances (N,)
    from its axis best, in least squares; radii R from 0.6 to 2.5 of how wide it is as far as noise lets see.
    """
    best, rim = np.inf, wide
    for power in _POWERS:
        for radius in wide * np.geomspace(*_RADII):
            shape = np.clip(1.0 - (aside / radius) ** 2, 0.0, None) ** power
            peak = float(shape @ heights) / max(float(shape @ shape), 1e-300)
            left = float(((heights - peak * shape) ** 2).sum())
            if left < best:
                best, rim = left, float(radius * np.sqrt(1.0 - SHOWS ** (1.0 / power)))
    return rim
