"""A plane over the picture: what is told from the place by three numbers, as speed and size are under perspective.

Reweighted least squares, for the median (Schlossmacher, J. Am. Stat. Assoc. 68(344), 1973), with a ridge on its slopes,
so that a few values in one corner tilt nothing.
"""

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float64]
_RIDGE = 0.02
"""Per value: how much a slope of one e-fold over the picture costs."""
_ROUNDS = 6
_NEAR = 0.2
"""Residuals below this weigh alike."""


def fitted_plane(places: NDArray[np.float64], values: NDArray[np.floating], weights: NDArray[np.floating]) -> Plane:
    """Return the plane of some values, (3,); at least one.

    Args:
        places: (N, 2), down and across in [0, 1].
        values: (N,).
        weights: (N,), >= 0.
    """
    rows = np.column_stack([np.ones(len(places)), places])
    ridge = np.diag([0.0, _RIDGE, _RIDGE]) * len(values)
    found = np.array([float(np.median(values)), 0.0, 0.0])
    for _ in range(_ROUNDS):
        weight = weights / np.maximum(np.abs(values - rows @ found), _NEAR)
        weighted = rows * weight[:, None]
        found = np.linalg.solve(weighted.T @ rows + ridge, weighted.T @ values)
    return np.asarray(found, np.float64)


def plane_at(plane: Plane, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values of a plane at places (..., 2), down and across in [0, 1]."""
    return np.asarray(plane[0] + places @ plane[1:], np.float64)
