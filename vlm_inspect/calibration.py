"""Thresholds from normal samples alone.

`tolerance_from_normals` turns the scores of normal samples into an upper prediction bound for the next normal one.
Scores of normal samples are positive and skewed, so the bound is taken on their logarithm: with mean m and standard
deviation s of n log scores, a new normal score exceeds

    exp(m + t_{n-1, 1-a} * s * sqrt(1 + 1/n))

with probability a, the overkill rate (the prediction interval of a normal sample with unknown variance; Student t).
Few samples say little about s, so it is shrunk towards a prior spread that counts as `PRIOR_DOF` more samples, as a
scaled inverse chi-square prior does (Gelman et al., Bayesian Data Analysis, 3rd ed., eq. 2.12 and 3.3).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

PRIOR_SPREAD = 0.12
"""Standard deviation of the log score among normal samples of one class, before any is seen."""
PRIOR_DOF = 4.0
"""How many samples the prior counts for."""
OVERKILL = 0.01
"""Share of normal samples that may be called anomalous."""
_P_AT_CENTRE = 0.02
"""P(anomalous) given to a score in the middle of the normal ones."""


@dataclass(frozen=True)
class Tolerance:
    """How far normal samples go: `limit` is the raw score at which P(anomalous) is 0.5."""

    limit: float
    centre: float
    """Geometric mean of the normal scores; 0 < centre < limit."""
    n: int
    """Number of normal scores that it rests on."""
    overkill: float

    def probability(self, score: float) -> float:
        """Map a raw score (>= 0) to P(anomalous): logistic in the log score, 0.02 at the centre, 0.5 at the limit."""
        if score <= 0.0:
            return 0.0
        slope = -math.log(_P_AT_CENTRE / (1 - _P_AT_CENTRE)) / math.log(self.limit / self.centre)
        z = slope * math.log(score / self.limit)
        return 1.0 / (1.0 + math.exp(-z)) if z > -700 else 0.0


def tolerance_from_normals(
    scores: Sequence[float],
    *,
    overkill: float = OVERKILL,
    prior_spread: float = PRIOR_SPREAD,
    prior_dof: float = PRIOR_DOF,
) -> Tolerance:
    """Return the tolerance that normal samples with these raw scores (> 0) set.

    Raises:
        ValueError: no score, or one that is negative or not finite.
    """
    from scipy.stats import t as student_t

    if not scores or any(not math.isfinite(s) or s < 0 for s in scores):
        raise ValueError(f"a tolerance needs finite scores >= 0 of normal samples, got {list(scores)!r}")
    floor = max(*scores, 1e-12) * 1e-3  # a score of exactly 0 must not send the logarithm to -inf
    logs = [math.log(max(s, floor)) for s in scores]
    n = len(logs)
    mean = sum(logs) / n
    own = sum((x - mean) ** 2 for x in logs)
    dof = n - 1 + prior_dof
    spread = math.sqrt((own + prior_dof * prior_spread**2) / dof)
    bound = float(student_t.ppf(1 - overkill, dof)) * spread * math.sqrt(1 + 1 / n)
    return Tolerance(limit=math.exp(mean + bound), centre=math.exp(mean), n=n, overkill=overkill)


@dataclass(frozen=True)
class Thresholds:
    """How a fused score becomes an outcome, and how model and heatmap are weighed."""

    ok_below: float = 0.4
    ng_above: float = 0.6
    """Between the two lies doubt: REVIEW."""
    model_weight: float = 0.5
    heatmap_weight: float = 0.5
    """Weights of the two log-odds in the fused score."""
    calibrated: bool = False
    """True when they come from a calibration file."""
