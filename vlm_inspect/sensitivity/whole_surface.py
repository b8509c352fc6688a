"""What the channels that look at the surface as a whole have to say beside those that look for odd places.

A slow change of the whole surface raises the mean over all patches and hardly their highest; a scratch does the
reverse. In a weighted sum each would drown in the other's noise, so the combined score is the higher of the two, in
the same unit: how many spreads of normal parts each lies above its level. The whole has to lie higher by `_ALLOWED` to
be heard, since the higher of two scores of a normal part is higher than either.

Whether it is heard at all is decided by planted changes of the whole surface, as every other vote is: only where they
rise over its own spread by more than they rise over that of the odd places. On screws they do not. With a single
reference it is not heard: what each channel gives the next part is known to a third only, and the higher of two such
scores would be that whose level is foretold too low.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.sensitivity.normal_scores import NormalScores

_ALLOWED = 1.0
"""Spreads that the whole has to lie higher by."""
_MOST_RISE = 3.0
"""A rise counts up to this many spreads, see weights.py."""


@dataclass(frozen=True, eq=False)
class WholeVote:
    """The score of the surface as a whole, in the unit of the combined score of odd places."""

    weights: NDArray[np.float64]
    """(C,): >= 0, sum 1; all 0: the whole is not heard."""
    scale: float = 1.0
    """Log score of odd places that is as rare among normal parts as one of 1 of the whole."""
    allowed: float = 0.0
    """Log score by which the whole may lie higher."""

    @property
    def heard(self) -> bool:
        """Whether the whole has a say."""
        return bool(self.weights.any())

    def score(self, over: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the log scores (...,) of log scores (..., C) over the level of normal parts; -inf where not heard."""
        if not self.heard:
            return np.full(over.shape[:-1], -np.inf)
        return np.asarray(over @ self.weights * self.scale - self.allowed, np.float64)


def silent(channels: int) -> WholeVote:
    """Return the vote of a class whose surfaces are not judged as a whole."""
    return WholeVote(np.zeros(channels))


def learn_whole(
    weights: NDArray[np.float64],
    whole: NormalScores,
    places: NormalScores,
    rises: NDArray[np.float64],
    rises_of_places: NDArray[np.float64],
) -> WholeVote:
    """Return the vote of the whole.

    Args:
        weights: (C,) of the channels that look at the whole, >= 0, sum 1.
        whole: normal scores by these weights.
        places: normal scores of odd places.
        rises: (m,) of planted changes of the whole surface by these weights; without any, the whole is not heard.
        rises_of_places: (m,) of the same by the score of odd places.
    """
    if places.n == 1 or not len(rises) or _seen(rises, whole) <= _seen(rises_of_places, places):
        return silent(len(weights))
    return WholeVote(weights, places.next_spread / whole.next_spread, _ALLOWED * places.spread)


def _seen(rises: NDArray[np.float64], normal: NormalScores) -> float:
    return float(np.clip(rises / normal.next_spread, 0.0, _MOST_RISE).mean())
