"""What the channels that look at the surface as a whole have to say beside those that look for odd places.

Where the structure of a whole surface is another, or its shade, the mean over all patches rises and their highest
hardly do; a scratch does the reverse. In a weighted sum each would drown in the other's noise, so each score has bounds
of its own: OK only where both lie under theirs, NG where either exceeds its own, the overkill shared between the two.
So that one score says where a part stands, that of the whole is laid over that of the places, bound on bound, and the
higher counts.

How far normal parts differ as a whole depends on the class: by 2 % on a simulated textile, by 30 % on screws (seven
classes). So the references themselves say it, with hardly a prior.

It is heard where, of equally usual parts, it holds up planted changes of the whole surface that odd places let pass:
one in ten of them at least. On screws it holds up none that they do not, and costs nothing. With a single reference it
is not heard: what each channel gives the next part is known to a third only.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.sensitivity.bounds import USUAL, Bounds
from vlm_inspect.sensitivity.normal_scores import NormalScores, normal_scores

PRIOR_SPREAD, PRIOR_DOF = 0.05, 1.0
"""Standard deviation of the score among normal parts before any is seen, and how many parts that counts for."""
_NG_SPREAD, _NG_DOF, _LEVEL_SPREAD = 0.2, 4.0, 0.6
"""What the bound of NG counts on at least, and the error that the level has with one reference: four solar cells that
happened to be alike let expect 0.56 too little. So with few references a whole is rarely NG."""
LEAST_GAIN = 0.1
"""Share of planted changes of the whole surface that it has to hold up beside those that odd places do."""
_CONFIDENCE = 0.8
"""Confidence that, below its bound of OK, no more than a share `USUAL` of normal parts lie."""


@dataclass(frozen=True, eq=False)
class WholeVote:
    """The score of the surface as a whole, laid over the combined score of odd places."""

    weights: NDArray[np.float64]
    """(C,): >= 0, sum 1; all 0: the whole is not heard."""
    scale: float = 1.0
    shift: float = 0.0
    """Scale and shift lay its bounds of OK and NG over those of odd places."""

    @property
    def heard(self) -> bool:
        """Whether the whole has a say."""
        return bool(self.weights.any())

    def score(self, over: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the log scores (...,) of log scores (..., C) over the level of normal parts; -inf where not heard."""
        if not self.heard:
            return np.full(over.shape[:-1], -np.inf)
        return self.laid(np.asarray(over @ self.weights))

    def laid(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return scores of the whole as log scores of odd places that count as much."""
        return np.asarray(scores * self.scale + self.shift, np.float64)


def silent(channels: int) -> WholeVote:
    """Return the vote of a class whose surfaces are not judged as a whole."""
    return WholeVote(np.zeros(channels))


def normal_wholes(log_scores: NDArray[np.float64]) -> NormalScores:
    """Return what the references' scores (n,) of their surfaces as a whole say of the next part's."""
    return normal_scores(log_scores.tolist(), prior_spread=PRIOR_SPREAD, prior_dof=PRIOR_DOF)


def odd_whole(log_scores: NDArray[np.float64], overkill: float) -> float:
    """Return the score of the whole above which a part is NG, from those of the references (n,)."""
    level_spread = _LEVEL_SPREAD / math.sqrt(len(log_scores))
    cautious = normal_scores(log_scores.tolist(), prior_spread=_NG_SPREAD, prior_dof=_NG_DOF, level_spread=level_spread)
    return replace(cautious, spread=max(cautious.spread, _NG_SPREAD)).upper_bound(overkill)


def usual_whole(normal: NormalScores) -> float:
    """Return the score of the whole up to which a part is usual enough for an OK."""
    return normal.lower_tolerance(USUAL, _CONFIDENCE)


def is_heard(
    whole: NormalScores, places: NormalScores, seen: NDArray[np.float64], seen_by_places: NDArray[np.float64]
) -> bool:
    """Tell whether the whole holds up planted changes of the whole surface that odd places let pass.

    Args:
        whole: normal scores of the surface as a whole.
        places: normal scores of odd places.
        seen: (m,) responses to planted changes of the whole surface by the whole.
        seen_by_places: (m,) responses to the same by odd places.
    """
    if whole.n == 1 or not len(seen):
        return False
    passed = seen_by_places <= places.lower_tolerance(USUAL, _CONFIDENCE)
    return float((passed & (seen > usual_whole(whole))).mean()) >= LEAST_GAIN


def lay_over(weights: NDArray[np.float64], usual: float, beyond: float, places: Bounds) -> WholeVote:
    """Return the vote of the whole.

    Args:
        weights: (C,) of the channels that look at the whole, >= 0, sum 1.
        usual: its bound of OK.
        beyond: its bound of NG.
        places: bounds of odd places.
    """
    passing = places.passing
    scale = max(places.ng_above - passing, 1e-6) / max(beyond - usual, 1e-6)
    return WholeVote(weights, scale, passing - scale * usual)
