"""Fewer points for the same surface: some of them, or the mean of those that share a small cell.

Both sort the points by the cell that they lie in: n log n.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

_GRID = np.array([[2.0, 1.0, 2.0], [-2.0, 2.0, 1.0], [-1.0, -2.0, 2.0]]) / 3.0
"""A rotation under which faces along the axes lie along no face of a grid."""
_SIDE_STEP = 1.04
"""Sides of cells come in steps: a scan of which a few points moved is averaged in the same cells."""


@dataclass(frozen=True, eq=False)
class Cells:
    """A cloud (N, 3) averaged in the cells of a cubic grid."""

    points: Points
    """(M, 3): the mean of each cell's points."""
    cell: NDArray[np.int64]
    """(N,): the cell of each point of the cloud."""
    side: float = 0.0
    """Of a cell, in the unit of the points; 0: nothing was averaged."""

    @property
    def counts(self) -> NDArray[np.int64]:
        """(M,): points a cell."""
        return np.bincount(self.cell, minlength=len(self.points))


def averaged(points: Points, count: int) -> Cells:
    """Return a cloud (N, 3) in about `count` cells at most; a cloud of no more points stays as it is.

    The mean of k points of a cell has 1 / sqrt(k) of their noise, which picking one of them would throw away. The grid
    is turned against the axes: a face that lies along it, near a boundary, would be cut into cells above and below it
    that hold different numbers of points, and their means would lie beside it by its noise. It is fixed in space and
    its sides come in steps, so that a scan with a defect planted into it has the cells of the sound one elsewhere.
    """
    if len(points) <= count:
        return Cells(points, np.arange(len(points)))
    low, turned = points.min(axis=0), points @ _GRID
    first = turned.min(axis=0)
    side = _stepped(_cell_side(turned - first, count))
    cells = np.unique(_keys(turned - np.floor(first / side) * side, side), return_inverse=True)[1].ravel()
    weight = np.bincount(cells)
    means = np.stack([np.bincount(cells, points[:, axis] - low[axis]) / weight for axis in range(3)], axis=1)
    return Cells(means + low, cells, side)


def thinned(points: Points, count: int) -> NDArray[np.int64]:
    """Return indices of at most `count` points, spread evenly over the surface whatever the scan's density.

    One point a cell of a cubic grid, the cell sized so that about `count` remain; the point kept is the first of its
    cell, so the choice depends on the points alone.
    """
    if len(points) <= count:
        return np.arange(len(points))
    low = points.min(axis=0)
    first = np.sort(np.unique(_keys(points - low, _cell_side(points - low, count)), return_index=True)[1])
    return first if 0 < len(first) <= count else np.arange(0, len(points), -(-len(points) // count))


def thinned_by(points: Points, cell: float) -> NDArray[np.int64]:
    """Return the indices of the first point in every cubic cell of that side."""
    return np.sort(np.unique(_keys(points - points.min(axis=0), cell), return_index=True)[1])


def _cell_side(points: Points, count: int) -> float:
    """Return the side of the cells of which points (N, 3), none negative, fill at most `count`, and nearly as many."""
    extent = float(points.max())
    if extent <= 0.0:
        return 1.0
    cell = extent / float(np.sqrt(count))
    best = None
    for _ in range(6):
        filled = len(np.unique(_keys(points, cell)))
        if filled <= count and (best is None or cell < best):
            best = cell
        if 0.85 * count < filled <= count:
            break
        # The cells that a surface meets grow with the square of their number along a side.
        cell = max(cell * float(np.sqrt(filled / (0.93 * count))), 1e-6 * extent)
    return best if best is not None else cell


def _stepped(side: float) -> float:
    """Return the next larger of the sides that cells come in."""
    return float(_SIDE_STEP ** np.ceil(np.log(side) / np.log(_SIDE_STEP)))


def _keys(points: Points, cell: float) -> NDArray[np.int64]:
    ijk = (points / cell).astype(np.int64)
    sides = ijk.max(axis=0) + 1
    return np.asarray((ijk[:, 0] * sides[1] + ijk[:, 1]) * sides[2] + ijk[:, 2])
