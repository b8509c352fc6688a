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
"""What of a plane's squared roughness is left in a deviation after smoothing, at each scale."""
_TOP_SHARE, _LEAST_TOP, _MOST_TOP = 0.0003, 6, 24
_SAME_NOISE = 1.1


@dataclass(frozen=True, eq=False)
class Judged:
    """A scan's deviations in normal spreads (standard deviations of a new normal part at that place)."""

    comparison: Comparison
    off: Values
    """(N,), >= 0, of the scan's points."""
    lacking: Values
    """(M,), >= 0, of the anchor's points; 0 where there is too much, which `off` tells."""

    @property
    def score(self) -> float:
        """Mean of the highest values: one noisy point does not decide, a small dent does."""
        return top_mean(np.concatenate([self.off, self.lacking]), top_count(len(self.off)))


@dataclass(frozen=True, eq=False)
class Variation:
    """What is normal at every place of the anchor; `spread` needs two references, before that it is noise alone."""

    anchor: Surface
    deviations: Values
    """(n, SCALES, M): of every reference at every place of the anchor; its own are 0. Positive: more material."""
    others: tuple[tuple[Comparison, Surface], ...]
    """The references that are not the anchor."""

    @property
    def count(self) -> int:
        """Number of references, n."""
        return len(self.deviations)

    @cached_property
    def spread(self) -> Values:
        """(SCALES, M), > 0: standard deviation of a new normal part, in the unit of the scans."""
        return self._spread(self.deviations)

    @cached_property
    def typical(self) -> float:
        """Median of the fine spread, in the unit of the scans: turns normal spreads into lengths."""
        return float(np.median(self.spread[0]))

    @cached_property
    def roughness(self) -> float:
        """Median roughness of the references."""
        return float(np.median([np.median(one.roughness) for one in (self.anchor, *(s for _, s in self.others))]))

    def judge(self, scan: Surface) -> Judged:
        """Return the deviations of a scan that lies in the frame of the references."""
        found = compare(scan, self.anchor)
        return self._judged(found, self.deviations.mean(axis=0), self.spread, self._more_noise(scan, found))

    def normal_scores(self) -> list[float]:
        """Return the score of every reference, each left out of what it is held against; none of a single one."""
        if self.count < 2:
            return []
        scores = [self._left_out(i) for i in range(self.count)]
        return scores

    def _left_out(self, index: int) -> float:
        kept = np.delete(self.deviations, index, axis=0)
        # Of two, the one that is left has no spread of its own: that of both stands in for it.
        spread = self._spread(kept if len(kept) > 1 else self.deviations) * (1.0 if len(kept) > 1 else np.sqrt(4 / 3))
        mean = kept.mean(axis=0)
        own = self.deviations[index]
        lacking = _worst(mean - own, spread)
        if index == self._anchor_row:
            return top_mean(np.concatenate([np.abs(_worst(own - mean, spread, both=True)), lacking]), self._top)
        found = self.others[index - (index > self._anchor_row)][0]
        return self._judged(found, mean, spread, np.zeros((SCALES, 1))).score

    @property
    def _anchor_row(self) -> int:
        return int(np.flatnonzero(~self.deviations.any(axis=(1, 2)))[0])

    @property
    def _top(self) -> int:
        return top_count(len(self.anchor.points))

    def _judged(self, found: Comparison, mean: Values, spread: Values, noise: Values) -> Judged:
        total = np.sqrt(spread**2 + noise**2)
        off = _worst(found.off - mean[:, found.plane], total[:, found.plane], both=True)
        return Judged(found, off, _worst(found.lacking + mean, total))

    def _spread(self, deviations: Values) -> Values:
        count = len(deviations)
        floor = _NOISE_SHARE * (self._around(self.anchor.roughness**2) + self.roughness**2)
        if count < 2:
            return np.sqrt(np.tile(2.0 * floor, (SCALES, 1)))
        own = deviations.var(axis=0, ddof=1)
        around = np.stack([self._around(self._around(scale)) for scale in own])
        prior = (1.0 - _WHOLE) * around + _WHOLE * own.mean(axis=1, keepdims=True) + 0.1 * floor
        nearby = np.stack([self._around(scale) for scale in own])
        pooled = (_PRIOR_DOF * prior + (count - 1) * nearby) / (_PRIOR_DOF + count - 1)
        return np.asarray(np.sqrt((1.0 + 1.0 / count) * pooled))

    def _around(self, values: Values) -> Values:
        return np.asarray(values[self.anchor.near].mean(axis=1))

    def _more_noise(self, scan: Surface, found: Comparison) -> Values:
        """Return what a scan that is noisier or coarser than the references adds to the spread, (SCALES, M)."""
        ratio = float(np.median(scan.roughness) / max(self.roughness, 1e-300))
        if ratio <= _SAME_NOISE:
            return np.zeros((SCALES, 1))
        rough = np.sqrt(self._around(self.anchor.roughness**2))
        return np.asarray(np.sqrt(_NOISE_SHARE * (ratio**2 - 1.0)) * np.tile(rough, (SCALES, 1)))


def learn(references: Sequence[Surface]) -> Variation:
    """Return how references (at least one) differ that lie in one frame."""
    if not references:
        raise ValueError("a deviation needs at least one reference")
    chosen = most_complete(references)
    anchor = references[chosen]
    others = [(compare(one, anchor), one) for i, one in enumerate(references) if i != chosen]
    deviations = [-found.lacking for found, _ in others]
    deviations.insert(chosen, np.zeros((SCALES, len(anchor.points))))
    return Variation(anchor, np.stack(deviations), tuple(others))


def most_complete(surfaces: Sequence[Surface]) -> int:
    """Return the index of the surface that fills most cells of space: a scan with gaps is a poor anchor."""
    cell = 4.0 * max(one.spacing for one in surfaces)
    filled = [len(thinned_by(one.points, cell)) for one in surfaces]
    most = max(filled)
    return next(i for i, count in enumerate(filled) if count >= 0.97 * most)


def top_count(points: int) -> int:
    """Return how many of the highest values make the score of a scan."""
    return int(np.clip(round(_TOP_SHARE * points), _LEAST_TOP, _MOST_TOP))


def top_mean(values: NDArray[np.float64], count: int) -> float:
    """Return the mean of the highest values."""
    count = min(count, len(values))
    return float(np.partition(values, -count)[-count:].mean()) if count else 0.0


def _worst(values: Values, spread: Values, *, both: bool = False) -> Values:
    """Return the largest of the scales' values (SCALES, M) in their spreads, (M,), negative ones as 0 or their size."""
    share = values / spread
    return np.asarray((np.abs(share) if both else np.maximum(share, 0.0)).max(axis=0))
