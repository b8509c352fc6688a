"""The bank of one layer: which reference patch each patch resembles most, and how far off it is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.localization.patch_memory.eyes import Metric
from vlm_inspect.vision.nearest import find_nearest

_PRIOR_REFERENCES, _LEAST_PRIOR = 4.0, 0.5
"""How much the mean distance counts beside a patch's own, see `measure_reliability`: by planted defects."""
_SKETCH = 48
"""Dimensions of the random projection in which the coreset is chosen (PatchCore, section 3.2)."""


@dataclass(frozen=True, eq=False)
class LayerBank:
    """Reference patches of one layer, as they are compared."""

    metric: Metric
    mean: NDArray[np.float32]
    """(C,): mean over the references, subtracted; zeros for the cosine."""
    weight: NDArray[np.float32]
    """(C,): each channel's factor."""
    place_weight: float
    """Distance in features that equals a distance of the picture's longer side; 0 where places do not compare."""
    rows: NDArray[np.float32]
    """(M, C + 2): embedded patches."""
    reliability: NDArray[np.float32]
    """(M,): factor of a distance to a patch: above 1 where the other references have the same, below 1 where they
    differ anyway."""

    def embed(self, features: NDArray[np.float32], places_xy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return features (N, C) and places (N, 2) as they are compared, (N, C + 2)."""
        scaled = (features - self.mean) * self.weight
        if self.metric == "cosine":
            scaled /= np.maximum(np.linalg.norm(scaled, axis=1, keepdims=True), 1e-9)
        return np.concatenate([scaled, self.place_weight * places_xy], axis=1).astype(np.float32)

    def search(
        self, queries: NDArray[np.float32], allowed: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return distance, before the patch's reliability, and index of each query's nearest patch, (N,) each.

        Args:
            queries: (N, C + 2), from `embed`.
            allowed: (M,), which patches may be found; at least one.
        """
        kept = None if allowed is None else np.flatnonzero(allowed)
        squared, indices = find_nearest(queries, self.rows if kept is None else self.rows[kept])
        return self._distance(squared), indices if kept is None else kept[indices]

    def search_elsewhere(
        self, queries: NDArray[np.float32], places_xy: NDArray[np.float32], reach: float
    ) -> NDArray[np.float32]:
        """Return the distance of each query to the nearest other query at least `reach` away from it, (N,).

        Args:
            queries: (N, C + 2), from `embed`.
            places_xy: (N, 2), their places.
            reach: in the unit of the places. Where all lie nearer than that, the distance is 0.
        """
        import torch

        rows, places = torch.from_numpy(queries), torch.from_numpy(places_xy)
        squared = torch.cdist(rows, rows).square()
        squared[torch.cdist(places, places) < reach] = torch.inf
        nearest = squared.min(dim=1).values
        return self._distance(torch.where(nearest.isinf(), 0.0, nearest).numpy())

    def search_each(
        self, queries: NDArray[np.float32], owners: NDArray[np.int64], references: Sequence[int]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return what `search` finds in every reference alone, (R, N) each."""
        found = [self.search(queries, owners == reference) for reference in references]
        return np.stack([distances for distances, _ in found]), np.stack([indices for _, indices in found])

    def _distance(self, squared: NDArray[np.float32]) -> NDArray[np.float32]:
        # of unit vectors, half the squared distance is 1 - cosine
        return np.asarray(squared / 2 if self.metric == "cosine" else np.sqrt(squared), np.float32)


def measure_reliability(bank: LayerBank, owners: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the factor of each patch, (M,).

    With r the distance of a patch to the nearest patch of another reference and m the mean of r, the factor is
    (1 + a) m / (r + a m): distances are measured in units of how much normal parts differ at that place. Few references
    say little about one patch's r, so a falls with their number n: a = 4 / n, but never below 0.5: a patch that two of
    many references happen to share must not rule the map.

    Args:
        bank: the patches.
        owners: (M,), their references; of a single one all factors are 1.
    """
    references = np.unique(owners)
    distance = np.zeros(len(owners), np.float32)
    if len(references) < 2:
        return np.ones_like(distance)
    for reference in references:
        own = owners == reference
        distance[own], _ = bank.search(bank.rows[own], ~own)
    share = max(_LEAST_PRIOR, _PRIOR_REFERENCES / len(references))
    middle = float(distance.mean()) + 1e-12
    return np.asarray((1 + share) * middle / (distance + share * middle), np.float32)


def make_scaling(
    features: NDArray[np.float32], channels: Sequence[int], metric: Metric
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean and the factor of every channel, (C,) each.

    Args:
        features: (N, C) patches of the references.
        channels: channels of each stage of the network that the layer joins; every stage gets the same total variance.
        metric: see `LayerBank`.
    """
    width = features.shape[1]
    if metric == "cosine":
        return np.zeros(width, np.float32), np.ones(width, np.float32)
    variance = features.var(axis=0)
    factors, start = [], 0
    for count in channels:
        total = float(variance[start : start + count].sum())
        factors.append(np.full(count, 1.0 / math.sqrt(max(total, 1e-12) * len(channels))))
        start += count
    return features.mean(axis=0), np.concatenate(factors).astype(np.float32)


def choose_coreset(rows: NDArray[np.float32], capacity: int) -> NDArray[np.int64]:
    """Return indices of at most `capacity` rows that cover all of them: greedy k-centre (Gonzalez 1985), repeatable."""
    import torch

    if len(rows) <= capacity:
        return np.arange(len(rows))
    data = torch.from_numpy(rows)
    if data.shape[1] > _SKETCH:
        generator = torch.Generator().manual_seed(0)
        data = data @ torch.randn(data.shape[1], _SKETCH, generator=generator) / math.sqrt(_SKETCH)
    lengths = (data * data).sum(dim=1)
    far = torch.full((len(data),), torch.inf)
    chosen = torch.empty(capacity, dtype=torch.int64)
    pick = int(lengths.argmax())
    with torch.inference_mode():
        for step in range(capacity):
            chosen[step] = pick
            torch.minimum(far, lengths + lengths[pick] - 2.0 * (data @ data[pick]), out=far)
            pick = int(far.argmax())
    return np.sort(chosen.numpy())
