"""The numbered places of a case: the regions of the evidence, hottest first, then what only the model found."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from converters.view import BoxXyxyn, View
from vlm_inspect.decision.defects import is_hot
from vlm_inspect.evidence import Region
from vlm_inspect.inspection import DefectOutcome
from vlm_inspect.store.case import Case
from vlm_inspect.tools.material import cite
from vlm_inspect.vocabulary import circumstances, name_region

LARGEST_IGNORED = 0.25
"""Largest share of a view that a place may hide when it is ignored: what lies there is not inspected any more."""


@dataclass(frozen=True)
class NumberedPlace:
    """One place that people and models speak of by its number, from 1."""

    number: int
    view: int
    box_xyxyn: BoxXyxyn
    word: str
    region: Region | None
    defect: DefectOutcome | None = None
    counts: bool = True
    """Whether it exceeds its tolerance, or the model named it."""

    @property
    def citation(self) -> str:
        """The place as answers cite it."""
        return cite(self.view, self.box_xyxyn)


def number_places(case: Case) -> list[NumberedPlace]:
    """Return the places of a case in the order of their numbers."""
    evidence, book = case.evidence, case.rules
    told = circumstances([one for one in evidence.regions if is_hot(one, evidence)], case.views, evidence.measurements)
    found = [
        NumberedPlace(i, one.view, one.box_xyxyn, name_region(one, book, told), one, counts=is_hot(one, evidence))
        for i, one in enumerate(evidence.regions, start=1)
    ]
    for defect in case.inspection.defects:
        if defect.source == "model" and defect.view is not None and defect.box_xyxyn is not None:
            number = len(found) + 1
            found.append(NumberedPlace(number, defect.view, defect.box_xyxyn, defect.type, None, defect))
    return found


def hot_box(case: Case, place: NumberedPlace) -> BoxXyxyn:
    """Return the box of a place that must be ignored for the place not to count.

    That is the box of all that exceeds the limit around its peak, which reaches farther than the region; the region's
    own box where nothing is calibrated, or where that would cover more than `LARGEST_IGNORED` of the view.
    """
    region = place.region
    if region is None:
        return place.box_xyxyn
    maps = [one for one in case.evidence.maps if (one.view, one.source) == (region.view, region.source)]
    tolerance = maps[0].tolerance_of_places if maps else None
    if tolerance is None:
        return place.box_xyxyn
    import cv2

    hot = (maps[0].values > tolerance.limit).astype(np.uint8)
    height, width = hot.shape
    x, y = min(int(region.peak_xyn[0] * width), width - 1), min(int(region.peak_xyn[1] * height), height - 1)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(hot, connectivity=8)
    if not hot[y, x]:
        return place.box_xyxyn
    left, top, wide, high, _ = (int(value) for value in stats[labels[y, x]])
    box = left / width, top / height, (left + wide) / width, (top + high) / height
    return box if wide * high <= LARGEST_IGNORED * width * height else place.box_xyxyn


def box_to_ignore(view: int, box_xyxyn: BoxXyxyn, views: Sequence[View], margin: float = 0.05) -> BoxXyxyn:
    """Return a place as an ignored box of the rule book: relative to the whole picture, where its view is a tile.

    Args:
        view: number of the view.
        box_xyxyn: the place on it.
        views: the views of the part.
        margin: what is added on each side, as a share of the longer one: the next part lies a little elsewhere.
    """
    from converters.image import ImageOrigin

    x0, y0, x1, y1 = box_xyxyn
    origin = views[view].origin
    if isinstance(origin, ImageOrigin):
        same_page = [v.origin for v in views if isinstance(v.origin, ImageOrigin) and v.origin.page == origin.page]
        pages = [one.window_xyxy for one in same_page]
        width, height = max(page[2] for page in pages), max(page[3] for page in pages)
        left, top, right, bottom = origin.window_xyxy
        x0, x1 = ((left + value * (right - left)) / width for value in (x0, x1))
        y0, y1 = ((top + value * (bottom - top)) / height for value in (y0, y1))
    more = margin * max(x1 - x0, y1 - y0)
    wide = max(0.0, x0 - more), max(0.0, y0 - more), min(1.0, x1 + more), min(1.0, y1 + more)
    return round(wide[0], 4), round(wide[1], 4), round(wide[2], 4), round(wide[3], 4)
