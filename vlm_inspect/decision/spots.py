"""Where something lies, and whether two such spots mean the same place of the part."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import TypeVar

from converters.view import BoxXyxyn, Place, View
from vlm_inspect.inspection import DefectOutcome

_SAME_IOU = 0.3
_SAME_FRACTION = 0.04
"""Two places of a scan are one where they are nearer than this fraction of the part's longest side."""
_LARGEST = 0.5
"""A box around more of its view than this points at no place."""

Box = BoxXyxyn
Found = TypeVar("Found")


@dataclass(frozen=True)
class Spot:
    """A box of a view, and where that lies in the part itself."""

    view: int | None
    box_xyxyn: BoxXyxyn | None
    place: Place


@dataclass(frozen=True)
class Reach:
    """How far apart two spots of one place may lie, for what has no common picture."""

    part_size: float = 0.0
    """Longest side of a scanned part in its unit, as its views show it; 0 where none does."""
    frame_step_s: float = 0.0
    """Usual time between two neighbouring frames that are shown, in seconds; 0 where there are no two."""
    frame_step: float = 0.0
    """The same in frames, for clips that keep no time."""


def spot_of(defect: DefectOutcome) -> Spot:
    """Return where a defect lies."""
    return Spot(defect.view, defect.box_xyxyn, Place(**{one.name: getattr(defect, one.name) for one in fields(Place)}))


def reach_of(views: Sequence[View]) -> Reach:
    """Return how far apart two spots of one place may lie on a part that is shown by these views."""
    sizes = (view.origin.locate((0.0, 0.0, 1.0, 1.0)).size_mm or 0.0 for view in views)
    frames = list(_places_of_frames(views))
    seconds, numbers = (_usual_step(getattr(one, name) for one in frames) for name in ("time_s", "frame"))
    return Reach(max(sizes, default=0.0), seconds, numbers)


def is_one_place(a: Spot, b: Spot, reach: Reach) -> bool:
    """Return whether two spots mean the same place of the part, as seen on one view, on several, or on frames."""
    p, q = a.place, b.place
    if a.view is not None and a.view == b.view and a.box_xyxyn and b.box_xyxyn and p.frame == q.frame:
        return points_at(a.box_xyxyn, b.box_xyxyn)
    if p.point_mm and q.point_mm:
        sizes = max(p.size_mm or 0.0, q.size_mm or 0.0)
        return math.dist(p.point_mm, q.point_mm) <= max(_SAME_FRACTION * reach.part_size, 0.5 * sizes)
    if p.frame is not None and q.frame is not None and p.frame != q.frame:
        if p.time_s is None or q.time_s is None:
            return abs(p.frame - q.frame) <= 1.5 * reach.frame_step
        return abs(p.time_s - q.time_s) <= 1.5 * reach.frame_step_s
    if p.source_xyxy and q.source_xyxy and p.page == q.page:
        return same_place(p.source_xyxy, q.source_xyxy)
    return False


def in_groups(found: Iterable[Found], is_same: Callable[[Found, Found], bool]) -> list[list[Found]]:
    """Return what means the same in groups, each in the order given: a chain of neighbours is one group."""
    groups: list[list[Found]] = []
    for one in found:
        joined = [group for group in groups if any(is_same(one, other) for other in group)]
        groups = [group for group in groups if all(group is not other for other in joined)]
        groups.append([*(other for group in joined for other in group), one])
    return groups


def lies_in(box: Box, areas: Iterable[Box]) -> bool:
    """Return whether more than half of a box lies in one of the areas."""
    return any(_overlap(box, area) > 0.5 * _area(box) for area in areas)


def same_place(a: Box, b: Box) -> bool:
    """Return whether two boxes of one picture mean the same place: they overlap, or one holds the other's centre."""
    return box_iou(a, b) >= _SAME_IOU or _holds_centre(a, b) or _holds_centre(b, a)


def points_at(a: BoxXyxyn, b: BoxXyxyn) -> bool:
    """Return whether two boxes of one view mean the same place; one around half of the view points at none."""
    return box_iou(a, b) >= _SAME_IOU or (max(_area(a), _area(b)) <= _LARGEST and same_place(a, b))


def holds(box: BoxXyxyn, point_xyn: tuple[float, float]) -> bool:
    """Return whether a point lies in a box; one around half of the view points at none."""
    x, y = point_xyn
    return not is_vast(box) and box[0] <= x <= box[2] and box[1] <= y <= box[3]


def is_vast(box: BoxXyxyn) -> bool:
    """Return whether a box covers so much of its view that it points at no place."""
    return _area(box) > _LARGEST


def box_iou(a: Box, b: Box) -> float:
    """Return intersection over union of two boxes, in [0, 1]."""
    shared = _overlap(a, b)
    union = _area(a) + _area(b) - shared
    return shared / union if union > 0 else 0.0


def _places_of_frames(views: Sequence[View]) -> Iterator[Place]:
    """Yield where each frame that is shown comes from."""
    for view in views:
        height, width = view.size_hw
        for pane in view.panes:
            x0, y0, x1, y1 = pane.box_xyxy
            yield view.origin.locate((x0 / width, y0 / height, x1 / width, y1 / height))


def _usual_step(values: Iterable[float | None]) -> float:
    """Return the median step from one value to the next, of those that are known; 0 where there are no two."""
    ordered = sorted({value for value in values if value is not None})
    steps = sorted(later - earlier for earlier, later in pairwise(ordered))
    return steps[len(steps) // 2] if steps else 0.0


def _area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def _overlap(a: Box, b: Box) -> float:
    return _area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))


def _holds_centre(box: Box, other: Box) -> bool:
    x, y = (other[0] + other[2]) / 2, (other[1] + other[3]) / 2
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]
