"""A scan as a PLY file, coloured by its deviation: opens in any viewer of point clouds."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.evidence import SurfaceDeviation
from vlm_inspect.localization.deviation_colours import deviation_colours, full_scale
from vlm_inspect.safe_text import plain_line


def render_ply(surface: SurfaceDeviation, fused: NDArray[np.float32] | None = None) -> bytes:
    """Return a binary PLY: x, y, z as in the scan, colours, deviation in the scan's unit, and in normal spreads.

    Args:
        surface: the points.
        fused: (N,), what heat and a model's places say of each point together, in nats; None: no model judged.
    """
    full = full_scale(float(np.abs(surface.signed).max(initial=0.0)), surface.typical)
    rgb = np.rint(deviation_colours((surface.signed / full).astype(np.float32))).astype(np.uint8)
    fields = [("x", "<f8"), ("y", "<f8"), ("z", "<f8"), ("red", "u1"), ("green", "u1"), ("blue", "u1")]
    told = {"deviation": surface.signed, "spreads": surface.spreads} | ({} if fused is None else {"fused": fused})
    rows = np.empty(len(rgb), dtype=[*fields, *((name, "<f4") for name in told)])
    for axis, name in enumerate("xyz"):
        rows[name] = surface.points[:, axis]
    for channel, name in enumerate(("red", "green", "blue")):
        rows[name] = rgb[:, channel]
    for name, values in told.items():
        rows[name] = values
    return _header(len(rows), full, surface.unit, tuple(told)).encode("ascii", "replace") + rows.tobytes()


def render_no_ply(reasons: Sequence[str]) -> bytes:
    """Return a PLY without points whose comments say why: the scan was compared with none."""
    told = [plain_line(one) for one in ("The scan was compared with no reference, so there is no deviation.", *reasons)]
    lines = ["ply", "format ascii 1.0", *(f"comment {one}" for one in told), "element vertex 0"]
    lines += [*(f"property double {name}" for name in "xyz"), "end_header"]
    return ("\n".join(lines) + "\n").encode("ascii", "replace")


def _header(count: int, full: float, unit: str, told: tuple[str, ...]) -> str:
    lines = [
        "ply",
        "format binary_little_endian 1.0",
        f"comment deviation from the references in {unit}: blue -{full:.4g}, grey 0, red +{full:.4g}",
        f"element vertex {count}",
        *(f"property double {name}" for name in "xyz"),
        *(f"property uchar {name}" for name in ("red", "green", "blue")),
        *(f"property float {name}" for name in told),
        "end_header",
    ]
    return "\n".join(lines) + "\n"
