"""How something moves at a place, against how things normally move there.

What moves in a cell, averaged over five frames (a camera that shakes averages out), is four numbers: velocity, as a
share of the speed that is usual that far from the camera (`speed.py`), its length on a logarithmic scale; and how much
of the cell, and of its surroundings, moves. A cell is as unusual as these, and its place, are far from the nearest ones
of normal frames, wherever those were: a short normal clip does not show at every place what is normal there. That
nothing moves is always normal.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.frame_curve import EventKind
from vlm_inspect.localization.clip_events.features import ClipFeatures, Floats
from vlm_inspect.localization.clip_events.grid import LeftOut, box_mean, enlarged, mean_over_frames
from vlm_inspect.localization.clip_events.speed import usual_log_speed

REACH = 2
"""Frames before and after that a velocity is averaged over."""
_REST = 0.25
"""Pixels a frame that are as good as rest."""
_SPEED_UNIT = 0.35
"""Of a logarithm of speed: one unit of distance; a walker's speed varies by about as much."""
_SHARE_UNIT = 0.7
_SHARE_FLOOR = 0.02
_PLACE_UNIT = 0.12
"""Share of the frame's longer side that counts as one unit of distance."""
_LEAST_SHARE = 0.03
"""A cell in which less than this share changes does not move."""
_FULL_SHARE = 0.12
"""From this share on a moving cell counts in full."""
_NEAREST = 3
_MOST = 1024
"""Most normal cells that are remembered."""
_AT_ONCE = 8192
"""Cells that are compared at once."""


@dataclass(frozen=True, eq=False)
class _Moving:
    """Cells that move, over some frames."""

    numbers: Floats
    """(N, h, w, 4)."""
    moves: NDArray[np.bool_]
    """(N, h, w)."""
    weight: Floats
    """(N, h, w) in [0, 1]."""


def _describe(features: ClipFeatures, usual: Floats) -> _Moving:
    """Return the cells that move.

    Args:
        features: of some frames.
        usual: (h, w), what a velocity is multiplied with to be told as one in the middle of the picture.
    """
    steady = mean_over_frames(features.motion, REACH)
    share, across, down = (box_mean(steady[..., k], 3)[:, ::2, ::2] for k in range(3))
    around = box_mean(steady[..., 0], 7)[:, ::2, ::2]
    known = np.maximum(share, 1e-6)
    right, below = across / known * usual, down / known * usual
    speed = np.hypot(right, below)
    scale = np.log1p(speed / _REST) / np.maximum(speed, 1e-6) / _SPEED_UNIT
    shares = [np.log(one + _SHARE_FLOOR) / _SHARE_UNIT for one in (share, around)]
    numbers = np.stack([right * scale, below * scale, *shares], axis=-1).astype(np.float32)
    return _Moving(numbers, share > _LEAST_SHARE, np.sqrt(np.minimum(1.0, share / _FULL_SHARE)).astype(np.float32))


class MotionChannel:
    """Normal motion."""

    name: EventKind = "motion"
    said = "something moves there as nothing normally does"

    def __init__(self, stretches: Sequence[ClipFeatures], kept: Sequence[NDArray[np.bool_]]) -> None:
        """Learn from stretches of normal clips, all of one grid.

        Args:
            stretches: S of them.
            kept: of each which frames count, (N,).
        """
        log_speed = usual_log_speed(stretches)
        self._usual = np.exp(np.median(log_speed) - log_speed).astype(np.float32)
        parts = [_describe(one, self._usual) for one in stretches]
        self._side = max(parts[0].moves.shape[1:]) * _PLACE_UNIT
        counted = [one.moves & frames[:, None, None] for one, frames in zip(parts, kept, strict=True)]
        where = [np.argwhere(one) for one in counted]
        stretch = np.concatenate([np.full(len(found), k) for k, found in enumerate(where)])
        rows = np.concatenate(where)
        numbers = np.concatenate([one.numbers[moves] for one, moves in zip(parts, counted, strict=True)])
        if len(rows) > _MOST:
            chosen = np.sort(np.random.default_rng(0).choice(len(rows), _MOST, replace=False))
            stretch, rows, numbers = stretch[chosen], rows[chosen], numbers[chosen]
        self._stretch, self._frame = stretch, rows[:, 0]
        self._memory = np.concatenate([numbers, rows[:, 1:] / self._side], axis=1).astype(np.float32)
        self._still = np.array([0.0, 0.0, *[np.log(_SHARE_FLOOR) / _SHARE_UNIT] * 2], np.float32)

    def heat(self, features: ClipFeatures, left_out: LeftOut | None = None) -> Floats:
        """Return how unusual the motion is, (N, gh, gw), >= 0; 0 where nothing moves."""
        found = _describe(features, self._usual)
        where = np.argwhere(found.moves)
        heat = np.zeros(found.moves.shape, np.float32)
        for start in range(0, len(where), _AT_ONCE):
            some = where[start : start + _AT_ONCE]
            places = tuple(some.T)
            judged = np.concatenate([found.numbers[places], some[:, 1:] / self._side], axis=1).astype(np.float32)
            hidden = None if left_out is None else left_out.hides(self._stretch, self._frame, some[:, 0])
            heat[places] = self._distance(judged, hidden)
        return enlarged(heat * found.weight, features.grid_hw)

    def _distance(self, judged: Floats, hidden: NDArray[np.bool_] | None) -> Floats:
        """Return the mean distance to the nearest normal cells, or to rest, (J,)."""
        still = np.sqrt(((judged[:, :4] - self._still) ** 2).sum(axis=1))
        if len(self._memory) < _NEAREST:
            return np.asarray(still, np.float32)
        square = (judged**2).sum(axis=1)[:, None] + (self._memory**2).sum(axis=1) - 2 * judged @ self._memory.T
        np.maximum(square, 0.0, out=square)
        if hidden is not None:
            square[hidden] = np.inf
        nearest = np.sqrt(_least(square, _NEAREST))
        return np.asarray(np.minimum(nearest, still[:, None]).mean(axis=1), dtype=np.float32)


def _least(values: Floats, count: int) -> Floats:
    """Return the least values of each row, (J, count); overwrites them. For a few, faster than a partition."""
    rows = np.arange(len(values))
    found = np.empty((len(values), count), values.dtype)
    for k in range(count):
        at = values.argmin(axis=1)
        found[:, k] = values[rows, at]
        values[rows, at] = np.inf
    return found
