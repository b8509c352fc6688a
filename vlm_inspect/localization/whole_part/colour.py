"""The mean colour of a part, held against that of its references as hue and as strength.

The networks see texture and shape far better than colour: a nut turned by 25 degrees in hue is like the references to
them. Parts of one kind differ in how strongly they are coloured, with how light or dark they are, but hardly in hue, so
the two have bounds of their own. What is said may be the light's doing, too: on a black background nobody can tell.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.localization.whole_part.looking import Look
from vlm_inspect.localization.whole_part.next_part import off_bound

_HUE_SPREAD, _STRENGTH_SPREAD, _NOISE = 0.05, 0.08, 0.2
"""Expected standard deviations of parts of one kind across and along their mean colour, as shares of their mean CIELAB
chroma, and what is added to both. On training pictures they are 0.03 and 0.04 of bottles, 0.04 and 0.10 of hazelnuts,
0.02 and 0.09 of transistors."""
_COLOURED = 4.0
"""CIELAB chroma from which the references have a hue of their own."""
_HUES = {"redder": 20.0, "yellower": 95.0, "greener": 150.0, "bluer": 270.0, "purple": 325.0}
"""CIELAB hue angles in degrees that a colour is named after."""
_KEPT = 0.5
"""Share of the references' chroma from which a colour of another hue is no loss of colour."""
_GREY = 1.5
"""CIELAB chroma up to which a part is grey."""
_SAID = {
    "redder": "The part is redder than any of its references: it has another colour, or the light or the white balance "
    "has changed.",
    "greener": "The part is greener than any of its references: it has another colour, or the light or the white "
    "balance has changed.",
    "yellower": "The part is yellower than any of its references: it has another colour, or the light or the white "
    "balance has changed.",
    "bluer": "The part is bluer than any of its references: it has another colour, or the light or the white balance "
    "has changed.",
    "purple": "The part is more purple than any of its references: it has another colour, or the light or the white "
    "balance has changed.",
    "paler": "The part is paler in colour than any of its references: it has lost colour, or the light or the white "
    "balance has changed.",
    "stronger": "The part is more strongly coloured than any of its references: it has another colour, or the light or "
    "the white balance has changed.",
}


@dataclass(frozen=True)
class MeanColour:
    """Of one part, or of a whole photo without a plain background."""

    ab: tuple[float, float]
    """Mean CIELAB a and b."""
    chroma: float
    """Mean CIELAB chroma."""


def colour_of(look: Look, *, of_part: bool) -> MeanColour | None:
    """Measure the mean colour of the part, or of all of the photo; None where no part is found."""
    shown = look.inside if of_part else None
    if of_part and shown is None:
        return None
    colours = look.lab.reshape(-1, 3) if shown is None else look.lab[shown]
    a, b = colours[:, 1], colours[:, 2]
    return MeanColour((float(a.mean()), float(b.mean())), float(np.hypot(a, b).mean()))


def other_colour(own: MeanColour, references: Sequence[MeanColour]) -> str:
    """Say in a sentence that a part has another colour than its references; "" where it has theirs.

    Args:
        own: of the part.
        references: one at least.
    """
    ab = np.array([one.ab for one in references])
    centre = ab.mean(axis=0)
    chroma = float(np.mean([one.chroma for one in references]))
    if max(chroma, own.chroma) <= _GREY:
        return ""
    length = math.hypot(*centre)
    along = centre / length if length > 0 else np.array([1.0, 0.0])
    across = np.array([-along[1], along[0]])
    off = np.array(own.ab) - centre
    is_other_hue = abs(off @ across) > off_bound(ab @ across, _NOISE + _HUE_SPREAD * chroma)
    is_other_strength = abs(off @ along) > off_bound(ab @ along, _NOISE + _STRENGTH_SPREAD * chroma)
    if not (is_other_hue or is_other_strength):
        return ""
    if length < _COLOURED:
        return _SAID[_name_nearest(_hue(off))]
    is_turned = is_other_hue or np.array(own.ab) @ along < 0
    if math.hypot(*own.ab) < (min(_COLOURED, _KEPT * length) if is_turned else _COLOURED):
        return _SAID["paler"]
    if is_turned:
        return _SAID[_name_turn(_hue(centre), _hue(np.array(own.ab)))]
    return _SAID["paler" if off @ along < 0 else "stronger"]


def _hue(ab: NDArray[np.float64]) -> float:
    return math.degrees(math.atan2(ab[1], ab[0])) % 360


def _name_nearest(hue_deg: float) -> str:
    return min(_HUES, key=lambda name: abs(_turn(_HUES[name], hue_deg)))


def _name_turn(before_deg: float, after_deg: float) -> str:
    """Name what a hue has come nearer to: the named one next to it, or the next one that it turns to."""
    nearest = _name_nearest(after_deg)
    if abs(_turn(_HUES[nearest], after_deg)) <= abs(_turn(_HUES[nearest], before_deg)):
        return nearest
    names = list(_HUES)
    step = 1 if _turn(before_deg, after_deg) > 0 else -1
    return names[(names.index(nearest) + step) % len(names)]


def _turn(before_deg: float, after_deg: float) -> float:
    """Return the turn from one angle to another, in [-180, 180) degrees."""
    return (after_deg - before_deg + 180) % 360 - 180
