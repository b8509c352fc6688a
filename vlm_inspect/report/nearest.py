"""Which normal part a report shows beside a view."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from converters.view import View
from vlm_inspect.evidence import Evidence


@dataclass(frozen=True, eq=False)
class Beside:
    """A view of a normal part."""

    view: View
    caption: str


def normal_beside(view: View, index: int, evidence: Evidence, references: Sequence[Sequence[View]]) -> Beside | None:
    """Return the same view of the normal part that is nearest to it; None where no reference can be shown.

    Args:
        view: of the part.
        index: its number.
        evidence: its maps and regions know which reference is the nearest.
        references: the views of every reference; empty for one whose pictures are not kept.
    """
    for number in dict.fromkeys(_nearest(index, evidence)):
        if (twin := _twin(view, index, references, number)) is not None:
            return Beside(twin, f"nearest normal part: reference {number + 1} of {len(references)}")
    for number in range(len(references)):
        if (twin := _twin(view, index, references, number)) is not None:
            return Beside(twin, f"a normal part: reference {number + 1} of {len(references)}")
    return None


def _nearest(index: int, evidence: Evidence) -> Iterator[int]:
    """Yield references by how much they have to say: of the map as a whole, then of its hot places."""
    for one in evidence.maps:
        if one.view == index and one.nearest_reference is not None:
            yield one.nearest_reference
    for region in evidence.regions:
        if region.view == index and region.match is not None:
            yield region.match.reference


def _twin(view: View, index: int, references: Sequence[Sequence[View]], number: int) -> View | None:
    views = references[number] if 0 <= number < len(references) else ()
    if index < len(views) and views[index].key == view.key:
        return views[index]
    return next((other for other in views if other.key == view.key), None)
