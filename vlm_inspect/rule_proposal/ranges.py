"""`propose_range`: from what normal parts measured to the range that nearly all such parts keep to."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

CONTENT, CONFIDENCE = 0.99, 0.95
"""Share of further parts that a range holds, and the confidence in that."""
FEWEST = 3
"""Values from which a range is proposed."""
MOST_COUNTED = 20
"""Whole numbers up to this are things that are counted one by one."""
Sides = Literal["both", "min", "max"]


@dataclass(frozen=True)
class Range:
    """What a measure gave on normal parts, and what is proposed for it."""

    measure: str
    channel: str
    """Of a curve; "" elsewhere."""
    unit: str
    n: int
    low: float
    high: float
    """Smallest and largest value."""
    min: float | None
    max: float | None
    """Proposed bounds; both None: none can be proposed."""


def propose_range(
    values: Sequence[float], *, sides: Sides = "both", floor: float | None = None, ceiling: float | None = None
) -> tuple[float | None, float | None]:
    """Return the least and the greatest value to allow; None: no bound.

    A normal tolerance interval that holds `CONTENT` of further parts with `CONFIDENCE`, rounded outwards to two digits
    of its width. Small counts keep to what was seen.

    Args:
        values: of `FEWEST` parts or more; of fewer nothing is proposed.
        sides: which bounds make sense.
        floor: least value that the measure can have.
        ceiling: its greatest value.
    """
    if len(values) < FEWEST:
        return None, None
    if all(float(value).is_integer() for value in values) and max(values) <= MOST_COUNTED:
        low, high = min(values), max(values)
    else:
        mean = math.fsum(values) / len(values)
        spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
        if spread <= 1e-9 * abs(mean):
            return None, None
        reach = tolerance_factor(len(values)) * spread
        step = 10.0 ** (math.floor(math.log10(2 * reach)) - 1)
        low, high = _rounded(mean - reach, step, math.floor), _rounded(mean + reach, step, math.ceil)
        low = low if floor is None else max(low, floor)
        high = high if ceiling is None else min(high, ceiling)
    return (None if sides == "max" else low), (None if sides == "min" else high)


def tolerance_factor(n: int) -> float:
    """Return how many standard deviations a two-sided normal tolerance interval of n values reaches.

    Howe, "Two-sided tolerance limits for normal populations", J. of the American Statistical Association 64 (1969).
    """
    from scipy.stats import chi2, norm

    middle = float(norm.ppf((1 + CONTENT) / 2))
    return middle * math.sqrt((n - 1) * (1 + 1 / n) / float(chi2.ppf(1 - CONFIDENCE, n - 1)))


def _rounded(value: float, step: float, whole: Callable[[float], int]) -> float:
    return float(f"{whole(value / step) * step:.12g}")  # 0.1 * 3 is to be 0.3
