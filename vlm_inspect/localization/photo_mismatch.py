"""Whether a photo was taken as its references were, so that the two can be compared at all.

A photo of half the resolution, in grey, or with the part cut off is unlike every reference whatever the state of the
part. Each condition is held against what the references themselves span, and beyond that span a margin that no defect
of a part reaches; sentences say what is amiss and what to do.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from converters.pixels import TRANSPARENT
from converters.sample import ImageSample, Sample
from converters.view import View
from vlm_inspect.localization.photo_conditions import RINGS, PartInPhoto, PhotoConditions, conditions_of

LEAST_PX = 32
"""Shorter side of a photo below which nothing is judged, unless its references are as small."""
_BLANK, _NEARLY_BLANK = 3.0, 0.25
"""Grey levels of contrast below which a photo shows nothing, and share of the references' least, likewise."""
_SAME_SCALE = math.log(1.2)
"""Logarithm of a ratio of sizes that the comparison bears: on generated and training pictures a part that is 1.2 times
as large scores like an unusual normal one, one of 1.5 times like a defect."""
_SAME_DISTANCE = math.log(1.4)
"""Likewise where the photo has the size of its references, so that the part itself may be smaller."""
_ZOOM, _SAME_SHAPE = math.log(1.1), 0.04
"""Likewise, with as much as the references differ, where both sides and the area of the part say nearly the same: a
defect adds to one of them. The second is how far apart their logarithms may be, besides."""
_SOME_SCALE = math.log(2.5)
"""Likewise where the references are of several sizes."""
_ONE_SIZE = 1.1
"""Ratio of sides up to which photos have one size."""
_SAME_FORMAT = math.log(1.15)
"""Logarithm of a ratio of width to height."""
_ON_EDGE = 0.03
"""Share of the border that a part may cover beyond what it does in the references."""
_GREY, _COLOURED, _TINTED = 1.5, 6.0, 5.0
"""CIELAB chroma: up to the first a photo is grey; one twentieth of a coloured photo reaches the second; a photo is
tinted where half of it exceeds the third."""
_OTHER_BACKGROUND = 15.0
"""CIELAB distance between backgrounds."""
_SAME_TONES, _SAME_COLOURS = math.log(2.0), 4
"""Logarithm of a ratio of tones, and how many times fewer colours: a photo that was reduced to few colours has both."""
_SAME_LIGHT = math.log(3.0)
_FIXED_LIGHT, _SAME_FIXED_LIGHT = math.log(1.15), math.log(2.2)
"""Where the references' backgrounds are as bright as each other within the first, the light is fixed, and the second
counts: what fills the photo and hides a white table is seen by it."""
_MOST_SAID = 10
"""Ratio of luminance beyond which it is not said more exactly: a photo of a black table has no exposure to mend."""
_SAME_SHARPNESS = 0.6
"""Logarithms of ratios: of luminance, and of fine to coarse detail (halving the resolution costs 0.4 to 1.0)."""
_LITTLE_DETAIL, _SOFTER = 1.0, 0.4
"""Likewise of fine detail, and of fine to coarse, where much is lost of the one, so that less of the other is enough:
references of unlike sharpness allow for much of it. A bottle of 256 px blurred by 3 px has 1.5 and 0.56; the most of
normal training photos of four classes is 0.05 and -0.07."""
_LEAST_ZOOM, _MOST_ZOOM, _ZOOM_STEP = 1.3, 4.0, 1.1
_SAME_RINGS, _BETTER_RINGS = 5.0, 0.4
"""Mean CIELAB distance of the colours around the middle from those of the references, spread out, and its share of the
distance as they are: training photos of four classes, cut to a half, 0.8 to 4.1 and 0.05 to 0.5; the same photos in
another light, or in grey, 5.7 and 0.5 or more, but for screws, which are grey."""
_FEW = 3
"""References from which on a part that stands out in all of them has to."""
_FEW_ANYHOW = 4
"""Likewise where none stands out, for light and nearly equal sizes: three magnetic tiles say too little of how far
those vary, 2.5 % of all others lie outside."""
_CUT_OFF = "The part is cut off by the edge of the photo, and in the references it is not: take all of it."
_FILLED = (
    "The part fills the photo: it is shown larger than in the references, from nearer or at another zoom; take it from "
    "the same distance, at the same zoom, or give references taken like this."
)
_LACKING = {
    "background": "The background is not plain as in every reference: the part lies on another one, fills the "
    "photo, or the photo shows something else.",
    "part": "No part is to be seen on the background, as in every reference: it is missing, or the camera looks "
    "elsewhere.",
    "rest": _CUT_OFF,
}


