"""A scan that can be turned on the page: points in colours of their deviation, packed for a small script.

The script is our own file; the page's policy names it by digest, so that nothing else runs.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.evidence import SurfaceDeviation
from vlm_inspect.localization.deviation_colours import deviation_colours, full_scale

MOST_POINTS = 30_000
"""Points that are shown: 0.4 MB of the page."""
_STANDS_OUT = 3.0
"""Normal spreads from which a point is shown before others."""
_NEIGHBOURS = 10
"""Points that a surface direction is taken from."""
_STEPS = 32_000
"""Of a coordinate, from the middle to the farthest."""
_SHADES = 255


@dataclass(frozen=True)
class Turntable:
    """What the script needs, as attributes of the page."""

    points: str
    """Base64 of int16 (N, 3), little-endian: coordinates from the middle of the scan; 32,000 is the farthest."""
    directions: str
    """Base64 of int8 (N, 3): surface directions, of either sign; 127 is 1."""
    shades: str
    """Base64 of uint8 (N,): deviation, 0 for the lowest of the scale and 254 for the highest."""
    colours: str
    """Base64 of uint8 (255, 3): RGB of each of them."""
    count: int
    full: float
    """Deviation at both ends of the scale, in `unit`."""
    reach: float
    """Length of 32,000, in `unit`."""
    unit: str
    middle: tuple[float, float, float]
    """What coordinates are counted from, in the scan's own."""

    def marks(self, places: Sequence[tuple[int, tuple[float, float, float]]]) -> str:
        """Return numbered points of the scan as JSON: number, and coordinates as those of `points`."""
        shown = [
            [number, *(round((at - zero) / self.reach * _STEPS) for at, zero in zip(point, self.middle, strict=True))]
            for number, point in places
        ]
        return json.dumps(shown)


def pack_scan(surface: SurfaceDeviation) -> Turntable:
    """Return a scan as the page shows it; of more than `MOST_POINTS` those that deviate, and a sample of the others."""
    chosen = _chosen(surface.spreads)
    points = surface.points[chosen]
    middle = (points.min(axis=0) + points.max(axis=0)) / 2.0
    reach = max(float(np.abs(points - middle).max()), 1e-12)
    full = full_scale(float(np.abs(surface.signed).max(initial=0.0)), surface.typical)
    shares = np.clip(surface.signed[chosen] / full, -1.0, 1.0)
    half = (_SHADES - 1) // 2
    scale = np.linspace(-1.0, 1.0, _SHADES, dtype=np.float32)
    return Turntable(
        points=_base64(np.rint((points - middle) / reach * _STEPS).astype("<i2")),
        directions=_base64(np.rint(127.0 * _directions(points)).astype(np.int8)),
        shades=_base64(np.rint(half + half * shares).astype(np.uint8)),
        colours=_base64(np.rint(deviation_colours(scale)).astype(np.uint8)),
        count=len(points),
        full=full,
        reach=reach,
        unit=surface.unit,
        middle=(float(middle[0]), float(middle[1]), float(middle[2])),
    )


def scale_bar(width: int, height: int) -> NDArray[np.uint8]:
    """Return the colours from the lowest to the highest deviation as a lying bar, uint8 RGB (H, W, 3)."""
    shares = np.tile(np.linspace(-1.0, 1.0, width, dtype=np.float32), (height, 1))
    return np.rint(deviation_colours(shares)).astype(np.uint8)


def _chosen(spreads: NDArray[np.float64]) -> NDArray[np.intp]:
    if len(spreads) <= MOST_POINTS:
        return np.arange(len(spreads))
    order = np.random.default_rng(0).permutation(len(spreads))
    first = order[spreads[order] >= _STANDS_OUT][: MOST_POINTS // 2]
    others = order[~np.isin(order, first)]
    return np.sort(np.concatenate([first, others[: MOST_POINTS - len(first)]]))


def _directions(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return unit vectors (N, 3) across the surface: the direction in which neighbours lie closest together."""
    from scipy.spatial import KDTree

    near = KDTree(points).query(points, k=min(_NEIGHBOURS, len(points)))[1].reshape(len(points), -1)
    around = points[near] - points[near].mean(axis=1, keepdims=True)
    return np.asarray(np.linalg.eigh(np.einsum("nki,nkj->nij", around, around))[1][:, :, 0])


def _base64(values: NDArray[np.generic]) -> str:
    return base64.b64encode(values.tobytes()).decode()
