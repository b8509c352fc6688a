"""The level: what score a new normal part will have, from references that are judged without themselves.

A reference that is left out meets a memory of n - 1 references; a new part meets all n, and finds a nearer patch. The
log score falls about linearly in the logarithm of the number of references, so the slope is measured on smaller
memories, down to one reference, and carried on to n. Few references say little about it: it is shrunk towards the
slope that is usual for the channel. It flattens slowly, so most of it is carried on.

A single reference cannot be left out. It says two things of itself: what its own patches score against patches of it
that lie elsewhere, which is too much where a part has places like no other, and what changed copies of it score, which
is too little, since a copy is no other part.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

_SUBSETS = 4
"""Smaller memories of one size that are tried for each reference."""
_PRIOR_WEIGHT = 2.0
"""How many sizes of memories the usual slope counts for."""
_CARRIED = 0.85
"""Share of the measured slope that holds beyond the references: what foretells best with 2 to 16 (decision 45)."""
_COPIES = 0.5
"""Weight of changed copies beside patches that lie elsewhere, in what a single reference says of itself."""

Score = Callable[[int, Sequence[int]], NDArray[np.float64]]
"""From a reference and the others that it is judged by to its log scores (C,)."""


def left_out_levels(
    references: Sequence[int], score: Score, prior_slope: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the log scores of all references as new parts would have them, (n, C), and what was taken off, (C,).

    Args:
        references: at least two.
        score: judges one by some of the others.
        prior_slope: (C,): how much each channel's log score usually falls with the log number of references.
    """
    count = len(references)
    rng = np.random.default_rng(0)
    by_size: dict[int, list[NDArray[np.float64]]] = {size: [] for size in _sizes(count)}
    left_out = []
    for one in references:
        others = [other for other in references if other != one]
        for size, found in by_size.items():
            if size == count - 1:
                found.append(score(one, others))
                left_out.append(found[-1])
                continue
            subsets = [rng.choice(others, size, replace=False).tolist() for _ in range(_SUBSETS)]
            found.append(np.mean([score(one, subset) for subset in subsets], axis=0))
    sizes = np.log(list(by_size))
    means = np.array([np.mean(found, axis=0) for found in by_size.values()])
    slope = fit_slope(sizes, means, prior_slope)
    correction = _CARRIED * slope * math.log(count / (count - 1))
    return np.array(left_out) - correction, correction


def single_level(
    elsewhere: NDArray[np.float64], copies: NDArray[np.float64], next_over_self: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the log scores that a single reference lets expect of a new part, (1, C).

    Args:
        elsewhere: (C,) its log scores against its own patches that lie elsewhere.
        copies: (K, C) log scores of changed copies of it.
        next_over_self: (C,) by how much the next normal part usually exceeds what a reference says of itself.
    """
    own = _COPIES * copies.mean(axis=0) + (1 - _COPIES) * elsewhere
    return np.asarray((own + next_over_self)[None], np.float64)


def fit_slope(
    sizes: NDArray[np.float64], means: NDArray[np.float64], prior: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return by how much log scores fall with the log number of references, (C,), >= 0.

    Args:
        sizes: (S,) logarithms of numbers of references.
        means: (S, C) mean log scores at each.
        prior: (C,) the slope that is usual; it counts as `_PRIOR_WEIGHT` sizes spread like ln 1 and ln 2.
    """
    off = sizes - sizes.mean()
    weight = _PRIOR_WEIGHT * (math.log(2.0) / 2) ** 2
    slope = (weight * prior - off @ (means - means.mean(axis=0))) / (weight + float(off @ off))
    return np.asarray(np.maximum(slope, 0.0))


def _sizes(count: int) -> list[int]:
    """Return about four sizes of memories up to all but one."""
    most = count - 1
    return sorted({max(1, round(most * share)) for share in (0.125, 0.25, 0.5, 1.0)})
