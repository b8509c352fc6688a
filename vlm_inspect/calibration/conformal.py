"""Thresholds with a stated overkill, from the scores of normal parts alone: split conformal prediction.

If the n normal parts that are scored and the next one come from the same process, in any order, then the next score
exceeds the k-th smallest of the n with probability at most (n + 1 - k) / (n + 1), whatever the distribution (Vovk,
Gammerman & Shafer, Algorithmic Learning in a Random World, 2005; Papadopoulos et al., ECML 2002). Hence for a rate a

    k = ceil((n + 1) (1 - a)),   which exists only where n >= 1 / a - 1.

That is an average over calibrations. What one calibration really does, once made, is itself spread: with distinct
scores the rate that it realises follows Beta(n + 1 - k, k) (Vovk, ACML 2012, section 3). Its 95 % interval says what
the number of parts allows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vlm_inspect.errors import CalibrationError


@dataclass(frozen=True)
class Bound:
    """A score that normal parts exceed at most at a stated rate."""

    score: float
    rate: float
    """(n + 1 - k) / (n + 1): at most this share of new normal parts exceeds it, on average over calibrations."""
    realised_ci95: tuple[float, float]
    """Where the rate of this one calibration lies."""
    n: int


def conformal_bound(scores: Sequence[float], overkill: float) -> Bound:
    """Return the lowest score that at most a share `overkill` of new normal parts exceeds.

    Args:
        scores: one score of each normal part, none of which set the score up.
        overkill: the rate, in (0, 0.5].

    Raises:
        CalibrationError: there are too few parts for that rate; the message says how many more are needed.
        ValueError: a score is NaN, or the rate is outside (0, 0.5].
    """
    if not 0.0 < overkill <= 0.5 or any(math.isnan(score) for score in scores):
        raise ValueError(f"a rate in (0, 0.5] and scores that are numbers, not {overkill!r} and {list(scores)!r}")
    n, needed = len(scores), parts_needed(overkill)
    if n < needed:
        least = 1 / (n + 1)
        instead = f", or ask for {least:.1%} (--overkill {math.ceil(1e3 * least) / 1e3:g})" if least <= 0.5 else ""
        raise CalibrationError(
            f"an overkill of {overkill:.2%} needs at least {needed} normal parts beside the references, there are {n}: "
            f"give {needed - n} more{instead}"
        )
    k = min(n, math.ceil((n + 1) * (1 - overkill) - 1e-9))
    return Bound(sorted(scores)[k - 1], (n + 1 - k) / (n + 1), realised_interval(n, k), n)


def parts_needed(overkill: float) -> int:
    """Return the least number of normal parts that a rate can be stated with: ceil(1 / a) - 1."""
    return math.ceil(1 / overkill - 1e-9) - 1


def realised_interval(n: int, k: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return where the rate of one calibration lies whose bound is the k-th smallest of n scores."""
    from scipy.stats import beta

    tail = (1 - confidence) / 2
    rate = beta(n + 1 - k, k)
    return float(rate.ppf(tail)), float(rate.ppf(1 - tail))


def parts_for_width(overkill: float, width: float, most: int = 100_000) -> int:
    """Return how many parts make the 95 % interval of the realised rate no wider than `width`; at most `most`."""
    low, high = parts_needed(overkill), most
    while low < high:
        middle = (low + high) // 2
        k = min(middle, math.ceil((middle + 1) * (1 - overkill) - 1e-9))
        inside = realised_interval(middle, k)
        low, high = (low, middle) if inside[1] - inside[0] <= width else (middle + 1, high)
    return low
