"""From an anomaly map to regions: the connected hot areas that a person, or a model, should look at."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from converters.view import BoxXyxyn, View
from vlm_inspect.evidence import AnomalyMap, ReferenceMatch, Region

_EDGE = 0.6
"""A calibrated region reaches down to where the score has fallen this far from its peak to the centre of normal."""
_PEAK_SHARE = 0.5
"""An uncalibrated region reaches down to this share of its peak's height above the median."""
_STANDS_OUT = 4.0
"""Robust deviations above the median that an uncalibrated peak needs."""
_PEAK_REACH = 0.03
"""A peak is the highest point within this share of the view's longer side."""
_GAP = 0.012
"""Hot specks closer than this share of the view's longer side are one region."""
_WORD_STANDS_OUT = 1.25
"""How much more than the next word the best one must have to name an area."""


def find_regions(
    anomaly_map: AnomalyMap, view: View, *, ignore: Sequence[BoxXyxyn] = (), max_regions: int = 8
) -> list[Region]:
    """Return the hot areas of one map, hottest first.

    Calibrated: every connected area whose peak exceeds the tolerance. Uncalibrated: the few peaks that stand out most
    from the rest of the view. The boxes follow the defect by hysteresis: an area starts at a high threshold and grows
    down to a lower one.

    Args:
        anomaly_map: the map; its values have the view's size.
        view: the view that it was made of.
        ignore: boxes of the view that never count.
        max_regions: most regions returned.
    """
    values = _without(anomaly_map.values, ignore)
    floor = _floor(anomaly_map, values, view)
    taken = np.zeros(values.shape, bool)
    found: list[Region] = []
    for y, x in _peaks(values, floor):
        if len(found) == max_regions:
            break
        if taken[y, x]:
            continue
        peak = float(values[y, x])
        area = _grow(np.where(taken, 0.0, values).astype(np.float32), y, x, _lower(anomaly_map, values, peak))
        taken |= _wide(area)
        found.append(_region(anomaly_map, view, area, (y, x), peak))
    return found


def _peaks(values: NDArray[np.float32], floor: float) -> list[tuple[int, int]]:
    """Return the local maxima of at least `floor` as (y, x), highest first: the slope of a taken region is none."""
    import cv2

    side = 2 * max(1, round(_PEAK_REACH * max(values.shape))) + 1
    highest = cv2.dilate(values, np.ones((side, side), np.uint8))
    rows, columns = np.nonzero((values >= highest) & (values >= floor) & (values > 0.0))
    order = np.argsort(-values[rows, columns], kind="stable")
    return [(int(rows[i]), int(columns[i])) for i in order]


def _without(values: NDArray[np.float32], ignore: Sequence[BoxXyxyn]) -> NDArray[np.float32]:
    height, width = values.shape
    kept = values.copy()
    for x0, y0, x1, y1 in ignore:
        rows = slice(math.floor(y0 * height), math.ceil(y1 * height))
        kept[rows, math.floor(x0 * width) : math.ceil(x1 * width)] = 0.0
    return kept


def _floor(anomaly_map: AnomalyMap, values: NDArray[np.float32], view: View) -> float:
    """Return the least height of a peak."""
    tolerance = anomaly_map.tolerance_of_places
    if tolerance is not None:
        return tolerance.limit
    counted = values[values > 0] if view.mask is None else values[view.mask]
    if counted.size == 0:
        return math.inf
    middle = float(np.median(counted))
    spread = 1.4826 * float(np.median(np.abs(counted - middle)))
    top = float(counted.max())
    if top <= middle:
        return math.inf
    # The most suspicious place is always shown, others only where they stand out.
    return min(top, max(middle + _STANDS_OUT * spread, 0.6 * top))


def _lower(anomaly_map: AnomalyMap, values: NDArray[np.float32], peak: float) -> float:
    """Return the score at which a region with this peak ends."""
    tolerance = anomaly_map.tolerance_of_places
    if tolerance is not None:
        centre = tolerance.centre
        return max(peak - _EDGE * (peak - centre), 0.5 * (centre + tolerance.limit))
    counted = values[values > 0]
    middle = float(np.median(counted)) if counted.size else 0.0
    return middle + _PEAK_SHARE * (peak - middle)


