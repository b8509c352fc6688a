"""`fuse_maps`: heat and the model's places in one map, `fused`: where is it anomalous, by both?

The heat of a place is taken as log-odds of being anomalous. A box of the model is soft evidence: first, how far the box
itself is to be believed, r, from its probability p and from the heat,

    r / (1 - r) = t p / (1 - t p) * AGREES q^(AGREES - 1)

where t is the share of sure boxes that are right (kept from a benchmark of the model, or learnt from many parts,
`learn_trust`; else `PLACED`), and q the share of equally large boxes of the view that are not hotter on average. A box
put down at random has a q that is spread evenly over [0, 1]; that of a right one lies near 1: a Beta(AGREES, 1) density
against an even one. Then, at each place, the mixture of a right box and a random one is added as log-odds,

    fused = logit P(heat) + ln(1 - R + R (OUTSIDE + (INSIDE - OUTSIDE) g)),      R = 1 - prod(1 - r)

where g falls from 1 inside the best box to 0 outside of all of them, and INSIDE and OUTSIDE are likelihood ratios: how
much more often a place is anomalous where a right box is, and is not, than anywhere. So boxes that the heat does not
bear out change little, and without boxes the order of places is that of the heat. The result is told in nats,
-ln(1 - P), which keeps the order of places that are all but certain.

Of a single part and a model that nothing is known of, a box is held against the heat's own hottest places, too: r falls
with the distance d in log-odds between the hottest place of the view and that of the box, r exp(-d / FALLS), and the
likelihood ratios are moderate (`UNKNOWN_MODEL`). So boxes put down at random leave the map as good as it was.

The numbers were chosen on planted defects, but for the bound of trust: a run over test bottles showed that it was too
low (decisions 18 and 30).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from converters.view import BoxXyxyn, View
from vlm_inspect.decision.spots import is_vast, lies_in
from vlm_inspect.evidence import AnomalyMap, Evidence
from vlm_inspect.ignored import ignored_boxes
from vlm_inspect.rules import RuleBook
from vlm_inspect.verdict import Verdict

SOURCE = "fused"
PLACED = 0.5
"""Share of the boxes of a model that is sure which mean the right place: places are harder for models than verdicts."""
AGREES = 4.0
"""Exponent of the density of q for right boxes; 1 would be that of random ones."""
INSIDE, OUTSIDE = 100.0, 0.3
"""Likelihood ratios of an anomalous place, inside a right box and outside of all."""
UNKNOWN_MODEL = 10.0, 0.7
"""Likewise where nothing is known of how often the model's boxes are right."""
FALLS = 0.7
"""Log-odds by which the hottest place of a box may lie below that of the view for the box to count for a third."""
_BESIDE = 0.15
"""Share of its sides by which a box is widened for that: boxes of models lie roughly."""
UNKNOWN_P = 0.02
"""P(anomalous) of a place of which no map says anything: as in the middle of normal scores."""
UNSTATED = 0.9
"""P(anomalous) of a model that gives boxes and no probability."""
LOWEST = -12.0
"""Least log-odds of a place: what lies outside of the part has it."""
_ONE_SIDED = 2.326
_SOFT = 0.15
"""Share of a box's side over which its edge falls off."""
_GRID = 96
"""Longest side of the grid on which the heat of equally large boxes is compared."""
_EDGE = 1e-6
Grid = NDArray[np.float32]


@dataclass(frozen=True)
class NamedPlace:
    """A place that the model names, on one view."""

    view: int
    box_xyxyn: BoxXyxyn
    p: float
    """The model's probability of it, in [0, 1]."""


