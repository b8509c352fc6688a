"""From left-out references and planted defects to all that decides: weights, normal scores, bounds, P(anomalous).

level, rises   log scores of n references and of m planted pictures over their reference, by C channels
weights        Fisher's discriminant between the two                                             weights.py
whole          the same for the channels that look at the whole surface                          whole_surface.py
normal         distribution of the combined score of the next normal part                        normal_scores.py
responses      combined score of a part that is as normal ones are, but for the planted defect
bounds         OK below, NG above, REVIEW between                                                bounds.py
odds           P(anomalous)                                                                      probability.py
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.sensitivity.bounds import MISSED, OVERKILL, Bounds, set_bounds
from vlm_inspect.sensitivity.normal_scores import NormalScores, normal_scores
from vlm_inspect.sensitivity.probability import ScoreOdds, learn_odds
from vlm_inspect.sensitivity.weights import learn_weights, shrunk_covariance
from vlm_inspect.sensitivity.whole_surface import (
    WholeVote,
    is_heard,
    lay_over,
    normal_wholes,
    odd_whole,
    silent,
    usual_whole,
)

_SEEN = 0.25
"""A rise of less than this share of the normal spread is none."""
_NORMAL_POINTS = 25
"""Points that stand for the distribution of normal scores where odds are learnt."""


@dataclass(frozen=True)
class ChannelPrior:
    """What is expected of one channel before any reference is seen."""

    network: str
    spread: float
    """Standard deviation of the log score among normal parts of one class."""
    level_spread: float = 0.0
    """Standard deviation of the error that the level of a class has beside chance, with this number of references."""
    whole: bool = False
    """Whether it scores the surface as a whole, not its oddest places."""
    votes: float = 1.0
    """What the channel counts for among equal votes, in units of its spread."""


@dataclass(frozen=True, eq=False)
class PlantedScores:
    """What m defects planted on left-out references did to their scores."""

    kinds: tuple[str, ...]
    """(m,)."""
    sizes: NDArray[np.float64]
    """(m,): diameter of the disc of equal area, as a share of the part's longer side, as measured."""
    matter: NDArray[np.bool_]
    """(m,): which were planted with a size that matters."""
    owners: NDArray[np.int64]
    """(m,): row of the reference in `level`."""
    rises: NDArray[np.float64]
    """(m, C): log score over that of the same reference without the defect, both without it in the memory."""
    whole: NDArray[np.bool_]
    """(m,): which change the surface as a whole, and have no size of their own."""

    def that_matter(self, responses: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the responses (m,) to defects with a place, of the sizes that matter, and those to them and to all
        changes of the whole surface: what is easily seen as a whole shall not make up for places that are not."""
        return responses[self.matter & ~self.whole], responses[self.matter]


@dataclass(frozen=True, eq=False)
class Decision:
    """How the channels' log scores of a part become an outcome."""

    level: NDArray[np.float64]
    """(C,): log score that each channel gives normal parts."""
    weights: NDArray[np.float64]
    """(C,): >= 0, sum 1; of the channels that look for odd places."""
    whole: WholeVote
    """What the others, which look at the surface as a whole, have to say."""
    normal: NormalScores
    """Of the combined log score, in which 0 is a normal part."""
    bounds: Bounds
    odds: ScoreOdds
    prior_spread: float
    """Standard deviation of the combined log score that was expected before any reference was seen."""

    def combine(self, log_scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return combined log scores (...,) of log scores (..., C)."""
        over = log_scores - self.level
        return np.asarray(np.maximum(over @ self.weights, self.whole.score(over)), np.float64)

    def by_whole(self, log_scores: NDArray[np.float64]) -> bool:
        """Tell whether the combined log score of log scores (C,) is that of the surface as a whole."""
        over = log_scores - self.level
        return bool(self.whole.score(over) > over @ self.weights)


def learn_decision(
    level: NDArray[np.float64],
    planted: PlantedScores,
    priors: Sequence[ChannelPrior],
    *,
    overkill: float = OVERKILL,
    missed: float = MISSED,
) -> tuple[Decision, NDArray[np.float64]]:
    """Return the decision, and the response (m,) to every planted defect.

    Args:
        level: (n, C) log scores of the references as new normal parts would have them, n >= 1.
        planted: what planted defects did to them.
        priors: (C,).
        overkill: share of normal parts that may be called NG.
        missed: share of planted defects of the size that matters that may be called OK.
    """
    placed = np.array([not prior.whole for prior in priors])
    centre = level.mean(axis=0)
    local = _Voices(priors, _weights(level, planted.rises[~planted.whole], priors, placed))
    own, spread = (level - centre) @ local.weights, local.prior_spread
    normal = local.normal(own)
    responses = respond(own, planted.rises @ local.weights, planted.owners, normal)
    vote, heard = silent(len(priors)), _hear_whole(level, planted, priors, normal, responses)
    shared = overkill if heard is None else overkill / 2
    counted = responses if heard is None else np.where(heard.responses > usual_whole(heard.normal), np.inf, responses)
    bounds = set_bounds(normal, *planted.that_matter(counted), overkill=shared, missed=missed, least_spread=spread)
    if heard is not None:
        vote = lay_over(heard.weights, usual_whole(heard.normal), odd_whole(heard.own, shared), bounds)
        responses = np.maximum(responses, vote.laid(heard.responses))
        normal = local.normal(np.maximum(own, vote.score(level - centre)))
    odds = _odds(normal, responses[planted.matter], bounds.ng_above)
    return Decision(centre, local.weights, vote, normal, bounds, odds, spread), responses


@dataclass(frozen=True, eq=False)
class _Whole:
    """The surface as a whole, where it is heard."""

    weights: NDArray[np.float64]
    own: NDArray[np.float64]
    """(n,): of the references."""
    normal: NormalScores
    responses: NDArray[np.float64]


def _hear_whole(
    level: NDArray[np.float64],
    planted: PlantedScores,
    priors: Sequence[ChannelPrior],
    places: NormalScores,
    seen_by_places: NDArray[np.float64],
) -> _Whole | None:
    """Return what the channels that look at the surface as a whole say; None where there are none, or they say nothing
    that odd places do not."""
    wide = np.array([prior.whole for prior in priors])
    if not wide.any():
        return None
    slow = planted.whole
    weights = _weights(level, planted.rises[slow], priors, wide)
    own = (level - level.mean(axis=0)) @ weights
    normal = normal_wholes(own)
    responses = respond(own, planted.rises @ weights, planted.owners, normal)
    return (
        _Whole(weights, own, normal, responses)
        if is_heard(normal, places, responses[slow], seen_by_places[slow])
        else None
    )


@dataclass(frozen=True, eq=False)
class _Voices:
    """Some of the channels, and what a score made of them is expected to do."""

    priors: Sequence[ChannelPrior]
    weights: NDArray[np.float64]
    """(C,): >= 0, sum 1; 0 of the others."""

    @property
    def prior_spread(self) -> float:
        """Standard deviation of their log score that is expected before any reference is seen."""
        spreads = np.array([prior.spread for prior in self.priors])
        expected = shrunk_covariance(np.zeros((1, len(spreads))), spreads, [prior.network for prior in self.priors])
        return float(np.sqrt(self.weights @ expected @ self.weights))

    def normal(self, own: NDArray[np.float64]) -> NormalScores:
        """Return the normal scores that those of the references (n,) let expect."""
        errors = np.array([prior.level_spread for prior in self.priors])
        level_spread = float(errors @ self.weights)
        return normal_scores(own.tolist(), prior_spread=self.prior_spread, level_spread=level_spread)


def _weights(
    level: NDArray[np.float64], rises: NDArray[np.float64], priors: Sequence[ChannelPrior], chosen: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the weights (C,) of the chosen channels; 0 of the others."""
    own = [prior for prior, is_own in zip(priors, chosen, strict=True) if is_own]
    weights = np.zeros(len(priors))
    spreads, networks = [prior.spread for prior in own], [prior.network for prior in own]
    votes = [prior.votes for prior in own]
    weights[chosen] = learn_weights(level[:, chosen], rises[:, chosen], spreads, networks, votes)
    return weights


def with_normals(
    decision: Decision,
    responses: Sequence[NDArray[np.float64]],
    log_scores: Sequence[float],
    *,
    overkill: float = OVERKILL,
    missed: float = MISSED,
) -> Decision:
    """Return the decision with bounds from more normal parts than its references: a calibration.

    Args:
        decision: from the references.
        responses: to the planted defects that matter, in groups, as of `PlantedScores.that_matter`; the last has all.
        log_scores: combined log scores of normal parts that are no references, at least one.
        overkill: share of normal parts that may be called NG.
        missed: share of planted defects that may be called OK.
    """
    own = decision.normal
    normal = normal_scores(log_scores, prior_spread=own.spread)
    bounds = set_bounds(normal, *responses, overkill=overkill, missed=missed)
    return replace(decision, normal=normal, bounds=bounds, odds=_odds(normal, responses[-1], bounds.ng_above))


def respond(
    own: NDArray[np.float64], rises: NDArray[np.float64], owners: NDArray[np.int64], normal: NormalScores
) -> NDArray[np.float64]:
    """Return the log score (m,) that each planted defect gives a part of the usual level; -inf where it is not seen.

    A score is about the maximum of what the part itself and what the defect does, so that of a planted picture is the
    defect's own where it rises, and where it does not, the defect's own is not known: not seen. On a reference that
    scores low the defect may count for no more than it does there; on one that scores high only its rise counts.

    Args:
        own: (n,) combined log scores of the references.
        rises: (m,) of the planted defects over their reference.
        owners: (m,) which reference each lies on.
        normal: distribution of the log score of normal parts.
    """
    responses = np.minimum(own[owners], normal.mean) + rises
    return np.where(rises > _SEEN * normal.spread, responses, -np.inf)


def _odds(normal: NormalScores, responses: NDArray[np.float64], ng_above: float) -> ScoreOdds:
    """Return the odds between normal parts and normal parts with a defect of the sizes that matter.

    Beyond the bound of normal parts a part is at least as likely anomalous as not, also where what was planted lies
    further out: real defects may be fainter.
    """
    parts = normal.quantiles(_NORMAL_POINTS)
    if not len(responses):
        return ScoreOdds(slope=1.0 / normal.spread, even=ng_above)
    with_defect = np.maximum(parts[:, None], responses[None, :]).ravel()
    odds = learn_odds(parts, with_defect)
    return replace(odds, even=min(odds.even, ng_above))
