"""How far zones of normal parts deviate: what the pooled deviations of a new scan are counted in."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.registration.comparison import Comparison
from vlm_inspect.registration.zones import Pooled, Values, Zones

_PRIOR_DOF = 4.0
"""How many references the surroundings of a zone count for."""
_ALIKE, _WHOLE = 0.8, 0.02
"""Shares in those surroundings of the zones that look alike, wherever they lie, and of the whole part."""
_LEAST, _COVERED = 3, 0.4
"""Fewest points that a zone rests on; of a scan that does not show all, at least this share of the usual number."""


@dataclass(frozen=True, eq=False)
class PooledNormal:
    """What is normal for every zone, for scans of one kind of scanner."""

    zones: Zones
    mean: Values
    """(K,): deviation of a mean normal part from the anchor."""
    spread: Values
    """(K,), > 0: standard deviation of what is left of a new normal part's deviation after like zones."""
    counts: Values
    """(K,): points of a normal scan."""
    part: float
    """Standard deviation of a new normal part's deviation, of all zones together, in the unit of the scans."""

    def deviations(self, found: Comparison, counted: NDArray[np.bool_] | None = None) -> "ZoneDeviations":
        """Return how the zones of a scan deviate from a mean normal part.

        Args:
            found: its comparison with the anchor.
            counted: (N,) which of its points count, where the scan does not show the whole part; None: all do.
        """
        pooled = _pooled(self.zones, found, counted)
        least = _LEAST if counted is None else np.maximum(_LEAST, _COVERED * self.counts)
        fewer = np.sqrt(np.clip(self.counts / np.maximum(pooled.counts, 1.0), 1.0, None))
        return ZoneDeviations(pooled.means - self.mean, self.spread * fewer, pooled.counts >= least)

    def shared(self, found: Comparison, signed: Values) -> Values:
        """Return what other zones explain (N,) of the deviations (N,) of a scan's points from a mean normal part."""
        zones = self.deviations(found)
        others = self.zones.explained(zones.off, zones.seen, self.part)
        own = self.zones.zone[found.plane]
        return np.clip(signed, others.low[own], others.high[own])

    def judge(self, found: Comparison, counted: NDArray[np.bool_] | None = None) -> Values:
        """Return the pooled deviations (K,) of a scan beyond those of like zones, in normal spreads, >= 0."""
        zones = self.deviations(found, counted)
        return self.zones.beyond_others(zones.off, zones.spread, zones.seen, self.part)


@dataclass(frozen=True, eq=False)
class ZoneDeviations:
    """How the K zones of a scan deviate."""

    off: Values
    """(K,), signed, from a mean normal part, in the unit of the scans."""
    spread: Values
    """(K,), > 0: normal spread of what like zones do not share; larger where the scan has fewer points than usual."""
    seen: NDArray[np.bool_]
    """(K,): which zones the scan shows."""


def learn_pooled(zones: Zones, kept: Sequence[Comparison], known: Sequence[Comparison], noise: float) -> PooledNormal:
    """Return what references say of the zones.

    Args:
        zones: of the anchor.
        kept: comparisons of the references that play a part, for the mean.
        known: those that tell the spread; as many, or more where only one plays a part.
        noise: variance of a deviation that is none, in the squared unit of the scans.
    """
    pooled = {id(one): _pooled(zones, one) for one in (*kept, *known)}
    mean = np.mean([pooled[id(one)].means for one in kept], axis=0)
    counts = np.min([pooled[id(one)].counts for one in kept], axis=0)
    each = np.array([pooled[id(one)].means for one in known])
    own = each.var(axis=0, ddof=1) if len(each) > 1 else each[0] ** 2 + noise
    whole = predicted(zones, own, len(kept), noise)
    part, everywhere = float(np.sqrt(whole.mean())), np.ones(zones.count, dtype=bool)
    if len(each) > 1:
        off = each - each.mean(axis=0)
        # Like zones alone are taken off: of what the face explains, too, most zones leave nothing, which is no spread.
        own = np.array([one - zones.explained(one, everywhere, part).alike for one in off]).var(axis=0, ddof=1)
        whole = predicted(zones, own, len(kept), noise)
    return PooledNormal(zones, mean, np.sqrt(np.maximum(whole, 1e-300)), counts, part)


def _pooled(zones: Zones, found: Comparison, counted: NDArray[np.bool_] | None = None) -> Pooled:
    """Return what a scan's points, but for strays, say of the zones; (N,) which of them count, None: all."""
    kept = ~found.stray if counted is None else counted & ~found.stray
    return zones.pooled(found.plane[kept], found.raw[kept])


def predicted(zones: Zones, own: Values, count: int, noise: float) -> Values:
    """Return the variance (K,) of a new part from that among `count` references, shrunk towards the surroundings."""
    nearby = zones.averaged(own)
    alike = nearby[zones.alike].mean(axis=1)
    prior = (1.0 - _ALIKE - _WHOLE) * zones.averaged(nearby) + _ALIKE * alike + _WHOLE * own.mean() + 0.1 * noise
    dof = max(1, count - 1)
    return np.asarray((1.0 + 1.0 / count) * (_PRIOR_DOF * prior + dof * nearby) / (_PRIOR_DOF + dof))
