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

from converters.registry import read
from converters.sample import Mesh, PointCloud
from converters.view import ViewBudget
from vlm_inspect.demo.scan_files import random_pose
from vlm_inspect.localization.scan_localizer import ScanLocalizer
from vlm_inspect.localization.subject import Subject
from vlm_inspect.references import load_references, present
from vlm_inspect.registration.drawn_surface import triangles_of
from vlm_inspect.registration.pose import apply

_HOME: Final = Path(os.environ.get("VLM_INSPECT_DATA", "../shared/data")) / "gear"
_SCANS: Final = ("gear_registered.ply", "gear_registered1.ply", "gear_registered2.ply")
_DRAWINGS: Final = ("gear.stl", "gear2.stl")


def main() -> None:
    """Print the table."""
    print(
        "| scan | drawing | RMS, mm | median | 95 % within | all within | said | s |\n|---|---|---|---|---|---|---|---|"
    )
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
            off = np.abs(triangles_of(corners).signed(own.points))
            told = [f"{one:.3f}" for one in (np.sqrt((off**2).mean()), *np.quantile(off, [0.5, 0.95, 1.0]))]
            print("| " + " | ".join([name, drawing, *told, said, f"{seconds:.1f}"]) + " |", flush=True)


if __name__ == "__main__":
    main()
