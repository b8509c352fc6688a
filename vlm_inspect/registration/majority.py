"""The pose in which most of a part agrees with its reference: what is bent then shows where it is bent.

An alignment lowers all residuals, so a bend is shared between both ends of a part, and each point stays small. Zones
(zones.py) say it better: a rigid motion is fitted to the deviations of two thirds of the part, along its two longest
directions and from either end, and where that leaves many more zones as normal parts have them, it is the pose.
"""

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.registration.judged import Judged
from vlm_inspect.registration.pose import Pose, small_motion
from vlm_inspect.registration.surface import Points
from vlm_inspect.registration.zones import Values

_NORMAL = 3.0
"""Normal spreads of a usual zone, the median one (those at edges vary more), up to which a zone agrees,"""
_MORE = 0.03
"""and the share of zones that must agree beyond those that did: sound parts gain 0.005 at most."""
_PIECE = 2.0 / 3.0
_STEPS = 8
_DOUBT = 2.0
"""Robust deviations of the zones that are fitted beyond which one counts little."""
_FEWEST = 50


def majority_pose(judged: Judged) -> Pose | None:
    """Return the small motion (4, 4) of the scan after which many more of its zones agree; None where none does that.

    It moves in the frame of the references.
    """
    normal = judged.pooled
    found = normal.deviations(judged.comparison)
    if found.seen.sum() < _FEWEST:
        return None
    usual = float(np.median(normal.spread))
    off = found.off / usual
    centre = normal.zones.centres.mean(axis=0)
    lever = normal.zones.centres - centre
    reach = float(np.abs(lever).max())
    rows = np.hstack([np.cross(lever / reach, normal.zones.outward), normal.zones.outward])
    best, most = None, _agreeing(off, found.seen) + _MORE
    for piece in _pieces(lever, found.seen):
        motion = _fitted(rows[piece], off[piece])
        share = _agreeing(off + rows @ motion, found.seen)
        if share > most:
            best, most = motion * usual, share
    return None if best is None else small_motion(best[:3] / reach, best[3:], centre)


def _agreeing(off: Values, seen: NDArray[np.bool_]) -> float:
    """Return the share of zones seen that are as normal parts have them."""
    return float((np.abs(off[seen]) < _NORMAL).mean())


def _pieces(lever: Points, seen: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Return the zones of the whole part, then of either end of its two longest directions."""
    pieces = [np.flatnonzero(seen)]
    for axis in np.linalg.svd(lever, full_matrices=False)[2][:2]:
        along = lever @ axis
        low, high = along.min(), along.max()
        share = (along - low) / (high - low)
        pieces += [np.flatnonzero(seen & (share < _PIECE)), np.flatnonzero(seen & (share > 1.0 - _PIECE))]
    return [piece for piece in pieces if len(piece) >= _FEWEST]


def _fitted(rows: NDArray[np.float64], off: Values) -> NDArray[np.float64]:
    """Return the motion (6,) that takes most of the deviations (n,) off, Geman-McClure weights; rows are (n, 6)."""
    weights = np.ones(len(off))
    for _ in range(_STEPS):
        weighted = rows * weights[:, None]
        matrix = weighted.T @ rows
        motion = -np.linalg.solve(matrix + 1e-6 * np.trace(matrix) * np.eye(6), weighted.T @ off)
        left = off + rows @ motion
        doubt = _DOUBT * max(1.0, 1.4826 * float(np.median(np.abs(left))))
        weights = 1.0 / (1.0 + (left / doubt) ** 2) ** 2
    return np.asarray(motion)