def _grow(values: NDArray[np.float32], y: int, x: int, lower: float) -> NDArray[np.bool_]:
    """Return the area above `lower` around (y, x), with specks a small gap away."""
    import cv2

    hot = (values >= min(lower, float(values[y, x]))).astype(np.uint8)
    side = 2 * max(1, round(_GAP * max(values.shape) / 2)) + 1
    joined = cv2.morphologyEx(hot, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    _, labels = cv2.connectedComponents(joined, connectivity=8)
    return np.asarray((labels == labels[y, x]) & (hot > 0))


def _wide(area: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the area with its slopes, where no second region may start."""
    import cv2

    side = 2 * max(1, round(2 * _GAP * max(area.shape))) + 1
    return np.asarray(cv2.dilate(area.astype(np.uint8), np.ones((side, side), np.uint8)) > 0)


def _region(
    anomaly_map: AnomalyMap, view: View, area: NDArray[np.bool_], peak_yx: tuple[int, int], peak: float
) -> Region:
    height, width = area.shape
    rows, columns = np.flatnonzero(area.any(axis=1)), np.flatnonzero(area.any(axis=0))
    box = (
        float(columns[0]) / width,
        float(rows[0]) / height,
        float(columns[-1] + 1) / width,
        float(rows[-1] + 1) / height,
    )
    tolerance = anomaly_map.tolerance_of_places
    word, note = _looks_like(anomaly_map, area)
    return Region(
        view=anomaly_map.view,
        box_xyxyn=box,
        peak_xyn=((peak_yx[1] + 0.5) / width, (peak_yx[0] + 0.5) / height),
        score=tolerance.probability(peak) if tolerance is not None else float((anomaly_map.values <= peak).mean()),
        area=float(area.mean()),
        source=anomaly_map.source,
        calibrated=tolerance is not None,
        place=view.origin.locate(box),
        match=find_match(anomaly_map, box, peak_yx),
        defect_type=word,
        note=note,
    )


def _looks_like(anomaly_map: AnomalyMap, area: NDArray[np.bool_]) -> tuple[str | None, str]:
    """Return the defect word that the area looks most like, and that and the next one with their shares in words.

    Where the next word fits nearly as well there is no word: an engineer would take a guess for a finding.
    """
    import cv2

    types = anomaly_map.types
    if types is None or not types.words or not types.names:
        return None, ""
    rows, columns = types.values.shape[1:]
    weight = cv2.resize(area.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
    shares = (types.values * weight).sum(axis=(1, 2))
    total = float(shares.sum())
    if not total > 0.0:
        return None, ""
    order = np.argsort(-shares, kind="stable")
    told = [f"{types.words[k]} {100 * float(shares[k]) / total:.0f} %" for k in order[:2]]
    if len(order) == 1:
        return types.words[0], ""
    stands_out = shares[order[0]] >= _WORD_STANDS_OUT * shares[order[1]]
    said = f"of all words {' and '.join(told)}"
    return (types.words[order[0]], said) if stands_out else (None, f"no word stands out: {said}")


def find_match(anomaly_map: AnomalyMap, box: BoxXyxyn, peak_yx: tuple[int, int]) -> ReferenceMatch | None:
    """Return the box of the same size around the best match of a pixel, or of the box's cells where that has none.

    Args:
        anomaly_map: a map with `matches`; without them there is no match.
        box: on its view.
        peak_yx: row and column of the map's values.
    """
    if anomaly_map.matches is None:
        return None
    size_hw = anomaly_map.values.shape
    rows, columns = anomaly_map.matches.shape[:2]
    y, x = peak_yx[0] * rows // size_hw[0], peak_yx[1] * columns // size_hw[1]
    cell = anomaly_map.matches[y, x]
    if np.isnan(cell).any():
        top, bottom = int(box[1] * rows), max(int(box[1] * rows) + 1, math.ceil(box[3] * rows))
        left, right = int(box[0] * columns), max(int(box[0] * columns) + 1, math.ceil(box[2] * columns))
        cells = anomaly_map.matches[top:bottom, left:right].reshape(-1, 4)
        cells = cells[~np.isnan(cells).any(axis=1)]
        if not len(cells):
            return None
        cell = cells[len(cells) // 2]
    # The peak matches that place: the box keeps its offset from the peak.
    dx = float(cell[2]) - (peak_yx[1] + 0.5) / size_hw[1]
    dy = float(cell[3]) - (peak_yx[0] + 0.5) / size_hw[0]
    dx = min(max(dx, -box[0]), 1.0 - box[2])
    dy = min(max(dy, -box[1]), 1.0 - box[3])
    moved = (box[0] + dx, box[1] + dy, min(box[2] + dx, 1.0), min(box[3] + dy, 1.0))
    return ReferenceMatch(int(cell[0]), int(cell[1]), moved)
