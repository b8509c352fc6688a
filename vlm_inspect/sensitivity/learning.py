"""From left-out references and planted defects to all that decides: weights, normal scores, bounds, P(anomalous).

level, rises   log scores of n references and of m planted pictures over their part, by C channels
weights        Fisher's discriminant between the two                                             weights.py
whole          what the channels that look at the whole surface add                              whole_surface.py
normal         distribution of the combined score of the next normal part                        normal_scores.py
responses      combined score of a part that is as normal ones are, but for the planted defect   planted_scores.py
bounds         OK below, NG above, REVIEW between                                                bounds.py
odds           P(anomalous)                                                                      probability.py

`with_normals` draws the bounds anew from more normal parts, with more planted on them; the weights stay.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.sensitivity.bounds import MISSED, OVERKILL, Bounds, set_bounds
from vlm_inspect.sensitivity.normal_scores import NormalScores, normal_scores
from vlm_inspect.sensitivity.planted_scores import PlantedScores, TriedParts, join_planted
from vlm_inspect.sensitivity.probability import ScoreOdds, learn_odds
from vlm_inspect.sensitivity.weights import learn_weights, shrunk_covariance
from vlm_inspect.sensitivity.whole_surface import (
    WholeVote,
    combined,
    is_heard,
    lay_over,
    odd_whole,
    usual_whole,
    wholes_of,
)

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
        judged = self.judged(log_scores)
        return combined(judged[..., 0], judged[..., 1:], self.whole.lays)

    def judged(self, log_scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the scores (..., 1 + K) that log scores (..., C) are judged by: that of the oddest places, and those
        of the surface as a whole before they are laid over it."""
        return _judged(log_scores - self.level, self.weights, self.whole.columns)


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
    centre = level.mean(axis=0)
    weights = _weights(level, planted.rises[~planted.whole], priors)
    spread = _expected_spread(weights, priors)
    level_spread = float(np.array([prior.level_spread for prior in priors]) @ weights)

    def expect(own: NDArray[np.float64]) -> NormalScores:
        return normal_scores(own.tolist(), prior_spread=spread, level_spread=level_spread)

    wide = tuple(number for number, prior in enumerate(priors) if prior.whole)
    judged = _judged(level - centre, weights, wide)
    rises, nothing = _judged(planted.rises, weights, wide), np.zeros((0, 1 + len(wide)))
    tried = TriedParts(judged, judged, planted, rises, nothing, mutual=True)
    drawn = _draw(tried, wide, expect, overkill=overkill, missed=missed, least_spread=spread)
    decision = Decision(centre, weights, drawn.whole, drawn.normal, drawn.bounds, drawn.odds, spread)
    return decision, drawn.responses


@dataclass(frozen=True, eq=False)
class MoreNormals:
    """Normal parts that are no references, with defects planted on some of them: what a calibration goes by."""

    judged: NDArray[np.float64]
    """(N, 1 + K), N >= 1: their scores as of `Decision.judged`."""
    grounds: NDArray[np.float64]
    """(g, C): log scores of those that were planted on, without a defect; g >= 0."""
    planted: PlantedScores | None = None
    anomalous: NDArray[np.float64] | None = None
    """(r, 1 + K): of really anomalous parts, likewise judged; None: none are known."""


def with_normals(
    decision: Decision,
    level: NDArray[np.float64],
    planted: PlantedScores,
    more: MoreNormals,
    *,
    overkill: float = OVERKILL,
    missed: float = MISSED,
) -> tuple[Decision, NDArray[np.float64], PlantedScores]:
    """Return the decision with bounds from more normal parts than its references, of odd places and of the whole alike,
    and the response (m,) to every defect that was planted on the references and on them, with those defects.

    Args:
        decision: from the references.
        level: (n, C) log scores of the references as new normal parts would have them.
        planted: what planted defects did to them.
        more: the normal parts.
        overkill: share of normal parts that may be called NG.
        missed: share of planted defects that may be called OK.
    """
    groups = [planted] if more.planted is None else [planted, more.planted]
    joined = join_planted(groups, [len(level), len(more.grounds)][: len(groups)])
    tried = TriedParts(
        normals=more.judged,
        grounds=decision.judged(np.concatenate([level, more.grounds])),
        planted=joined,
        rises=_judged(joined.rises, decision.weights, decision.whole.columns),
        anomalous=more.judged[:0] if more.anomalous is None else more.anomalous,
    )

    def expect(own: NDArray[np.float64]) -> NormalScores:
        return normal_scores(own.tolist(), prior_spread=decision.normal.spread)

    drawn = _draw(tried, decision.whole.columns, expect, overkill=overkill, missed=missed)
    found = replace(decision, whole=drawn.whole, normal=drawn.normal, bounds=drawn.bounds, odds=drawn.odds)
    return found, drawn.responses, joined


