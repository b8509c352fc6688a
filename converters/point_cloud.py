"""Scans: a file of points or triangles to a `PointCloud`, and a `PointCloud` to views.

read_point_cloud takes ply, pcd, xyz/txt/csv, npy, npz, organised XYZ TIFF, stl, obj, off and glb. render_point_cloud
draws depth, normals and shaded views from the sides that have something to show.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.errors import ConversionError
from converters.mesh_sampling import sample_surface, surface_area, weld
from converters.organised import check_pixels, photo_colors, sensor_of, without_background
from converters.projection import (
    DepthMap,
    Direction,
    Projection,
    ScanFrame,
    ScanOrigin,
    canonical_frame,
    project_like,
)
from converters.raw_scan import RawScan
from converters.sample import Mesh, PointCloud, ScanGrid
from converters.scan_files import read_raw
from converters.shading import depth_image, normals_image, shaded_image, surface_normals
from converters.view import View, ViewBudget, ViewKind

MIN_POINTS = 4
"""Fewest points of a scan: three always lie in one plane."""
MAX_COORDINATE = 1e12
_THINNEST = 1e-7
"""A scan whose second longest axis is below this share of its longest is a line: float64 tells no width any more."""
_ORDER: tuple[Direction, ...] = ("front", "back", "top", "bottom", "left", "right")
_LIT = ("depth", "shaded", "normals")
"""Names of the views of a lit side; others have the first."""
_LIT_DIRECTIONS = 3
_NARROWEST = 0.06
"""A side whose box is smaller than this share of the largest side's is an edge with nothing to see."""
_DEEPEST_SKIN_PX = 1.0
_DEPTH_MARGIN = 1.1
_FLATTEST = 0.02
"""Depth range of a depth view over the part's depth, and its least share of the width: noise of a plate stays faint."""


def read_point_cloud(path: Path) -> PointCloud:
    """Read a scan of any known format; the format is told from the content.

    Points that are NaN or infinite are left out and counted in `dropped`; the (0, 0, 0) pixels of an organised scan
    are left out too, they mean that the sensor saw nothing, and so is the plane that the part lies on (organised.py);
    `grid` keeps the pixels of the others, and the photo beside such a scan gives their colours. A mesh is sampled to
    points (see `sample_surface`) and kept as `mesh`, with equal vertices made one.

    Raises:
        ConversionError: the file is missing, broken, empty, declares more than `raw_scan.MAX_POINTS` points, has fewer
            than `MIN_POINTS` usable ones, or a face that names a vertex which is not there.
    """
    raw = read_raw(path)
    known: NDArray[np.bool_] = np.asarray(np.isfinite(raw.points).all(axis=1))
    dropped = int(len(known) - known.sum())
    if not len(known):
        raise ConversionError(f"{path}: holds no points: export the scan again")
    if not known.any():
        raise ConversionError(f"{path}: all {dropped} points are NaN or infinite: export the scan again")
    faces = _usable_faces(path, raw, known)
    if faces is not None:
        return _from_mesh(path, weld(raw, faces), dropped)
    grid, sensor, every = None, None, raw.colors
    if raw.size_hw is not None:
        known &= raw.points.any(axis=1)
        check_pixels(path, raw.points[known])
        sensor = sensor_of(raw.points[known])
        known = without_background(raw.points, known, raw.size_hw, sensor)
        grid = ScanGrid(raw.size_hw, np.flatnonzero(known))
        every = photo_colors(path, raw.size_hw) if every is None else every
    points = np.ascontiguousarray(raw.points[known])
    _check(path, points)
    colors = None if every is None else every[known]
    normals = None if raw.normals is None else _unit(raw.normals[known])
    return PointCloud(path, points, colors, normals, None, dropped, sensor, grid)


def _from_mesh(path: Path, welded: RawScan, dropped: int) -> PointCloud:
    surface = sample_surface(welded)
    _check(path, surface.points)
    mesh = None if welded.faces is None else Mesh(welded.points, welded.faces)
    return PointCloud(path, surface.points, surface.colors, _unit(surface.normals), mesh, dropped)


