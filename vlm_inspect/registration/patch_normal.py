"""How far patches of normal parts deviate beyond what is around them: what the patches of a new scan are counted in."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.registration.comparison import Comparison
from vlm_inspect.registration.patches import Contrast, Contrasts, Patches
from vlm_inspect.registration.pooled_normal import predicted
from vlm_inspect.registration.zones import Values, Zones

_LEAST, _COVERED = 3, 0.4
"""Fewest points that a patch rests on; of a scan that does not show all, at least this share of the usual number, and
of that in its ring."""
_OUTLYING = 4.0
"""Variances that one patch counts for at most where like ones tell how far a scan scatters."""


@dataclass(frozen=True, eq=False)
class PatchNormal:
    """What is normal for every patch, for scans of one kind of scanner."""

    patches: Patches
    zones: Zones
    mean: Values
    """(R, C): contrast of a mean normal part, by radius."""
    variance: Values
    """(R, C), >= 0: of a new normal part's contrast by what parts differ in, the references' own noise included."""
    counts: Values
    """(R, C): points of a normal scan in a patch,"""
    ring: Values
    """(R, C): and in its ring."""

    def judge(self, found: Comparison, counted: NDArray[np.bool_] | None = None) -> Values:
        """Return how far patches (C,) of a scan go beyond what is around them, in normal spreads, >= 0.

        The radius at which a place stands out most counts. Like places of the scan itself may raise what is normal:
        its noise and its errors at edges, whatever the references say.

        Args:
            found: its comparison with the anchor.
            counted: (N,) which of its points count, where the scan does not show the whole part; None: all do.
        """
        kept = ~found.stray if counted is None else counted & ~found.stray
        contrasts = self.patches.contrasts(found, kept)
        return np.asarray(np.max([self._judge(k, one, counted is not None) for k, one in enumerate(contrasts)], axis=0))

    def _judge(self, radius: int, one: Contrast, partial: bool) -> Values:
        seen = one.counts >= _LEAST
        if partial:
            seen &= (one.counts >= _COVERED * self.counts[radius]) & (one.ring >= _COVERED * self.ring[radius])
        off = np.where(seen, one.off - self.mean[radius], 0.0)
        normal = np.maximum(self.variance[radius] + one.noise, 1e-300)
        like = self._alike(np.minimum(off**2, _OUTLYING * normal), seen)
        return np.asarray(np.abs(off) / np.sqrt(np.maximum(normal, like)))

    def _alike(self, values: Values, seen: NDArray[np.bool_]) -> Values:
        """Return the mean of values (C,) over the patches seen in the zones that look like each one's, (C,)."""
        sums, counts = (one[self.zones.alike].sum(axis=1) for one in _by_zone(self.patches, self.zones, values, seen))
        return np.asarray((sums / np.maximum(counts, 1.0))[self.patches.zone])


def learn_patches(
    patches: Patches, zones: Zones, kept: Sequence[Contrasts], known: Sequence[Contrasts], noise: float
) -> PatchNormal:
    """Return what references say of the patches.

    Args:
        patches: of the anchor.
        zones: of the anchor.
        kept: what the references that play a part show, for the mean.
        known: those that tell how parts differ; as many, or more where only one plays a part.
        noise: variance of a deviation that is none, in the squared unit of the scans.
    """
    means, variances = [], []
    for k in range(len(patches.discs)):
        each = np.array([one[k].off for one in known])
        own = each.var(axis=0, ddof=1) if len(each) > 1 else each[0] ** 2 + noise
        sums, counts = _by_zone(patches, zones, own, np.ones(patches.count, dtype=bool))
        by_zone = np.where(counts > 0.0, sums / np.maximum(counts, 1.0), own.mean())
        means.append(np.mean([one[k].off for one in kept], axis=0))
        variances.append(predicted(zones, by_zone, len(kept), noise)[patches.zone])
    counts = np.min([[contrast.counts for contrast in one] for one in kept], axis=0)
    ring = np.min([[contrast.ring for contrast in one] for one in kept], axis=0)
    return PatchNormal(patches, zones, np.array(means), np.array(variances), counts, ring)


def _by_zone(patches: Patches, zones: Zones, values: Values, seen: NDArray[np.bool_]) -> tuple[Values, Values]:
    """Return the sums of values (C,) of the patches seen in each zone, and how many these are, both (K,)."""
    zone = patches.zone[seen]
    sums = np.bincount(zone, values[seen], zones.count).astype(np.float64)
    return sums, np.bincount(zone, minlength=zones.count).astype(np.float64)
