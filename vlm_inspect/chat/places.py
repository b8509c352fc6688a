"""The numbered places of a case: the regions of the evidence, hottest first, then what only the model found."""

from collections.abc import Sequence

import numpy as np

from converters.view import BoxXyxyn, View
from vlm_inspect.answers.places import NumberedPlace
from vlm_inspect.answers.places import number_places as number
from vlm_inspect.store.case import Case

LARGEST_IGNORED = 0.25
"""Largest share of a view that a place may hide when it is ignored: what lies there is not inspected any more."""


def number_places(case: Case) -> list[NumberedPlace]:
    """Return the places of a case in the order of their numbers."""
    return number(case.evidence, case.rules, case.views, case.inspection.defects)


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
