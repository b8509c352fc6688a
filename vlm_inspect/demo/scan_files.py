"""A surface as a scanner sees it: random points with noise in any pose, written as ply, pcd or xyz."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Surface:
    """Triangles: `vertices` float64 (V, 3) in mm, `faces` int64 (F, 3)."""

    vertices: FloatArray
    faces: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pose:
    """A rigid motion: `p -> rotation @ p + shift_mm`."""

    rotation: FloatArray
    shift_mm: FloatArray

    def move(self, points: FloatArray) -> FloatArray:
        """Return the moved points, (..., 3) in mm."""
        return points @ self.rotation.T + self.shift_mm


def grid_surface(points: FloatArray) -> Surface:
    """Join a grid of points, float64 (rows, columns, 3), to triangles; columns wrap around."""
    rows, columns = points.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b = index[:-1], index[1:]
    a_next, b_next = np.roll(a, -1, axis=1), np.roll(b, -1, axis=1)
    faces = np.concatenate([np.stack([a, a_next, b], -1), np.stack([a_next, b_next, b], -1)])
    return Surface(points.reshape(-1, 3), faces.reshape(-1, 3))


def random_pose(rng: np.random.Generator, *, reach_mm: float = 25.0) -> Pose:
    """Draw a pose: any rotation, and a shift of up to `reach_mm` along each axis."""
    from scipy.spatial.transform import Rotation

    rotation = Rotation.from_quat(rng.normal(size=4)).as_matrix()
    return Pose(rotation, rng.uniform(-reach_mm, reach_mm, 3))


def scan_surface(surface: Surface, rng: np.random.Generator, *, count: int, noise_mm: float) -> FloatArray:
    """Draw points evenly over a surface and move each by Gaussian noise; returns float64 (count, 3) in mm.

    Uniform on a triangle: P = (1 - sqrt(u)) A + sqrt(u) (1 - v) B + sqrt(u) v C (Osada et al. 2002, eq. 1).
    """
    corners = surface.vertices[surface.faces]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    chosen = corners[rng.choice(len(areas), size=count, p=areas / areas.sum())]
    u, v = np.sqrt(rng.random((count, 1))), rng.random((count, 1))
    points = (1 - u) * chosen[:, 0] + u * (1 - v) * chosen[:, 1] + u * v * chosen[:, 2]
    return np.asarray(points + rng.normal(scale=noise_mm, size=points.shape))


def write_scan(path: Path, points: FloatArray) -> None:
    """Write points, float64 (N, 3) in mm, in the format of the suffix: .ply (binary), .pcd (binary) or .xyz (text)."""
    if path.suffix == ".xyz":
        np.savetxt(path, points, fmt="%.4f")
        return
    header = {".ply": _ply_header, ".pcd": _pcd_header}[path.suffix](len(points))
    path.write_bytes(header.encode("ascii") + points.astype("<f4").tobytes())


def _ply_header(count: int) -> str:
    return (
        "ply\nformat binary_little_endian 1.0\ncomment synthetic demo scan, unit mm\n"
        f"element vertex {count}\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
    )


def _pcd_header(count: int) -> str:
    return (
        "# .PCD v0.7 - synthetic demo scan, unit mm\nVERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\n"
        f"WIDTH {count}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {count}\nDATA binary\n"
    )
