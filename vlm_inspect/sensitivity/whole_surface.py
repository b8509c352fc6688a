"""What the channels that look at the surface as a whole have to say beside those that look for odd places.

Where the structure of a whole surface is another, or its shade, the mean over all patches rises and their highest
hardly do; a scratch does the reverse. In a weighted sum each would drown in the other's noise, so each score has bounds
of its own: OK only where all lie under theirs, NG where any exceeds its own, the overkill shared between them. So that
one score says where a part stands, each score of the whole is laid over that of the places, bound on bound: the highest
says which outcome a part has.

Within an outcome parts are ranked by their places, and by a share of what the whole exceeds its bound of OK by. Up to
that bound a whole is usual and says nothing: how far it varies there is known from the normal parts at hand, and were
it to count whenever it is the higher, the part that happens to have a high one would be ranked by chance. The fewer
normal parts, the less is known, and the smaller is the share (`combined`).

Every layer speaks for itself. Which of them sees a change of structure depends on the change, and planted ones do not
say which the real ones will be: a layer that sees it shall not have to share its say with one that does not.

How far normal parts differ as a whole depends on the class: by 2 % on a simulated textile, by 30 % on screws (seven
classes). So the normal parts at hand themselves say it, with hardly a prior.

A layer is heard where, of equally usual parts, it holds up planted changes of the whole surface that odd places let
pass: one in ten of them at least. On screws it holds up none that they do not, and costs nothing. With a single
normal part it is not heard: what each channel gives the next part is known to a third only.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.sensitivity.bounds import USUAL, Bounds
from vlm_inspect.sensitivity.normal_scores import NormalScores, normal_scores
from vlm_inspect.sensitivity.planted_scores import TriedParts

PRIOR_SPREAD, PRIOR_DOF = 0.05, 1.0
"""Standard deviation of the score among normal parts before any is seen, and how many parts that counts for."""
_MUTUAL = 2.0
"""References are judged by one another, so their scores err together: the mean of n of them is off by this many n-th
parts of a spread beside their scatter (decision 45)."""
_NG_SPREAD, _NG_DOF, _LEVEL_SPREAD = 0.2, 4.0, 0.6
"""What the bound of NG counts on at least, and the error that the level has with one reference: four solar cells that
happened to be alike let expect 0.56 too little. So with few references a whole is rarely NG."""
LEAST_GAIN = 0.1
"""Share of planted changes of the whole surface that it has to hold up beside those that odd places do."""
_HALF = 12
"""With so many normal parts half of what the whole exceeds its bound of OK by counts beside the places, chosen by
planted defects (decision 46): a quarter with 4 of them, 0.57 with 16."""
_EDGE = 0.02
"""Share of the way between the bounds within which scores are drawn together that would lie beyond a bound, while the
higher of both scores does not; and the share of that higher one in a joined score."""
_USUAL_MUTUAL = 0.8
"""Share of normal parts below the score up to which a surface is usual as a whole, where parts judged one another. With
nine in ten no more normal ones are OK in all, since D, which counts on what the whole holds up, lies lower then; with
parts that were judged by others it makes no difference, and nine in ten they are (decision 45). Where planted defects
lie beyond the bound of NG even so, D takes nothing back, and nine in ten they are, too (decision 56)."""
_CONFIDENCE = 0.8
"""Confidence that, below its bound of OK, no more than that share of normal parts lie."""


@dataclass(frozen=True)
class WholeLay:
    """How one score of the whole is laid over that of odd places, so that its bounds of OK and NG lie on theirs."""

    scale: float
    shift: float
    passing: float
    """Score of odd places up to which a part is OK."""
    ng_above: float
    """Score of odd places above which it is NG."""
    share: float
    """How much of what it exceeds its bound of OK by counts in the ranking, in [0, 1]."""

    def __post_init__(self) -> None:
        numbers = (self.scale, self.shift, self.passing, self.ng_above)
        if not all(map(math.isfinite, numbers)) or self.scale <= 0 or self.passing > self.ng_above:
            raise ValueError("a score of the whole is laid by a scale above 0 and a shift, over bounds in order")
        if not 0 <= self.share <= 1:
            raise ValueError(f"the share of a score of the whole lies in [0, 1], not {self.share}")

    def laid(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return scores of the whole as log scores of odd places that count as much."""
        return np.asarray(scores * self.scale + self.shift, np.float64)


@dataclass(frozen=True, eq=False)
class WholeVote:
    """The scores of the surface as a whole, laid over the combined score of odd places."""

    columns: tuple[int, ...]
    """(K,): which of the C channels look at the whole."""
    lays: tuple[WholeLay | None, ...]
    """(K,): None: that channel is not heard."""

    @property
    def heard(self) -> bool:
        """Whether the whole has a say."""
        return any(lay is not None for lay in self.lays)


def highest_whole(wholes: NDArray[np.float64], lays: Sequence[WholeLay | None]) -> NDArray[np.float64]:
    """Return the highest (...,) of the scores of the whole (..., K) that are heard, as laid; -inf where none is."""
    highest = np.full(wholes.shape[:-1], -np.inf)
    for number, lay in enumerate(lays):
        if lay is not None:
            highest = np.maximum(highest, lay.laid(wholes[..., number]))
    return np.asarray(highest, np.float64)


