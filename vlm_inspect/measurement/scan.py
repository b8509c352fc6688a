"""Checks of a point cloud: sizes, through holes, flatness, spacing, and how far it is from its references.

Every length is in the scan's own unit (the rule book's `unit`). A scan is what its sensor saw: seen from one side, it
has no back to measure, and a shadow looks like a hole.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from converters.sample import PointCloud
from vlm_inspect.errors import MeasurementError
from vlm_inspect.registration.alignment import PosedCloud
from vlm_inspect.registration.comparison import compare
from vlm_inspect.registration.drawn_surface import DrawnSurface, drawn_surface
from vlm_inspect.registration.surface import Points, Surface, nearest, planes, surface
from vlm_inspect.registration.thinning import thinned

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

_MOST_POINTS = 60_000
_END_NEIGHBOURS = 9
"""Points whose median stands for one outermost point: noise and a stray point then move an end little."""
_FACE_NEIGHBOURS = 120
_FACING = 0.5
"""Cosine between axis and surface normal: below it an end of the box is a rim, not a face. Planes of 120 neighbours
hold where noise is as large as the spacing, and where a scan is twenty times finer one way than the other."""
_ACROSS = 0.9
"""Cosine from which a face at an end lies across the axis: the flank of a thread leans by 30 degrees."""
_OPEN = 0.08
"""Share of a surface's points on its rim from which on it is open: which side is outside, it does not tell."""
_FEWEST, _OFF_PLANE, _AROUND = 100, 2.0, 6
"""Points from which on strays are told by planes, spacings off these beyond which one is, and neighbours (with itself)
that are asked."""
_LONELY = 6.0
"""A point this many times farther from its fifth neighbour than is usual belongs to no surface."""


def length(cloud: PointCloud) -> float:
    """Return the longest side of the smallest box around the part, in the scan's unit."""
    return float(box_sides(cloud)[0])


def width(cloud: PointCloud) -> float:
    """Return the middle side of the smallest box around the part, in the scan's unit."""
    return float(box_sides(cloud)[1])


def height(cloud: PointCloud) -> float:
    """Return the shortest side of the smallest box around the part, in the scan's unit."""
    return float(box_sides(cloud)[2])


def flatness(cloud: PointCloud) -> float:
    """Return the peak-to-valley distance from the least-squares plane through the scan, in its unit.

    The flatness deviation FLTt of ISO 12781-1 for the least-squares reference plane. It is taken on the whole scan,
    so the scan must show one face only; stray points are left out, noise counts.
    """
    points = together(cloud.points)
    _, _, axes = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    return float(np.ptp((points - points.mean(axis=0)) @ axes[2]))


