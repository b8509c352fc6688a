"""Real scans of two gears against their drawings: how well they lie, and whether the other gear is told.

    python -m benchmarks.gear_scans

Each scan of `../shared/data/gear`, turned and shifted at random, as an inspection meets it beside each of the two CAD
meshes. The residual is the distance of its points to the drawing's triangles, in mm.
"""

import os
import time
from pathlib import Path
from typing import Final

import numpy as np
from scipy.spatial import cKDTree

from converters.registry import read
from converters.sample import Mesh, PointCloud
from converters.view import ViewBudget
from vlm_inspect.demo.scan_files import random_pose
from vlm_inspect.localization.scan_localizer import ScanLocalizer
from vlm_inspect.localization.subject import Subject
from vlm_inspect.references import load_references, present
from vlm_inspect.registration.pose import Points, apply
from vlm_inspect.registration.surface import nearest

_HOME: Final = Path(os.environ.get("VLM_INSPECT_DATA", "../shared/data")) / "gear"
_SCANS: Final = ("gear_registered.ply", "gear_registered1.ply", "gear_registered2.ply")
_DRAWINGS: Final = ("gear.stl", "gear2.stl")
_ASKED, _SAMPLES, _NEAREST = 20_000, 400_000, 8
"""Points of a scan whose distance is taken; samples of a mesh that tell which triangles are near, and how many."""


def main() -> None:
    """Print the table."""
    print("| scan | drawing | RMS, mm | median | 95 % within | said | s |\n|---|---|---|---|---|---|---|")
    for drawing in _DRAWINGS:
        references = load_references([_HOME / drawing], "point_cloud", ViewBudget(scan_size=128))
        fitted = ScanLocalizer().fit(references, Subject(deviation_limit=np.inf))
        for name in _SCANS:
            scan = read(_HOME / name)
            assert isinstance(scan, PointCloud)
            moved = PointCloud(scan.path, random_pose(np.random.default_rng(3)).move(scan.points))
            began = time.process_time()
            part = present(moved, references.stage, ViewBudget(scan_size=128))
            said = fitted.localize(part).mismatch or "nothing"
            seconds = time.process_time() - began
            there, own = references.posed[0], part.posed
            assert own is not None
            assert there.cloud.mesh is not None
            corners = Mesh(apply(there.pose, there.cloud.mesh.vertices), there.cloud.mesh.faces)
            off = _to_triangles(own.points[:: max(1, len(own.points) // _ASKED)], corners)
            told = [f"{one:.3f}" for one in (np.sqrt((off**2).mean()), np.median(off), np.quantile(off, 0.95))]
            print("| " + " | ".join([name, drawing, *told, said, f"{seconds:.1f}"]) + " |", flush=True)


def _to_triangles(points: Points, mesh: Mesh) -> Points:
    """Return the distance of each point (N, 3) to the nearest of the triangles whose samples lie nearest to it."""
    rng = np.random.default_rng(0)
    a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    face = np.sort(rng.choice(len(area), _SAMPLES, p=area / area.sum()))
    u, v = rng.uniform(size=(2, _SAMPLES, 1))
    u, v = np.where(u + v > 1.0, 1.0 - u, u), np.where(u + v > 1.0, 1.0 - v, v)
    samples = a[face] + u * (b - a)[face] + v * (c - a)[face]
    _, near = nearest(cKDTree(samples), points, _NEAREST)
    return np.asarray(np.min([_to_triangle(points, a[k], b[k], c[k]) for k in face[near].T], axis=0))


def _to_triangle(p: Points, a: Points, b: Points, c: Points) -> Points:
    """Return the distance of each point (N, 3) to a triangle of its own, corners (N, 3)."""
    normal = np.cross(b - a, c - a)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-300)
    inside = np.ones(len(p), dtype=bool)
    beside = np.full(len(p), np.inf)
    for start, end in ((a, b), (b, c), (c, a)):
        side, to = end - start, p - start
        inside &= np.einsum("ij,ij->i", np.cross(normal, side), to) >= 0.0
        share = np.einsum("ij,ij->i", to, side) / np.maximum(np.einsum("ij,ij->i", side, side), 1e-300)
        beside = np.minimum(beside, np.linalg.norm(to - np.clip(share, 0.0, 1.0)[:, None] * side, axis=1))
    return np.asarray(np.where(inside, np.abs(np.einsum("ij,ij->i", p - a, normal)), beside))


if __name__ == "__main__":
    main()