Pages = dict[str, PhotoConditions]
"""How each page of a photo was taken, by the key of the view that shows it whole."""


@dataclass(frozen=True)
class UsualPhoto:
    """How the references of one class were taken."""

    references: tuple[Pages, ...]

    def mismatch(self, views: Sequence[View]) -> str:
        """Say in sentences why a photo cannot be compared with the references; "" where it can, or has none.

        Args:
            views: of the photo; tiles do not count.
        """
        return self._mismatch_of(_pages_of(views))

    def odd_ones(self) -> tuple[str, ...]:
        """Say of each reference why it cannot be compared with all others; "" where it can, or too few would say so."""
        if len(self.references) <= _FEW:
            return ("",) * len(self.references)
        return tuple(
            UsualPhoto((*self.references[:index], *self.references[index + 1 :]))._mismatch_of(one)
            for index, one in enumerate(self.references)
        )

    def _mismatch_of(self, photo: Pages) -> str:
        for key, page in photo.items():
            usual = [one[key] for one in self.references if key in one]
            if said := " ".join(_differences(page, usual)):
                return f"Page {int(key.split('/')[1]) + 1}: {said}" if "/" in key else said
        return ""


NO_PHOTO = UsualPhoto(())
"""Of a class without reference photos."""


def transparent_alone(photo: Sample | None, references: Sequence[Sample]) -> str:
    """Say that nothing of a photo would be to be seen, where this is not so of a reference; else nothing.

    Cameras that never fill the opacity of a picture do so in every one; a single one was made by hand.
    """
    if not isinstance(photo, ImageSample) or TRANSPARENT not in photo.notes:
        return ""
    if not references or any(TRANSPARENT in one.notes for one in references):
        return ""
    return (
        "The photo is transparent everywhere and none of its references is: its colours may be left over from an "
        "editor; give it as the camera took it, or export it without opacity."
    )


def usual_photo(references: Sequence[Sequence[View]]) -> UsualPhoto:
    """Measure how references were taken.

    Args:
        references: the views of each; may be empty.
    """
    return UsualPhoto(tuple(_pages_of(views) for views in references))


def _pages_of(views: Sequence[View]) -> Pages:
    return {view.key: conditions_of(view) for view in views if view.key.startswith("image")}


def _differences(photo: PhotoConditions, usual: Sequence[PhotoConditions]) -> Iterator[str]:
    """Yield what tells a photo from the references of its page, the plainest first."""
    width, height = photo.size_wh
    if min(photo.size_wh) < min([LEAST_PX, *(min(one.size_wh) for one in usual)]):
        yield (
            f"The photo has {width} x {height} px, too few to judge a part by: give it as the camera took it, with "
            f"{LEAST_PX} px a side at least."
        )
        return
    if not usual:
        return
    if photo.contrast < min(_BLANK, _NEARLY_BLANK * min(one.contrast for one in usual)):
        yield "The photo shows nothing but one even colour: check the lens, the light and the trigger of the camera."
        return
    found = [*_other_picture(photo, usual)]
    if found and photo.part is None and _fills_photo(photo, usual):
        found = [_FILLED]  # its other colour, light and edge come of that alone
    yield from found


