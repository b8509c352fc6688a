"""What the scores of normal samples say of the next normal one.

Log scores of normal samples are taken as normal variables of unknown mean and variance. The variance is shrunk towards
a prior (scaled inverse chi-square; Gelman et al., Bayesian Data Analysis, 3rd ed., eq. 2.12 and 3.3), so that a new
log score is a Student t variable around the mean of those seen (section 3.3). Where the level itself was estimated in
another way than by averaging, as with one reference, its own uncertainty adds to the spread.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

PRIOR_DOF = 4.0
"""How many samples the prior spread counts for."""

_LEVEL_DOF = 6.0
"""Degrees of freedom of what a level may be off by: learned on seven classes."""


@dataclass(frozen=True)
class NormalScores:
    """Distribution of the log score of the next normal sample."""

    mean: float
    spread: float
    """Standard deviation among normal samples."""
    dof: float
    """Degrees of freedom of `spread`, the prior's included."""
    n: int
    """Samples that it rests on."""
    level_spread: float = 0.0
    """Standard deviation of what `mean` may be off by beside the chance of the samples."""
    upper_spread: float = 0.0
    """Likewise of the samples above their median, around it: scores reach further up than down. 0: not known."""

    @property
    def mean_error(self) -> float:
        """Standard error of `mean`."""
        return math.sqrt(self.spread**2 / self.n + self.level_spread**2)

    def upper_bound(self, exceeding: float) -> float:
        """Return the log score that the next normal sample exceeds with this chance, in (0, 0.5].

        The greater of both spreads counts. By the one of all samples alone, 2.1 % of further normal pictures of seven
        classes exceed a bound that 30 set for 1 %; so 1.4 % do.
        """
        from scipy.special import stdtrit  # quantiles of Student's t; scipy.stats takes a second to import

        wide = replace(self, spread=max(self.spread, self.upper_spread))
        return self.mean + float(stdtrit(wide._next_dof, 1 - exceeding)) * wide.next_spread

    def below(self, log_score: float) -> float:
        """Return the chance that the next normal sample scores at most this."""
        from scipy.special import stdtr

        return float(stdtr(self._next_dof, (log_score - self.mean) / self.next_spread))

    def quantiles(self, count: int) -> NDArray[np.float64]:
        """Return the log scores in the middle of `count` equally likely ranges of the next normal sample."""
        from scipy.special import stdtrit

        shares = (np.arange(count) + 0.5) / count
        return np.asarray(self.mean + stdtrit(self._next_dof, shares) * self.next_spread, np.float64)

    def lower_tolerance(self, share: float, confidence: float, *, level_counts: bool = False) -> float:
        """Return a log score under which, with this confidence, no more than `share` of all normal samples lie.

        What the level of the class may be off by beside chance (`level_spread`) is left out unless `level_counts`: the
        bound D of planted defects counts on it.

        One-sided tolerance bound of a normal variable: the quantile's estimate m + z s, less its standard error
        sqrt(se(m)^2 + z^2 s^2 / (2 dof)) times the normal quantile of the confidence (Hahn & Meeker, Statistical
        Intervals, 1991, section 4.4, large-sample form).
        """
        from scipy.special import ndtri

        z = float(ndtri(share))
        of_mean = self.mean_error if level_counts else self.spread / math.sqrt(self.n)
        error = math.hypot(of_mean, z * self.spread / math.sqrt(2 * self.dof))
        return self.mean + z * self.spread - float(ndtri(confidence)) * error

    @property
    def next_spread(self) -> float:
        """Standard deviation of the next part's log score around `mean`, what is not known of `mean` included."""
        return math.hypot(self.spread, self.mean_error)

    @property
    def _next_dof(self) -> float:
        """Degrees of freedom of `next_spread`: two variances, each known from so many (Satterthwaite, Biometrics
        Bulletin 2, 1946)."""
        samples, level = self.spread**2 * (1 + 1 / self.n), self.level_spread**2
        return (samples + level) ** 2 / (samples**2 / self.dof + level**2 / _LEVEL_DOF)


def normal_scores(
    log_scores: Sequence[float], *, prior_spread: float, prior_dof: float = PRIOR_DOF, level_spread: float = 0.0
) -> NormalScores:
    """Return what these log scores of normal samples say of the next.

    Args:
        log_scores: at least one, each of a sample scored without itself among the references.
        prior_spread: standard deviation of the log score that is expected before any is seen.
        prior_dof: how many samples that expectation counts for.
        level_spread: standard deviation of an error that all of them share.

    Raises:
        ValueError: no score, or one that is not finite.
    """
    if not len(log_scores) or not np.isfinite(log_scores).all():
        raise ValueError(f"normal scores need at least one finite log score, got {list(log_scores)!r}")
    n = len(log_scores)
    mean = float(np.mean(log_scores))
    seen = np.asarray(log_scores, np.float64)
    above = np.maximum(seen - np.median(seen), 0.0)
    expected = prior_dof * prior_spread**2
    dof = n - 1 + prior_dof
    spread = math.sqrt((float(((seen - mean) ** 2).sum()) + expected) / dof)
    upper = math.sqrt((float((above**2).sum()) + expected) / (np.count_nonzero(above) + prior_dof))
    return NormalScores(mean, spread, dof, n, level_spread, upper)
