"""How well defect types are told apart: one-vs-rest AUROC, AP and F1 per type, and their macro means.

Items are images or pixels; type 0 is normal. The F1 is that of the argmax. A type that the truth never has, or always
has, makes AUROC undefined: it is left out of the means, and named.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evaluation.metrics.pixel import PixelMetrics


@dataclass(frozen=True)
class TypeScores:
    """One type against all others."""

    name: str
    auroc: float
    ap: float
    f1: float
    """Of the argmax, no threshold."""
    items: int
    """Images or pixels that truly are of this type."""


@dataclass(frozen=True)
class TypeSummary:
    """Macro means over `types`; None where no type can be told."""

    auroc: float | None
    ap: float | None
    f1: float | None
    types: tuple[TypeScores, ...]
    skipped: tuple[str, ...]
    """Types that no item, or every item, truly is."""


class DefectTypeMetrics:
    """Accumulates type maps of images, or rows of image scores; memory grows with items times types."""

    def __init__(self, names: Sequence[str], *, every: int = 1) -> None:
        """Name the types, normal first.

        Args:
            names: one a column; the first is the normal one.
            every: keep each `every`-th item of what is added, counted from the first: what a class of large maps needs.

        Raises:
            ValueError: fewer than two names, two alike, or `every` below 1.
        """
        if len(names) < 2 or len(set(names)) < len(names) or every < 1:
            raise ValueError(
                f"defect types need two different names or more, and every >= 1, not {list(names)}, {every}"
            )
        self.names = tuple(names)
        self._every = every
        self._one_vs_rest = [PixelMetrics() for _ in names]
        self._hits, self._called, self._truly = (np.zeros(len(names), np.int64) for _ in range(3))

    def add(self, scores: ArrayLike, truth: ArrayLike) -> None:
        """Take in items.

        Args:
            scores: (C, ...) float, finite: one map, or one row of image scores, a type.
            truth: (...) int in [0, C): the type of each item.

        Raises:
            ValueError: shapes differ, a type outside the names, or a score that is not finite.
        """
        values, types = np.asarray(scores), np.asarray(truth)
        if values.shape != (len(self.names), *types.shape) or not types.size:
            raise ValueError(f"scores of shape {values.shape} do not fit {len(self.names)} types and {types.shape}")
        if not np.issubdtype(types.dtype, np.integer) or types.min() < 0 or types.max() >= len(self.names):
            raise ValueError(f"a defect type is a whole number from 0 to {len(self.names) - 1}")
        kept, told = values.reshape(len(self.names), -1)[:, :: self._every], types.ravel()[:: self._every]
        for at, one in enumerate(self._one_vs_rest):
            one.add(kept[at][None], (told == at)[None], regions=())
        self._tally(np.argmax(kept, axis=0), told)

    def summary(self) -> TypeSummary:
        """Return the metrics of what was added so far."""
        told = [self._told(at) for at in range(len(self.names))]
        types = tuple(one for one in told if one is not None)
        skipped = tuple(name for name, one in zip(self.names, told, strict=True) if one is None)
        if not types:
            return TypeSummary(None, None, None, (), skipped)
        macro = np.mean([(one.auroc, one.ap, one.f1) for one in types], axis=0)
        return TypeSummary(float(macro[0]), float(macro[1]), float(macro[2]), types, skipped)

    def _told(self, at: int) -> TypeScores | None:
        auroc, ap = self._one_vs_rest[at].auroc(), self._one_vs_rest[at].ap()
        if auroc is None or ap is None:
            return None
        f1 = 2 * int(self._hits[at]) / int(self._called[at] + self._truly[at])
        return TypeScores(self.names[at], auroc, ap, f1, int(self._truly[at]))

    def _tally(self, called: NDArray[np.int64], truly: NDArray[np.int64]) -> None:
        count = len(self.names)
        self._called += np.bincount(called, minlength=count)
        self._truly += np.bincount(truly, minlength=count)
        self._hits += np.bincount(truly[called == truly], minlength=count)
