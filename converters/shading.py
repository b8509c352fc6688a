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
    share = np.clip((half_depth_mm - seen.depth_hw) / (2.0 * half_depth_mm), 0.0, 1.0)
    grey = np.nan_to_num(_FARTHEST + share * (_NEAREST - _FARTHEST), nan=0.0)
    image: NDArray[np.uint8] = np.repeat(np.rint(grey).astype(np.uint8)[:, :, None], 3, axis=2)
    return image


def surface_normals(seen: DepthMap) -> NDArray[np.float32]:
    """Return unit normals towards the viewer, float32 (H, W, 3) in camera axes (right, down, away); 0: background.

    A surface z(x, y) has the normal (dz/dx, dz/dy, -1), scaled to length 1. Always taken from the smoothed depth map,
    never from the file: a scan then compares with a CAD mesh, and a file's wrong normals do no harm.
    """
    down, right = np.gradient(_smooth_depth(seen), seen.camera.mm_per_px)
    normals: NDArray[np.float32] = np.stack([right, down, -np.ones_like(right)], axis=2).astype(np.float32)
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    normals[~seen.mask] = 0.0
    return normals


def normals_image(normals: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return normals as colours, uint8 (H, W, 3): red to the right, green up, blue to the viewer; background black."""
    colors: NDArray[np.uint8] = np.rint(127.5 + 127.5 * normals * np.array([1.0, -1.0, -1.0], dtype=np.float32)).astype(
        np.uint8
    )
    colors[~normals.any(axis=2)] = 0
    return colors


def shaded_image(seen: DepthMap, normals: NDArray[np.float32], cloud: PointCloud) -> NDArray[np.uint8]:
    """Return the surface lit by one lamp (Lambert's cosine law), uint8 (H, W, 3), in the scan's own colours if any."""
    light = _AMBIENT + (1.0 - _AMBIENT) * np.maximum(normals @ _LIGHT, 0.0)
    base = _GREY if cloud.colors is None else cloud.colors[seen.index_hw].astype(np.float32)
    lit = np.clip(np.rint(base * light[:, :, None]), 0, 255) * np.ones(3)
    image: NDArray[np.uint8] = np.where(seen.mask[:, :, None], lit, _PAPER).astype(np.uint8)
    return image


def _smooth_depth(seen: DepthMap) -> NDArray[np.float32]:
    """Depth map without background and without the steps between filled pixels; edges of the part stay sharp."""
    import cv2

    depth = seen.depth_hw.ravel()[nearest_true(seen.mask)]
    reach = max(seen.reach_px, 1)
    step = 2.0 * (2 * reach + 1) * seen.camera.mm_per_px
    coarser = math.ceil(reach / _FILTER_PX)  # the filter's cost grows with the square of its reach
    if coarser > 1:
        depth = cv2.resize(depth, None, fx=1 / coarser, fy=1 / coarser, interpolation=cv2.INTER_NEAREST)
    smooth = cv2.bilateralFilter(depth, 2 * (reach // coarser) + 1, step, reach / coarser)
    if coarser > 1:
        smooth = cv2.resize(smooth, seen.mask.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(smooth, dtype=np.float32)