def fuse_maps(
    verdict: Verdict | None, evidence: Evidence, views: Sequence[View], book: RuleBook, *, trust: float | None = None
) -> tuple[AnomalyMap, ...]:
    """Return one map for each view that has heat or a box of the model, in their order; none where no model judged.

    Args:
        verdict: the model's opinion; None: it could not be read, and the heat stands alone. Of one that words the
            evidence there is nothing to fuse.
        evidence: its latest maps; of several of one view, the highest log-odds count.
        views: of the part. A box on a photo counts on every view that shows the place.
        book: its ignored areas never count.
        trust: the share of sure boxes that are right; None: nothing is known of the model.
    """
    if verdict is not None and not verdict.by_model:
        return ()
    places = named_places(verdict, views, book)
    heat = heat_log_odds(evidence.latest_maps)
    prior = math.log(UNKNOWN_P / (1 - UNKNOWN_P))
    found = []
    for index in sorted({*heat, *(one.view for one in places)}):
        view, boxes = views[index], [(one.box_xyxyn, one.p) for one in places if one.view == index]
        log_odds = heat[index] if index in heat else np.full(view.size_hw, prior, np.float32)
        values = in_nats(log_odds + box_evidence(log_odds, view.mask, boxes, trust=trust))
        if view.mask is not None:
            values[~view.mask] = 0.0
        tolerance = None
        known = next((t for one in evidence.latest_maps if one.view == index and (t := one.tolerance_of_places)), None)
        if known is not None:
            tolerance = replace(known, limit=math.log(2.0), centre=float(np.logaddexp(0.0, prior)))
        score = float(values.max(initial=0.0))
        found.append(AnomalyMap(index, values, score, SOURCE, unit="nats", tolerance=tolerance))
    return tuple(found)


def in_nats(log_odds: Grid) -> Grid:
    """Return -ln(1 - P) of log-odds of P: it keeps the order of places that are all but certain."""
    return np.logaddexp(0.0, log_odds).astype(np.float32)


def heat_log_odds(maps: Sequence[AnomalyMap]) -> dict[int, Grid]:
    """Return ln P / (1 - P) by view and place, (H, W) float32 >= `LOWEST`; of several maps of a view the highest.

    Without a tolerance it is what orders the places of all parts alike: P of maps in nats, else the logarithm.
    """
    found: dict[int, Grid] = {}
    for one in maps:
        values = np.maximum(np.nan_to_num(one.values), 0.0)
        tolerance = one.tolerance_of_places
        if tolerance is not None:
            slope = math.log((1 - UNKNOWN_P) / UNKNOWN_P) / math.log(tolerance.limit / tolerance.centre)
            told = slope * np.log(np.maximum(values / tolerance.limit, _EDGE))
        elif one.unit == "nats":
            told = np.log(np.maximum(np.expm1(np.clip(values, _EDGE, 80.0)), _EDGE))
        else:
            told = np.log(np.maximum(values, _EDGE))
        grid: Grid = np.maximum(told, LOWEST).astype(np.float32)
        found[one.view] = np.maximum(found[one.view], grid) if one.view in found else grid
    return found


def learn_trust(agreements: Sequence[float], *, least: int = 8) -> float | None:
    """Return the share of a model's boxes that mean the right place, from their agreement with the heat alone.

    No label plays a part. Agreements are a mixture of those of right boxes, Beta(AGREES, 1), and of random ones, even
    over [0, 1]; the share is that of greatest likelihood (expectation-maximisation, Dempster et al., J. R. Stat. Soc. B
    39, 1977). Where the mean agreement is no better than that of random boxes (one-sided, 1 %), it is 0.

    Args:
        agreements: of the boxes of one class, each in [0, 1]; see `agreement_of`.
        least: with fewer, it is None: not known.
    """
    given = np.clip(np.asarray(agreements, np.float64), _EDGE, 1.0)
    if len(given) < least:
        return None
    if (given.mean() - 0.5) * math.sqrt(12 * len(given)) < _ONE_SIDED:
        return 0.0
    density, share = AGREES * given ** (AGREES - 1), 0.5
    for _ in range(100):
        share = float((share * density / (share * density + 1 - share)).mean())
    return share


