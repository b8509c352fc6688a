"""Which defects are planted: kinds, sizes and contrasts spread evenly over the references.

Sizes and contrasts are stratified (Latin hypercube; McKay, Beckman and Conover, Technometrics 21(2), 1979): a hundred
defects cover both ranges evenly, and every kind gets small and large, weak and strong ones.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SIZES = (0.01, 0.3)
"""Least and greatest size planted, as a share of the part's longer side."""
STANDARD_SIZES = (0.06, 0.25)
"""Sizes that matter where the rule book does not say: log-uniform over this range, as shares of the diameter of the
disc of the part's own area. Of a screw, a quarter of its length would be wider than the screw."""
WHOLE = "uneven"
"""The kind that has no place and no size of its own: a slow change of a large part of the surface, or of all of it."""
WHOLE_SIZES = (0.45, 1.0)
"""Its sizes. It counts whichever sizes matter: it is larger than any of them."""
WHOLE_SHARE = 1 / 9
"""Share of the planted defects that are of that kind: as many as of two of a dozen kinds, since it has four looks."""
CONTRASTS = (0.35, 1.0)
"""Weakest and strongest, as a share of the picture's own range of values; log-uniform."""


@dataclass(frozen=True)
class Planting:
    """One defect to plant."""

    reference: int
    """Index of the reference that it is planted on."""
    kind: str
    size: float
    """Share of the part's longer side."""
    contrast: float
    seed: int


def design(
    kinds: Sequence[Sequence[str]], count: int, *, matters: tuple[float, float], seed: int = 0
) -> list[Planting]:
    """Return `count` defects: of those with a size, two thirds of the sizes that matter, the others over all sizes.

    Args:
        kinds: for every reference, the kinds that it can have; at least one reference.
        count: how many defects.
        matters: least and greatest of the sizes that matter.
        seed: of all choices.
    """
    generator = np.random.default_rng(seed)
    slow = [reference for reference, one in enumerate(kinds) if WHOLE in one]
    placed = [tuple(kind for kind in one if kind != WHOLE) for one in kinds]
    whole = round(count * WHOLE_SHARE) if slow else 0
    local = count - whole if any(placed) else 0
    within = round(local * 2 / 3)
    wide = min(SIZES[0], matters[0]), max(SIZES[1], matters[1])
    sizes = np.concatenate([_spread(within, matters, generator), _spread(local - within, wide, generator)])
    contrasts = np.concatenate([_spread(within, CONTRASTS, generator), _spread(local - within, CONTRASTS, generator)])
    every = list(dict.fromkeys(kind for one in placed for kind in one))
    plan = []
    for index, (size, contrast) in enumerate(zip(sizes, contrasts, strict=True)):
        kind = every[index % len(every)]
        able = [reference for reference, one in enumerate(placed) if kind in one]
        reference = able[(index // len(every)) % len(able)]
        plan.append(Planting(reference, kind, float(size), float(contrast), seed * 1_000_003 + index))
    drawn = zip(_spread(whole, WHOLE_SIZES, generator), _spread(whole, CONTRASTS, generator), strict=True)
    for index, (size, contrast) in enumerate(drawn):
        reference = slow[index % len(slow)]
        plan.append(Planting(reference, WHOLE, float(size), float(contrast), seed * 1_000_003 + local + index))
    return plan


def _spread(count: int, ends: tuple[float, float], generator: np.random.Generator) -> NDArray[np.float64]:
    """Return `count` values in random order, one from each of as many equal parts of the range, by logarithm."""
    if count == 0:
        return np.zeros(0)
    low, high = (math.log(end) for end in ends)
    shares = (generator.permutation(count) + generator.random(count)) / count
    return np.asarray(np.exp(low + shares * (high - low)))
