"""How long points are, in the direction in which they reach farthest."""

from functools import lru_cache

import numpy as np

from vlm_inspect.registration.surface import Points

_DIRECTIONS = 200


def longest_extent(points: Points) -> float:
    """Return the extent of points (K, 3), K >= 1, in the direction in which they reach farthest, to 1 %."""
    return float(np.ptp((points - points.mean(axis=0)) @ _directions().T, axis=0).max())


@lru_cache(maxsize=1)
def _directions() -> Points:
    """Return unit vectors (D, 3), spread evenly over half of the sphere."""
    index = np.arange(_DIRECTIONS) + 0.5
    height, turn = index / _DIRECTIONS, np.pi * (1.0 + np.sqrt(5.0)) * index
    aside = np.sqrt(1.0 - height**2)
    return np.column_stack([aside * np.cos(turn), aside * np.sin(turn), height])