def box_evidence(
    log_odds: Grid,
    mask: NDArray[np.bool_] | None,
    boxes: Sequence[tuple[BoxXyxyn, float]],
    *,
    trust: float | None = None,
) -> Grid:
    """Return what boxes add to the log-odds of each place, (H, W) float32.

    Args:
        log_odds: (H, W), by the heat.
        mask: (H, W), where the part is; None: everywhere.
        boxes: the model's boxes, each with its probability.
        trust: the share of sure boxes that are right; None: not known, and a box counts as far as the heat has one of
            its hottest places there.
    """
    if not boxes or (trust is not None and trust <= 0):
        return np.zeros(log_odds.shape, np.float32)
    places = [box for box, _ in boxes]
    agreements = agreements_of(log_odds, mask, places)
    beliefs = [belief(p, q, PLACED if trust is None else trust) for (_, p), q in zip(boxes, agreements, strict=True)]
    ratio_inside, ratio_outside = INSIDE, OUTSIDE
    if trust is None:
        ratio_inside, ratio_outside = UNKNOWN_MODEL
        behind = below_hottest(log_odds, mask, places)
        beliefs = [r * math.exp(-gap / FALLS) for r, gap in zip(beliefs, behind, strict=True)]
    best = max(beliefs)
    if best < _EDGE:
        return np.zeros(log_odds.shape, np.float32)
    right = 1.0 - math.prod(1.0 - r for r in beliefs)
    inside = np.max([r * _soft_box(log_odds.shape, box) for r, box in zip(beliefs, places, strict=True)], axis=0)
    share = inside / best
    ratio = ratio_outside + (ratio_inside - ratio_outside) * share
    added: Grid = np.log(1.0 - right + right * ratio).astype(np.float32)
    return added


def below_hottest(log_odds: Grid, mask: NDArray[np.bool_] | None, boxes: Sequence[BoxXyxyn]) -> list[float]:
    """Return of each box how far its hottest place lies below the hottest of the view, in log-odds, >= 0.

    Both are means over a cell of a coarse grid; a map that says nothing gives 0.
    """
    small, there = _small(log_odds, mask)
    height, width = small.shape
    known = np.where(there, small, np.float32(LOWEST))
    top, found = float(known.max()), []
    for x0, y0, x1, y1 in boxes:
        aside, above = _BESIDE * (x1 - x0), _BESIDE * (y1 - y0)
        left, upper = max(0, int((x0 - aside) * width)), max(0, int((y0 - above) * height))
        right, lower = math.ceil((x1 + aside) * width), math.ceil((y1 + above) * height)
        own = known[upper : max(upper + 1, lower), left : max(left + 1, right)]
        found.append(top - float(own.max(initial=LOWEST)))
    return found


def belief(p: float, q: float, trust: float = PLACED) -> float:
    """Return P(the box is right), in (0, 1), of its probability p and its agreement q with the heat, both in [0, 1]."""
    placed = trust * min(max(p, _EDGE), 1 - _EDGE)
    odds: float = placed / (1 - placed) * AGREES * max(q, _EDGE) ** (AGREES - 1)
    return odds / (1 + odds)


def agreements_of(log_odds: Grid, mask: NDArray[np.bool_] | None, boxes: Sequence[BoxXyxyn]) -> list[float]:
    """Return of each box the share of equally large boxes, with their centre on the part, that are not hotter.

    Boxes of equal heat count by half, so that a map that says nothing gives 0.5.
    """
    import cv2

    small, there = _small(log_odds, mask)
    height, width = small.shape
    found = []
    for x0, y0, x1, y1 in boxes:
        size = max(1, round((x1 - x0) * width)), max(1, round((y1 - y0) * height))
        means = cv2.blur(small, size, borderType=cv2.BORDER_REPLICATE)
        own = means[min(height - 1, int((y0 + y1) / 2 * height)), min(width - 1, int((x0 + x1) / 2 * width))]
        whole = _inner(means.shape, size)  # a box that reaches beyond the picture is none that a model could give
        others = means[whole][there[whole]] if there[whole].any() else means[whole]
        found.append(float((others < own - _EDGE).mean() + 0.5 * (np.abs(others - own) <= _EDGE).mean()))
    return found