def point_spacing(cloud: PointCloud) -> float:
    """Return the median distance of a point to its nearest neighbour, in the scan's unit."""
    from scipy.spatial import cKDTree

    points = np.unique(cloud.points, axis=0)
    if len(points) < 2:
        raise MeasurementError("all points of the scan are one and the same")
    asked = points[:: max(1, len(points) // _MOST_POINTS)]
    distances, _ = nearest(cKDTree(points), asked, 2)
    return float(np.median(distances[:, 1]))


def max_deviation(query: PosedCloud, references: Sequence[PosedCloud]) -> float:
    """Return the largest distance between the scan and its nearest reference, both ways, in its unit; >= 0.

    It has no sign, so that one limit holds material too much and too little; `deviation_side` tells which it is.
    Both ways, so that missing material counts. Distances are taken to local planes and averaged over six neighbours,
    so that one noisy point does not decide. The nearest reference is the one with the lowest RMS deviation.
    """
    there, back, _, _ = _nearest_deviations(query, tuple(references))
    return float(max(there.max(), back.max()))


def deviation_side(query: PosedCloud, references: Sequence[PosedCloud]) -> str:
    """Say which side of the reference the largest deviation lies on; "" where an open reference has no outside."""
    there, back, own, reference = _nearest_deviations(query, tuple(references))
    if reference.rim.mean() > _OPEN:
        return ""
    if back.max() > there.max():  # a place of the reference that the scan has nothing at
        place = reference.smoothed[[int(back.argmax())]]
        facing = own.facing_as(
            reference.outward[nearest(reference.tree, own.points)[1][:, 0]], np.ones(len(own.points), bool)
        )
        missing = facing.gaps(place).across[0] > 0.0
    else:
        place = reference.held_against(own)[[int(there.argmax())]]
        missing = reference.gaps(place).across[0] < 0.0
    return "material is missing there" if missing else "there is too much material"


def rms_deviation(query: PosedCloud, references: Sequence[PosedCloud]) -> float:
    """Return the root mean square distance between the scan and its nearest reference, both ways, in its unit."""
    return _rms(*_nearest_deviations(query, tuple(references))[:2])


def hole_count(cloud: PointCloud) -> float:
    """Return the number of through holes.

    A closed mesh has them in its topology (mesh.py). Of points, the silhouettes along the three axes of the smallest
    box are filled in, and patches of background that the part encloses are counted, so a hole counts when it goes
    straight through along one of these axes and is wider than about five point spacings.
    """
    from vlm_inspect.measurement.mesh import is_closed, through_holes

    if cloud.mesh is not None and is_closed(cloud.mesh):
        return float(through_holes(cloud.mesh))
    points = together(cloud.points)
    posed = points @ _robust_box(points)[1]
    return float(sum(_enclosed_patches(np.delete(posed, axis, axis=1)) for axis in range(3)))


@lru_cache(maxsize=2)
def box_sides(cloud: PointCloud) -> NDArray[np.float64]:
    """Return the sides (3,) of the smallest box around the part, longest first, in the scan's unit.

    Of a mesh the vertices count as they are. Of points, stray ones are left out, and a face at an end of the box is
    where the median of an outermost point and its neighbours lies, since the outermost of many noisy points is far out.
    """
    if cloud.mesh is not None:
        vertices = cloud.mesh.vertices[np.unique(cloud.mesh.faces)]
        return np.sort(np.ptp(vertices @ box_axes(vertices), axis=0))[::-1]
    return _robust_box(together(cloud.points))[0]


def box_axes(points: Points) -> NDArray[np.float64]:
    """Return the axes, as columns (3, 3), of the box of least volume that has one face on the convex hull.

    O'Rourke, "Finding minimal enclosing boxes" (1985), shows that the smallest box may touch with edges only; one
    with a face on the hull is at most little larger, and is found by trying the hull's faces.
    """
    from scipy.spatial import ConvexHull, QhullError

    centred = points - points.mean(axis=0)
    try:
        hull = ConvexHull(centred[thinned(centred, _MOST_POINTS)])
    except QhullError:  # flat or straight: the principal axes are exact there
        return np.ascontiguousarray(np.linalg.svd(centred, full_matrices=False)[2].T)
    corners = hull.points[hull.vertices]
    tried = [_frame_on(normal, corners) for normal in _face_normals(hull.points, hull.simplices)]
    return min(tried, key=lambda axes: float(np.prod(np.ptp(corners @ axes, axis=0))))


def _face_normals(points: Points, faces: NDArray[np.int32], *, most: int = 120) -> Points:
    """Return normals (K, 3) of the hull's largest faces, nearly parallel ones once, and the principal axes."""
    a, b, c = (points[faces[:, i]] for i in range(3))
    normals = np.cross(b - a, c - a)
    area = np.linalg.norm(normals, axis=1)
    normals = normals[area > 0] / area[area > 0, None]
    normals *= np.where(normals[:, [2]] < 0, -1.0, 1.0)
    cell, first = np.unique(np.round(normals, 2), axis=0, return_inverse=True)
    share = np.bincount(first.ravel(), weights=area[area > 0], minlength=len(cell))
    largest = np.argsort(-share, kind="stable")[:most]
    mean = np.stack([np.bincount(first.ravel(), normals[:, i] * area[area > 0]) for i in range(3)], axis=1)[largest]
    principal = np.linalg.svd(points[np.unique(faces)], full_matrices=False)[2]
    return np.concatenate([mean / np.linalg.norm(mean, axis=1, keepdims=True), principal])


def _frame_on(normal: NDArray[np.float64], corners: Points) -> NDArray[np.float64]:
    """Return axes (3, 3) of the smallest box whose one face has this normal.

    The smallest rectangle around a flat convex outline has a side along one of its edges (Freeman and Shapira, 1975).
    """
    from scipy.spatial import ConvexHull, QhullError

    basis = np.linalg.svd(normal[None])[2]
    across = basis[1:]
    flat = corners @ across.T
    try:
        outline = flat[ConvexHull(flat).vertices]
    except QhullError:
        return np.ascontiguousarray(basis.T)
    edges = np.roll(outline, -1, axis=0) - outline
    angles = np.arctan2(edges[:, 1], edges[:, 0]) % (np.pi / 2)
    angles = angles[np.unique(np.round(angles, 4), return_index=True)[1]]
    u = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    v = np.stack([-u[:, 1], u[:, 0]], axis=1)
    area = np.ptp(outline @ u.T, axis=0) * np.ptp(outline @ v.T, axis=0)
    best = int(np.argmin(area))
    return np.stack([basis[0], u[best] @ across, v[best] @ across], axis=1)


@dataclass(frozen=True)
class End:
    """One end of a scan along an axis."""

    at: float
    """How far out it lies, in the scan's unit, outward positive: both ends of an axis add up to the extent."""
    is_face: bool
    """Whether a face lies across the axis there; otherwise the surface may just break off."""


def ends_along(posed: Points, axis: int) -> tuple[End, End]:
    """Return the low and the high end of posed points (N, 3) along one axis, each the median of neighbours.

    Where the surface runs along the axis and breaks off (the rim of a plate seen from one side), all neighbours of an
    outermost point lie further in, by a row of the scan: there the fifth outermost point is the end.
    """
    from scipy.spatial import cKDTree

    if len(posed) < 50 * _END_NEIGHBOURS:
        return End(-float(posed[:, axis].min()), False), End(float(posed[:, axis].max()), False)
    order = np.argsort(posed[:, axis], kind="stable")
    tree = cKDTree(posed)
    low, high = ((sign, posed[picked]) for sign, picked in ((-1.0, order[:200]), (1.0, order[::-1][:200])))
    return _end(posed, tree, axis, *low), _end(posed, tree, axis, *high)


def _end(posed: Points, tree: "cKDTree", axis: int, sign: float, outermost: Points) -> End:
    _, near = nearest(tree, outermost, min(_FACE_NEIGHBOURS, len(posed) // 20))
    along = sign * posed[near, axis]
    end = float(np.median(along[:, :_END_NEIGHBOURS], axis=1).max())
    facing = np.abs(planes(posed[near])[1][:, axis])
    if np.median(facing) < _FACING:
        return End(max(end, sign * float(outermost[4, axis])), False)
    return End(end, bool(np.median(facing) > _ACROSS))


def together(points: Points) -> Points:
    """Return the points without stray ones."""
    from scipy.spatial import cKDTree

    points = points[thinned(points, _MOST_POINTS)]
    if len(points) < 20:
        return points
    distances, _ = nearest(cKDTree(points), points, 6)
    reach = distances[:, -1]
    kept = reach <= _LONELY * max(float(np.median(reach)), 1e-12)
    return _on_surface(points[kept] if kept.mean() > 0.5 else points)


def _on_surface(points: Points) -> Points:
    """Return the points (N, 3) without strays that lie near a surface: far off the planes of those around them."""
    if len(points) < _FEWEST:
        return points
    found = surface(points)
    around = found.near[:, 1:_AROUND]
    height = np.einsum("nkj,nkj->nk", points[:, None] - found.centres[around], found.normals[around])
    off = np.median(np.abs(height), axis=1)
    kept = off <= max(_OFF_PLANE * found.spacing, 9.0 * float(np.median(off)))
    return points[kept] if kept.mean() > 0.9 else points


def _robust_box(points: Points) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sides (3,), longest first, and the axes (3, 3) of the smallest box around points (N, 3).

    A stray close to a flat face hides it from the hull. So the box is laid around the points as they are, and around
    them moved onto the planes of their neighbours, and the one whose ends lie nearer is taken.
    """
    tried = [points, surface(points).smoothed] if len(points) >= _FEWEST else [points]
    boxes = []
    for each in tried:
        axes = box_axes(each)
        sides = [sum(end.at for end in ends_along(points @ axes, axis)) for axis in range(3)]
        boxes.append((np.sort(sides)[::-1], axes))
    return min(boxes, key=lambda box: float(np.prod(box[0])))


def _enclosed_patches(flat: NDArray[np.float64]) -> int:
    """Count the patches of background that a silhouette, drawn from points (N, 2), encloses."""
    from scipy import ndimage
    from scipy.spatial import cKDTree

    sides = np.ptp(flat, axis=0)
    # Many points share a place in the silhouette: only those of the thinnest places say how finely it can be drawn.
    distances, _ = nearest(cKDTree(flat), flat[:: max(1, len(flat) // 5000)], 4)
    pixel = max(float(np.quantile(distances[:, -1], 0.98)) * 1.25, float(sides.max()) / 1500)
    rows, columns = (((flat - flat.min(axis=0)) / pixel).astype(int) + 2).T
    filled = np.zeros((rows.max() + 3, columns.max() + 3), dtype=bool)
    filled[rows, columns] = True
    filled = ndimage.binary_closing(filled, iterations=1)
    labels, count = ndimage.label(~filled)
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    enclosed = [i for i in range(1, count + 1) if i != labels[0, 0] and areas[i] >= 20]
    return len(enclosed)


@lru_cache(maxsize=2)
def _nearest_deviations(
    query: PosedCloud, references: tuple[PosedCloud, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64], Surface, Surface]:
    """Return the distances scan -> nearest reference (N,) and back (M,), and the surfaces of both."""
    own = posed_surface(query)
    surfaces = [drawn_surface(reference, posed_surface(reference)) for reference in references]
    pairs = [deviations(own, reference) for reference in surfaces]
    best = min(range(len(pairs)), key=lambda i: _rms(*pairs[i]))
    return *pairs[best], own, surfaces[best]


def deviations(query: Surface, reference: Surface) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return distances (N,) of a scan's surface to a reference's and (M,) back, in their unit, noise averaged out.

    Points are first moved onto their own local planes, and their distances averaged over six neighbours. Against a
    drawing, whose edges planes would cut off, a point's distance is the median of its neighbours', and back it counts
    only where the scan has no surface near: elsewhere its own points tell.
    """
    if isinstance(reference, DrawnSurface):
        found = compare(query, reference)
        return np.abs(found.off[0]), np.abs(found.lacking[0]) * found.apart
    there = query.average(reference.distances(query.smoothed))
    back = reference.average(query.distances(reference.smoothed))
    return there, back


def posed_surface(posed: PosedCloud) -> Surface:
    """Return the surface of a scan in the common frame, of at most 60,000 of its points."""
    points = posed.points
    return surface(points[thinned(points, _MOST_POINTS)])


def _rms(there: NDArray[np.float64], back: NDArray[np.float64]) -> float:
    return float(np.sqrt(0.5 * ((there**2).mean() + (back**2).mean())))
