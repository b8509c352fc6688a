"""Pictures of what a camera sees of a scan: depth as grey, surface directions as colours, and a lit surface."""

import math

import numpy as np
from numpy.typing import NDArray

from converters.projection import DepthMap
from converters.sample import PointCloud
from converters.surface import nearest_true

_NEAREST, _FARTHEST = 255.0, 70.0
"""Grey values of a depth view; the background is 0, which no depth has."""
_LIGHT = np.array([-0.42, -0.55, -0.72], dtype=np.float32)
"""From the part to the light, in camera axes (right, down, away): above the viewer's left shoulder, length 1."""
_FILTER_PX = 12
"""Largest reach of the filter at full resolution; the depth of sparser scans is smoothed on a coarser picture."""
_AMBIENT = 0.25
_GREY = 225.0
_PAPER = 255
"""Background of a shaded view."""


def depth_image(seen: DepthMap, half_depth_mm: float) -> NDArray[np.uint8]:
    """Return depth as grey, uint8 (H, W, 3): -half_depth_mm is 255, +half_depth_mm is 70, the background 0."""
    image = np.zeros((*seen.mask.shape, 3), dtype=np.uint8)
    part = _window(seen.mask)
    share = np.clip((half_depth_mm - seen.depth_hw[part]) / (2.0 * half_depth_mm), 0.0, 1.0)
    grey = np.nan_to_num(_FARTHEST + share * (_NEAREST - _FARTHEST), nan=0.0)
    image[part] = np.rint(grey).astype(np.uint8)[:, :, None]
    return image


def surface_normals(seen: DepthMap) -> NDArray[np.float32]:
    """Return unit normals towards the viewer, float32 (H, W, 3) in camera axes (right, down, away); 0: background.

    A surface z(x, y) has the normal (dz/dx, dz/dy, -1), scaled to length 1. Always taken from the smoothed depth map,
    never from the file: a scan then compares with a CAD mesh, and a file's wrong normals do no harm.
    """
    mask = seen.mask
    normals = np.zeros((*mask.shape, 3), dtype=np.float32)
    if not mask.any():
        return normals
    reach = max(seen.reach_px, 1)
    coarser = math.ceil(reach / _FILTER_PX)  # the filter's cost grows with the square of its reach
    part = _window(mask, reach + 2) if coarser == 1 else (slice(None), slice(None))
    depth = seen.depth_hw[part]
    smooth = _smooth(depth.ravel()[nearest_true(mask[part])], reach, coarser, seen.camera.mm_per_px)
    down, right = np.gradient(smooth, seen.camera.mm_per_px)
    found = np.stack([right, down, -np.ones_like(right)], axis=2).astype(np.float32)
    found /= np.linalg.norm(found, axis=2, keepdims=True)
    normals[part] = np.where(mask[part][:, :, None], found, np.float32(0.0))
    return normals


def normals_image(normals: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return normals as colours, uint8 (H, W, 3): red to the right, green up, blue to the viewer; background black."""
    image = np.zeros(normals.shape, dtype=np.uint8)
    shown = normals[:, :, 2] != 0.0  # what is seen looks to the viewer
    part = _window(shown)
    colors = np.rint(127.5 + 127.5 * normals[part] * np.array([1.0, -1.0, -1.0], dtype=np.float32)).astype(np.uint8)
    image[part] = np.where(shown[part][:, :, None], colors, np.uint8(0))
    return image


def shaded_image(seen: DepthMap, normals: NDArray[np.float32], cloud: PointCloud) -> NDArray[np.uint8]:
    """Return the surface lit by one lamp (Lambert's cosine law), uint8 (H, W, 3), in the scan's own colours if any."""
    image = np.full(normals.shape, _PAPER, dtype=np.uint8)
    part = _window(seen.mask)
    light = _AMBIENT + (1.0 - _AMBIENT) * np.maximum(normals[part] @ _LIGHT, 0.0)
    base = _GREY if cloud.colors is None else cloud.colors[seen.index_hw[part]].astype(np.float32)
    lit = np.clip(np.rint(base * light[:, :, None]), 0, 255) * np.ones(3)
    image[part] = np.where(seen.mask[part][:, :, None], lit, _PAPER).astype(np.uint8)
    return image


def _smooth(depth: NDArray[np.float32], reach: int, coarser: int, mm_per_px: float) -> NDArray[np.float32]:
    """Depth map without background, without the steps between filled pixels; edges of the part stay sharp."""
    import cv2

    size = depth.shape[::-1]
    if coarser > 1:
        depth = cv2.resize(depth, None, fx=1 / coarser, fy=1 / coarser, interpolation=cv2.INTER_NEAREST)
    smooth = cv2.bilateralFilter(depth, 2 * (reach // coarser) + 1, 2.0 * (2 * reach + 1) * mm_per_px, reach / coarser)
    if coarser > 1:
        smooth = cv2.resize(smooth, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(smooth, dtype=np.float32)


def _window(mask: NDArray[np.bool_], margin: int = 0) -> tuple[slice, slice]:
    """Return the rows and columns of a picture that show something, and a margin around them; nothing else is drawn."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    return (
        slice(max(int(rows[0]) - margin, 0), int(rows[-1]) + margin + 1),
        slice(max(int(columns[0]) - margin, 0), int(columns[-1]) + margin + 1),
    )
