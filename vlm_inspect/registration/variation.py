"""How normal parts of a class differ, place by place: what a new scan's deviations are held against.

The references are compared with one of them, the anchor. Every place of the anchor then has one deviation a
reference; their mean and spread say what is normal there. Few references say little about one place, so a spread is
shrunk towards that of its surroundings and of the whole part, as a scaled inverse chi-square prior does (Gelman et al.,
Bayesian Data Analysis, 3rd ed., eq. 3.3). A new part is predicted with the variance of the place times 1 + 1/n.

One comparison a reference is all that this costs; leaving a reference out is arithmetic on the same deviations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.registration.comparison import SCALES, Comparison, Values, compare
from vlm_inspect.registration.surface import Surface
from vlm_inspect.registration.thinning import thinned_by

_PRIOR_DOF = 4.0
"""How many references the surroundings count for."""
_WHOLE = 0.3
"""Share of the whole part's variance in that of a place's surroundings: two references may agree there by chance."""
_NOISE_SHARE = 0.2
"""What of a plane's squared roughness is left in a deviation after smoothing."""
_TOP_SHARE, _LEAST_TOP, _MOST_TOP = 0.0003, 6, 24
_SAME_NOISE = 1.1
_APART = 4.0
"""Deviations of a reference's own points that exceed so many roughnesses are more than noise."""


@dataclass(frozen=True, eq=False)
class Judged:
    """A scan's deviations in normal spreads: standard deviations of a new normal part at that place, by scale."""

    comparison: Comparison
    off: Values
    """(SCALES, N), >= 0, of the scan's points."""
    lacking: Values
    """(SCALES, M), >= 0, of the anchor's points; 0 where there is too much, which `off` tells."""
    signed: Values
    """(N,): deviation of the scan's points from a mean normal part, in its unit; positive: material too much."""
    depth: Values
    """(M,), >= 0: material lacking at the anchor's places, in the unit of the scans."""

    @property
    def log_scores(self) -> NDArray[np.float64]:
        """(SCALES,): logarithm of the mean of the highest values: one noisy point does not decide, a small dent does.

        Places that the scan does not show count as lacking.
        """
        count = top_count(self.off.shape[1])
        both = np.concatenate([self.off, self.lacking], axis=1)
        return np.log([max(top_mean(scale, count), 1e-9) for scale in both])


@dataclass(frozen=True, eq=False)
class Variation:
    """What is normal at every place of the anchor; a single reference knows noise alone."""

    anchor: Surface
    deviations: Values
    """(n, SCALES, M): of every reference at every place of the anchor; its own are 0. Positive: more material."""
    comparisons: tuple[Comparison, ...]
    """(n,): of every reference with the anchor."""
    roughness: float
    """Median roughness of the references, in the unit of the scans."""
    pair: Values | None = None
    """(2, SCALES, M): deviations that stand in for the spread of the one that is left."""

    @property
    def count(self) -> int:
        """Number of references, n."""
        return len(self.deviations)

    @cached_property
    def spread(self) -> Values:
        """(SCALES, M), > 0: standard deviation of a new normal part, in the unit of the scans."""
        floor = _NOISE_SHARE * (self._around(self.anchor.roughness**2) + self.roughness**2)
        known = self.deviations if self.pair is None else self.pair
        if len(known) < 2:
            return np.sqrt(np.tile(2.0 * floor, (SCALES, 1)))
        own = known.var(axis=0, ddof=1)
        nearby = np.stack([self._around(scale) for scale in own])
        around = np.stack([self._around(scale) for scale in nearby])
        prior = (1.0 - _WHOLE) * around + _WHOLE * own.mean(axis=1, keepdims=True) + 0.1 * floor
        dof = len(known) - 1
        pooled = (_PRIOR_DOF * prior + dof * nearby) / (_PRIOR_DOF + dof)
        return np.asarray(np.sqrt((1.0 + 1.0 / self.count) * pooled))

    @cached_property
    def typical(self) -> float:
        """Median of the fine spread, in the unit of the scans: turns normal spreads into lengths."""
        return float(np.median(self.spread[0]))

    def judge(self, scan: Surface) -> Judged:
        """Return the deviations of a scan that lies in the frame of the references."""
        return self.judged(compare(scan, self.anchor), self._more_noise(scan))

    def judged(self, found: Comparison, noise: Values | float = 0.0) -> Judged:
        """Return what a comparison with the anchor means; `noise` adds to the spread, in the unit of the scans."""
        mean, total = self.deviations.mean(axis=0), np.sqrt(self.spread**2 + np.square(noise))
        signed, lacking = found.off - mean[:, found.plane], np.maximum(found.lacking + mean, 0.0)
        off, less = np.abs(signed) / total[:, found.plane], lacking / total
        return Judged(found, off, less, _at_worst(signed, off), _at_worst(lacking, less))

    def without(self, index: int) -> "Variation":
        """Return what the other references alone say; a single one stays."""
        if self.count < 2:
            return self
        kept = [i for i in range(self.count) if i != index]
        pair = self.deviations if self.count == 2 else None
        comparisons = tuple(self.comparisons[i] for i in kept)
        return Variation(self.anchor, self.deviations[kept], comparisons, self.roughness, pair)

    def level(self) -> NDArray[np.float64]:
        """Return the log scores (n, SCALES) of the references, each held against the others; (0, SCALES) of one.

        The anchor, to whose planes all others are measured, agrees better than a new part would: it gets the mean of
        the others.
        """
        if self.count < 2:
            return np.zeros((0, SCALES))
        rows = np.array([self.without(i).judged(found).log_scores for i, found in enumerate(self.comparisons)])
        anchor = self.deviations.any(axis=(1, 2)).argmin()
        rows[anchor] = np.delete(rows, anchor, axis=0).mean(axis=0)
        return rows

    def _around(self, values: Values) -> Values:
        return np.asarray(values[self.anchor.near].mean(axis=1))

    def _more_noise(self, scan: Surface) -> Values | float:
        """Return what a scan that is noisier or coarser than the references adds to the spread, (M,)."""
        ratio = float(np.median(scan.roughness) / max(self.roughness, 1e-300))
        if ratio <= _SAME_NOISE:
            return 0.0
        return np.asarray(np.sqrt(_NOISE_SHARE * (ratio**2 - 1.0) * self._around(self.anchor.roughness**2)))


