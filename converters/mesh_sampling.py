"""Triangles to points: the same mesh always gives the same points."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from converters.raw_scan import RawScan

SAMPLES = 200_000
"""Points drawn on a mesh beside its vertices: about one a pixel of the 512 x 512 views of a solid part."""


def sample_surface(mesh: RawScan) -> RawScan:
    """Return the vertices of a mesh, and `SAMPLES` points spread evenly over the area of its faces.

    The random numbers are seeded by the mesh itself. Within a triangle with corners a, b, c a point is
    (1 - sqrt r1) a + sqrt r1 (1 - r2) b + sqrt r1 r2 c (Osada et al., Shape Distributions, 2002, eq. 1). Normals are
    those of the faces; a vertex has that of the largest face around it.

    Args:
        mesh: with faces, at least one of them with an area; every vertex finite and in a face (see `weld`).
    """
    if mesh.faces is None:
        raise ValueError("a mesh has faces")
    faces, corners = mesh.faces, mesh.points[mesh.faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(cross, axis=1)
    digest = hashlib.sha256(mesh.points.tobytes() + faces.tobytes()).digest()
    random = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    # One draw in each of SAMPLES equal shares of the area leaves fewer gaps than free draws.
    share = (np.arange(SAMPLES) + random.random(SAMPLES)) / SAMPLES
    total = np.cumsum(area)
    chosen = np.minimum(np.searchsorted(total, share * total[-1], side="right"), np.flatnonzero(area)[-1])
    weights = _barycentric(random.random((2, SAMPLES)))
    # Vertices of faces without area have no normal; the faces beside them have the same vertices.
    at_corner, largest = _largest_face(faces, area, len(mesh.points))
    points = np.concatenate([mesh.points[at_corner], np.einsum("nc,ncd->nd", weights, corners[chosen])])
    face = np.concatenate([largest, chosen])
    colors = None
    if mesh.colors is not None:
        mixed = np.einsum("nc,ncd->nd", weights, mesh.colors[faces[chosen]].astype(np.float64))
        colors = np.concatenate([mesh.colors[at_corner], np.rint(mixed).astype(np.uint8)])
    return RawScan(points, colors, (cross[face] / area[face, None]).astype(np.float32), faces)


def surface_area(points: NDArray[np.float64], faces: NDArray[np.int64]) -> float:
    """Return the area of all faces, in the square of the unit of the points."""
    a, b, c = (points[faces[:, corner]] for corner in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2.0)


def weld(raw: RawScan, faces: NDArray[np.int64]) -> RawScan:
    """Return the vertices that faces use, equal ones made one, with the faces that name them.

    STL repeats every corner, and other formats repeat those on seams; a closed surface must share them. Where their
    colours differ the first one stays.
    """
    used, at_used = np.unique(faces, return_inverse=True)
    corners = raw.points[used] + 0.0  # -0.0 and 0.0 are one place
    order = np.lexsort(corners.T)
    first = np.r_[True, np.any(np.diff(corners[order], axis=0) != 0.0, axis=1)]
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.cumsum(first) - 1
    kept = used[order[first]]
    colors = None if raw.colors is None else raw.colors[kept]
    return RawScan(raw.points[kept] + 0.0, colors, faces=place[at_used.reshape(faces.shape)])


def _barycentric(random: NDArray[np.float64]) -> NDArray[np.float64]:
    root = np.sqrt(random[0])
    return np.column_stack([1.0 - root, root * (1.0 - random[1]), root * random[1]])


def _largest_face(
    faces: NDArray[np.int64], area: NDArray[np.float64], count: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Vertices that belong to a face with an area, and the largest such face of each."""
    largest = np.full(count, -1, dtype=np.intp)
    by_area = np.argsort(area, kind="stable")[np.count_nonzero(area == 0.0) :]
    for corner in range(3):
        for_corner = np.full(count, -1, dtype=np.intp)
        for_corner[faces[by_area, corner]] = by_area  # the last one written is the largest
        better = (for_corner >= 0) & ((largest < 0) | (area[for_corner] > area[largest]))
        largest[better] = for_corner[better]
    with_area = np.flatnonzero(largest >= 0)
    return with_area, largest[with_area]
