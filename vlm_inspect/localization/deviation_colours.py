"""The diverging colours of a deviation: blue below the reference, grey where it agrees, red above it."""

import numpy as np
from numpy.typing import NDArray

_SPREADS_SHOWN = 12.0
"""The scale reaches at least so many typical spreads of normal parts, so that a normal part stays grey."""
_BELOW, _AGREES, _ABOVE = (33.0, 82.0, 190.0), (221.0, 221.0, 221.0), (188.0, 20.0, 38.0)
_EXPONENT = float(np.log(0.6) / np.log(0.5))
"""Half of the scale is 0.6 of the way to a colour: small deviations stay visible."""


def full_scale(largest: float, typical: float) -> float:
    """Return the deviation that has the full colour, from the largest one and a typical spread, in their unit."""
    return max(largest, _SPREADS_SHOWN * typical, 1e-9)


def deviation_colours(share: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return RGB in [0, 255] (..., 3) for values in [-1, 1]: shares of the full scale."""
    way = np.abs(np.clip(share, -1.0, 1.0))[..., None] ** _EXPONENT
    end = np.where((share < 0.0)[..., None], np.array(_BELOW), np.array(_ABOVE))
    return np.asarray((1.0 - way) * np.array(_AGREES) + way * end, dtype=np.float32)
