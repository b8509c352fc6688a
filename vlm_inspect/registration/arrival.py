"""How a scan arrives among the references of its class: its pose, or why it has none.

A scan in another unit has another size, and several parts that lie apart are more than one piece with more surface than
one part. Both are seen before anything is laid onto anything: to lay on a scan that is not one part tries every way
there is, in vain.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vlm_inspect.array_cache import Arrays
from vlm_inspect.registration.alignment import align
from vlm_inspect.registration.connected import large_pieces
from vlm_inspect.registration.identity import SHOWN, Mismatch, fits, other_unit, size_of, told_several
from vlm_inspect.registration.levels import Levels, levels
from vlm_inspect.registration.pose import Pose, shift
from vlm_inspect.registration.surface import Points

_MORE = 1.25
"""Surface of a scan over that of one part from which it may show several."""
_ALIKE = 0.15
"""How far the size of a piece may be from that of the part, to be tried as one."""


@dataclass(frozen=True, eq=False)
class Arrival:
    """How a scan lies, or what it shows that cannot lie anywhere."""

    pose: Pose
    """float64 (4, 4): the scan's own coordinates to those of the anchor; where it has none, middle on middle."""
    mismatch: Mismatch | None = None
    """What it shows instead of the part; None: it may be that."""


def arrive(points: Points, anchor: Levels, sensor: Sequence[float] | None = None) -> Arrival:
    """Return how a scan comes to lie on the anchor of its class.

    Args:
        points: (N, 3), finite, N >= 4.
        anchor: what it is laid onto.
        sensor: (3,), the one place that it was seen from; None: there is none.
    """
    scan = levels(points, sensor)
    said = other_unit(scan.dense, anchor) or _several(scan, anchor)
    if said is not None:
        return Arrival(shift(anchor.middle - scan.middle), said)
    return Arrival(align(scan, anchor).pose)


def _several(scan: Levels, anchor: Levels) -> Mismatch | None:
    """Return what is said of parts that lie apart, where one of them is that of the anchor."""
    if scan.dense.areas.sum() < _MORE * anchor.dense.areas.sum():
        return None
    pieces = large_pieces(scan.dense)
    if len(pieces) < 2:
        return None
    usual = size_of(anchor.dense.points)
    alike = 0
    for piece in pieces:
        one = scan.dense.points[piece]
        alike += abs(size_of(one) / usual - 1.0) < _ALIKE and fits(align(one, anchor, pieces=False))
    return told_several(len(pieces), int(np.sum(alike))) if alike else None


def pack_arrival(arrival: Arrival) -> Arrays:
    """Return an arrival as named arrays."""
    packed: Arrays = {"pose": arrival.pose}
    if arrival.mismatch is not None:
        said = f"{arrival.mismatch.shows}\n{arrival.mismatch.said}"
        packed["said"] = np.frombuffer(said.encode(), np.uint8)
    return packed


def unpack_arrival(arrays: Arrays) -> Arrival:
    """Return the arrival that `pack_arrival` took apart.

    Raises:
        KeyError, ValueError: the arrays are not those of an arrival.
    """
    pose = np.asarray(arrays["pose"], np.float64)
    if pose.shape != (4, 4):
        raise ValueError(f"a pose of shape {pose.shape}, not (4, 4)")
    if "said" not in arrays:
        return Arrival(pose)
    shows, said = arrays["said"].tobytes().decode().split("\n", 1)
    known = next((one for one in SHOWN if one == shows), None)
    if known is None:
        raise ValueError(f"a scan cannot show {shows!r}")
    return Arrival(pose, Mismatch(said, known))
