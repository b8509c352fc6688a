"""Which findings are one flaw: behind each other through a wall, in pieces, or at one end of the part."""

import numpy as np

from vlm_inspect.registration.longest import longest_extent
from vlm_inspect.registration.places import Members, Places

_GAP, _WITHIN, _LIKE = 0.15, 0.35, 0.15
"""Shares of the larger size up to which two findings nearly touch, and have their middles in one place; and of the
strength that the weaker has at least."""
_TOUCH = 2.0
"""Point spacings up to which two findings touch."""
_AS_STRONG = 0.6
"""The same of two faces of a wall that is bent."""
_ONE_WAY, _OPPOSITE, _OVER = 0.4, -0.7, 0.5
"""Length of a finding's mean direction from which it has one (half a shaft has 0.6), cosine between two of them, and
share of the smaller size aside, up to which two findings face each other."""


def joined(places: Places, found: list[Members], ends: list[Members]) -> list[list[int]]:
    """Return which findings are one flaw, the strongest of each first, as their numbers.

    Args:
        places: all there are.
        found: the members of each finding, the strongest first.
        ends: the scan's planes next to what it lacks there; findings that share some are one flaw.
    """
    flaws: list[list[int]] = []
    for i, members in enumerate(found):
        of = [flaw for flaw in flaws if any(_one_flaw(places, (found[j], ends[j]), (members, ends[i])) for j in flaw)]
        if of:
            of[0] += [*(one for flaw in of[1:] for one in flaw), i]
            flaws = [flaw for flaw in flaws if not any(flaw is other for other in of[1:])]
        else:
            flaws.append([i])
    return flaws


def _one_flaw(places: Places, one: tuple[Members, Members], other: tuple[Members, Members]) -> bool:
    """Whether two findings, with their ends, are one flaw: behind each other through a wall, in pieces, at one end."""
    if len(np.intersect1d(one[1], other[1])):
        return True
    return _face_each_other(places, one[0], other[0]) or _beside(places, np.union1d(*one), np.union1d(*other))


def _face_each_other(places: Places, one: Members, other: Members) -> bool:
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


def _likeness(places: Places, one: Members, other: Members) -> float:
    """Return the peak of the weaker of two findings over that of the stronger."""
    low, high = sorted(float(places.strength[members].max()) for members in (one, other))
    return low / high


def _beside(places: Places, one: Members, other: Members) -> bool:
    """Whether two findings, not too unlike in strength, nearly touch or lie within each other: a dent and its lip.

    One that the reference alone shows, lacking beside what the scan shows, is a part of that, however weak.
    """
    from scipy.spatial import cKDTree

    both_shown = (one < places.own).any() and (other < places.own).any()
    if both_shown and _likeness(places, one, other) < _LIKE:
        return False
    wide = max(longest_extent(places.points[members]) for members in (one, other))
    reach = max(_GAP * wide, _TOUCH * places.scan.spacing)
    gaps = cKDTree(places.points[one]).query(places.points[other], distance_upper_bound=reach)[0]
    middles = [places.points[members].mean(axis=0) for members in (one, other)]
    return bool(np.isfinite(gaps).any() or np.linalg.norm(middles[1] - middles[0]) < _WITHIN * wide)
