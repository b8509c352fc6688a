"""Size, lightness and contrast of a part on a plain background, held against those of its references.

Where the background is plain the part is cut out and the light is usually controlled, so that the three mean something.
Bounds are wide: what they find was OK only because the networks know a thing at any size and in any light.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vlm_inspect.localization.whole_part.looking import Look
from vlm_inspect.localization.whole_part.next_part import off_bound


@dataclass(frozen=True)
class _Trait:
    expected: float
    """Standard deviation of its logarithm among parts of one kind, before any is seen."""
    less: str
    more: str


_TRAITS: Mapping[str, _Trait] = {
    "size": _Trait(
        0.05,
        "The part is smaller than any of its references: it is broken, another part, or shown from farther away.",
        "The part is larger than any of its references: something sticks to it, it is another part, or it is shown "
        "from nearer.",
    ),
    "lightness": _Trait(
        0.1,
        "The part is darker than any of its references: its surface is another, or the light has changed.",
        "The part is lighter than any of its references: its surface is another, or the light has changed.",
    ),
    "contrast": _Trait(
        0.12,
        "The part shows less contrast than any of its references: its surface is another, or there is haze or glare.",
        "The part shows more contrast than any of its references: something is on it, its surface is another, or the "
        "light has changed.",
    ),
}
"""The spreads are a little above those of the training pictures of bottles, hazelnuts and screws: 0.003 to 0.05, 0.02
to 0.09, and 0.03 to 0.17."""
_DARK, _FLAT = 5.0, 2.0
"""CIELAB lightness that is added to lightness and contrast, so that noise does not count on black and even parts."""

Traits = Mapping[str, float]
"""The logarithm of each, by its name."""


def traits_of(look: Look) -> Traits | None:
    """Measure the part of a photo; None where none is found on a plain background."""
    inside = look.inside
    if look.part is None or inside is None:
        return None
    lightness = look.lab[..., 0][inside]
    low, high = np.quantile(lightness, [0.05, 0.95])
    return {
        "size": 0.5 * math.log(int(look.part.sum())),
        "lightness": math.log(float(lightness.mean()) + _DARK),
        "contrast": math.log(float(high - low) + _FLAT),
    }


def other_traits(own: Traits, references: Sequence[Traits]) -> list[str]:
    """Say in sentences in what a part lies beyond its references.

    Args:
        own: of the part.
        references: one at least, taken at the same size of the photo.
    """
    said = []
    for name, trait in _TRAITS.items():
        values = np.array([one[name] for one in references])
        off = own[name] - float(values.mean())
        if abs(off) > off_bound(values, trait.expected):
            said.append(trait.less if off < 0 else trait.more)
    return said
