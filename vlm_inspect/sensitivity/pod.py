"""Probability of detection over the size of a defect, as non-destructive testing states it.

Hit or miss against size, with a logit in the logarithm of the size (Berens, ASM Handbook 17, 1989; MIL-HDBK-1823A,
appendix G):

    POD(a) = 1 / (1 + exp(-(ln 9 + b (ln a - ln a90))))

a90 is the size found with probability 0.90. Its 95 % bound a90/95, and the band of the curve, hold all curves whose
likelihood ratio to the best one is not rejected (profile likelihood, one-sided 95 %, chi-square of one degree of
freedom; Cheng & Iles, Technometrics 25(1), 1983). The likelihood is taken on a grid of curves, so nothing has to
converge: hits and misses that a size separates, and hits or misses alone, give bounds as well.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

POD = 0.9
CONFIDENCE = 0.95
_CRITERION = 2.7055 / 2
"""Half the 90 % point of chi-square with one degree of freedom: both ends of the band are one-sided 95 % bounds."""
_SIZES = 241
_SLOPES = 49
_SLOPE_RANGE = (0.1, 25.0)
_USUAL_SLOPE = (math.log(3.0), 0.7)
"""Mean and standard deviation of the logarithm of b: a mild prior, which keeps a curve of few defects sane."""
_LEAST = 4
"""Fewer defects than this make no curve."""


@dataclass(frozen=True, eq=False)
class PodCurve:
    """A curve with its band."""

    a90: float | None
    """Size found with probability 0.90, in the unit of the sizes; None where it is not within the sizes planted."""
    a90_95: float | None
    """The same at 95 % confidence."""
    reason: str
    """Why one of the two is None; empty where both are known."""
    hits: int
    n: int
    sizes: NDArray[np.float64]
    """(k,), rising: where the curve is drawn."""
    curve: NDArray[np.float64]
    """(k,): POD in [0, 1]."""
    lower: NDArray[np.float64]
    """(k,): its lower 95 % bound."""
    upper: NDArray[np.float64]
    """(k,): its upper 95 % bound."""

    def at(self, size: float) -> tuple[float, float, float]:
        """Return POD, its lower and its upper bound at a size, read off the curve."""
        logs, log = np.log(self.sizes), math.log(size)
        return tuple(float(np.interp(log, logs, values)) for values in (self.curve, self.lower, self.upper))  # type: ignore[return-value]


def fit_pod(
    sizes: Sequence[float] | NDArray[np.float64], hits: Sequence[bool] | NDArray[np.bool_], *, drawn: int = 33
) -> PodCurve | None:
    """Return the curve of hits and misses; None of fewer than four.

    Args:
        sizes: (n,), > 0.
        hits: (n,), which were found.
        drawn: number of sizes at which the curve is drawn, over the range of those given.
    """
    logs, found = np.log(np.asarray(sizes, np.float64)), np.asarray(hits, bool)
    if len(logs) < _LEAST:
        return None
    low, high = float(logs.min()), float(logs.max())
    at90 = np.linspace(low - 3.0, high + 3.0, _SIZES)
    slopes = np.geomspace(*_SLOPE_RANGE, _SLOPES)
    likelihood = _log_likelihood(logs, found, at90, slopes)
    best = np.unravel_index(int(likelihood.argmax()), likelihood.shape)
    kept = likelihood >= likelihood[best] - _CRITERION
    rows = np.flatnonzero(kept.any(axis=1))
    a90, bound = float(at90[best[0]]), float(at90[rows[-1]])
    grid = np.linspace(low, high, drawn)
    curves = _pod(grid, at90[:, None], slopes[None, :])  # (sizes, slopes, drawn)
    inside = curves[kept]
    return PodCurve(
        a90=math.exp(a90) if found.any() and a90 <= high else None,
        a90_95=math.exp(bound) if found.any() and bound <= high else None,
        reason=_reason(found, a90, bound, high),
        hits=int(found.sum()),
        n=len(found),
        sizes=np.exp(grid),
        curve=curves[best],
        lower=inside.min(axis=0),
        upper=inside.max(axis=0),
    )


def _log_likelihood(
    logs: NDArray[np.float64], found: NDArray[np.bool_], at90: NDArray[np.float64], slopes: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the penalized log likelihood of every curve, (sizes, slopes)."""
    mean, deviation = _USUAL_SLOPE
    total = np.broadcast_to(-0.5 * ((np.log(slopes) - mean) / deviation) ** 2, (len(at90), len(slopes))).copy()
    for log, hit in zip(logs, found, strict=True):
        odds = math.log(POD / (1 - POD)) + slopes[None, :] * (log - at90[:, None])
        total -= np.logaddexp(0.0, -odds if hit else odds)
    return total


def _pod(grid: NDArray[np.float64], at90: NDArray[np.float64], slopes: NDArray[np.float64]) -> NDArray[np.float64]:
    odds = math.log(POD / (1 - POD)) + slopes[..., None] * (grid - at90[..., None])
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -60, 60))), np.float64)


def _reason(found: NDArray[np.bool_], a90: float, bound: float, high: float) -> str:
    if not found.any():
        return f"none of {len(found)} was found"
    if a90 > high:
        return f"{int(found.sum())} of {len(found)} were found, and 9 of 10 of no size that was planted"
    if bound > high:
        return f"{int(found.sum())} of {len(found)} were found: too few to be 95 % sure of any size that was planted"
    return ""