def _usable_faces(path: Path, raw: RawScan, known: NDArray[np.bool_]) -> NDArray[np.int64] | None:
    """Faces whose corners are all finite; None where they have no area, so that only the vertices count."""
    if raw.faces is None or not len(raw.faces):
        return None
    low, high = int(raw.faces.min()), int(raw.faces.max())
    if low < 0 or high >= len(raw.points):
        wrong = low if low < 0 else high
        raise ConversionError(
            f"{path}: a face names vertex {wrong}, but there are {len(raw.points)} (counted from 0): export it again"
        )
    faces = raw.faces[known[raw.faces].all(axis=1)]
    _check_reach(path, raw.points[known])
    return faces if len(faces) and surface_area(raw.points, faces) > 0.0 else None


def _check(path: Path, points: NDArray[np.float64]) -> None:
    if len(points) < MIN_POINTS:
        count = f"{len(points)} usable point" + ("" if len(points) == 1 else "s")
        raise ConversionError(f"{path}: holds {count}, a scan needs at least {MIN_POINTS}: export it again")
    _check_reach(path, points)
    if not np.ptp(points, axis=0).any():
        raise ConversionError(f"{path}: all {len(points)} points lie in one place: export the scan again")
    if _lie_on_a_line(points):
        raise ConversionError(f"{path}: all {len(points)} points lie on one line, which has no surface: scan the part")


def _lie_on_a_line(points: NDArray[np.float64]) -> bool:
    centred = (points - points.mean(axis=0)) / np.ptp(points, axis=0).max()
    spread = np.linalg.eigvalsh(centred.T @ centred)
    return bool(spread[1] <= _THINNEST**2 * spread[2])


def _check_reach(path: Path, points: NDArray[np.float64]) -> None:
    if len(points) and np.abs(points).max() > MAX_COORDINATE:
        raise ConversionError(f"{path}: a coordinate is beyond {MAX_COORDINATE:.0e}: check the unit and the export")


