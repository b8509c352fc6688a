"""`Judged`: the deviations of a scan in normal spreads, and the few numbers that stand for the whole part."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.registration.comparison import SCALES, Comparison, Values
from vlm_inspect.registration.patch_normal import PatchNormal
from vlm_inspect.registration.pooled_normal import PooledNormal

CHANNELS = ("fine", "coarse", "pooled")
"""The scales of a comparison, then what is pooled of many points: patches (patches.py) and zones (zones.py)."""
_WEIGHTS = np.array([1.0, 1.0, 24.0]) / 26.0
"""Of the channels' log scores in the score of the whole part: chosen on generated classes of seeds 1 to 3
(docs/decisions/0051)."""
_TOP_SHARE, _LEAST_TOP, _MOST_TOP = 0.0003, 6, 24
_TOP_ZONES, _TOP_PATCHES = 3, 6
_ZONE = 0.67
"""What a zone counts for, of what a patch does. Patches tell small flaws and do not see what is wide; zones see it, but
vary more from one sound part to the next."""
_GAP = 1.0 / 3.0
"""What a place that the scan has no surface at counts for in the pooled channel, of what it does at the fine scale."""


@dataclass(frozen=True, eq=False)
class Judged:
    """A scan's deviations in normal spreads: standard deviations of a new normal part at that place, by channel."""

    comparison: Comparison
    off: Values
    """(CHANNELS, N), >= 0, of the scan's points."""
    lacking: Values
    """(CHANNELS, M), >= 0, of the anchor's points that the scan has no surface near; 0 elsewhere."""
    signed: Values
    """(N,): deviation of the scan's points from a mean normal part, in its unit; positive: material too much."""
    raw: Values
    """(N,): the same of single points, with the scanner's noise."""
    shared: Values
    """(N,): what like zones and the face around explain of `signed`, in the unit of the scans."""
    depth: Values
    """(M,), >= 0: material lacking at the anchor's places, in the unit of the scans."""
    zones: Values
    """(K,), >= 0: pooled deviations."""
    patches: Values
    """(C,), >= 0: deviations of patches beyond what is around them."""
    pooled: PooledNormal
    local: PatchNormal
    factor: float = 1.0
    """What the shares of a normal spread were multiplied by."""

    def times(self, factor: float) -> "Judged":
        """Return the same with every share of a normal spread multiplied."""
        return replace(
            self,
            off=self.off * factor,
            lacking=self.lacking * factor,
            zones=self.zones * factor,
            patches=self.patches * factor,
            factor=self.factor * factor,
        )

    def weighed(self, gains: Values) -> "Judged":
        """Return the same with the channels of points and places multiplied by gains (CHANNELS,)."""
        return replace(self, off=self.off * gains[:, None], lacking=self.lacking * gains[:, None])

    def counting(self, points: NDArray[np.bool_], places: NDArray[np.bool_]) -> "Judged":
        """Return the same with those points (N,) and places (M,) alone, zones pooled anew from the points."""
        zones = self.factor * self.pooled.judge(self.comparison, points)
        patches = self.factor * self.local.judge(self.comparison, points)
        off = self.off * points
        off[SCALES] = _pooled(self.comparison, zones, patches, self.pooled, self.local) * points
        lacking, depth = self.lacking * places, self.depth * places
        return replace(self, off=off, lacking=lacking, depth=depth, zones=zones, patches=patches)

    def in_lengths(self, unit: float) -> "Judged":
        """Return the same with plain lengths, fine scale, in multiples of one, instead of normal spreads.

        A place that does not count as lacking, since the scan has a surface near or does not show it, has none.
        """
        found, counts = self.comparison, self.lacking[:SCALES] > 0.0
        off, lacking = np.abs(found.off) / unit, np.maximum(found.lacking, 0.0) * counts / unit
        off, lacking = (np.concatenate([scales, scales.max(axis=0)[None]]) for scales in (off, lacking))
        return replace(self, off=off, lacking=lacking)

    @property
    def log_scores(self) -> NDArray[np.float64]:
        """(CHANNELS,): logarithm of the mean of the highest values: one noisy point does not decide, a small dent does.

        Places that the scan does not show count as lacking.
        """
        count = top_count(self.off.shape[1])
        scales = [top_mean(np.concatenate(pair), count) for pair in zip(self.off, self.lacking, strict=True)][:SCALES]
        pooled = max(
            top_mean(self.patches, _TOP_PATCHES),
            _ZONE * top_mean(self.zones, _TOP_ZONES),
            top_mean(self.lacking[SCALES], count),
        )
        return np.log(np.maximum([*scales, pooled], 1e-9))

    def score(self, gains: Values | None = None) -> float:
        """Return that of the whole part, in normal spreads; `gains` as for `combined`."""
        return float(np.exp(combined(self.log_scores, gains)))


def judged(found: Comparison, mean: Values, spread: Values, pooled: PooledNormal, local: PatchNormal) -> Judged:
    """Return what a comparison with the anchor means.

    Args:
        found: the comparison.
        mean: (SCALES, M) deviations of a mean normal part from the anchor.
        spread: (SCALES, M), > 0, standard deviations of a new normal part.
        pooled: the same of zones,
        local: and of patches.
    """
    signed, lacking = found.off - mean[:, found.plane], np.maximum(found.lacking + mean, 0.0) * found.apart
    off, less = np.abs(signed) / spread[:, found.plane], lacking / spread
    zones, patches = pooled.judge(found), local.judge(found)
    return Judged(
        found,
        np.concatenate([off, _pooled(found, zones, patches, pooled, local)[None]]),
        np.concatenate([less, _GAP * less[:1]]),
        _at_worst(signed, off),
        found.raw - mean[0, found.plane],
        pooled.shared(found, signed[0]),
        _at_worst(lacking, less),
        zones,
        patches,
        pooled,
        local,
    )


def _pooled(found: Comparison, zones: Values, patches: Values, pooled: PooledNormal, local: PatchNormal) -> Values:
    """Return what zones (K,) and patches (C,) say at the scan's points, (N,)."""
    by_zone, by_patch = zones[pooled.zones.zone[found.plane]], patches[local.patches.cell[found.plane]]
    return np.asarray(np.maximum(_ZONE * by_zone, by_patch))


def combined(log_scores: NDArray[np.float64], gains: Values | None = None) -> NDArray[np.float64]:
    """Return the log score (...,) of the whole part from those of its channels, (..., CHANNELS).

    Args:
        log_scores: of the channels.
        gains: (CHANNELS,), >= 0: factors that bring the channels to one level; one of 0 is left out. None: all 1.
    """
    if gains is None:
        return np.asarray(log_scores @ _WEIGHTS)
    weights = _WEIGHTS * (gains > 0.0)
    return np.asarray((log_scores + np.log(np.where(gains > 0.0, gains, 1.0))) @ (weights / weights.sum()))


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
