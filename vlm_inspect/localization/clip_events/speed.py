"""How fast something moves, against how fast things normally move that far from the camera.

Under perspective what is far is small and slow. The logarithm of speed is therefore foretold from the place by a plane,
fitted to normal moving cells (reweighted least squares, for their median; Schlossmacher, J. Am. Stat. Assoc. 68(344),
1973, with a ridge on its slopes, so that a few cells in one corner tilt nothing). Three numbers are learned, whatever
the length of the normal clip: a few seconds are enough, where the neighbours that `motion.py` looks for need the whole
range of what people do.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.frame_curve import EventKind
from vlm_inspect.localization.clip_events.features import ClipFeatures, Floats
from vlm_inspect.localization.clip_events.grid import LeftOut, box_mean, enlarged, mean_over_frames

_REST = 0.1
"""Pixels a frame added to every speed."""
_LEAST_SHARE = 0.05
"""A cell in which less than this share changes does not move."""
_FULL_SHARE = 0.15
"""From this share on a moving cell counts in full."""
_RIDGE = 0.02
"""Per cell: how much a slope of one e-fold over the frame costs."""
_ROUNDS = 6
_NEAR = 0.2
"""Residuals below this weigh alike."""
_MOST = 5.0
"""A greater factor says no more."""


class SpeedChannel:
    """Normal speed by place."""

    name: EventKind = "speed"
    said = "something moves faster than anything normally does that far away"

    def __init__(self, stretches: Sequence[ClipFeatures]) -> None:
        """Learn from stretches of normal clips, all of one grid."""
        self._usual = usual_log_speed(stretches)

    def heat(self, features: ClipFeatures, left_out: LeftOut | None = None) -> Floats:
        """Return by which factor each place moves faster than usual, (N, gh, gw), >= 1.

        What is left out still takes part: it hardly moves three numbers that thousands of cells set.
        """
        logs, moves, weight = _speeds(features)
        factor = np.clip(np.exp(logs - self._usual), 1.0, _MOST)
        return enlarged((1.0 + np.where(moves, weight * (factor - 1.0), 0.0)).astype(np.float32), features.grid_hw)


def usual_log_speed(stretches: Sequence[ClipFeatures]) -> NDArray[np.float64]:
    """Return the natural logarithm of the usual speed of what moves, (h, w), at every other place of the grid."""
    parts = [_speeds(one) for one in stretches]
    logs = np.concatenate([speed[moves] for speed, moves, _ in parts])
    weights = np.concatenate([weight[moves] for _, moves, weight in parts])
    where = np.concatenate([np.argwhere(moves)[:, 1:] for _, moves, _ in parts])
    plane = _plane(parts[0][0].shape[1:])
    return np.asarray(plane @ _fitted(plane[where[:, 0], where[:, 1]], logs, weights), np.float64)


def _speeds(features: ClipFeatures) -> tuple[Floats, NDArray[np.bool_], Floats]:
    """Return log speed, where something moves, and how far that counts, (N, h, w) each."""
    steady = mean_over_frames(features.motion, 2)
    share, across, down = (box_mean(steady[..., k], 3)[:, ::2, ::2] for k in range(3))
    speed = np.hypot(across, down) / np.maximum(share, 1e-6)
    weight = np.sqrt(np.minimum(1.0, share / _FULL_SHARE))
    return np.log(speed + _REST).astype(np.float32), share > _LEAST_SHARE, weight.astype(np.float32)


def _plane(shape_hw: tuple[int, ...]) -> NDArray[np.float64]:
    """Return (h, w, 3): one, and the place in [0, 1] down and across."""
    rows, columns = np.mgrid[: shape_hw[0], : shape_hw[1]]
    return np.stack([np.ones(shape_hw), rows / shape_hw[0], columns / shape_hw[1]], axis=-1)


def _fitted(places: NDArray[np.float64], logs: Floats, weights: Floats) -> NDArray[np.float64]:
    """Return the three numbers of the plane; those of rest where nothing moves."""
    if not len(logs):
        return np.array([np.log(_REST), 0.0, 0.0])
    ridge = np.diag([0.0, _RIDGE, _RIDGE]) * len(logs)
    found = np.array([float(np.median(logs)), 0.0, 0.0])
    for _ in range(_ROUNDS):
        weight = weights / np.maximum(np.abs(logs - places @ found), _NEAR)
        weighted = places * weight[:, None]
        found = np.linalg.solve(weighted.T @ places + ridge, weighted.T @ logs)
    return np.asarray(found, np.float64)
