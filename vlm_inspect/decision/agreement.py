"""What a heatmap without a tolerance says of the places that a model names: it agrees, points elsewhere, or stays open.

Nobody knows how hot normal parts get on such a map, so that it decides nothing by itself. But it has an order, and its
places are findings of their own:

    agrees           a place that the model names is one of its hot regions
    points elsewhere the model calls the part anomalous and names places, and none of them is the hottest region
    unconfirmed      a hot region that no word of the model is about

Evidence that is calibrated decides instead of all this.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from converters.view import BoxXyxyn, View
from vlm_inspect.decision.spots import Reach, Spot, holds, is_one_place, is_vast, reach_of
from vlm_inspect.evidence import Evidence, Region
from vlm_inspect.verdict import Defect, Verdict


@dataclass(frozen=True)
class Agreement:
    """What uncalibrated regions say of a model's opinion."""

    supported: tuple[tuple[Defect, Region], ...] = ()
    """Defects of the model that the heatmap points at, too, each with the region."""
    elsewhere: Region | None = None
    """The hottest region, where the model calls the part anomalous and means other places; None: no contradiction."""
    unconfirmed: tuple[Region, ...] = ()
    """Regions that the model says nothing of, hottest first."""

    def region_of(self, defect: Defect) -> Region | None:
        """Return the region that supports a defect."""
        return next((region for one, region in self.supported if one is defect), None)


def compare_places(verdict: Verdict | None, evidence: Evidence, views: Sequence[View]) -> Agreement:
    """Return what the uncalibrated regions of the evidence say of an opinion.

    Args:
        verdict: the model's own opinion; None: its reply could not be read, and all regions are unconfirmed. One that
            words the evidence itself agrees with nothing.
        evidence: its regions; where their maps are calibrated, or the part stays within what normal ones reach, there
            is nothing to compare.
        views: the pictures that view numbers refer to.
    """
    regions = sorted(
        (one for one in evidence.latest_regions if not one.calibrated), key=lambda one: -region_height(one, evidence)
    )
    if not regions or evidence.status == "within" or (verdict is not None and not verdict.by_model):
        return Agreement()
    reach = reach_of(views)
    named = [] if verdict is None else [(d, spot) for d in verdict.defects if (spot := _spot(d, views)) is not None]
    met = {id(d): [one for one in regions if _means(spot, one, reach)] for d, spot in named}
    claimed = {id(region) for same in met.values() for region in same}
    means_others = verdict is not None and verdict.anomalous and bool(named) and id(regions[0]) not in claimed
    elsewhere = regions[0] if means_others and evidence.status == "unknown" else None
    return Agreement(
        supported=tuple((d, met[id(d)][0]) for d, _ in named if met[id(d)]),
        elsewhere=elsewhere,
        unconfirmed=_once_each([one for one in regions if id(one) not in claimed and one is not elsewhere], reach),
    )


def points_elsewhere(agreement: Agreement, verdict: Verdict) -> Iterator[str]:
    """Yield the reason to review a model whose places are not the heatmap's."""
    region = agreement.elsewhere
    if region is None:
        return
    named = "; ".join(
        f"{one.type} at {_at(one.view, one.box_xyxyn)}"
        for one in verdict.defects
        if one.box_xyxyn is not None and one.view is not None
    )
    there = _at(region.view, region.box_xyxyn)
    yield f"the heatmap points elsewhere: its hottest place lies at {there}, the model names {named}"


def agreeing(agreement: Agreement) -> Iterator[str]:
    """Yield what there is to say of places that both mean, and of those that the heatmap alone points at."""
    words = dict.fromkeys(defect.type for defect, _ in agreement.supported)
    if words:
        yield f"the heatmap agrees with the model on the place of: {', '.join(words)}"
    if agreement.unconfirmed:
        places = "; ".join(_at(one.view, one.box_xyxyn) for one in agreement.unconfirmed)
        yield f"unconfirmed: the uncalibrated heatmap also points at {places}; the model says nothing of it"


def _at(view: int, box_xyxyn: BoxXyxyn) -> str:
    x0, y0, x1, y1 = box_xyxyn
    return f"x {x0:.2f} to {x1:.2f}, y {y0:.2f} to {y1:.2f} of view {view}"


def region_height(region: Region, evidence: Evidence) -> float:
    """Return how hot an uncalibrated region is, so that those of several views can be ordered: its rank is 1 in each.

    The value of its map at its peak; where the map is not at hand, the rank.
    """
    for one in evidence.latest_maps:
        if one.view == region.view and one.source == region.source:
            height, width = one.values.shape
            row = min(height - 1, int(region.peak_xyn[1] * height))
            return float(one.values[row, min(width - 1, int(region.peak_xyn[0] * width))])
    return region.score


def _spot(defect: Defect, views: Sequence[View]) -> Spot | None:
    """Return where a defect lies; None where the model gives no usable place, or means most of the view."""
    box, view = defect.box_xyxyn, defect.view
    if box is None or view is None or not 0 <= view < len(views) or is_vast(box):
        return None
    return Spot(view, box, views[view].origin.locate(box))


def _means(spot: Spot, region: Region, reach: Reach) -> bool:
    """Return whether a box is about a region: they are one place, or the box holds the region's hottest point."""
    if is_one_place(spot, Spot(region.view, region.box_xyxyn, region.place), reach):
        return True
    return spot.view == region.view and spot.box_xyxyn is not None and holds(spot.box_xyxyn, region.peak_xyn)


def _once_each(regions: Sequence[Region], reach: Reach) -> tuple[Region, ...]:
    """Return the regions without those that show the place of a hotter one on another view."""
    kept: list[Region] = []
    for one in regions:
        spot = Spot(one.view, one.box_xyxyn, one.place)
        if not any(is_one_place(Spot(r.view, r.box_xyxyn, r.place), spot, reach) for r in kept):
            kept.append(one)
    return tuple(kept)
