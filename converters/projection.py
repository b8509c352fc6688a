"""An orthographic z-buffer: points of a scan to pixels, and pixels back to points.

One pass gives depth and point index together: both share one int64, depth above and index below, so the smallest key
of a pixel is its nearest point. The largest key is the nearest point seen from the other side, which makes six views
out of three projections.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.camera import DIRECTIONS, Camera, DepthMap, Direction
from converters.pose import ScanFrame, canonical_frame
from converters.sample import PointCloud, ScanGrid
from converters.surface import close_surface, surface_density
from converters.view import BoxXyxyn, Place

__all__ = [
    "DIRECTIONS",
    "Camera",
    "DepthMap",
    "Direction",
    "Projection",
    "ScanFrame",
    "ScanOrigin",
    "canonical_frame",
    "project",
    "project_like",
    "zbuffer",
    "zbuffer_pair",
]

_BLOCK = 1 << 16
"""Points projected at a time: their coordinates stay in the processor's cache."""
_HARDLY, _LITTLE = 0.1, 0.25
"""Share of the pixels that changed on the side that shows most below which a side is taken over: as points fall into
pixels, where what lies behind a surface changes some, too, and with closed surfaces."""
_NO_NEAREST, _NO_FARTHEST = np.iinfo(np.int64).max, np.iinfo(np.int64).min


def zbuffer(points_posed: NDArray[np.floating], camera: Camera) -> DepthMap:
    """Return the nearest point of every pixel; a point covers just the pixel that it falls in.

    Args:
        points_posed: (N, 3), posed coordinates, finite, N < 2^31; points outside the picture are left out.
        camera: where to look from.
    """
    return zbuffer_pair(points_posed, camera)[0]


def zbuffer_pair(points_posed: NDArray[np.floating], camera: Camera) -> tuple[DepthMap, DepthMap]:
    """Return what a camera sees and what its opposite sees, for the price of one projection."""
    nearest = np.full(camera.size**2, _NO_NEAREST, dtype=np.int64)
    farthest = np.full(camera.size**2, _NO_FARTHEST, dtype=np.int64)
    inside = 0
    for start in range(0, len(points_posed), _BLOCK):
        pixel, key = _pack(points_posed[start : start + _BLOCK], start, camera)
        np.minimum.at(nearest, pixel, key)
        np.maximum.at(farthest, pixel, key)
        inside += len(pixel)
    outside = len(points_posed) - inside
    other = camera.opposite()
    mirror = (slice(None), slice(None, None, -1))
    if np.array_equal(camera.rotation[0], other.rotation[0]):
        mirror = (slice(None, None, -1), slice(None))
    depth_hw, index_hw = _unpack(nearest, _NO_NEAREST, camera.size)
    behind_hw, index_behind_hw = _unpack(farthest, _NO_FARTHEST, camera.size)
    mirrored_hw: NDArray[np.float32] = np.ascontiguousarray(behind_hw[mirror]) * np.float32(-1.0)
    return (
        DepthMap(camera, depth_hw, index_hw, outside=outside),
        DepthMap(other, mirrored_hw, np.ascontiguousarray(index_behind_hw[mirror]), outside=outside),
    )


def _pack(
    points_posed: NDArray[np.floating], start: int, camera: Camera
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Flat pixel and key of the points inside the picture; `start` is the index of the first point.

    The bits of a float32 are in the order of its value once those of negative numbers are flipped, so that keys compare
    as depths do, and as indices where the depths are equal.
    """
    xy, depth = camera.pixels(points_posed)
    bits = depth.astype(np.float32).view(np.int32)
    key = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).astype(np.int64)
    key <<= 32
    key |= np.arange(start, start + len(key), dtype=np.int64)
    if len(xy) and xy.min() >= 0.0 and xy.max() < camera.size:
        cell = xy.T.astype(np.int64)
        return cell[1] * camera.size + cell[0], key
    inside = ((xy >= 0.0) & (xy < camera.size)).all(axis=1)
    cell = xy[inside].T.astype(np.int64)
    return cell[1] * camera.size + cell[0], key[inside]


def _unpack(best: NDArray[np.int64], empty: int, size: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Depth (H, W), NaN where empty, and index (H, W), -1 where empty."""
    bits = (best >> 32).astype(np.int32)
    depth = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).view(np.float32)
    seen = best != empty
    index = np.where(seen, best & 0xFFFFFFFF, -1).astype(np.int32)
    return np.where(seen, depth, np.float32(np.nan)).reshape(size, size), index.reshape(size, size)


@dataclass(frozen=True, eq=False)
class Projection:
    """What is seen of a scan from the six sides."""

    density: float
    """Points a square mm of surface, from `surface_density`."""
    points: dict[Direction, DepthMap]
    """As the points fall into pixels."""
    surfaces: dict[Direction, DepthMap]
    """With closed surfaces."""


def project(cloud: PointCloud, frame: ScanFrame, size: int) -> dict[Direction, DepthMap]:
    """Return what is seen of a scan from the six sides, with closed surfaces; `size` is the side in pixels."""
    return project_like(cloud, frame, size).surfaces