def _inner(size_hw: tuple[int, ...], box_wh: tuple[int, int]) -> tuple[slice, slice]:
    """Return the centres of the boxes of this size that lie in a picture."""
    down, across = (min((box - 1) // 2, (side - 1) // 2) for box, side in zip(box_wh[::-1], size_hw, strict=True))
    return slice(down, size_hw[0] - down), slice(across, size_hw[1] - across)


def _small(log_odds: Grid, mask: NDArray[np.bool_] | None) -> tuple[Grid, NDArray[np.bool_]]:
    import cv2

    height, width = log_odds.shape
    scale = min(1.0, _GRID / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(log_odds, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    if mask is None:
        return small, np.ones(small.shape, bool)
    return small, np.asarray(cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0)


def _soft_box(size_hw: tuple[int, ...], box_xyxyn: BoxXyxyn) -> Grid:
    """Return 1 inside a box, falling off outside with the distance in shares of its sides, (H, W)."""
    height, width = size_hw
    x0, y0, x1, y1 = box_xyxyn
    across = _beyond((np.arange(width) + 0.5) / width, x0, x1)
    down = _beyond((np.arange(height) + 0.5) / height, y0, y1)
    return np.exp(-0.5 * (across[None, :] ** 2 + down[:, None] ** 2)).astype(np.float32)


def _beyond(at: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Return how far places lie outside [low, high], in softness widths."""
    outside = np.maximum(np.maximum(low - at, at - high), 0.0)
    return np.asarray(outside / max(_SOFT * (high - low), 1e-9))


def named_places(verdict: Verdict | None, views: Sequence[View], book: RuleBook) -> list[NamedPlace]:
    """Return the boxes of a model's defects, on every view that shows them; ignored and vast ones name none."""
    found = []
    for defect in () if verdict is None else verdict.defects:
        view, box = defect.view, defect.box_xyxyn
        if view is None or box is None or not 0 <= view < len(views) or is_vast(box):
            continue
        if lies_in(box, ignored_boxes(view, views, book.ignore)):
            continue
        stated = next((p for p in (defect.score, verdict.probability if verdict else None) if p is not None), UNSTATED)
        found += [NamedPlace(index, there, min(max(stated, 0.0), 1.0)) for index, there in _shown_on(view, box, views)]
    return found


def _shown_on(view: int, box_xyxyn: BoxXyxyn, views: Sequence[View]) -> list[tuple[int, BoxXyxyn]]:
    """Return the box on its own view, and on every other one that shows enough of the place in the same photo."""
    found = [(view, box_xyxyn)]
    place = views[view].origin.locate(box_xyxyn)
    if place.source_xyxy is None or views[view].kind != "image":
        return found
    for index, other in enumerate(views):
        window = other.origin.locate((0.0, 0.0, 1.0, 1.0)) if other.kind == "image" else None
        if index == view or window is None or window.source_xyxy is None or window.page != place.page:
            continue
        x0, y0, x1, y1 = window.source_xyxy
        if x1 <= x0 or y1 <= y0:
            continue
        a, b, c, d = place.source_xyxy
        inner = max(a, x0), max(b, y0), min(c, x1), min(d, y1)
        if (inner[2] - inner[0]) * (inner[3] - inner[1]) <= 0.5 * (c - a) * (d - b) or inner[2] <= inner[0]:
            continue
        left, right = (inner[0] - x0) / (x1 - x0), (inner[2] - x0) / (x1 - x0)
        found.append((index, (left, (inner[1] - y0) / (y1 - y0), right, (inner[3] - y0) / (y1 - y0))))
    return found
