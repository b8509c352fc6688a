"""How far along the part a place lies: along the longest axis of a scan, from one of its ends."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.view import View

_END = 0.1
"""Share of the length that counts as an end."""
_WIDER = 1.25
"""From this ratio of their radii on, one end is the wider one, which people can tell without coordinates."""
_MOST_POINTS = 50_000
_OUTERMOST = 0.001
"""Share of the points beyond each end that may be stray."""


@dataclass(frozen=True, eq=False)
class PartAxis:
    """The longest axis of a scanned part, in the scan's own coordinates and unit."""

    start: NDArray[np.float64]
    """(3,): one end; the wider one, where one is."""
    direction: NDArray[np.float64]
    """(3,), of length 1, away from `start`."""
    length: float
    starts_wider: bool
    """Whether `start` is clearly the wider end."""

    def along(self, point: Sequence[float]) -> float:
        """Return how far from `start` a point lies, in [0, length]."""
        return float(np.clip((np.asarray(point, dtype=np.float64) - self.start) @ self.direction, 0.0, self.length))

    @property
    def end(self) -> NDArray[np.float64]:
        """(3,): the other end."""
        return self.start + self.length * self.direction


def find_axis(views: Sequence[View]) -> PartAxis | None:
    """Return the axis of a scan by the points that its views show; None for any other part, or where it has none.

    The axis is the first principal axis (Pearson, Phil. Mag. 2, 1901) of points thinned to a grid, so that dense places
    do not pull it.
    """
    from converters.projection import ScanOrigin

    clouds = {id(view.origin.points): view.origin.points for view in views if isinstance(view.origin, ScanOrigin)}
    if not clouds:
        return None
    points = _thinned(np.concatenate(list(clouds.values())))
    centre = points.mean(axis=0)
    _, _, axes = np.linalg.svd(points - centre, full_matrices=False)
    along = (points - centre) @ axes[0]
    low, high = (float(value) for value in np.quantile(along, [_OUTERMOST, 1.0 - _OUTERMOST]))
    if not high > low:
        return None
    radii = (
        _radius(points, axes, along <= low + _END * (high - low)),
        _radius(points, axes, along >= high - _END * (high - low)),
    )
    first, second = centre + low * axes[0], centre + high * axes[0]
    if radii[1] > radii[0]:
        return PartAxis(second, -axes[0], high - low, radii[1] > _WIDER * radii[0])
    return PartAxis(first, axes[0], high - low, radii[0] > _WIDER * radii[1])


def _radius(points: NDArray[np.float64], axes: NDArray[np.float64], chosen: NDArray[np.bool_]) -> float:
    """Return how far the chosen points reach from the middle of them, across the axis."""
    across = points[chosen] @ axes[1:].T
    return float(np.linalg.norm(across - across.mean(axis=0), axis=1).max()) if len(across) else 0.0


def _thinned(points: NDArray[np.float64]) -> NDArray[np.float64]:
    points = points[:: max(1, len(points) // _MOST_POINTS)]
    side = float(np.ptp(points, axis=0).max()) / 100
    if side <= 0.0:
        return points
    _, kept = np.unique(np.floor(points / side).astype(np.int64), axis=0, return_index=True)
    return points[kept]
