"""Which points of a scan show a flaw: how far it reaches from where it stands out.

Deviations are medians over nine points, which noise asks for and which blur a flaw by a spacing or two. Where a flaw
is told, its single points say how far it reaches: those that lie off by a share of its height. Where that share lies in
the noise, the profile of a round flaw is fitted to all points around, and says where it meets the surface. Of an end
that was cut off, the reference says what is missing, and the scan's points next to that show it: the whole new end.
"""

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.registration.longest import longest_extent
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
_LACKS, _CLEAR = 0.5, 0.35
"""Share of a finding's depth, and of the scan's spacing at least, within which the scan has no point off a place of the
reference that is missing with it."""
_NEAR, _SMALL, _WIDER = 2.0, 0.1, 1.3
"""Depths of a finding, beside two spacings, up to which such places lie from it; share of the reference's area below
which they are an end, not a side that was not scanned; and times how long the finding is that the end is at least."""
_BENT, _BEYOND, _BESIDE = 0.08, 2.0, 0.25
"""Share of a bend's largest deviation down to which it reaches, but no lower than so many times how far normal parts
differ; and share of how long a piece of it is within which another lies."""
_IN_NOISE = 4.0
"""Times what a single point is in doubt by, below which that share of a flaw's height is not told by single points."""
_ONE_WAY, _FILLED = 0.5, 0.6
"""Length of its planes' mean direction, and share of the planes around its middle that show it, of a round flaw."""
_POWERS, _RADII = (0.5, 1.0, 2.0, 3.0), (0.6, 2.5, 24)
"""Powers of the profiles tried; least and largest radius, times how wide the flaw is seen, and how many."""
FEWEST = 4
"""Fewest planes of a finding."""


def end_of(places: Places, members: Members) -> Members:
    """Return the scan's planes at a new end, all of it, of which a finding shows a part; none where there is no end.

    Points of a new end lie off by how far the nearest wall is, which may be thin; the reference's places beyond it
    have no point of the scan on their plane, all of them.
    """
    from scipy.spatial import cKDTree

    none = np.zeros(0, dtype=np.intp)
    own = members[members < places.own]
    if len(own) < FEWEST or places.height[members[places.strength[members].argmax()]] >= 0.0:
        return none
    deepest = float(np.abs(places.height[own]).max())
    lacks = places.lacks(max(_LACKS * deepest, _CLEAR * places.scan.spacing))
    if not len(lacks):
        return none
    reach = _NEAR * deepest + 2.0 * places.scan.spacing
    gaps = cKDTree(places.points[own]).query(places.anchor.points[lacks], distance_upper_bound=reach)[0]
    start, area = np.zeros(len(places.anchor.points), dtype=bool), places.anchor.areas
    start[lacks] = np.isfinite(gaps)
    pieces = [piece for piece in connected_pieces(lacks, places.anchor.near) if start[piece].any()]
    missing = [piece for piece in pieces if area[piece].sum() < _SMALL * area.sum()]
    if not missing:
        return none
    end = np.unique(nearest(places.scan.tree, places.anchor.points[np.concatenate(missing)])[1])
    wide = longest_extent(places.points[own])
    return end if longest_extent(places.points[end]) > _WIDER * wide else none


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
    share = SHOWS * top_height(side * places.raw[own])
    doubt = np.hypot(places.noise, places.spread)
    least = np.maximum(share, _NOISY * doubt)
    least[end] = _NOISY * places.noise  # the reference says that something is missing there
    around = np.unique(places.scan.near[own]).astype(np.intp)
    kept = _pieces_of(places, around[side * places.raw[around] > least[around]], own)
    if len(kept) < FEWEST:
        return members
    return _within_rim(places, kept, side) if share < _IN_NOISE * float(np.median(doubt[around])) else kept


def bent_with(places: Places, members: Members) -> Members:
    """Return the planes of a wall that is bent, both faces, from those of its finding.

    What the face around explains is not taken off here: of a bend it explains where that begins. A tube that is bent
    slides along itself where it faces aside: its two halves deviate in pieces, a little apart.
    """
    own = members[members < places.own]
    if len(own) < FEWEST:
        return members
    height = np.abs(places.judged.signed)
    least = np.maximum(_BENT * float(height[own].max()), _BEYOND * places.spread)
    bent = np.union1d(np.flatnonzero(height > least), own)
    begun = places.connected(bent, int(own[height[own].argmax()]))
    rest = np.setdiff1d(bent, begun)
    reach = _BESIDE * longest_extent(places.points[begun])
    beside = [
        piece
        for piece in connected_pieces(rest, places.scan.near)
        if len(piece) > _PIECE * len(begun) and _gap(places, begun, piece, reach) < reach
    ]
    return np.unique(np.concatenate([members, begun, *beside]))


def _gap(places: Places, one: Members, other: Members, reach: float) -> float:
    """Return the least distance between points of one and the other; infinite beyond `reach`."""
    from scipy.spatial import cKDTree

    gaps = cKDTree(places.points[one]).query(places.points[other], distance_upper_bound=reach)[0]
    return float(np.min(gaps))


def _pieces_of(places: Places, shows: Members, own: Members) -> Members:
    """Return those of the planes that hang together with planes of a finding, but for single ones."""
    pieces = connected_pieces(shows, places.scan.near)
    inside = [int(np.isin(piece, own).sum()) for piece in pieces]
    least = max(1.0, _PIECE * max(inside, default=0))
    return np.sort(np.concatenate([shows[:0], *(p for p, n in zip(pieces, inside, strict=True) if n >= least)]))


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
