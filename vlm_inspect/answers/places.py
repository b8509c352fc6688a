"""The numbered places of a part, and which of them are one and the same, seen in several views."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

from converters.view import BoxXyxy, BoxXyxyn, Place, View
from vlm_inspect.citation import cite
from vlm_inspect.decision.defects import is_hot
from vlm_inspect.evidence import Evidence, Region
from vlm_inspect.inspection import DefectOutcome
from vlm_inspect.rules import RuleBook
from vlm_inspect.vocabulary import circumstances, kinds_of, name_region

_OVERLAP = 0.5
"""From this share of the smaller box on, two boxes of one picture are one place, as where tiles overlap."""


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
    kinds: tuple[str, ...] = ()
    """What it may be, in words of the vocabulary."""

    @property
    def citation(self) -> str:
        """The place as answers cite it."""
        return cite(self.view, self.box_xyxyn)


@dataclass(frozen=True)
class SeenPlace:
    """One place of the part, with every view that shows it."""

    first: NumberedPlace
    """Hottest."""
    others: tuple[NumberedPlace, ...] = ()

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of all its views."""
        return self.first.number, *(one.number for one in self.others)

    @property
    def counts(self) -> bool:
        """Whether it exceeds its tolerance in one of its views, or the model named it."""
        return self.first.counts or any(one.counts for one in self.others)


def number_places(
    evidence: Evidence, book: RuleBook, views: Sequence[View], defects: Sequence[DefectOutcome] = ()
) -> list[NumberedPlace]:
    """Return the places of a part in the order of their numbers: regions, hottest first, then what only a model found.

    Args:
        evidence: what was measured.
        book: whose words name the places.
        views: of the part.
        defects: of the inspection; none before there is one.
    """
    told = circumstances([one for one in evidence.regions if is_hot(one, evidence)], views, evidence.measurements)
    found = [
        NumberedPlace(
            i,
            one.view,
            one.box_xyxyn,
            name_region(one, book, told),
            one,
            counts=is_hot(one, evidence),
            kinds=kinds_of(one, book, told),
        )
        for i, one in enumerate(evidence.regions, start=1)
    ]
    for defect in defects:
        if defect.source == "model" and defect.view is not None and defect.box_xyxyn is not None:
            number = len(found) + 1
            place = NumberedPlace(
                number, defect.view, defect.box_xyxyn, defect.type, None, defect, kinds=(defect.type,)
            )
            found.append(place)
    return found


def join_views(places: Sequence[NumberedPlace]) -> list[SeenPlace]:
    """Return the places of the part: one that several views show is one, under the number of its hottest view."""
    joined: list[list[NumberedPlace]] = []
    for place in places:
        same = next((group for group in joined if any(_are_one(place, one) for one in group)), None)
        if same is None:
            joined.append([place])
        else:
            same.append(place)
    return [SeenPlace(group[0], tuple(group[1:])) for group in joined]


def _are_one(a: NumberedPlace, b: NumberedPlace) -> bool:
    first, second = _on_part(a), _on_part(b)
    if first.point_mm is not None and second.point_mm is not None:
        reach = max(first.size_mm or 0.0, second.size_mm or 0.0) / 2
        return math.dist(first.point_mm, second.point_mm) <= reach
    if first.source_xyxy is not None and second.source_xyxy is not None:
        same_picture = (first.page, first.frame) == (second.page, second.frame)
        return same_picture and a.view != b.view and _overlap(first.source_xyxy, second.source_xyxy) >= _OVERLAP
    return False


def _on_part(place: NumberedPlace) -> Place:
    if place.region is not None:
        return place.region.place
    told = place.defect
    if told is None:
        return Place()
    return Place(**{field.name: getattr(told, field.name) for field in fields(Place)})


def _overlap(a: BoxXyxy, b: BoxXyxy) -> float:
    """Return the shared area of two boxes as a share of the smaller one's."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((one[2] - one[0]) * (one[3] - one[1]) for one in (a, b))
    return max(width, 0.0) * max(height, 0.0) / smaller if smaller > 0 else 0.0