def _unit(normals: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
    """Normals scaled to length 1; None where one of them has no direction, since a normal is not to be made up."""
    if normals is None:
        return None
    length = np.linalg.norm(normals.astype(np.float64), axis=1, keepdims=True)
    if not np.isfinite(length).all() or np.any(length == 0.0):
        return None
    unit: NDArray[np.float32] = (normals / length).astype(np.float32)
    return unit


def render_point_cloud(cloud: PointCloud, budget: ViewBudget, frame: ScanFrame | None = None) -> list[View]:
    """Draw a scan from the sides that have something to show: at most 12 square views, the most telling first.

    Conventions:
        Pose: `frame` (default `canonical_frame`): x to the right, y up, z to the viewer of the front view. The front is
        the widest face, x its longest side. All projections are orthographic, all views of a frame have the same mm a
        pixel; right and left are those of someone who stands before the front view (the view "right" is seen from +x).
        Depth: near is bright (255), far is dark (70), the background is 0. The range is 1.1 times the box of the frame,
        so two scans in one frame have equal greys at equal depths.
        Normals: red to the right, green up, blue to the viewer, black background.
        Shaded: one lamp above the viewer's left shoulder, the scan's colours where it has them, white background.

    Directions: all six of a solid part; sides narrower than 6 % of the widest are left out; a scan of one side only (an
    organised scan, or a skin thinner than a pixel) is drawn from that side. The three widest also get normals and a
    shaded view.

    Keys are "depth/front", "shaded/front", "normals/front" and so on; labels "depth, front", with the number of points
    that lie outside the picture, if any.

    Args:
        cloud: the scan.
        budget: `scan_size` is the side of a view in pixels.
        frame: pose and scale; give that of a reference to draw two scans alike.
    """
    return list(draw_point_cloud(cloud, budget, frame or canonical_frame(cloud)).views)


@dataclass(frozen=True, eq=False)
class Drawing:
    """The views of a scan, and what they were drawn from."""

    projection: Projection
    views: tuple[View, ...]


def draw_point_cloud(cloud: PointCloud, budget: ViewBudget, frame: ScanFrame, before: Drawing | None = None) -> Drawing:
    """Draw a scan, see `render_point_cloud`.

    Args:
        cloud: the scan.
        budget: `scan_size` is the side of a view in pixels.
        frame: pose and scale.
        before: of the same scan with a few points elsewhere, in the same frame and size: its views of sides from which
            nothing changed are taken over, the same objects.
    """
    projection = project_like(cloud, frame, budget.scan_size, None if before is None else before.projection)
    maps = projection.surfaces
    box = frame.box_half_mm or _box_half(cloud, frame)
    if not any(seen.mask.any() for seen in maps.values()):
        raise ConversionError(f"{cloud.path}: no point of the scan lies in the frame of its reference: align it first")
    views: list[View] = []
    for rank, direction in enumerate(_directions(cloud, frame, box, maps)):
        lit = rank < _LIT_DIRECTIONS
        same = None if before is None or not frame.box_half_mm else _taken_over(before, maps[direction], lit=lit)
        views.extend(_draw(cloud, frame, box, maps[direction], lit=lit) if same is None else same)
    return Drawing(projection, tuple(views))


def _taken_over(before: Drawing, seen: DepthMap, *, lit: bool) -> list[View] | None:
    """Return the views of a side that looks as before; None where it does not."""
    side = seen.camera.direction
    if before.projection.surfaces[side] is not seen:
        return None
    known = {view.key: view for view in before.views}
    wanted = [f"{name}/{side}" for name in (_LIT if lit else _LIT[:1])]
    return [known[key] for key in wanted] if all(key in known for key in wanted) else None


def _box_half(cloud: PointCloud, frame: ScanFrame) -> tuple[float, float, float]:
    half = np.abs(frame.posed(cloud.points)).max(axis=0)
    return float(half[0]), float(half[1]), float(half[2])


def _directions(
    cloud: PointCloud, frame: ScanFrame, box: tuple[float, float, float], maps: dict[Direction, DepthMap]
) -> list[Direction]:
    """Directions worth a view, widest first."""
    x, y, z = box
    area = {"front": x * y, "back": x * y, "left": y * z, "right": y * z, "top": x * z, "bottom": x * z}
    share = {each: area[each] / max(area.values()) for each in _ORDER}
    wide = [each for each in _ORDER if maps[each].mask.any() and share[each] >= _NARROWEST]
    # Tenths: sides of nearly one size keep their usual order whatever the noise.
    wide.sort(key=lambda each: -round(share[each], 1))
    if cloud.viewpoint is not None:
        to_sensor = frame.posed(np.array([cloud.viewpoint]))[0]
        return [max(wide, key=lambda each: float(-maps[each].camera.rotation[2] @ to_sensor))]
    if "back" in wide and _is_skin(maps["front"], maps["back"]):
        return ["front"]
    return wide


def _is_skin(front: DepthMap, back: DepthMap) -> bool:
    """Whether front and back show the same points: a scan of one side has nothing behind its surface."""
    both = front.mask & back.mask[:, ::-1]
    thickness = (-back.depth_hw[:, ::-1] - front.depth_hw)[both]
    return bool(len(thickness)) and float(np.median(thickness)) <= _DEEPEST_SKIN_PX * front.camera.mm_per_px


def _draw(
    cloud: PointCloud, frame: ScanFrame, box: tuple[float, float, float], seen: DepthMap, *, lit: bool
) -> Iterator[View]:
    thickness = float(np.abs(seen.camera.rotation[2]) @ np.array(box))
    half_depth = max(_DEPTH_MARGIN * thickness, _FLATTEST * frame.half_extent_mm)
    depth, shaded, directions = _LIT
    yield _view(cloud, frame, seen, "depth", depth, depth_image(seen, half_depth))
    if lit:
        normals = surface_normals(seen)
        yield _view(cloud, frame, seen, "image", shaded, shaded_image(seen, normals, cloud))
        yield _view(cloud, frame, seen, "normals", directions, normals_image(normals))


def _view(
    cloud: PointCloud, frame: ScanFrame, seen: DepthMap, kind: ViewKind, name: str, image: NDArray[np.uint8]
) -> View:
    side = seen.camera.direction
    label = f"{name}, {side}"
    if seen.outside:
        label += f" ({seen.outside} of {len(cloud.points)} points outside the picture)"
    origin = ScanOrigin(seen.index_hw, cloud.points, seen.camera, frame.pose, cloud.grid)
    return View(image, kind, label, origin, key=f"{name}/{side}", mask=seen.mask)
