"""`UsualPart`: how the parts of a class look as a whole, and what a photo shows otherwise.

Beside the comparison of places, which it leaves as it is: what it finds makes a part that would be OK a REVIEW.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from converters.view import BoxXyxyn, View
from vlm_inspect.evidence import BACKGROUND, Region
from vlm_inspect.localization.whole_part.colour import MeanColour, colour_of, other_colour
from vlm_inspect.localization.whole_part.looking import Look, look_at
from vlm_inspect.localization.whole_part.surroundings import (
    at_place,
    bounds_of,
    foreign_boxes,
    is_in_pieces,
    place_of,
    surroundings_of,
)
from vlm_inspect.localization.whole_part.traits import Traits, other_traits, traits_of

_MOST_REGIONS = 3
_LEAST = 2
"""References that have to show a plain background: that of a single one may happen to be clean, or no background."""
_FEW = 3
"""References up to which none of them is called odd by the others."""
_BESIDE = "Something lies beside the part that lies beside no reference: take it away, or look what it is."
_NOTE = "no reference has anything there"
_AT_BOUND, _EVERY_TIME = 0.5, 4.0
"""P(anomalous) at the bound, and by which power of the excess its odds grow."""


@dataclass(frozen=True)
class Unusual:
    """What one photo shows otherwise than every reference."""

    said: tuple[str, ...] = ()
    """In sentences."""
    regions: tuple[Region, ...] = ()
    """Where, as far as it has a place; the strongest first."""


@dataclass(frozen=True, eq=False)
class UsualPart:
    """The references of one class, by the key of the view that shows them whole."""

    looks: dict[str, tuple[Look, ...]]

    def unusual(self, views: Sequence[View]) -> Unusual:
        """Tell what a photo shows otherwise than every reference.

        Args:
            views: of the photo; only those that show a whole page count, where references have that page.
        """
        said: list[str] = []
        regions: list[Region] = []
        for index, view in enumerate(views):
            page = self._pages.get(view.key)
            if page is None:
                continue
            look = look_at(view)
            beside = page.beside(look)
            said += page.told(look, beside)
            regions += [_region(index, view, box, times) for box, times in beside[:_MOST_REGIONS]]
        return Unusual(tuple(dict.fromkeys(said)), tuple(regions))

    @cached_property
    def _pages(self) -> dict[str, "_Page"]:
        return {key: _page_of(looks) for key, looks in self.looks.items()}


NO_PART = UsualPart({})
"""Of a class without reference photos."""


def odd_parts(references: Sequence[Sequence[View]]) -> tuple[str, ...]:
    """Say of each reference what it shows otherwise than all others; "" of nothing, or where too few would say so.

    Args:
        references: the views of each.
    """
    if len(references) <= _FEW:
        return ("",) * len(references)
    looks = [{view.key: look_at(view) for view in views if view.key.startswith("image")} for views in references]
    told = []
    for own in looks:
        said: list[str] = []
        for key, look in own.items():
            others = [one[key] for one in looks if one is not own and key in one]
            page = _page_of(others) if others else None
            said += [] if page is None else page.told(look, page.beside(look))
        told.append(" ".join(dict.fromkeys(said)))
    return tuple(told)


def usual_part(references: Sequence[Sequence[View]]) -> UsualPart:
    """Look at the references of a class.

    Args:
        references: the views of each; may be empty.
    """
    looks: dict[str, list[Look]] = {}
    for views in references:
        for view in views:
            if view.key.startswith("image"):
                looks.setdefault(view.key, []).append(look_at(view))
    return UsualPart({key: tuple(found) for key, found in looks.items()})


@dataclass(frozen=True, eq=False)
class _Page:
    """What is known of one page."""

    colours: tuple[MeanColour, ...]
    traits: tuple[Traits, ...]
    """Empty where the background is not plain in every reference, or their photos have several formats."""
    format_hw: tuple[int, ...]
    """Of the first reference, as it is looked at."""
    bounds: NDArray[np.float64] | None
    """Of what stands out beside the part; None where the background is not plain in every reference, or one is all."""
    place: NDArray[np.bool_] | None
    """Where every reference shows the part; None where that is not known."""
    in_pieces: bool
    on_background: bool

    def beside(self, look: Look) -> list[tuple[BoxXyxyn, float]]:
        seen = None if self.bounds is None else surroundings_of(look, in_pieces=self.in_pieces)
        if seen is None or self.bounds is None:
            return []
        return foreign_boxes(seen, self.bounds, at_place(look, self.place))

    def told(self, look: Look, beside: Sequence[tuple[BoxXyxyn, float]]) -> list[str]:
        return [*[_BESIDE] * bool(beside), *filter(None, [self.colour(look)]), *self.other_traits(look)]

    def colour(self, look: Look) -> str:
        is_part = look.is_clear or not self.on_background
        own = colour_of(look, of_part=self.on_background) if is_part else None
        return "" if own is None else other_colour(own, self.colours)

    def other_traits(self, look: Look) -> list[str]:
        is_like = look.is_clear and look.rest.shape == self.format_hw
        own = traits_of(look) if self.traits and is_like else None
        return [] if own is None else other_traits(own, self.traits)


def _page_of(looks: Sequence[Look]) -> _Page:
    on_background = all(look.part is not None and look.is_clear for look in looks)
    in_pieces = is_in_pieces(looks)
    seen = [found for look in looks if (found := surroundings_of(look, in_pieces=in_pieces)) is not None]
    colours = (colour_of(look, of_part=on_background) for look in looks)
    traits = [traits_of(look) for look in looks]
    is_one_format = len({look.rest.shape for look in looks}) == 1
    return _Page(
        traits=tuple(one for one in traits if one is not None) if on_background and is_one_format else (),
        format_hw=looks[0].rest.shape,
        colours=tuple(one for one in colours if one is not None),
        bounds=bounds_of(seen) if on_background and len(seen) >= _LEAST else None,
        place=place_of(looks),
        in_pieces=in_pieces,
        on_background=on_background,
    )


def _region(index: int, view: View, box: BoxXyxyn, times: float) -> Region:
    x0, y0, x1, y1 = box
    odds = _AT_BOUND / (1 - _AT_BOUND) * times**_EVERY_TIME
    return Region(
        view=index,
        box_xyxyn=box,
        peak_xyn=((x0 + x1) / 2, (y0 + y1) / 2),
        score=odds / (1 + odds),
        area=(x1 - x0) * (y1 - y0),
        source=BACKGROUND,
        calibrated=True,
        place=view.origin.locate(box),
        note=_NOTE,
    )
