"""From where a place of a part is seen best: straight on, and with nothing of the part in front of it."""

import itertools
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.registration.pose import Pose
from vlm_inspect.registration.surface import Points

Direction = NDArray[np.float64]
"""(3,), unit: from the part to the viewer."""

_AROUND: Final[Points] = np.array(
    [one / np.linalg.norm(one) for one in map(np.array, itertools.product((-1.0, 0.0, 1.0), repeat=3)) if one.any()]
)
"""(26, 3): sides, edges and corners of a cube."""
_LOOKED_INTO = 8
"""Directions, those that face the place most, for which is found out what stands in front of it."""
_CELL, _BEHIND = 2.0, 3.0
"""Cells of that test, and how far behind the nearest point another is hidden, in point spacings."""
_HIDDEN = 0.2
"""A direction that shows less of a place does not show it."""
_SIDES = (("right", "left"), ("top", "bottom"), ("front", "back"))
_LEANS = 0.35
"""Cosine from which a direction is said to lean to a side."""


@dataclass(frozen=True, eq=False)
class Sight:
    """A place of a part, and what may hide it."""

    points: Points
    """(K, 3), of the place."""
    outward: Points
    """(K, 3), unit normals of the part there."""
    part: Points
    """(N, 3), all of the part, in the same frame."""
    spacing: float
    """Between points of the part."""

    def best(self) -> tuple[Direction, bool]:
        """Return the direction from which most of the place is seen straight on, and whether it is seen at all.

        What no direction shows, as in a bore, is seen straight on where what stands in front of it is cut away.
        """
        mean = self.outward.mean(axis=0)
        length = float(np.linalg.norm(mean))
        tried = _AROUND if length < 1e-6 else np.concatenate([mean[None] / length, _AROUND])
        tried = tried[np.argsort(-np.maximum(self.outward @ tried.T, 0.0).mean(axis=0), kind="stable")]
        for some in (tried[:_LOOKED_INTO], tried[_LOOKED_INTO:]):
            found = max(some, key=self.shows)
            if self.shows(found) > _HIDDEN:
                return found, True
        return tried[0], False

    def cut_at(self, direction: Direction) -> float:
        """Return how far towards a viewer the place reaches: what is nearer to the viewer may hide it."""
        return float((self.points @ direction).max()) + _BEHIND * self.spacing

    def shows(self, direction: Direction) -> float:
        """Return how well a direction shows the place, in [0, 1]: 1 is all of it straight on."""
        facing = np.maximum(self.outward @ direction, 0.0)
        return float((facing * unhidden(self.points, self.part, direction, self.spacing)).mean())


def unhidden(points: Points, part: Points, direction: Direction, spacing: float) -> NDArray[np.bool_]:
    """Return which points (K, 3) have no point of a part (N, 3) of that spacing in front of them, (K,)."""
    across = turn_towards(direction, np.array([0.0, 1.0, 0.0]))[:2]
    cell = _CELL * spacing
    mine, others = (np.floor(some @ across.T / cell).astype(np.int64) for some in (points, part))
    low = mine.min(axis=0)
    wide, high = mine.max(axis=0) - low + 1
    inside = ((others >= low) & (others < low + np.array([wide, high]))).all(axis=1)
    front = np.full(int(wide * high), -np.inf)
    np.maximum.at(front, (others[inside] - low) @ [high, 1], part[inside] @ direction)
    return np.asarray(points @ direction > front[(mine - low) @ [high, 1]] - _BEHIND * spacing)


def turn_towards(direction: Direction, upright: Direction) -> NDArray[np.float64]:
    """Return the rotation (3, 3) that brings a direction to z, towards the viewer, with `upright` upwards."""
    right = np.cross(upright, direction)
    if np.linalg.norm(right) < 0.1:  # seen from above or below, anything may point upwards
        right = np.cross(np.roll(upright, 1), direction)
        right = right if np.linalg.norm(right) > 0.1 else np.cross(np.roll(upright, 2), direction)
    right = right / np.linalg.norm(right)
    return np.stack([right, np.cross(direction, right), direction])


def said(direction: Direction, to_posed: Pose) -> str:
    """Say a direction in the words of the six sides: "front, top right"."""
    posed = to_posed[:3, :3] @ direction
    named = [(abs(c), plus if c > 0.0 else minus) for c, (plus, minus) in zip(posed, _SIDES, strict=True)]
    leaning = [side for share, side in sorted(named, reverse=True) if share > _LEANS]
    return ", ".join([leaning[0], " ".join(leaning[1:])]) if len(leaning) > 1 else leaning[0]
