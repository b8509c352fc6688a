"""Checks of a scan that does not show all of the part: what is known of the whole, and what is a lower bound.

The smallest box around a piece tilts, so its sides are no lengths of the part. They are taken along the sides of a
whole part's box, onto which the scan was laid, and hold where both ends were seen: where the scan shows a face across
the end, or reaches the end of the whole part, or shows most of the places there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.measurement.scan import End, box_axes, deviations, ends_along, posed_surface, together
from vlm_inspect.registration.alignment import PosedCloud
from vlm_inspect.registration.drawn_surface import drawn_surface
from vlm_inspect.registration.surface import Points, Surface

_END = 0.02
"""Share of a side within which a place of the part belongs to its end."""
_MOST = 0.5
"""Share of the places at an end that were scanned from which the end was."""


@dataclass(frozen=True, eq=False)
class SeenPart:
    """What of a part a scan shows."""

    whole: Surface
    """Of a whole part, in the frame that the scan was laid on."""
    scanned: NDArray[np.bool_]
    """(M,): which of its places were scanned."""
    share: float
    """Of its area that was, in [0, 1]."""


@dataclass(frozen=True)
class SeenValue:
    """A value of what was seen."""

    number: float
    unseen: str = ""
    """Why that of the whole part may be larger; "": it is that of the whole part."""


def length(scan: PosedCloud, references: Sequence[PosedCloud], seen: SeenPart) -> SeenValue:
    """Return the extent of the scan along the longest side of a whole part's smallest box, in its unit."""
    return _side(scan, seen, 0)


def width(scan: PosedCloud, references: Sequence[PosedCloud], seen: SeenPart) -> SeenValue:
    """Return that along the middle side."""
    return _side(scan, seen, 1)


def height(scan: PosedCloud, references: Sequence[PosedCloud], seen: SeenPart) -> SeenValue:
    """Return that along the shortest side."""
    return _side(scan, seen, 2)


def max_deviation(scan: PosedCloud, references: Sequence[PosedCloud], seen: SeenPart) -> SeenValue:
    """Return the largest distance of the scan's points to the nearest reference: what was not scanned may be worse."""
    own = posed_surface(scan)
    off = [deviations(own, drawn_surface(one, posed_surface(one)))[0] for one in references]
    nearest = min(off, key=lambda one: float((one**2).mean()))
    return SeenValue(float(nearest.max()), "the rest was not scanned")


def _side(scan: PosedCloud, seen: SeenPart, number: int) -> SeenValue:
    axes, usual = _whole_box(seen.whole)
    here = together(scan.points) @ axes
    axis, spacing = number, seen.whole.spacing
    found = ends_along(here, axis)
    unseen = 0
    for sign, own, whole in zip((-1.0, 1.0), found, usual[axis], strict=True):
        reached = own.at >= whole.at - spacing
        unseen += not (reached or own.is_face or _scanned_at(sign * seen.whole.points @ axes[:, axis], seen.scanned))
    told = {0: "", 1: "one end of it was not scanned", 2: "neither end of it was scanned"}
    return SeenValue(sum(one.at for one in found), told[unseen])


def _scanned_at(along: NDArray[np.float64], scanned: NDArray[np.bool_]) -> bool:
    """Return whether most places at the far end of an axis were scanned; `along` (M,) it."""
    at_end = along > along.max() - _END * np.ptp(along)
    return bool(scanned[at_end].mean() > _MOST)


@lru_cache(maxsize=2)
def _whole_box(whole: Surface) -> tuple[NDArray[np.float64], list[tuple[End, End]]]:
    """Return the axes (3, 3) of a whole part's smallest box as columns, its longest side first, and its ends."""
    points: Points = together(whole.points)
    axes = box_axes(points)
    axes = axes[:, np.argsort(-np.ptp(points @ axes, axis=0), kind="stable")]
    return axes, [ends_along(points @ axes, axis) for axis in range(3)]