def _other_picture(photo: PhotoConditions, usual: Sequence[PhotoConditions]) -> Iterator[str]:
    """Yield what is amiss with colour, size, light and sharpness."""
    coloured = [*_other_colour(photo, usual)]
    yield from coloured
    placed = [*_other_size(photo, usual, finds_part=not coloured)]
    yield from placed
    lit = [*_other_light(photo, usual)]
    yield from lit
    if not (coloured or lit):  # a photo in grey, or a dark one, has fewer tones
        yield from _of_few_colours(photo, usual)
    if not placed:
        yield from _blurred(photo, usual)


def _fills_photo(photo: PhotoConditions, usual: Sequence[PhotoConditions]) -> bool:
    """Tell whether a part is shown so much larger that it fills the photo.

    Then the colours of the rings around the middle are those of the references' inner rings, spread out.
    """
    known = [one.rings for one in usual if one.rings is not None]
    if photo.rings is None or not known:
        return False
    middles, mean = (np.arange(RINGS) + 0.5) / RINGS, np.mean(known, axis=0)

    def away(zoom: float) -> float:
        spread = np.stack([np.interp(middles / zoom, middles, channel) for channel in mean.T], axis=1)
        return float(np.linalg.norm(photo.rings - spread, axis=1).mean())

    zooms = _ZOOM_STEP ** np.arange(round(math.log(_MOST_ZOOM) / math.log(_ZOOM_STEP)) + 1)
    best = min(zooms, key=away)
    return bool(best >= _LEAST_ZOOM and away(best) < min(_SAME_RINGS, _BETTER_RINGS * away(1.0)))


def _other_size(photo: PhotoConditions, usual: Sequence[PhotoConditions], *, finds_part: bool) -> Iterator[str]:
    """Yield what is amiss with the size of photo and part; in other colours no part may be found that is there."""
    parts = [one.part for one in usual if one.part is not None]
    if len(parts) < len(usual) or (photo.part is None and len(usual) < _FEW):
        yield from _other_picture_size(photo, usual)
        return
    own = photo.part
    if own is None:
        yield from (said := [*_other_picture_size(photo, usual)])
        if not said and photo.lacks and finds_part:
            yield _LACKING[photo.lacks]
        return
    smaller = own.area_px < min(part.area_px for part in parts)  # what sticks to a part and reaches the edge adds area
    if smaller and own.on_edge > max(part.on_edge for part in parts) + _ON_EDGE:
        yield _CUT_OFF
        return
    offs = [_off(own.sides_px[i], [part.sides_px[i] for part in parts]) for i in (0, 1)]
    if offs[0] * offs[1] <= 0:
        if max(map(abs, offs)) > _SAME_SCALE and _has_one_size(usual):
            yield from _other_format(photo, usual)  # stretched one way
        return  # one side alone is another shape, which is for the comparison to judge
    off = min(offs, key=abs)
    resized = _off(_side(photo), [_side(one) for one in usual])
    if abs(off) > _SAME_SCALE and resized * off > 0 and abs(resized) > _SAME_SCALE:
        yield _of_other_resolution(photo, usual)
    elif abs(off) > _SAME_DISTANCE:
        middle = _middle([math.sqrt(part.sides_px[0] * part.sides_px[1]) for part in parts])
        yield _of_other_distance(math.sqrt(own.sides_px[0] * own.sides_px[1]) / middle)
    elif _is_zoomed(own, parts):
        yield _of_other_distance(math.sqrt(own.area_px / _middle([part.area_px for part in parts])))


def _of_other_distance(ratio: float) -> str:
    return (
        f"The part is shown {ratio:.2g} times as large as in the references: take it from the same distance, at the "
        "same zoom, or give references taken like this."
    )


