"""A scan as a PLY file, coloured by its deviation: opens in any viewer of point clouds."""

import numpy as np

from vlm_inspect.evidence import SurfaceDeviation
from vlm_inspect.localization.deviation_colours import deviation_colours, full_scale


def render_ply(surface: SurfaceDeviation) -> bytes:
    """Return a binary PLY: x, y, z as in the scan, colours, deviation in the scan's unit, and in normal spreads."""
    full = full_scale(float(np.abs(surface.signed).max(initial=0.0)), surface.typical)
    rgb = np.rint(deviation_colours((surface.signed / full).astype(np.float32))).astype(np.uint8)
    fields = [("x", "<f8"), ("y", "<f8"), ("z", "<f8"), ("red", "u1"), ("green", "u1"), ("blue", "u1")]
    rows = np.empty(len(rgb), dtype=[*fields, ("deviation", "<f4"), ("spreads", "<f4")])
    for axis, name in enumerate("xyz"):
        rows[name] = surface.points[:, axis]
    for channel, name in enumerate(("red", "green", "blue")):
        rows[name] = rgb[:, channel]
    rows["deviation"], rows["spreads"] = surface.signed, surface.spreads
    return _header(len(rows), full, surface.unit).encode("ascii", "replace") + rows.tobytes()


def _header(count: int, full: float, unit: str) -> str:
    lines = [
        "ply",
        "format binary_little_endian 1.0",
        f"comment deviation from the references in {unit}: blue -{full:.4g}, grey 0, red +{full:.4g}",
        f"element vertex {count}",
        *(f"property double {name}" for name in "xyz"),
        *(f"property uchar {name}" for name in ("red", "green", "blue")),
        "property float deviation",
        "property float spreads",
        "end_header",
    ]
    return "\n".join(lines) + "\n"
