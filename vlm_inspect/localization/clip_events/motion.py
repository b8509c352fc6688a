"""How something moves at a place, against how things normally move there.

What moves in a cell, averaged over five frames (a camera that shakes averages out), is four numbers: velocity, its
length on a logarithmic scale, so that twice as fast is as far from normal near the camera as far from it; and how much
of the cell, and of its surroundings, moves. A cell is as unusual as these are far from the nearest ones of normal
frames around that place; that nothing moves is always normal.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.frame_curve import EventKind
from vlm_inspect.localization.clip_events.features import ClipFeatures, Floats
from vlm_inspect.localization.clip_events.grid import LeftOut, box_mean, mean_over_frames

REACH = 2
"""Frames before and after that a velocity is averaged over."""
_REST = 0.25
"""Pixels a frame that are as good as rest."""
_SPEED_UNIT = 0.35
"""Of a logarithm of speed: one unit of distance; a walker's speed varies by about as much."""
_SHARE_UNIT = 0.7
_SHARE_FLOOR = 0.02
_PLACE_UNIT = 0.06
"""Share of the frame's longer side that counts as one unit of distance."""
_LEAST_SHARE = 0.03
"""A cell in which less than this share changes does not move."""
_FULL_SHARE = 0.12
"""From this share on a moving cell counts in full."""
_NEAREST = 3
_PER_PLACE = 256
"""Most memories that a place is compared with."""
_ENOUGH = 48
"""A place without so many memories around it looks for them further away."""
_REACHES = (2, 4, 8, 1000)
"""Places around a place, in steps of the coarse grid, in which its memories are looked for."""


@dataclass(frozen=True, eq=False)
class _Moving:
    """Cells that move, over some frames."""

    numbers: Floats
    """(N, h, w, 4)."""
    moves: NDArray[np.bool_]
    """(N, h, w)."""
    weight: Floats
    """(N, h, w) in [0, 1]."""


def _describe(features: ClipFeatures) -> _Moving:
    steady = mean_over_frames(features.motion, REACH)
    share, across, down = (box_mean(steady[..., k], 3)[:, ::2, ::2] for k in range(3))
    around = box_mean(steady[..., 0], 7)[:, ::2, ::2]
    known = np.maximum(share, 1e-6)
    right, below = across / known, down / known
    speed = np.hypot(right, below)
    scale = np.log1p(speed / _REST) / np.maximum(speed, 1e-6) / _SPEED_UNIT
    shares = [np.log(one + _SHARE_FLOOR) / _SHARE_UNIT for one in (share, around)]
    numbers = np.stack([right * scale, below * scale, *shares], axis=-1).astype(np.float32)
    return _Moving(numbers, share > _LEAST_SHARE, np.sqrt(np.minimum(1.0, share / _FULL_SHARE)).astype(np.float32))


@dataclass(frozen=True, eq=False)
class _PlaceMemory:
    numbers: Floats
    """(M, 4)."""
    apart: Floats
    """(M,): squared distance of the place that each comes from."""
    stretch: NDArray[np.int64]
    frame: NDArray[np.int64]


class MotionChannel:
    """Normal motion, place by place."""

    name: EventKind = "motion"
    said = "something moves there as nothing normally does"

    def __init__(self, stretches: Sequence[ClipFeatures]) -> None:
        """Learn from stretches of normal clips, all of one grid."""
        parts = [_describe(one) for one in stretches]
        shape = parts[0].moves.shape[1:]
        where = [np.argwhere(one.moves) for one in parts]
        owner = np.concatenate([np.full(len(found), k) for k, found in enumerate(where)])
        rows = np.concatenate(where)
        numbers = np.concatenate([one.numbers[one.moves] for one in parts])
        side = max(shape)
        generator = np.random.default_rng(0)
        still = np.array([0.0, 0.0, np.log(_SHARE_FLOOR) / _SHARE_UNIT, np.log(_SHARE_FLOOR) / _SHARE_UNIT])
        self._places: list[_PlaceMemory] = []
        for y, x in np.ndindex(*shape):
            chosen = _around(rows, y, x)
            if len(chosen) > _PER_PLACE:
                chosen = np.sort(generator.choice(chosen, _PER_PLACE, replace=False))
            apart = ((rows[chosen, 1] - y) ** 2 + (rows[chosen, 2] - x) ** 2) / (side * _PLACE_UNIT) ** 2
            self._places.append(
                _PlaceMemory(
                    np.concatenate([numbers[chosen], np.repeat(still[None], _NEAREST, axis=0)]).astype(np.float32),
                    np.concatenate([apart, np.zeros(_NEAREST)]).astype(np.float32),
                    np.concatenate([owner[chosen], np.full(_NEAREST, -2)]),
                    np.concatenate([rows[chosen, 0], np.zeros(_NEAREST, np.int64)]),
                )
            )

    def heat(self, features: ClipFeatures, left_out: LeftOut | None = None) -> Floats:
        """Return how unusual the motion is, (N, gh, gw), >= 0; 0 where nothing moves."""
        found = _describe(features)
        heat = np.zeros(found.moves.shape, np.float32)
        for (y, x), memory in zip(np.ndindex(*found.moves.shape[1:]), self._places, strict=True):
            judged = np.flatnonzero(found.moves[:, y, x])
            if len(judged):
                hidden = None if left_out is None else left_out.hides(memory.stretch, memory.frame, judged)
                heat[judged, y, x] = _distance(found.numbers[judged, y, x], memory, hidden)
        return _enlarged(heat * found.weight, features.grid_hw)


def _around(rows: NDArray[np.int64], y: int, x: int) -> NDArray[np.int64]:
    """Return which memories lie around a place: those of the nearest surroundings that hold enough."""
    apart = np.maximum(np.abs(rows[:, 1] - y), np.abs(rows[:, 2] - x))
    found = np.flatnonzero(apart <= _REACHES[0])
    for reach in _REACHES[1:]:
        if len(found) >= _ENOUGH:
            break
        found = np.flatnonzero(apart <= reach)
    return found


def _distance(numbers: Floats, memory: _PlaceMemory, hidden: NDArray[np.bool_] | None) -> Floats:
    square = (numbers**2).sum(axis=1)[:, None] + (memory.numbers**2).sum(axis=1) - 2 * numbers @ memory.numbers.T
    square = np.maximum(square, 0.0) + memory.apart
    if hidden is not None:
        square[hidden] = np.inf
    nearest = np.partition(square, _NEAREST - 1, axis=1)[:, :_NEAREST]
    return np.asarray(np.sqrt(nearest).mean(axis=1), dtype=np.float32)


def _enlarged(heat: Floats, size_hw: tuple[int, int]) -> Floats:
    """Return the heat of the coarse grid on the full one."""
    return np.ascontiguousarray(heat.repeat(2, axis=1).repeat(2, axis=2)[:, : size_hw[0], : size_hw[1]])