def _is_zoomed(own: PartInPhoto, parts: Sequence[PartInPhoto]) -> bool:
    """Tell whether sides and area are all larger, or all smaller, by more than the parts differ among themselves."""
    if len(parts) < _FEW:
        return False
    measured = [
        (own.sides_px[0], [part.sides_px[0] for part in parts]),
        (own.sides_px[1], [part.sides_px[1] for part in parts]),
        (math.sqrt(own.area_px), [math.sqrt(part.area_px) for part in parts]),
    ]
    offs = [_off(value, others) for value, others in measured]
    if not (min(offs) > 0 or max(offs) < 0):
        return False
    spans = [math.log(max(others) / min(others)) for _, others in measured]
    ratios = [math.log(value / _middle(others)) for value, others in measured]
    alike = max(ratios) - min(ratios) <= _SAME_SHAPE + max(spans)
    return alike and all(abs(off) > _ZOOM + span for off, span in zip(offs, spans, strict=True))


def _other_picture_size(photo: PhotoConditions, usual: Sequence[PhotoConditions]) -> Iterator[str]:
    if not _has_one_size(usual):  # cut to the part, or taken anyhow: format says nothing, and size little
        if _is_beyond(_side(photo), [_side(one) for one in usual], _SOME_SCALE):
            yield _of_other_resolution(photo, usual)
        return
    if said := [*_other_format(photo, usual)]:
        yield from said
    elif _is_beyond(_side(photo), [_side(one) for one in usual], _SAME_SCALE):
        yield _of_other_resolution(photo, usual)


def _other_format(photo: PhotoConditions, usual: Sequence[PhotoConditions]) -> Iterator[str]:
    formats = [one.size_wh[0] / one.size_wh[1] for one in usual]
    own = photo.size_wh[0] / photo.size_wh[1]
    if _is_beyond(own, formats, _SAME_FORMAT):
        if not _is_beyond(1 / own, formats, _SAME_FORMAT):
            yield "The photo is turned by 90 degrees against its references: turn it as they were taken."
            return
        yield (
            f"The photo has another format than its references, {_size(photo)} where they have {_sizes(usual)}: take "
            "or crop it as they were."
        )


def _has_one_size(usual: Sequence[PhotoConditions]) -> bool:
    """Tell whether all photos of a class have one size: two that have the very same, or more that nearly have."""
    if len(usual) < _FEW_ANYHOW:
        return len(usual) > 1 and len({one.size_wh for one in usual}) == 1
    sides = [[one.size_wh[i] for one in usual] for i in (0, 1)]
    return all(max(values) <= _ONE_SIZE * min(values) for values in sides)


def _of_other_resolution(photo: PhotoConditions, usual: Sequence[PhotoConditions]) -> str:
    return (
        f"The photo has another resolution than its references, {_size(photo)} where they have {_sizes(usual)}: take "
        "or resize it as they were, or give references of this resolution."
    )


def _other_colour(photo: PhotoConditions, usual: Sequence[PhotoConditions]) -> Iterator[str]:
    strongest = [one.strong_colour for one in usual]
    if photo.strong_colour <= _GREY and min(strongest) >= _COLOURED:
        yield "The photo is in grey and its references are in colour: take it with the same camera and settings."
    elif photo.usual_colour >= _TINTED and max(strongest) <= _GREY:
        yield "The photo is in colour and its references are in grey: take it with the same camera and settings."
    elif photo.part is not None and all(one.part is not None for one in usual):
        apart = _span(usual, lambda one: one.background_ab[0]) + _span(usual, lambda one: one.background_ab[1])
        nearest = min(math.dist(photo.background_ab, one.background_ab) for one in usual)
        if nearest > _OTHER_BACKGROUND + apart:
            yield (
                "The background has another colour than in the references: check the white balance, the light and what "
                "the part lies on."
            )


