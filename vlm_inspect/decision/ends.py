"""Whether a place lies at an end of a scanned part: only there does a part become longer, wider or higher."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from converters.projection import ScanOrigin
from converters.view import View

AXIS_OF: Final[dict[str, int]] = {"length": 0, "width": 1, "height": 2}
"""Principal axis of a part along which a measure is taken, the longest first."""
_END = 0.1
"""Share of the extent that counts as an end."""
_OUTERMOST = 0.001
"""Share of the points beyond each end that may be stray."""
_MOST_POINTS = 20_000


def lies_at_end(point: Sequence[float], measure: str, views: Sequence[View]) -> bool:
    """Return whether a point lies at an end of a part, along the axis of one of its sizes; True of what is no scan.

    Args:
        point: (3,) in the scan's own coordinates and unit.
        measure: one of `AXIS_OF`.
        views: of the part.
    """
    clouds = {id(view.origin.points): view.origin.points for view in views if isinstance(view.origin, ScanOrigin)}
    if not clouds:
        return True
    points = np.concatenate(list(clouds.values()))
    points = points[:: max(1, len(points) // _MOST_POINTS)]
    centre = points.mean(axis=0)
    axis = np.linalg.svd(points - centre, full_matrices=False)[2][AXIS_OF[measure]]
    low, high = np.quantile((points - centre) @ axis, [_OUTERMOST, 1.0 - _OUTERMOST])
    at = float((np.asarray(point, dtype=np.float64) - centre) @ axis)
    return bool(at <= low + _END * (high - low) or at >= high - _END * (high - low))