def project_like(cloud: PointCloud, frame: ScanFrame, size: int, before: Projection | None = None) -> Projection:
    """Return what is seen of a scan from the six sides.

    Args:
        cloud: the scan.
        frame: pose and scale.
        size: side of a view in pixels.
        before: of the same scan with a few points elsewhere, in the same frame and size. Its density holds, and the
            depth map of a side that shows nothing of the change, or less than a quarter of what the side that shows
            most does, is the same object; its indices are those of that scan.
    """
    density = surface_density(cloud.points) if before is None else before.density
    posed = np.empty((3, len(cloud.points)), dtype=np.float32)
    for start in range(0, posed.shape[1], _BLOCK):
        posed[:, start : start + _BLOCK] = frame.posed(cloud.points[start : start + _BLOCK]).T
    points = {seen.camera.direction: seen for seen in _pairs(posed.T, frame, size)}
    if before is None:
        return Projection(density, points, {side: close_surface(seen, density) for side, seen in points.items()})
    told = _telling(points, before.points, _HARDLY)
    closed = {side: close_surface(points[side], density) for side in told}
    # What changed may lie behind what is seen: points show through the gaps of others until those are closed.
    told = _telling(closed, before.surfaces, _LITTLE)
    return Projection(
        density, points, {side: closed[side] if side in told else before.surfaces[side] for side in points}
    )


def _telling(now: dict[Direction, DepthMap], before: dict[Direction, DepthMap], share: float) -> list[Direction]:
    """Return the sides on which at least that share of the pixels changed that changed on the side that shows most."""
    changed = {side: _changed(seen, before[side]) for side, seen in now.items()}
    most = max(changed.values(), default=0)
    return [side for side, count in changed.items() if count and count >= share * most]


def _changed(one: DepthMap, other: DepthMap) -> int:
    """Return how many pixels of two depth maps differ; the points that they show may have other indices."""
    if one.outside != other.outside:
        return one.depth_hw.size
    differs = (one.depth_hw != other.depth_hw) & ~(np.isnan(one.depth_hw) & np.isnan(other.depth_hw))
    return int(np.count_nonzero(differs))


def _pairs(posed: NDArray[np.float32], frame: ScanFrame, size: int) -> Iterator[DepthMap]:
    for direction in ("front", "left", "top"):
        yield from zbuffer_pair(posed, Camera.facing(direction, frame.half_extent_mm, size))


@dataclass(frozen=True, eq=False)
class ScanOrigin:
    """Maps pixels of a view of a scan to points of the scan."""

    index_hw: NDArray[np.int32]
    """(H, W), row of `points` seen in a pixel; -1: background."""
    points: NDArray[np.float64]
    """(N, 3), all points of the scan, in its own coordinates and unit."""
    camera: Camera
    pose: NDArray[np.float64]
    """(4, 4), rigid: scan coordinates to posed coordinates."""
    grid: ScanGrid | None = None
    """Pixels of `points` in an organised scan."""

    @property
    def mm_per_px(self) -> float:
        """Side of one pixel on the part, in the scan's unit."""
        return self.camera.mm_per_px

    def locate(self, box_xyxyn: BoxXyxyn) -> Place:
        """Return a visible point of the scan near the middle of a box, and the longest side of the box in mm.

        It is the one nearest to the middle whose depth is usual for the middle half of the box (within three median
        deviations of the median), so that a pixel seen past an edge or through a gap does not decide. A box that shows
        only background gives the nearest visible point.
        """
        x0, y0, x1, y1 = (value * self.camera.size for value in box_xyxyn)
        rows, columns = self._visible_near(x0, y0, x1, y1)
        points = self.points[self.index_hw[rows, columns]]
        away = self.pose[:3, :3].T @ self.camera.rotation[2]
        depth = (points - points[0]) @ away / self.mm_per_px
        unusual = np.abs(depth - np.median(depth))
        aside = np.hypot(columns + 0.5 - (x0 + x1) / 2, rows + 0.5 - (y0 + y1) / 2)
        best = points[np.argmin(np.where(unusual <= 3.0 * np.median(unusual) + 2.0, aside, np.inf))]
        side = max(x1 - x0, y1 - y0) * self.mm_per_px
        return Place(point_mm=(float(best[0]), float(best[1]), float(best[2])), size_mm=side)

    def _visible_near(self, x0: float, y0: float, x1: float, y1: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows and columns of the visible pixels in the middle half of a box, else in the box, else the nearest one."""
        quarter_x, quarter_y = (x1 - x0) / 4, (y1 - y0) / 4
        for dx, dy in ((quarter_x, quarter_y), (0.0, 0.0)):
            top, left = int(np.floor(y0 + dy)), int(np.floor(x0 + dx))
            bottom, right = max(int(np.ceil(y1 - dy)), top + 1), max(int(np.ceil(x1 - dx)), left + 1)
            rows, columns = np.nonzero(self.index_hw[max(top, 0) : bottom, max(left, 0) : right] >= 0)
            if len(rows):
                return rows + max(top, 0), columns + max(left, 0)
        rows, columns = np.nonzero(self.index_hw >= 0)
        if not len(rows):
            raise ValueError("a view of a scan shows at least one point")
        nearest = [np.argmin(np.hypot(columns + 0.5 - (x0 + x1) / 2, rows + 0.5 - (y0 + y1) / 2))]
        return rows[nearest], columns[nearest]