def _of_few_colours(photo: PhotoConditions, usual: Sequence[PhotoConditions]) -> Iterator[str]:
    fewer = photo.colours * _SAME_COLOURS < min(one.colours for one in usual)
    off = _off(photo.tones, [one.tones for one in usual])
    if fewer and off < -_SAME_TONES - _span(usual, lambda one: math.log(one.tones)) / 2:
        yield (
            f"The photo has far fewer colours than any of its references, {photo.colours} where they have "
            f"{min(one.colours for one in usual)} or more: it was reduced to a palette or has lost its shades; give it "
            "as the camera took it."
        )


def _other_light(photo: PhotoConditions, usual: Sequence[PhotoConditions]) -> Iterator[str]:
    on_background = all(one.part is not None for one in usual)
    if photo.lacks if on_background else len(usual) < _FEW_ANYHOW:
        return  # the border does not show the background, or too little is known of how far the light varies

    def light(one: PhotoConditions) -> float:
        return one.background_brightness if on_background else one.brightness

    off = _off(math.exp(light(photo)), [math.exp(light(one)) for one in usual])
    span = _span(usual, light)
    fixed = on_background and len(usual) >= _FEW and span < _FIXED_LIGHT
    if abs(off) > (_SAME_FIXED_LIGHT if fixed else _SAME_LIGHT) + span:
        name, times = "darker" if off < 0 else "brighter", math.exp(abs(off))
        if times > _MOST_SAID:
            yield (
                f"The photo is more than {_MOST_SAID} times {name} than any of its references: check the light, the "
                "exposure, and whether it shows this part at all."
            )
            return
        yield (
            f"The photo is about {times:.0f} times {name} than any of its references: check the light and the exposure."
        )


def _blurred(photo: PhotoConditions, usual: Sequence[PhotoConditions]) -> Iterator[str]:
    """Blur takes away detail, and of the finer more; a defect may add coarse detail, and a dim light takes from all."""
    for finer, coarser in ((0, 1), (1, 2)):

        def ratio(one: PhotoConditions, finer: int = finer, coarser: int = coarser) -> float:
            return one.detail[finer] - one.detail[coarser]

        less = min(one.detail[finer] for one in usual) - photo.detail[finer]
        softer = min(map(ratio, usual)) - ratio(photo) - _span(usual, ratio)
        times = 2 if len(usual) == 1 else 1
        if min(less, softer) > _SAME_SHARPNESS * times or (less > _LITTLE_DETAIL * times and softer > _SOFTER * times):
            yield (
                "The photo is far less sharp than its references, out of focus or enlarged from a smaller one: take it "
                "again."
            )
            return


def _is_beyond(value: float, others: Sequence[float], margin: float) -> bool:
    """Tell whether a value lies outside the others by a margin, and by half of what they differ among themselves."""
    span = math.log(max(others) / min(others))
    return abs(_off(value, others)) > margin + span / 2


def _off(value: float, others: Sequence[float]) -> float:
    """Return the logarithm of a value over the nearest end of what others span; 0 within."""
    low, high = min(others), max(others)
    return math.log(value / high) if value > high else math.log(value / low) if value < low else 0.0


def _span(usual: Sequence[PhotoConditions], of: Callable[[PhotoConditions], float]) -> float:
    values = [of(one) for one in usual]
    return max(values) - min(values)


def _side(photo: PhotoConditions) -> float:
    return math.sqrt(photo.size_wh[0] * photo.size_wh[1])


def _middle(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def _size(photo: PhotoConditions) -> str:
    return f"{photo.size_wh[0]} x {photo.size_wh[1]} px"


def _sizes(usual: Sequence[PhotoConditions]) -> str:
    """Say which sizes the references have: one, or from the smallest to the largest."""
    smallest, largest = min(usual, key=_side), max(usual, key=_side)
    if smallest.size_wh == largest.size_wh:
        return _size(smallest)
    (width, height), (most_width, most_height) = smallest.size_wh, largest.size_wh
    return f"{width} x {height} px to {most_width} x {most_height} px"
