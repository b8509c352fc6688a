"""How far normal samples go, from their scores alone.

`tolerance_from_normals` turns the scores of normal samples into an upper prediction bound for the next normal one.
Scores of normal samples are positive and skewed, so the bound is taken on their logarithm: with mean m and standard
deviation s of n log scores, a new normal score exceeds

    exp(m + t_{n-1, 1-a} * s * sqrt(1 + 1/n))

with probability a, the overkill rate (the prediction interval of a normal sample with unknown variance; Student t).
Few samples say little about s, so it is shrunk towards a prior spread that counts as `PRIOR_DOF` more samples, as a
scaled inverse chi-square prior does (Gelman et al., Bayesian Data Analysis, 3rd ed., eq. 2.12 and 3.3).

How to read the rate: over many classes of parts, each calibrated on its own n normal samples, the share a of new
normal parts exceeds the limit of its class; this holds exactly where the spreads of the classes follow the prior. A
class that spreads less is called anomalous more rarely. One that spreads more is called anomalous too often while the
samples are few: at three times the prior spread and a = 5 %, in about 19 % of parts with 2 samples, 12 % with 4, 7 %
with 16, 6 % with 64. What one class really does, `overkill_interval` says from parts that were set aside.
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

    def __post_init__(self) -> None:
        if not 0.0 < self.centre < self.limit < math.inf:
            raise ValueError(f"a tolerance needs 0 < centre < limit, got {self.centre!r} and {self.limit!r}")

    def probability(self, score: float) -> float:
        """Map a raw score (>= 0) to P(anomalous): logistic in the log score, 0.02 at the centre, 0.5 at the limit.

        Raises:
            ValueError: the score is NaN; it must not pass as normal.
        """
        if math.isnan(score):
            raise ValueError("a map's score is NaN")
        if score <= 0.0:
            return 0.0
        slope = -math.log(_P_AT_CENTRE / (1 - _P_AT_CENTRE)) / math.log(self.limit / self.centre)
        z = slope * (math.log(score) - math.log(self.limit))  # the quotient of a denormal score would be 0
        return 1.0 / (1.0 + math.exp(-z)) if z > -700 else 0.0


def tolerance_from_normals(
    scores: Sequence[float],
    *,
    overkill: float = OVERKILL,
    prior_spread: float = PRIOR_SPREAD,
    prior_dof: float = PRIOR_DOF,
) -> Tolerance:
    """Return the tolerance that normal samples with these raw scores (>= 0) set.

    Args:
        scores: one raw score per normal sample, each scored without itself among the references.
        overkill: share of new normal samples that may exceed the limit, in (0, 0.5).
        prior_spread: standard deviation of the log score that is expected before any sample is seen.
        prior_dof: how many samples that expectation counts for.

    Raises:
        ValueError: no score, one that is negative or not finite, or an overkill rate outside (0, 0.5).
    """
    from scipy.special import stdtrit  # scipy.stats takes a second to import

    if not scores or any(not math.isfinite(s) or s < 0 for s in scores):
        raise ValueError(f"a tolerance needs finite scores >= 0 of normal samples, got {list(scores)!r}")
    if not 0.0 < overkill < 0.5:
        raise ValueError(f"the overkill rate lies between 0 and 0.5, not {overkill!r}")
    floor = max(*scores, 1e-12) * 1e-3  # a score of exactly 0 must not send the logarithm to -inf
    logs = [math.log(max(s, floor)) for s in scores]
    n = len(logs)
    mean = sum(logs) / n
    own = sum((x - mean) ** 2 for x in logs)
    dof = n - 1 + prior_dof
    spread = math.sqrt((own + prior_dof * prior_spread**2) / dof)
    bound = float(stdtrit(dof, 1 - overkill)) * spread * math.sqrt(1 + 1 / n)
    return Tolerance(limit=math.exp(mean + bound), centre=math.exp(mean), n=n, overkill=overkill)
