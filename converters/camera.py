"""An orthographic camera, and what it sees of a scan."""

from dataclasses import dataclass, replace
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from converters.pose import rotate

Direction = Literal["front", "back", "left", "right", "top", "bottom"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)

_AXES: dict[Direction, tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]] = {
    # right, down, away from the viewer: in the posed frame (x right, y up, z towards the viewer of the front view)
    "front": ((1, 0, 0), (0, -1, 0), (0, 0, -1)),
    "back": ((-1, 0, 0), (0, -1, 0), (0, 0, 1)),
    "left": ((0, 0, 1), (0, -1, 0), (1, 0, 0)),
    "right": ((0, 0, -1), (0, -1, 0), (-1, 0, 0)),
    "top": ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
    "bottom": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
}
_OPPOSITE: dict[Direction, Direction] = {
    "front": "back", "back": "front", "left": "right", "right": "left", "top": "bottom", "bottom": "top",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Camera:
    """An orthographic camera on the posed frame; its picture is square."""

    direction: Direction
    rotation: NDArray[np.float64]
    """(3, 3), rows: right, down and away from the viewer, in posed coordinates; determinant +1."""
    centre: NDArray[np.float64]
    """(3,), the posed point at the middle of the picture, at depth 0."""
    half_extent_mm: float
    """Half of the picture's side, in the scan's unit."""
    size: int
    """Side of the picture in pixels."""

    @classmethod
    def facing(cls, direction: Direction, half_extent_mm: float, size: int) -> Self:
        """Return the camera that looks at the posed origin from one of the six sides."""
        return cls(direction, np.array(_AXES[direction], dtype=np.float64), np.zeros(3), half_extent_mm, size)

    @property
    def mm_per_px(self) -> float:
        """Side of one pixel, in the scan's unit."""
        return 2.0 * self.half_extent_mm / self.size

    def opposite(self) -> "Camera":
        """Return the camera that looks the other way: it sees the same pixels, mirrored."""
        other = _OPPOSITE[self.direction]
        turn = np.array(_AXES[other], dtype=np.float64) @ np.array(_AXES[self.direction], dtype=np.float64).T
        return replace(self, direction=other, rotation=turn @ self.rotation)

    def pixels(self, points_posed: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Project points (N, 3) of the posed frame.

        Returns:
            xy (N, 2) in pixels, the pixel of column c and row r spans [c, c + 1) x [r, r + 1), points outside the
            picture included; and depth (N,) in the scan's unit, larger is farther, 0 at the centre.
        """
        seen = rotate(points_posed, self.rotation).T
        seen -= (self.rotation @ self.centre).astype(points_posed.dtype)[:, None]
        seen[:2] *= self.size / (2.0 * self.half_extent_mm)
        seen[:2] += self.size / 2.0
        return seen[:2].T, seen[2]


@dataclass(frozen=True, eq=False)
class DepthMap:
    """What one camera sees."""

    camera: Camera
    depth_hw: NDArray[np.float32]
    """(H, W), the scan's unit, larger is farther; NaN: background."""
    index_hw: NDArray[np.int32]
    """(H, W), row of the visible point in the scan; -1: background."""
    reach_px: int = 0
    """How far from its own pixel a point may have been drawn to close the surface."""
    outside: int = 0
    """Points that lie beyond the picture's edge."""

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(H, W), True where the part is."""
        seen: NDArray[np.bool_] = self.index_hw >= 0
        return seen
