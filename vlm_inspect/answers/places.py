"""The numbered places of a part, and which of them are one and the same, seen in several views."""

from collections.abc import Sequence
from dataclasses import dataclass

from converters.view import BoxXyxyn, Place, View
from vlm_inspect.citation import cite
from vlm_inspect.decision.defects import is_hot
from vlm_inspect.decision.spots import Spot, in_groups, is_one_place, reach_of, spot_of
from vlm_inspect.evidence import Evidence, Region
from vlm_inspect.inspection import DefectOutcome
from vlm_inspect.rules import RuleBook
from vlm_inspect.vocabulary import circumstances, kinds_of, name_region


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
        """The place as answers cite it; "" of a curve: its time and channel are said, and a box of a plot says less."""
        if self.region is not None and self.region.place.channel is not None:
            return ""
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


def join_views(places: Sequence[NumberedPlace], views: Sequence[View]) -> list[SeenPlace]:
    """Return the places of the part: one that several views show is one, under the lowest of its numbers."""
    reach = reach_of(views)
    groups = in_groups(places, lambda a, b: is_one_place(_spot(a), _spot(b), reach))
    ordered = [sorted(group, key=lambda one: one.number) for group in groups]
    return [SeenPlace(group[0], tuple(group[1:])) for group in sorted(ordered, key=lambda group: group[0].number)]


def _spot(place: NumberedPlace) -> Spot:
    if place.region is not None:
        return Spot(place.view, place.box_xyxyn, place.region.place)
    return Spot(place.view, place.box_xyxyn, Place()) if place.defect is None else spot_of(place.defect)