def is_by_whole(places: float, wholes: NDArray[np.float64], lays: Sequence[WholeLay | None]) -> bool:
    """Tell whether the surface as a whole (K,) holds a part up more than its odd places do."""
    highest = float(highest_whole(wholes, lays))
    return any(lay is not None and highest > max(places, lay.passing) for lay in lays)


def combined(
    places: NDArray[np.float64], wholes: NDArray[np.float64], lays: Sequence[WholeLay | None]
) -> NDArray[np.float64]:
    """Return the log scores (...,) that parts stand by.

    Args:
        places: (...,) log scores of odd places; -inf is allowed.
        wholes: (..., K) log scores of the surface as a whole.
        lays: (K,) how each is laid over the places, all over the same bounds with the same share; None for one that is
            not heard.
    """
    over = next((lay for lay in lays if lay is not None), None)
    if over is None:
        return places
    whole = highest_whole(wholes, lays)
    highest = np.maximum(places, whole)
    both = places + over.share * np.maximum(whole - over.passing, 0.0)
    edge = max(_EDGE * (over.ng_above - over.passing), 1e-9)
    in_review = -_above(-_above(both, over.passing, edge), -over.ng_above, edge)
    outside = np.where(highest > over.ng_above, _above(both, over.ng_above, edge), in_review)
    outside = (1 - _EDGE) * outside + _EDGE * highest
    return np.where(highest > over.passing, outside, places)


def _above(scores: NDArray[np.float64], bound: float, edge: float) -> NDArray[np.float64]:
    """Return scores (...,) in their order above a bound: those below `bound + edge` are drawn together between."""
    below = np.maximum(bound + edge - scores, 0.0) / edge
    return np.where(below > 0, bound + edge / (1 + below), scores)


@dataclass(frozen=True, eq=False)
class Whole:
    """One channel that looks at the surface as a whole."""

    own: NDArray[np.float64]
    """(n,): scores of the normal parts."""
    normal: NormalScores
    responses: NDArray[np.float64]
    """(m,): to the planted defects."""
    of_anomalous: NDArray[np.float64]
    """(r,): scores of really anomalous parts."""


def wholes_of(tried: TriedParts) -> list[Whole]:
    """Return what each of the channels (K,) that look at the whole says of the parts that were tried."""
    found = []
    for number in range(1, tried.normals.shape[1]):
        own = tried.normals[:, number]
        normal = normal_wholes(own, mutual=tried.mutual)
        found.append(Whole(own, normal, tried.responses(number, normal), tried.anomalous[:, number]))
    return found


def normal_wholes(log_scores: NDArray[np.float64], *, mutual: bool) -> NormalScores:
    """Return what normal parts' scores (n,) of their surfaces as a whole say of the next part's.

    Args:
        log_scores: at least one.
        mutual: whether the parts were judged by one another.
    """
    found = normal_scores(log_scores.tolist(), prior_spread=PRIOR_SPREAD, prior_dof=PRIOR_DOF)
    return replace(found, level_spread=_MUTUAL / found.n * found.spread) if mutual else found


def odd_whole(log_scores: NDArray[np.float64], overkill: float) -> float:
    """Return the score of the whole above which a part is NG, from those of normal parts (n,)."""
    level_spread = _LEVEL_SPREAD / math.sqrt(len(log_scores))
    cautious = normal_scores(log_scores.tolist(), prior_spread=_NG_SPREAD, prior_dof=_NG_DOF, level_spread=level_spread)
    return replace(cautious, spread=max(cautious.spread, _NG_SPREAD)).upper_bound(overkill)


def usual_whole(normal: NormalScores, *, defects_far: bool = False) -> float:
    """Return the score of the whole up to which a part is usual enough for an OK.

    Args:
        normal: of the whole.
        defects_far: whether planted defects lie beyond the bound of NG.
    """
    share = USUAL if defects_far else _usual_share(normal)
    return normal.lower_tolerance(share, _CONFIDENCE, level_counts=True)


def _usual_share(whole: NormalScores) -> float:
    return _USUAL_MUTUAL if whole.level_spread > 0 else USUAL


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
    passed = seen_by_places <= places.lower_tolerance(_usual_share(whole), _CONFIDENCE)
    return float((passed & (seen > usual_whole(whole))).mean()) >= LEAST_GAIN


def lay_over(usual: float, beyond: float, places: Bounds, parts: int) -> WholeLay:
    """Return how a score of the whole is laid over that of odd places.

    Args:
        usual: its bound of OK.
        beyond: its bound of NG.
        places: bounds of odd places.
        parts: how many normal parts say so.
    """
    passing = places.passing
    scale = max(places.ng_above - passing, 1e-6) / max(beyond - usual, 1e-6)
    return WholeLay(scale, passing - scale * usual, passing, max(places.ng_above, passing), parts / (parts + _HALF))
