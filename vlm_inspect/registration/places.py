"""The places of a scan and of its reference, with what deviates there, and which of them lie beside each other."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.registration.comparison import SCALES
from vlm_inspect.registration.judged import Judged, combined
from vlm_inspect.registration.surface import Points, Surface, nearest

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_SMOOTH = 0.2
"""Quantile of a scan's roughness that is its noise: elsewhere planes are rough because the part is."""
_ASKED, _ASIDE = 8, 1.5
"""Points of the scan that are asked about a place, and how many spacings aside they still tell of it."""

Members = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Places:
    """The planes of the scan, N, then those of the anchor, M: K in all."""

    scan: Surface
    anchor: Surface
    judged: Judged
    points: Points
    """(K, 3)."""
    fine: NDArray[np.float64]
    """(K,): normal spreads at the finer scale of points, beyond what like zones and the face around explain,"""
    strength: NDArray[np.float64]
    """and at the stronger of their scales: they say how far a place reaches,"""
    zones: NDArray[np.float64]
    """Of the zones, wider than a flaw and surer than a point: where points say nothing, they say how far it reaches;"""
    rank: NDArray[np.float64]
    """and together, which place comes first."""
    height: NDArray[np.float64]
    """Signed, beyond the same: positive is material too much."""
    unseen: NDArray[np.bool_]
    area: NDArray[np.float64]
    outward: Points

    @property
    def own(self) -> int:
        """How many are the scan's, N."""
        return len(self.scan.points)

    @property
    def raw(self) -> NDArray[np.float64]:
        """(N,): height of single points of the scan, with the noise of its scanner."""
        return self.judged.raw - self.judged.shared

    @cached_property
    def noise(self) -> float:
        """Noise of single points of the scan at its smoothest places, in its unit."""
        return float(np.quantile(self.scan.roughness, _SMOOTH))

    @cached_property
    def spread(self) -> NDArray[np.float64]:
        """(N,): how far normal parts differ at the scan's points, in its unit."""
        strength = self.judged.off[:SCALES].max(axis=0)
        return np.asarray(np.abs(self.judged.signed) / np.maximum(strength, 1e-9))

    @cached_property
    def _beside(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(M, k), (M, k): how far the scan's points nearest to each anchor's place lie off its plane, and aside."""
        near = nearest(self.scan.tree, self.anchor.smoothed, _ASKED)[1]
        off = self.scan.points[near] - self.anchor.smoothed[:, None]
        across = np.einsum("mkj,mj->mk", off, self.anchor.outward)
        return across, np.sqrt(np.maximum(np.einsum("mkj,mkj->mk", off, off) - across**2, 0.0))

    def lacks(self, far: float) -> Members:
        """Return the places of the anchor on whose plane the scan has no point, up to so far off it."""
        across, aside = self._beside
        return np.flatnonzero(~((np.abs(across) < far) & (aside < _ASIDE * self.scan.spacing)).any(axis=1))

    @cached_property
    def graph(self) -> "csr_array":
        """(K, K): who is whose neighbour, on each surface, and from one to the other."""
        from scipy.sparse import coo_array

        n, m = self.own, len(self.anchor.points)
        across = self.judged.comparison.plane
        own = np.repeat(np.arange(n), self.scan.near.shape[1])
        theirs = np.repeat(np.arange(m), self.anchor.near.shape[1]) + n
        start = np.concatenate([own, theirs, np.arange(n), across + n])
        end = np.concatenate([self.scan.near.ravel(), self.anchor.near.ravel() + n, across + n, np.arange(n)])
        return coo_array((np.ones(len(start), dtype=np.int8), (start, end)), shape=(n + m, n + m)).tocsr()

    def connected(self, alike: Members, top: int) -> Members:
        """Return those of the places, given in order, that are connected with one of them."""
        from scipy.sparse.csgraph import connected_components

        step = self.graph[alike]
        piece = connected_components(step @ step.T, directed=False)[1]  # neighbours, or with one in common
        return np.asarray(alike[piece == piece[np.searchsorted(alike, top)]])


def places_of(scan: Surface, anchor: Surface, judged: Judged) -> Places:
    """Return the places of a scan and of the anchor that it was held against, in the frame of the references."""
    height = judged.signed - judged.shared
    beyond = np.abs(height) / np.maximum(np.abs(judged.signed), 1e-300)
    beyond = np.where(height * judged.signed > 0.0, np.minimum(beyond, 1.0), 0.0)
    own = np.concatenate([judged.off[:SCALES] * beyond, judged.off[SCALES:]])
    by_channel = np.concatenate([own, judged.lacking], axis=1)
    strength = by_channel[:SCALES].max(axis=0)
    logs = np.log(np.maximum(np.stack([strength, strength, by_channel[SCALES]], axis=1), 1e-9))
    return Places(
        scan,
        anchor,
        judged,
        points=np.concatenate([scan.points, anchor.points]),
        fine=by_channel[0],
        strength=strength,
        zones=by_channel[SCALES],
        rank=np.exp(combined(logs)),
        height=np.concatenate([height, -judged.depth]),
        unseen=np.concatenate([np.zeros(len(scan.points), dtype=bool), judged.comparison.unseen]),
        area=np.concatenate([scan.areas, anchor.areas]),
        outward=np.concatenate([scan.outward, anchor.outward]),
    )


def connected_pieces(kept: Members, near: NDArray[np.int32]) -> list[Members]:
    """Return planes kept, of a surface with neighbours (N, k), in pieces that are connected."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    place = np.full(len(near), -1)
    place[kept] = np.arange(len(kept))
    end = place[near[kept]]
    start = np.repeat(np.arange(len(kept)), end.shape[1])[end.ravel() >= 0]
    end = end.ravel()[end.ravel() >= 0]
    shape = (len(kept), len(kept))
    count, piece = connected_components(coo_array((np.ones(len(end), dtype=np.int8), (start, end)), shape=shape), False)
    return [kept[piece == i] for i in range(count)]