def learn(references: Sequence[Surface]) -> Variation:
    """Return how references (at least one) differ that lie in one frame."""
    if not references:
        raise ValueError("a deviation needs at least one reference")
    chosen = most_complete(references)
    anchor = references[chosen]
    nothing = np.zeros((SCALES, len(anchor.points)))
    every = np.arange(len(anchor.points))
    nowhere = np.zeros(len(every), dtype=bool)
    itself = Comparison(nothing, every, nothing, nowhere, nowhere)
    found = [itself if i == chosen else compare(one, anchor) for i, one in enumerate(references)]
    roughness = float(np.median([np.median(one.roughness) for one in references]))
    return Variation(anchor, np.stack([_material(one, roughness) for one in found]), tuple(found), roughness)


def _material(found: Comparison, roughness: float) -> Values:
    """Return how much more material a reference has at each place of the anchor, (SCALES, M).

    What the anchor does not have at all, such as a foreign body, hides no place of it: only the reference's own points
    tell of it, at the places that they are held against.
    """
    more = -found.lacking
    for scale, off in zip(more, found.off, strict=True):
        apart = np.flatnonzero(np.abs(off) > 3.0 * np.abs(scale[found.plane]) + _APART * roughness)
        order = apart[np.argsort(np.abs(off[apart]))]
        scale[found.plane[order]] = off[order]  # of several the last, the largest
    return more


def most_complete(surfaces: Sequence[Surface]) -> int:
    """Return the index of the first surface that fills about as many cells of space as any: no gaps in the anchor."""
    cell = 4.0 * max(one.spacing for one in surfaces)
    filled = [len(thinned_by(one.points, cell)) for one in surfaces]
    return next(i for i, count in enumerate(filled) if count >= 0.97 * max(filled))


def top_count(points: int) -> int:
    """Return how many of the highest values make the score of a scan."""
    return int(np.clip(round(_TOP_SHARE * points), _LEAST_TOP, _MOST_TOP))


def top_mean(values: NDArray[np.float64], count: int) -> float:
    """Return the mean of the highest values."""
    count = min(count, len(values))
    return float(np.partition(values, -count)[-count:].mean()) if count else 0.0


def _at_worst(lengths: Values, shares: Values) -> Values:
    """Return the lengths (SCALES, K) at the scale that stands out most at each place, (K,)."""
    return np.asarray(np.take_along_axis(lengths, shares.argmax(axis=0)[None], axis=0)[0])
