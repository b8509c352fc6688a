"""What of a part a scan shows: a place that was not scanned is neither sound nor missing.

A reference's place without any surface of the scan near it may be a hole in the part, or a side that the sensor did not
see. Small ones count as missing material; where a larger share is unseen, as in a scan from one side, it is left out of
the comparison and told. Where the scan's surface closes before it, as at the new end of a part that was cut
short, material is missing however large the place.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.registration.judged import Judged
from vlm_inspect.registration.surface import Surface
from vlm_inspect.registration.voids import voids, zone_areas
from vlm_inspect.registration.zones import zones_of

_SMALL, _LARGE = 0.001, 0.006
"""Share of the reference's area from which a connected unseen place counts, and that of all of these from which they
were not scanned: a gear of 3,000 points that shows 70 % hides single flanks of its teeth, a screw that shows 78 % has
0.0073; whole ones have 0 to 0.0015."""

_VOID = 0.005
"""Share of the area around which there are too few points, from which the scan is a piece: sound whole ones have 0 to
0.0005, pieces that show 80 to 95 % of coarse plates and tubes 0.007 to 0.034."""

_FEWEST, _OPEN = 10, 0.5
"""Points of the scan next to such a place, and the share of them at a rim from which its surface ends there: ends that
were cut have 0.01 to 0.34 of hundreds, sides that were not scanned none, or 0.68 and more;"""
_OFF, _ELSEWHERE = 5.0, 0.3
"""and the share of them so many normal spreads off: a new end lies where the part had none (0.4 to 0.7)."""

_MARGIN = 3
"""Rounds of neighbours by which such places grow: planes at a rim lean."""


@dataclass(frozen=True, eq=False)
class Coverage:
    """What a scan shows of the reference."""

    share: float
    """Of the reference's area that was scanned, in [0, 1]."""
    unscanned: NDArray[np.bool_]
    """(M,): the places of the reference that were not."""

    @property
    def partial(self) -> bool:
        """Whether a side of the part was not scanned."""
        return bool(self.unscanned.any())

    def counted(self, judged: Judged) -> Judged:
        """Return the deviations without those of places that were not scanned.

        A sensor on one side misses more than that side: flanks of a thread, walls of a recess. Where a side is missing,
        only points that the scan has tell of a deviation, and no gap does. All of them do, those at its rim included:
        what stands on a thread covers the flanks behind it, and is a rim all over.
        """
        if not self.partial:
            return judged
        everywhere = np.ones(len(judged.comparison.plane), dtype=bool)
        return judged.counting(everywhere, np.zeros_like(self.unscanned))


def seen_again(anchor: Surface, judged: Judged, *, by_numbers: bool = True) -> Coverage:
    """Return what a scan shows of the reference that it was held against.

    Args:
        anchor: the reference.
        judged: the scan's deviations from it.
        by_numbers: whether places with too few points count as well. Of a whole scan with a planted defect there are
            none that the sound one does not have.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    found, lost = judged.comparison, np.zeros(len(anchor.points), dtype=bool)
    open_ended = np.flatnonzero(found.unseen | found.rim)  # the rim of an unseen side is measured wrongly
    if found.unseen.any():
        place = np.full(len(anchor.points), -1)
        place[open_ended] = np.arange(len(open_ended))
        start = np.repeat(np.arange(len(open_ended)), anchor.near.shape[1])
        end = place[anchor.near[open_ended].ravel()]
        kept = end >= 0
        shape = (len(open_ended), len(open_ended))
        count, piece = connected_components(coo_array((kept[kept], (start[kept], end[kept])), shape=shape), False)
        size = np.bincount(piece, (anchor.areas * found.unseen)[open_ended], minlength=count)
        hidden = size > _SMALL * anchor.areas.sum()
        for one in np.flatnonzero(hidden):
            hidden[one] = not _closed_there(anchor, judged, open_ended[piece == one])
        if size[hidden].sum() > _LARGE * anchor.areas.sum():
            lost[open_ended] = hidden[piece]
    if by_numbers:
        lost |= _sparse(anchor, judged)
    if lost.any():  # where one side was not scanned, no unseen place tells missing material
        lost = np.logical_or(lost, _grown(found.unseen, anchor))
    return Coverage(1.0 - float(anchor.areas[lost].sum() / anchor.areas.sum()), lost)


def _sparse(anchor: Surface, judged: Judged) -> NDArray[np.bool_]:
    """Return the places (M,) around which the scan has too few points for its density; none where they are few."""
    few, areas = voids(anchor, judged), zone_areas(anchor)
    if areas[few].sum() <= _VOID * areas.sum():
        return np.zeros(len(anchor.points), dtype=bool)
    return np.asarray(few[zones_of(anchor).zone])


def _closed_there(anchor: Surface, judged: Judged, places: NDArray[np.intp]) -> bool:
    """Return whether the scan's surface closes before places without one, as the new end of a part cut short does."""
    found = judged.comparison
    unseen = np.zeros(len(anchor.points), dtype=bool)
    unseen[places] = found.unseen[places]
    beside = np.asarray(unseen[anchor.near].any(axis=1))
    before = beside[found.plane]
    if before.sum() < _FEWEST or found.edge[before].mean() >= _OPEN:
        return False
    return bool((judged.off[0, before] > _OFF).mean() >= _ELSEWHERE)


def _grown(places: NDArray[np.bool_], anchor: Surface) -> NDArray[np.bool_]:
    """Return places (M,) with their surroundings."""
    for _ in range(_MARGIN):
        places = np.asarray(places[anchor.near].any(axis=1))
    return places
