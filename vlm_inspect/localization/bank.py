"""The memory itself: which reference patch each patch of a picture resembles most, and how far off it is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

_CHUNK = 1 << 24
"""Most distances held at once (64 MB)."""
_LEEWAY_REFERENCES = 8.0
"""Number of references from which on each patch's own spread counts for more than the mean."""
_CANDIDATES = 5
"""The coreset is chosen among this many times its size: a clip has patches by the hundred thousand, much alike."""
_SKETCH = 48
"""Dimensions of the random projection in which the coreset is chosen (PatchCore, section 3.2)."""


@dataclass(frozen=True, eq=False)
class Patches:
    """The patches of one framed picture that count."""

    features: NDArray[np.float32]
    """(N, C)."""
    places_xy: NDArray[np.float32]
    """(N, 2): centre of each patch from the middle of the framed picture, in longer sides of the class's framing."""
    source: tuple[int, int]
    """Reference index and view index."""
    view_xyn: NDArray[np.float32]
    """(N, 2): the same centres in [0, 1] of the view."""


@dataclass(frozen=True, eq=False)
class PatchBank:
    """Reference patches, scaled so that every layer weighs the same."""

    mean: NDArray[np.float32]
    """(C,): mean over the references, subtracted."""
    weight: NDArray[np.float32]
    """(C,): each channel's factor."""
    place_weight: float
    """Distance in features that equals a distance of the picture's longer side; 0 where places do not compare."""
    features: NDArray[np.float32]
    """(M, C + 2): scaled features and places."""
    leeway: NDArray[np.float32]
    """(M,): factor of a distance to this patch; below 1 where the references themselves differ."""
    origin: NDArray[np.float32]
    """(M, 4): reference, view, and x, y in [0, 1] on that view."""

    def embed(self, features: NDArray[np.float32], places_xy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return features (N, C) and places (N, 2) as the bank compares them, (N, C + 2)."""
        scaled = (features - self.mean) * self.weight
        return np.concatenate([scaled, self.place_weight * places_xy], axis=1).astype(np.float32)

    def search(
        self, queries: NDArray[np.float32], *, without: int | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return distance (times the patch's leeway) and index of each query's nearest patch, (N,) each.

        Args:
            queries: (N, C + 2), from `embed`.
            without: a reference whose patches must not be found (leave-one-out).
        """
        import torch

        bank = torch.from_numpy(self.features)
        lengths = (bank * bank).sum(dim=1)
        if without is not None:
            lengths = torch.where(torch.from_numpy(self.origin[:, 0] == without), torch.inf, lengths)
        distances, indices = _nearest(torch.from_numpy(queries), bank, lengths)
        return distances * self.leeway[indices], indices


def _nearest(
    queries: "torch.Tensor", bank: "torch.Tensor", lengths: "torch.Tensor"
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    import torch

    distances, indices = [], []
    with torch.inference_mode():
        for chunk in torch.split(queries, max(1, _CHUNK // max(1, len(bank)))):
            # |q - b|^2 = |q|^2 + |b|^2 - 2 q.b; |q|^2 does not move the minimum
            nearest = torch.addmm(lengths[None], chunk, bank.T, alpha=-2.0).min(dim=1)
            squared = nearest.values + (chunk * chunk).sum(dim=1)
            distances.append(squared.clamp_min(0.0).sqrt())
            indices.append(nearest.indices)
    if not distances:
        return np.zeros(0, np.float32), np.zeros(0, np.int64)
    return torch.cat(distances).numpy(), torch.cat(indices).numpy()


def build_bank(
    pictures: Sequence[Patches], channels: Sequence[int], *, place_weight: float, capacity: int
) -> PatchBank:
    """Return the bank of the reference pictures, thinned to `capacity` patches by a greedy coreset.

    Args:
        pictures: patches of at least one picture, at least one patch in all.
        channels: channels of each layer of the backbone; every layer gets the same total variance.
        place_weight: see `PatchBank`.
        capacity: most patches kept.
    """
    pictures = thin(pictures, _CANDIDATES * capacity)
    features = np.concatenate([one.features for one in pictures])
    mean = features.mean(axis=0)
    variance = features.var(axis=0)
    weight = np.concatenate(
        [
            np.full(part.size, 1.0 / math.sqrt(max(float(part.sum()), 1e-12) * len(channels)))
            for part in _split(variance, channels)
        ]
    ).astype(np.float32)
    scaled = (features - mean) * weight
    places = place_weight * np.concatenate([one.places_xy for one in pictures])
    rows = np.concatenate([scaled, places], axis=1).astype(np.float32)
    origin = np.concatenate(
        [
            np.column_stack([np.tile(np.array(one.source, np.float32), (len(one.features), 1)), one.view_xyn])
            for one in pictures
        ]
    ).astype(np.float32)
    kept = choose_coreset(rows, capacity)
    rows, origin = np.ascontiguousarray(rows[kept]), origin[kept]
    return PatchBank(mean, weight, place_weight, rows, measure_leeway(rows, origin[:, 0]), origin)


def thin(pictures: Sequence[Patches], most: int) -> list[Patches]:
    """Return the pictures with at most `most` patches in all, the same share of each left out at random, repeatably."""
    total = sum(len(one.features) for one in pictures)
    if total <= most:
        return list(pictures)
    rng = np.random.default_rng(0)
    thinned = []
    for one in pictures:
        kept = np.sort(rng.permutation(len(one.features))[: max(1, len(one.features) * most // total)])
        thinned.append(Patches(one.features[kept], one.places_xy[kept], one.source, one.view_xyn[kept]))
    return thinned


def _split(values: NDArray[np.float32], channels: Sequence[int]) -> list[NDArray[np.float32]]:
    ends = np.cumsum(channels)
    return [values[end - count : end] for end, count in zip(ends, channels, strict=True)]


def measure_leeway(rows: NDArray[np.float32], owners: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the factor of each patch: high where the other references have the same, low where they differ anyway.

    With r the distance of a patch to the nearest patch of another reference and m its mean, the factor is
    (1 + a) m / (r + a m). Few references say little about one patch's r, so a falls with their number n: a = (8 / n)^3.

    Args:
        rows: (M, D) patches.
        owners: (M,) their references.
    """
    import torch

    count = len(np.unique(owners))
    if count < 2:
        return np.ones(len(rows), np.float32)
    bank, own = torch.from_numpy(rows), torch.from_numpy(owners)
    lengths = (bank * bank).sum(dim=1)
    distance = np.zeros(len(rows), np.float32)
    for owner in np.unique(owners):
        others = torch.where(own == float(owner), torch.inf, lengths)
        mine = owners == owner
        distance[mine], _ = _nearest(bank[torch.from_numpy(mine)], bank, others)
    share = (_LEEWAY_REFERENCES / count) ** 3
    middle = float(distance.mean()) + 1e-12
    factor: NDArray[np.float32] = ((1 + share) * middle / (distance + share * middle)).astype(np.float32)
    return factor


def choose_coreset(rows: NDArray[np.float32], capacity: int) -> NDArray[np.int64]:
    """Return indices of at most `capacity` rows that cover all of them: greedy k-centre (Gonzalez 1985), repeatable."""
    import torch

    if len(rows) <= capacity:
        return np.arange(len(rows))
    generator = torch.Generator().manual_seed(0)
    data = torch.from_numpy(rows)
    if data.shape[1] > _SKETCH:
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
