"""Closes the surface between the points of a z-buffer: gaps are filled, points seen through gaps are hidden.

A point is drawn as large as the density of the points asks for. Drawing it as a disc and then taking the disc off the
outline again is a morphological closing (Serra, Image Analysis and Mathematical Morphology, 1982, ch. II): gaps
narrower than the disc close, while outlines, drilled holes and slots that are wider keep their place and size.
"""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from converters.camera import DepthMap

_DENSITY_POINTS = 20_000
_DENSITY_QUERIES = 2_000
_NEIGHBOURS = 8
_GAP_RATE = 0.002
_MAX_REACH_PX = 24
_DISC_PX = 8
"""Largest disc that is passed over a picture at once; a larger one is that one several times, at less cost."""
_FAR = np.float32(np.finfo(np.float32).max)
_STEEPEST = 1.0
"""Depth over width up to which a jump inside a disc is a slope of the surface, not a look through it (45 degrees)."""


def close_surface(seen: DepthMap, density: float) -> DepthMap:
    """Return the depth map without gaps between neighbouring points of one surface.

    A pixel that a point fell in keeps that point, unless it lies behind the surface around it. A filled pixel takes the
    index and the depth of the nearest point that is visible.

    Args:
        seen: one point a pixel, from the z-buffer.
        density: points a square mm of surface, from `surface_density`.
    """
    if not seen.mask.any():
        return seen
    per_px = density * seen.camera.mm_per_px**2
    reach = _reach_px(per_px)
    # An area A holds no point somewhere on P pixels when P exp(-density A) ~ 1: a smaller spot may be chance.
    largest = float(np.log(seen.mask.size) / per_px)
    slack = np.float32(_STEEPEST * (2 * reach + 1) * seen.camera.mm_per_px)
    part = _window(seen.mask)
    depth_hw, index_hw = np.full_like(seen.depth_hw, np.nan), np.full_like(seen.index_hw, -1)
    nearest, covered = _nearest_visible(seen.depth_hw[part], reach, largest, slack)
    depth_hw[part] = np.where(covered, seen.depth_hw[part].ravel()[nearest], np.float32(np.nan))
    index_hw[part] = np.where(covered, seen.index_hw[part].ravel()[nearest], -1)
    return replace(seen, depth_hw=depth_hw, index_hw=index_hw, reach_px=reach)


def _window(hit: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The part of the picture that has points, and one pixel around it."""
    rows, columns = np.flatnonzero(hit.any(axis=1)), np.flatnonzero(hit.any(axis=0))
    return slice(max(rows[0] - 1, 0), rows[-1] + 2), slice(max(columns[0] - 1, 0), columns[-1] + 2)


def _nearest_visible(
    depth: NDArray[np.float32], reach: int, largest: float, slack: np.float32
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """For every pixel the flat index of the nearest one with a visible point, and whether the part covers it."""
    hit = ~np.isnan(depth)
    # Hidden or not, a point is proof that the part is there.
    covered = _closed(hit, reach)
    covered |= _small(~covered, largest)
    visible = hit & ~_pits(np.where(hit, depth, _FAR), reach, slack)
    nearest = nearest_true(visible)
    pits = _pits(np.where(covered, depth.ravel()[nearest], _FAR), math.ceil(math.sqrt(largest / math.pi)), slack)
    chance = _small(pits, largest)
    if not chance.any():
        return nearest, covered
    return nearest_true(visible & ~chance), covered


def surface_density(points: NDArray[np.float64]) -> float:
    """Return how many points lie on a square mm of surface where the scan is thin (its 10 % quantile).

    Counted in space, on a few points and their neighbours, because a view adds the points of all layers behind each
    other. On a surface, k neighbours within a radius r are k / (pi r^2) points a unit of area.

    Args:
        points: (N, 3), N >= 4, not all in one place.
    """
    from scipy.spatial import KDTree

    step = max(1, len(points) // _DENSITY_POINTS)
    some = points[::step] - points[0]
    count = min(_NEIGHBOURS, len(some) - 1)
    asked = some[:: max(1, len(some) // _DENSITY_QUERIES)]
    radius: NDArray[np.float64] = np.asarray(KDTree(some).query(asked, k=count + 1)[0])[:, count]
    radius = radius[radius > 0.0]
    if not len(radius):
        return float(len(points) / np.ptp(points, axis=0).max() ** 2)
    return float(len(points) / len(some) * np.quantile(count / (np.pi * radius**2), 0.1))


def _reach_px(density: float) -> int:
    """Radius of the disc with which about one place in five hundred stays uncovered."""
    side = np.sqrt(-np.log(_GAP_RATE) / density)
    return int(np.clip(np.ceil((side - 1.0) / 2.0), 0, _MAX_REACH_PX))


def _disc(reach: int) -> NDArray[np.uint8]:
    import cv2

    disc: NDArray[np.uint8] = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return disc


def _pits(depth: NDArray[np.float32], reach: int, slack: np.float32) -> NDArray[np.bool_]:
    """Pixels that lie deeper than `slack` in a hollow which a disc of that radius does not fit into."""
    import cv2

    if reach == 0:
        return np.zeros(depth.shape, dtype=np.bool_)
    # Few points far apart ask for a disc as large as the picture, whose cost would grow with its area.
    reach = min(reach, _MAX_REACH_PX)
    times = math.ceil(reach / _DISC_PX)
    disc = _disc(math.ceil(reach / times))
    closed = cv2.dilate(cv2.erode(depth, disc, iterations=times), disc, iterations=times)
    pits: NDArray[np.bool_] = (depth < _FAR) & (depth > closed + slack)
    return pits


def _closed(hit: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    import cv2

    # A border of background keeps a part that leaves the picture from closing along the edge.
    grid = cv2.copyMakeBorder(hit.astype(np.uint8), reach, reach, reach, reach, cv2.BORDER_CONSTANT, value=0)
    closed: NDArray[np.bool_] = cv2.morphologyEx(grid, cv2.MORPH_CLOSE, _disc(reach)).astype(np.bool_)
    height, width = hit.shape
    return closed[reach : reach + height, reach : reach + width]


def _small(mask: NDArray[np.bool_], largest: float) -> NDArray[np.bool_]:
    """Spots of a mask, apart from the picture's edge, that are no larger than `largest` pixels."""
    import cv2

    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    left, top = stats[:, cv2.CC_STAT_LEFT], stats[:, cv2.CC_STAT_TOP]
    right, bottom = left + stats[:, cv2.CC_STAT_WIDTH], top + stats[:, cv2.CC_STAT_HEIGHT]
    height, width = mask.shape
    small = (stats[:, cv2.CC_STAT_AREA] <= largest) & (left > 0) & (top > 0) & (right < width) & (bottom < height)
    small[0] = False
    spots: NDArray[np.bool_] = small[labels]
    return spots


def nearest_true(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return for every pixel (H, W) the flat index of the nearest one that is True; one at least must be."""
    import cv2

    _, labels = cv2.distanceTransformWithLabels(
        (~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    known = np.flatnonzero(mask)
    place = np.zeros(len(known) + 1, dtype=np.intp)
    place[labels.ravel()[known]] = known
    nearest: NDArray[np.intp] = place[labels]
    return nearest
