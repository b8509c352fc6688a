"""A scan from another direction, or nearer: drawn anew from its points."""

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from converters.sample import PointCloud
from converters.view import BoxXyxyn, View
from vlm_inspect.errors import StoreError
from vlm_inspect.prompting.marks import enlarge
from vlm_inspect.tools.arguments import Direction
from vlm_inspect.tools.material import Material
from vlm_inspect.tools.result import Picture, ToolError, ToolResult

if TYPE_CHECKING:
    from converters.projection import ScanOrigin

SIDE = 512
"""Side of a drawn picture in pixels."""
_MARGIN = 1.15
_PIXELS_A_POINT = 2.0
"""Pixels that one point of a scan fills: about half of the points in a window face away, gaps of two pixels close."""


def look_from(material: Material, wanted: Direction) -> ToolResult:
    """Draw the scan from a direction: yaw to the right around it, pitch up."""
    origin = next((found for view in material.views if (found := _origin_of(view)) is not None), None)
    if origin is None:
        raise ToolError("the part is not a scan; it can only be looked at from where it was seen")
    cloud, note = _cloud_of(material, origin)
    turn = _turned(math.radians(wanted.yaw_deg), math.radians(wanted.pitch_deg))
    half = origin.camera.half_extent_mm
    if wanted.pitch_deg % 90 or wanted.yaw_deg % 90:
        half *= 1.25  # a corner reaches farther than a face
    picture = _draw(cloud, turn @ origin.pose, half)
    text = (
        f"The scan, shaded, seen from yaw {wanted.yaw_deg:g} degrees (0 front, 90 right side, 180 back) and pitch "
        f"{wanted.pitch_deg:g} degrees; the picture is {2 * half:.4g} {material.rules.unit} wide.{note}"
    )
    return ToolResult(text, (picture,))


def zoom_scan(cloud: PointCloud, view: View, box: BoxXyxyn) -> tuple[Picture, str]:
    """Draw what a box of a scan's view shows, in more detail; returns the picture and how it was made.

    Raises:
        ToolError: the view keeps no camera, or the box shows too little of the scan.
    """
    origin = _origin_of(view)
    if origin is None:
        raise ToolError("the camera of this view is not kept")
    camera = origin.camera
    x0, y0, x1, y1 = (value * camera.size * camera.mm_per_px for value in box)
    half = max(x1 - x0, y1 - y0) / 2 * _MARGIN
    shift = np.array([(x0 + x1) / 2 - camera.half_extent_mm, camera.half_extent_mm - (y0 + y1) / 2, 0.0])
    to_view = np.eye(4)
    to_view[:3, :3] = camera.rotation * np.array([[1.0], [-1.0], [-1.0]])  # right, up, towards the viewer
    to_view[:3, 3] = -to_view[:3, :3] @ camera.centre - shift
    pose = to_view @ origin.pose
    posed = cloud.points @ pose[:3, :3].T + pose[:3, 3]
    inside: NDArray[np.bool_] = np.asarray((np.abs(posed[:, :2]) <= half).all(axis=1))
    side = min(SIDE, round(math.sqrt(_PIXELS_A_POINT * int(inside.sum()))))
    if side <= 2 * half / camera.mm_per_px:
        raise ToolError("the scan's points lie no closer there than the pixels of the view")
    picture = _draw(_part_of(cloud, inside), pose, half, side)
    return enlarge(
        picture, SIDE
    ), f"drawn anew from {int(inside.sum())} points, {2 * half:.3g} across in the scan's unit"


def _draw(cloud: PointCloud, pose: NDArray[np.float64], half_extent_mm: float, side: int = SIDE) -> Picture:
    from converters.pose import ScanFrame
    from converters.projection import project
    from converters.shading import shaded_image, surface_normals

    seen = project(cloud, ScanFrame(pose, half_extent_mm), side)["front"]
    return shaded_image(seen, surface_normals(seen), cloud)


def _part_of(cloud: PointCloud, inside: NDArray[np.bool_]) -> PointCloud:
    return replace(
        cloud,
        points=np.ascontiguousarray(cloud.points[inside]),
        colors=None if cloud.colors is None else cloud.colors[inside],
        normals=None if cloud.normals is None else cloud.normals[inside],
        mesh=None,
    )


def _cloud_of(material: Material, origin: "ScanOrigin") -> tuple[PointCloud, str]:
    """Return the scan, or the points of it that the case keeps."""
    try:
        sample = material.sample
    except (ToolError, StoreError):
        kept = PointCloud(material.case.source, origin.points)
        return kept, " The file is gone: drawn from the points that the views show."
    if not isinstance(sample, PointCloud):
        raise ToolError("the part is not a scan; it can only be looked at from where it was seen")
    return sample, ""


def _origin_of(view: View) -> "ScanOrigin | None":
    from converters.projection import ScanOrigin

    return view.origin if isinstance(view.origin, ScanOrigin) else None


def _turned(yaw: float, pitch: float) -> NDArray[np.float64]:
    """Return the (4, 4) turn of the posed frame that brings a direction to the front."""
    around_y = np.array([[math.cos(yaw), 0.0, -math.sin(yaw)], [0.0, 1.0, 0.0], [math.sin(yaw), 0.0, math.cos(yaw)]])
    around_x = np.array(
        [[1.0, 0.0, 0.0], [0.0, math.cos(pitch), -math.sin(pitch)], [0.0, math.sin(pitch), math.cos(pitch)]]
    )
    turn = np.eye(4)
    turn[:3, :3] = around_x @ around_y
    return turn
