"""How far the next normal part may lie from the mean of its references, by one measured number."""

import math

import numpy as np
from numpy.typing import NDArray

_OVERKILL = 0.001
"""Share of normal parts that may lie further off, both ways together."""
_PRIOR_PARTS = 8
"""How many references the expected spread counts for."""


def off_bound(values: NDArray[np.float64], expected: float) -> float:
    """Return how far from the mean of these values the next one may lie.

    The prediction bound by Student's t, the spread shrunk towards the expected one as by a scaled inverse chi-square
    prior (see `tolerance.py`).

    Args:
        values: (n,) of the references, n >= 1.
        expected: standard deviation that is expected before any is seen, > 0.
    """
    from scipy.special import stdtrit

    count = len(values)
    freedom = count - 1 + _PRIOR_PARTS
    spread = math.sqrt((float(((values - values.mean()) ** 2).sum()) + _PRIOR_PARTS * expected**2) / freedom)
    return float(stdtrit(freedom, 1 - _OVERKILL / 2)) * spread * math.sqrt(1 + 1 / count)