@dataclass(frozen=True, eq=False)
class _Drawn:
    """What parts that were tried amount to."""

    whole: WholeVote
    normal: NormalScores
    bounds: Bounds
    odds: ScoreOdds
    responses: NDArray[np.float64]


def _draw(
    tried: TriedParts,
    wide: tuple[int, ...],
    expect: Callable[[NDArray[np.float64]], NormalScores],
    *,
    overkill: float,
    missed: float,
    least_spread: float = 0.0,
) -> _Drawn:
    """Return the bounds of odd places and of the surface as a whole, laid over each other.

    Args:
        tried: normal parts and planted defects.
        wide: which channels look at the whole.
        expect: turns scores of normal parts (n,) into what the next one is expected to score.
        overkill: share of normal parts that may be called NG.
        missed: share of planted defects that may be called OK.
        least_spread: see `set_bounds`.
    """
    planted, own, odd = tried.planted, tried.normals[:, 0], tried.anomalous[:, 0]
    normal = expect(own)
    responses = tried.responses(0, normal)
    slow, seen = planted.whole, wholes_of(tried)
    heard = [is_heard(one.normal, normal, one.responses[slow], responses[slow]) for one in seen]
    speaking = [one for one, is_one in zip(seen, heard, strict=True) if is_one]
    of_places = overkill / 2 if speaking else overkill
    of_each = overkill / 2 / max(1, len(speaking))

    def bounded(usual: Sequence[float]) -> Bounds:
        """Return the bounds of odd places where the wholes that speak hold up what lies above these."""
        counted, odd_counted = responses, odd
        for one, most in zip(speaking, usual, strict=True):
            counted = np.where(one.responses > most, np.inf, counted)
            odd_counted = np.where(one.of_anomalous > most, np.inf, odd_counted)
        groups = tried.groups_that_matter(counted, odd_counted)
        return set_bounds(normal, *groups, overkill=of_places, missed=missed, least_spread=least_spread)

    far, bounds = False, bounded([usual_whole(one.normal) for one in speaking])
    if speaking:  # where defects lie far out even so, more surfaces are usual
        wider = bounded([usual_whole(one.normal, defects_far=True) for one in speaking])
        far = wider.defects_above >= wider.ng_above
        bounds = wider if far else bounds
    lays = tuple(
        lay_over(usual_whole(one.normal, defects_far=far), odd_whole(one.own, of_each), bounds, len(own))
        if is_one
        else None
        for one, is_one in zip(seen, heard, strict=True)
    )
    if speaking:
        responses = combined(responses, np.column_stack([one.responses for one in seen]), lays)
        odd = combined(odd, tried.anomalous[:, 1:], lays)
        normal = expect(combined(own, tried.normals[:, 1:], lays))
    matter = np.concatenate([responses[planted.matter], odd])
    return _Drawn(WholeVote(wide, lays), normal, bounds, _odds(normal, matter, bounds.ng_above), responses)


def _judged(over: NDArray[np.float64], weights: NDArray[np.float64], wide: tuple[int, ...]) -> NDArray[np.float64]:
    """Return `Decision.judged` of log scores (..., C) over the level."""
    return np.concatenate([(over @ weights)[..., None], over[..., list(wide)]], axis=-1)


def _expected_spread(weights: NDArray[np.float64], priors: Sequence[ChannelPrior]) -> float:
    """Return the standard deviation of the combined log score that is expected before any reference is seen."""
    spreads = np.array([prior.spread for prior in priors])
    expected = shrunk_covariance(np.zeros((1, len(spreads))), spreads, [prior.network for prior in priors])
    return float(np.sqrt(weights @ expected @ weights))


def _weights(
    level: NDArray[np.float64], rises: NDArray[np.float64], priors: Sequence[ChannelPrior]
) -> NDArray[np.float64]:
    """Return the weights (C,) of the channels that look for odd places; 0 of the others."""
    placed = np.array([not prior.whole for prior in priors])
    own = [prior for prior in priors if not prior.whole]
    weights = np.zeros(len(priors))
    spreads, networks = [prior.spread for prior in own], [prior.network for prior in own]
    votes = [prior.votes for prior in own]
    weights[placed] = learn_weights(level[:, placed], rises[:, placed], spreads, networks, votes)
    return weights


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
