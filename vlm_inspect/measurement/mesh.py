"""Checks of a closed mesh: volume, area, through holes.

A volume is enclosed only where every edge joins exactly two triangles; an open mesh is refused with the number of
edges that do not. Triangles that cut through each other are not looked for.
"""

from typing import Any

import numpy as np

from converters.sample import Mesh, PointCloud
from vlm_inspect.errors import MeasurementError


def volume(cloud: PointCloud) -> float:
    """Return the volume that a closed mesh encloses, in the scan's unit cubed; cavities are taken off.

    The sum of signed tetrahedra over the triangles (divergence theorem).

    Raises:
        MeasurementError: the scan has no mesh, or an open one.
    """
    return abs(float(_closed_mesh(cloud).volume))


def area(cloud: PointCloud) -> float:
    """Return the area of a closed mesh, in the scan's unit squared.

    Raises:
        MeasurementError: the scan has no mesh, or an open one.
    """
    return float(_closed_mesh(cloud).area)


def is_closed(mesh: Mesh) -> bool:
    """Return whether every edge joins exactly two triangles, after vertices at one place are merged."""
    return _loose_edges(_merged(mesh)) == 0


def through_holes(mesh: Mesh) -> int:
    """Return the number of through holes of a closed mesh, its genus: V - E + F = 2 (bodies - holes)."""
    merged = _merged(mesh)
    euler = int(merged.euler_number)
    return int(merged.body_count) - euler // 2


def _closed_mesh(cloud: PointCloud) -> Any:
    from trimesh import repair

    if cloud.mesh is None:
        raise MeasurementError("the scan is points without triangles, which enclose no volume; give a closed mesh")
    merged = _merged(cloud.mesh)
    loose = _loose_edges(merged)
    if loose:
        raise MeasurementError(f"the mesh is open: {loose} edges do not join two triangles; close it first")
    if not merged.is_winding_consistent:
        repair.fix_winding(merged)
    return merged


def _merged(mesh: Mesh) -> Any:
    """Return the mesh as trimesh holds it, vertices at one place merged (STL repeats them for every triangle)."""
    import trimesh

    size = float(np.ptp(mesh.vertices, axis=0).max()) or 1.0
    # Files keep float32: corners of neighbouring triangles may differ in the last digit.
    _, first, merged = np.unique(
        np.round(mesh.vertices / (size * 1e-6)).astype(np.int64), axis=0, return_index=True, return_inverse=True
    )
    faces = merged.ravel()[mesh.faces]
    real = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    return trimesh.Trimesh(mesh.vertices[first], faces[real], process=False)


def _loose_edges(merged: Any) -> int:
    """Count the edges that do not join exactly two triangles."""
    _, uses = np.unique(merged.edges_sorted, axis=0, return_counts=True)
    return int((uses != 2).sum())
