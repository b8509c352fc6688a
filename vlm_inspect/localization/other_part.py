"""Whether a photo that was taken as its references were shows quite another part.

A defect is a place: the rest of the part still looks like the references. Of another part nothing does, so that nearly
all of its surface exceeds what the oddest place of a normal part reaches.
"""

from collections.abc import Sequence

import numpy as np

from vlm_inspect.evidence import AnomalyMap

NOTHING_ALIKE = 0.9
"""Share of the part's surface. With four references, bottles, hazelnuts and transistors laid on the background of
screws have 0.97 of it (9 photos), bottles with planted defects half as long as the part 0.40 at most (28)."""
OTHER_PART = (
    "This may be another part, or it is badly damaged: hardly any of its surface looks like the references. Check that "
    "the right part, and the right rule book, are in place."
)


def other_part(maps: Sequence[AnomalyMap]) -> str:
    """Say in sentences that a photo may show another part; "" where some of it is like the references.

    Args:
        maps: all of the photo; those that words play a part in, or that no normal part bounds, do not count.
    """
    surface, unlike = 0, 0
    for one in maps:
        bound = one.tolerance_of_places
        if one.by_words or bound is None:
            continue
        surface += int(np.count_nonzero(one.values > 0))
        unlike += int(np.count_nonzero(one.values > bound.limit))
    return OTHER_PART if surface and unlike >= NOTHING_ALIKE * surface else ""
