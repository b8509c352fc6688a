"""From the maps of a scan's views back to the scan: one score a point, and the picture of an organised scan.

Every view of a scan is a parallel projection whose pixels know their points. A point takes the highest value among
the views that see it. A point that no view sees (inside a bore, under an overhang, outside the drawn square) takes the
value of the nearest point that one sees: nothing is known of it but that it is part of the same surface, and to call
it normal would be a guess in favour of the method.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from converters.pose import ScanFrame
from converters.projection import ScanOrigin
from converters.sample import ScanGrid
from converters.view import View
from evaluation.scoring.item_map import comparable
from vlm_inspect.evidence import AnomalyMap

_SLOPE = 1.0
"""How far behind the visible point of its pixel a point may lie, in pixels, to be seen itself: a surface at 45 degrees
comes that much nearer within one pixel."""

Scores = NDArray[np.float32]
Points = NDArray[np.float64]


def scan_origin(views: Sequence[View]) -> ScanOrigin | None:
    """Return the origin of a scan's first view; None where the views are not of a scan."""
    origin = views[0].origin
    return origin if isinstance(origin, ScanOrigin) else None


def point_scores(views: Sequence[View], maps: Sequence[AnomalyMap]) -> Scores | None:
    """Return the score of every point of a scan, (N,), float32 >= 0; None where no map shows any of them.

    Maps with a tolerance are told in its limits, see `comparable`. Material that is missing has no point of its own: it
    is scored at the points beside and behind the place, where its deviation is painted.
    """
    by_camera: dict[str, tuple[ScanOrigin, Scores]] = {}
    for one, values in comparable(maps):
        origin = views[one.view].origin
        if isinstance(origin, ScanOrigin):
            known = by_camera.get(origin.camera.direction)
            by_camera[origin.camera.direction] = (origin, values if known is None else np.maximum(known[1], values))
    if not by_camera:
        return None
    points = next(iter(by_camera.values()))[0].points
    scores: Scores = np.full(len(points), -np.inf, np.float32)
    for origin, values in by_camera.values():
        _carry_back(scores, origin, values)
    seen = np.isfinite(scores)
    if not seen.any():
        return None
    if not seen.all():
        scores[~seen] = scores_at(points[~seen], points[seen], scores[seen])
    return scores


def scores_at(places: Points, points: Points, scores: Scores) -> Scores:
    """Return for each of the places (M, 3) the score of the nearest of the points (N, 3); (M,), float32."""
    from scipy.spatial import KDTree

    middle = points.mean(axis=0)  # far from the origin, squares of coordinates would cost digits
    nearest = KDTree(points - middle).query(places - middle)[1]
    found: Scores = scores[nearest]
    return found


def grid_map(scores: Scores, grid: ScanGrid) -> Scores:
    """Return the picture (H, W), float32, of an organised scan's points; 0, the lowest score, where it has no point.

    MVTec 3D-AD's evaluation code takes maps of the scan's own size and counts every pixel outside the ground truth as
    normal, those without a point among them (Bergmann et al., VISAPP 2022, section 4; `compute_pro` of the code
    published with it). An anomalous pixel without a point is therefore missed, as it is for every method that scores
    points.
    """
    picture: Scores = np.zeros(grid.size_hw, np.float32)
    picture.ravel()[grid.pixels] = scores
    return picture


def _carry_back(scores: Scores, origin: ScanOrigin, values: Scores) -> None:
    """Raise the scores of the points that a view sees to the values (H, W) of their pixels."""
    camera = origin.camera
    xy, depth = camera.pixels(ScanFrame(origin.pose, camera.half_extent_mm).posed(origin.points))
    inside = np.flatnonzero(((xy >= 0.0) & (xy < camera.size)).all(axis=1))
    columns, rows = xy[inside].T.astype(np.int64)
    front = origin.index_hw[rows, columns]
    seen = (front >= 0) & (depth[inside] <= depth[front] + _SLOPE * camera.mm_per_px)
    rows, columns, inside = rows[seen], columns[seen], inside[seen]
    scores[inside] = np.maximum(scores[inside], values[rows, columns])
