"""From the maps of a scan's views back to the scan: one score a point, and the picture of an organised scan."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from converters.projection import ScanOrigin
from converters.sample import ScanGrid
from converters.view import View
from evaluation.scoring.item_map import comparable
from vlm_inspect.evidence import AnomalyMap
from vlm_inspect.point_values import values_at_points

Scores = NDArray[np.float32]


def scan_origin(views: Sequence[View]) -> ScanOrigin | None:
    """Return the origin of a scan's first view; None where the views are not of a scan."""
    origin = views[0].origin
    return origin if isinstance(origin, ScanOrigin) else None


def point_scores(views: Sequence[View], maps: Sequence[AnomalyMap]) -> Scores | None:
    """Return the score of every point of a scan, (N,), float32 >= 0; None where no map shows any of them.

    Maps with a tolerance are told in its limits, see `comparable`. Material that is missing has no point of its own: it
    is scored at the points beside and behind the place, where its deviation is painted.
    """
    told = [(views[one.view].origin, values) for one, values in comparable(maps)]
    return values_at_points((origin, values) for origin, values in told if isinstance(origin, ScanOrigin))


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
