"""A scan as text: some hundred of its points, spread evenly over what was scanned, one a line.

The published protocol turns every scan into pictures (arXiv 2403.11083), and asks for the same scan as it is beside
them, to tell what the pictures lose. A model reads no cloud, so that it is given coordinates.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.projection import ScanOrigin
from converters.view import View

POINTS = 400
"""Most points of a scan that are written: about 12 tokens each."""
_LOOKED_AT = 60_000
"""Of larger scans so many points, at random, are thinned: the cells of the grid hold several each."""
_DIGITS = 3
_HALVINGS, _MOST_CELLS = 16, 100_000

Rows = NDArray[np.float64]


def point_facts(views: Sequence[View], most: int = POINTS) -> dict[str, Any] | None:
    """Return the points of the scan that views were drawn from, for a template; None where they show no scan.

    `rows` are lines "x y z" relative to the scan's lowest corner, in its own unit, in order of z, y, x; `shown` and
    `count` say how many points there are here and in the scan, `size` its extents.
    """
    origin = next((view.origin for view in views if isinstance(view.origin, ScanOrigin)), None)
    if origin is None or not len(origin.points):
        return None
    points = np.asarray(origin.points, np.float64)
    low, extents = points.min(axis=0), np.ptp(points, axis=0)
    step = 10.0 ** (np.floor(np.log10(max(float(extents.max()), 1e-12))) + 1 - _DIGITS)
    chosen = np.round((thin(points, most) - low) / step) * step
    chosen = chosen[np.lexsort(chosen.T)]
    return {
        "rows": [" ".join(f"{value:.6g}" for value in row) for row in chosen],
        "shown": len(chosen),
        "count": len(points),
        "size": " x ".join(f"{value:.3g}" for value in extents),
    }


def thin(points: Rows, most: int) -> Rows:
    """Return at most so many of points (N, 3): of a grid of cubes, as fine as that allows, the point nearest to each
    cube's middle."""
    if len(points) <= most:
        return points
    some = points
    if len(points) > _LOOKED_AT:
        some = points[np.sort(np.random.default_rng(0).permutation(len(points))[:_LOOKED_AT])]
    low, extent = some.min(axis=0), float(np.ptp(some, axis=0).max()) or 1.0
    fine, coarse = extent / _MOST_CELLS, 2 * extent  # one cube of the coarse grid holds everything
    for _ in range(_HALVINGS):
        side = (fine * coarse) ** 0.5
        fits = len(np.unique(_cell_numbers((some - low) / side))) <= most
        fine, coarse = (fine, side) if fits else (side, coarse)
    cells = (some - low) / coarse
    nearest = np.argsort(np.linalg.norm(cells - np.floor(cells) - 0.5, axis=1), kind="stable")
    _, first = np.unique(_cell_numbers(cells[nearest]), return_index=True)
    return some[nearest[first]]


def _cell_numbers(cells: Rows) -> NDArray[np.int64]:
    """Return one number for each cube that points (N, 3), in sides of a cube and >= 0, lie in."""
    x, y, z = np.floor(cells).astype(np.int64).T
    return np.asarray((x * 2 * _MOST_CELLS + y) * 2 * _MOST_CELLS + z)
