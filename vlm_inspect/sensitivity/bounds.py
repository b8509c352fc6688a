"""The two bounds of a score: NG above what normal parts reach, OK below what planted defects reach.

NG: the score exceeds the upper prediction bound of normal parts, so that a share `OVERKILL` of them is called NG.

OK asks for two things, and the lower bound counts.

* D: of parts with a defect of the size that matters at most a share `MISSED` scores below D. Such a part stays below D
  only where both the part itself and the defect on it do, so that share is

      P(normal part <= D) P(response to a defect <= D).

  The second chance is taken at its upper 95 % confidence bound (Clopper & Pearson, Biometrika 26, 1934). What the level
  of the class may be off by moves both alike, so their product is averaged over it: over the seven eighths of errors
  that let more defects pass, so that it holds for more draws of references than the lucky half of them.
* The score is usual: at least one normal part in ten is more unusual. The planted kinds stand in for real ones, which
  may be fainter; a part that looks less like its references than most has not earned its OK. How sure that has to be
  depends on how far the planted defects lie: 80 % where D lies no higher, 65 % where it lies beyond the bound of NG,
  so that defects much fainter than those planted are still held up; in proportion between.

Between the two bounds lies REVIEW.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.sensitivity.normal_scores import NormalScores

OVERKILL = 0.01
"""Share of normal parts that may be called NG."""
MISSED = 0.1
"""Share of planted defects, of the size that matters, that may be called OK."""
CONFIDENCE = 0.95
USUAL = 0.9
"""Share of normal parts below the score up to which a part is usual."""
_CONFIDENCE_NEAR = 0.8
"""Confidence of that where planted defects lie no higher. With 4 references 76 % of new normal pictures lie below
(training pictures of seven classes, twelve draws); 74 % did at 90 % while the level was foretold too high."""
_CONFIDENCE_FAR = 0.65
"""Confidence of that where planted defects lie beyond the bound of NG."""
_ERRORS = 15
"""Errors of the level, equally likely ones, over which D is averaged."""
_LUCKY = 0.125
"""Share of the errors of the level, those that let fewest defects pass, that do not count. By planted defects on new
training pictures of twelve draws of 4 references (seven classes) more than one in ten of them come out OK in none
of the draws, in one where all errors count."""
_FAR = 12.0
"""Spreads of the next part within which D is looked for."""
_HALVINGS = 50
LEAST_EARNED = 0.2
"""Where fewer normal parts than this score below D, an OK cannot be earned: it would be luck."""


@dataclass(frozen=True)
class Bounds:
    """Log scores between which lies REVIEW: `ok_below` <= `ng_above`."""

    ok_below: float
    """-inf: no OK can be earned."""
    ng_above: float
    usual_below: float
    """The bound that normal parts set on an OK."""
    defects_above: float
    """The bound D that planted defects set on it; -inf where too many of them cannot be seen at all."""

    @property
    def earns_ok(self) -> bool:
        """Whether a part can come out OK."""
        return self.ok_below > -np.inf

    @property
    def passing(self) -> float:
        """The score up to which a part is OK; where no OK can be earned, up to which it would be if it were usual."""
        return self.ok_below if self.earns_ok else min(self.usual_below, self.ng_above)


def set_bounds(
    normal: NormalScores,
    *responses: Sequence[float] | NDArray[np.float64],
    overkill: float = OVERKILL,
    missed: float = MISSED,
    least_spread: float = 0.0,
) -> Bounds:
    """Return the bounds that normal parts and the responses to planted defects of the size that matters set.

    Args:
        normal: distribution of the log score of normal parts.
        responses: groups of planted defects, each (m,): the log score that each gives a part that is otherwise as
            normal ones are. The share that may be missed holds for every group. Without any, no OK can be earned.
        overkill: share of normal parts that may exceed `ng_above`.
        missed: share of planted defects that may stay below `ok_below`.
        least_spread: standard deviation of normal scores that the bound of NG counts on at least. Few references that
            happen to be alike, judged by weights that were learned from them, differ less than new parts will.
    """
    ng_above = replace(normal, spread=max(normal.spread, least_spread)).upper_bound(overkill)
    groups = [np.sort(np.asarray(one, np.float64)) for one in responses]
    defects = min((defects_bound(normal, one, missed) for one in groups), default=-np.inf)
    usual = usual_bound(normal, defects, ng_above)
    ok_below = min(usual, defects, ng_above)
    if normal.below(defects) < LEAST_EARNED:
        ok_below = -np.inf
    return Bounds(float(ok_below), ng_above, usual, defects)


def usual_bound(normal: NormalScores, defects: float, ng_above: float) -> float:
    """Return the score up to which a part is usual enough for an OK, where D is `defects`."""
    strict, lenient = (normal.lower_tolerance(USUAL, confidence) for confidence in (_CONFIDENCE_NEAR, _CONFIDENCE_FAR))
    far = min(1.0, max(0.0, (defects - strict) / max(ng_above - strict, 1e-9)))
    return strict + far * (lenient - strict)


def defects_bound(normal: NormalScores, responses: NDArray[np.float64], missed: float) -> float:
    """Return D for sorted responses (m,); -inf without any."""
    from scipy.special import ndtri, stdtr

    count = len(responses)
    if not count:
        return -np.inf
    unseen = np.array([share_bound(seen, count, CONFIDENCE) for seen in range(count + 1)])
    # What a single reference says is off by what its class is unlike others, not by which one was drawn.
    most = 1.0 if normal.n == 1 else 1.0 - _LUCKY
    errors = normal.mean_error * ndtri(most * (np.arange(_ERRORS) + 0.5) / _ERRORS)

    def share(score: float) -> float:
        """Return the share of parts with a defect that score below this."""
        at = score - errors  # where the score lies for each error of the level
        part = stdtr(normal.dof, (at - normal.mean) / normal.spread)
        return float((part * unseen[np.searchsorted(responses, at)]).mean())

    low, high = normal.mean - _FAR * normal.next_spread, normal.mean + _FAR * normal.next_spread
    if share(high) <= missed:
        return float(high)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if share(middle) <= missed else (low, middle)
    return low


def share_bound(seen: int, count: int, confidence: float) -> float:
    """Return the upper confidence bound (one-sided) of a share of which `seen` in `count` were seen."""
    from scipy.special import betaincinv

    return 1.0 if seen >= count else float(betaincinv(seen + 1, count - seen, confidence))
