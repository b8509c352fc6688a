"""From values on the views of a scan back to its points.

Every view of a scan is a parallel projection whose pixels know their points. A point takes the highest value among
the views that see it. A point that no view sees (inside a bore, under an overhang, outside the drawn square) takes the
value of the nearest point that one sees: nothing is known of it but that it is part of the same surface, and to call
it normal would be a guess in favour of the method.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from converters.pose import ScanFrame
from converters.projection import ScanOrigin

_SLOPE = 1.0
"""How far behind the visible point of its pixel a point may lie, in pixels, to be seen itself: a surface at 45 degrees
comes that much nearer within one pixel."""

Values = NDArray[np.float32]
Points = NDArray[np.float64]


def values_at_points(drawn: Iterable[tuple[ScanOrigin, Values]]) -> Values | None:
    """Return the value of every point of a scan, (N,), float32; None where no view shows any of them.

    Args:
        drawn: views of one scan, each with its values (H, W) float32; of several of one camera the highest counts.
    """
    by_camera: dict[str, tuple[ScanOrigin, Values]] = {}
    for origin, values in drawn:
        known = by_camera.get(origin.camera.direction)
        by_camera[origin.camera.direction] = (origin, values if known is None else np.maximum(known[1], values))
    if not by_camera:
        return None
    points = next(iter(by_camera.values()))[0].points
    found: Values = np.full(len(points), -np.inf, np.float32)
    for origin, values in by_camera.values():
        _carry_back(found, origin, values)
    seen = np.isfinite(found)
    if not seen.any():
        return None
    if not seen.all():
        found[~seen] = values_nearby(points[~seen], points[seen], found[seen])
    return found


def values_nearby(places: Points, points: Points, values: Values) -> Values:
    """Return for each of the places (M, 3) the value of the nearest of the points (N, 3); (M,), float32."""
    from scipy.spatial import KDTree

    middle = points.mean(axis=0)  # far from the origin, squares of coordinates would cost digits
    nearest = KDTree(points - middle).query(places - middle)[1]
    found: Values = values[nearest]
    return found


def _carry_back(found: Values, origin: ScanOrigin, values: Values) -> None:
    """Raise the values of the points that a view sees to those (H, W) of their pixels."""
    camera = origin.camera
    xy, depth = camera.pixels(ScanFrame(origin.pose, camera.half_extent_mm).posed(origin.points))
    inside = np.flatnonzero(((xy >= 0.0) & (xy < camera.size)).all(axis=1))
    columns, rows = xy[inside].T.astype(np.int64)
    front = origin.index_hw[rows, columns]
    seen = (front >= 0) & (depth[inside] <= depth[front] + _SLOPE * camera.mm_per_px)
    rows, columns, inside = rows[seen], columns[seen], inside[seen]
    found[inside] = np.maximum(found[inside], values[rows, columns])
