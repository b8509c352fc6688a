"""Depth views of a point cloud, made with the z-buffer of the converters."""

import numpy as np

from converters.projection import DIRECTIONS, ScanFrame, ScanOrigin, project
from converters.sample import PointCloud
from converters.view import View


def depth_views(cloud: PointCloud, size: int, frame: ScanFrame) -> list[View]:
    """Six depth views, near = light, white background."""
    maps = project(cloud, frame, size)
    views = []
    for direction in DIRECTIONS:
        found = maps[direction]
        depth = np.nan_to_num(found.depth_hw, nan=frame.half_extent_mm)
        grey = np.clip(230 - 180 * (depth / frame.half_extent_mm + 1) / 2, 0, 255)
        grey[~found.mask] = 255
        image = np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
        origin = ScanOrigin(found.index_hw, cloud.points, found.camera, frame.pose)
        views.append(View(image, "depth", f"depth, {direction}", origin, f"depth/{direction}", found.mask))
    return views
