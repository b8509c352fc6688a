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
UNEVEN, STRUCTURE = "uneven", "structure"
WHOLE_KINDS = (UNEVEN, STRUCTURE)
"""The kinds that have no place and no size of their own: a slow change of a large part of the surface or of all of it,
and another structure there."""
WHOLE_SIZES = (0.45, 1.0)
"""Their sizes. They count whichever sizes matter: they are larger than any of them."""
WHOLE_SHARE = 1 / 10
"""Share of the planted defects that each of them has: as many as two of a dozen kinds, since it has several looks."""
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
    placed = [tuple(kind for kind in one if kind not in WHOLE_KINDS) for one in kinds]
    able = {kind: [n for n, one in enumerate(kinds) if kind in one] for kind in WHOLE_KINDS}
    whole = {kind: round(count * WHOLE_SHARE) for kind, references in able.items() if references}
    local = count - sum(whole.values()) if any(placed) else 0
    within = round(local * 2 / 3)
    wide = min(SIZES[0], matters[0]), max(SIZES[1], matters[1])
    sizes = np.concatenate([_spread(within, matters, generator), _spread(local - within, wide, generator)])
    contrasts = np.concatenate([_spread(within, CONTRASTS, generator), _spread(local - within, CONTRASTS, generator)])
    every = list(dict.fromkeys(kind for one in placed for kind in one))
    plan = []
    for index, (size, contrast) in enumerate(zip(sizes, contrasts, strict=True)):
        kind = every[index % len(every)]
        owners = [reference for reference, one in enumerate(placed) if kind in one]
        # One reference after the other, so that none is left out; one further where kinds would meet the same again.
        reference = owners[(index + index // math.lcm(len(every), len(owners))) % len(owners)]
        plan.append(Planting(reference, kind, float(size), float(contrast), seed * 1_000_003 + index))
    for kind, of_kind in whole.items():
        drawn = zip(_spread(of_kind, WHOLE_SIZES, generator), _spread(of_kind, CONTRASTS, generator), strict=True)
        for index, (size, contrast) in enumerate(drawn):
            reference = able[kind][index % len(able[kind])]
            plan.append(Planting(reference, kind, float(size), float(contrast), seed * 1_000_003 + len(plan)))
    return plan


def _spread(count: int, ends: tuple[float, float], generator: np.random.Generator) -> NDArray[np.float64]:
    """Return `count` values in random order, one from each of as many equal parts of the range, by logarithm."""
    if count == 0:
        return np.zeros(0)
    low, high = (math.log(end) for end in ends)
    shares = (generator.permutation(count) + generator.random(count)) / count
    return np.asarray(np.exp(low + shares * (high - low)))
