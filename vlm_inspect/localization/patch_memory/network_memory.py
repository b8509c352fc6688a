"""What one network remembers of the reference views of a key."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from converters.view import View
from vlm_inspect.localization.framing import Framing
from vlm_inspect.localization.patch_memory.eyes import NetworkUse
from vlm_inspect.localization.patch_memory.grids import Pane, Seen, frame_class, is_large, panes_of, see
from vlm_inspect.localization.patch_memory.layer_bank import (
    LayerBank,
    choose_coreset,
    make_scaling,
    measure_reliability,
)
from vlm_inspect.localization.patch_memory.scores import (
    LayerScores,
    PatchScores,
    ScoredGrid,
    origins_on_grid,
    spread_on_grid,
)
from vlm_inspect.vision import Network, load_network

_ELSEWHERE = 0.06
"""Patches at least this share of the longer side apart lie elsewhere: nearer ones see much of the same."""
_CANDIDATES = 3
"""The coreset is chosen among this many times its size."""
_LARGE_BANK = 2 / 3
"""Share of the capacity where a part is seen large: its many patches are searched there, which takes most of its time,
and planted defects rank no worse."""


@dataclass(frozen=True, eq=False)
class NetworkMemory:
    """The banks of one network, one a layer, over the same patches."""

    use: NetworkUse
    framing: Framing
    banks: tuple[LayerBank, ...]
    origin: NDArray[np.float32]
    """(M, 4): of each patch the reference, the view, and x, y in [0, 1] on that view."""

    @property
    def owners(self) -> NDArray[np.int64]:
        """(M,): the reference of each patch."""
        return self.origin[:, 0].astype(np.int64)

    @cached_property
    def alone(self) -> bool:
        """Whether there is a single reference."""
        return len(np.unique(self.owners)) == 1

    @property
    def votes(self) -> float:
        """See `Channel.votes`."""
        alike = self.framing.aligned or is_large(self.use, self.framing)
        return 1.0 if alike else self.use.votes_without_places

    @property
    def network(self) -> Network:
        """The network, loaded when it is first needed."""
        return load_network(self.use.network)

    def see(self, panes: Sequence[Pane]) -> list[Seen]:
        """Frame pictures and take their features, in their order."""
        return see(self.network, self.framing, panes)

    def score(self, seen: Sequence[Seen], *, without: int | None = None) -> list[LayerScores]:
        """Return the scores of one view by every layer.

        Args:
            seen: the pictures of the view.
            without: a reference whose patches must not be found; where it is the only one, they are found.
        """
        allowed = self._without(without)
        found = []
        for layer, bank in enumerate(self.banks):
            grids = []
            for one in seen:
                rows = bank.embed(one.rows[layer], one.places)
                distances, nearest = bank.search(rows, allowed)
                if self.alone and self.use.own_places:
                    distances = _beside_own(distances, bank.search_elsewhere(rows, one.places, _ELSEWHERE))
                values = spread_on_grid(one.grid, distances * bank.reliability[nearest], self.use.sigma)
                grids.append(ScoredGrid(one.grid, values, origins_on_grid(one.grid, self.origin[nearest])))
            found.append(LayerScores(tuple(grids), self.use.pools[layer]))
        return found

    def score_elsewhere(self, seen: Sequence[Seen]) -> list[LayerScores]:
        """Return what the patches of one view score against those of its own that lie elsewhere."""
        found = []
        for layer, bank in enumerate(self.banks):
            grids = []
            for one in seen:
                distances = bank.search_elsewhere(bank.embed(one.rows[layer], one.places), one.places, _ELSEWHERE)
                grids.append(ScoredGrid(one.grid, spread_on_grid(one.grid, distances, self.use.sigma)))
            found.append(LayerScores(tuple(grids), self.use.pools[layer]))
        return found

    def score_by_each(self, seen: Sequence[Seen], references: Sequence[int]) -> "ByReference":
        """Return what each reference alone says of the patches of one view, to be combined without searching again."""
        each = []
        for layer, bank in enumerate(self.banks):
            found = [bank.search_each(bank.embed(one.rows[layer], one.places), self.owners, references) for one in seen]
            each.append([(distances, bank.reliability[nearest]) for distances, nearest in found])
        return ByReference(self.use, tuple(seen), {reference: row for row, reference in enumerate(references)}, each)

    def _without(self, reference: int | None) -> NDArray[np.bool_] | None:
        if reference is None:
            return None
        allowed = self.owners != reference
        return allowed if allowed.any() else None


@dataclass(frozen=True, eq=False)
class ByReference:
    """The distances of one view's patches to every reference alone."""

    use: NetworkUse
    seen: tuple[Seen, ...]
    row: Mapping[int, int]
    """Where each reference stands."""
    distances: list[list[tuple[NDArray[np.float32], NDArray[np.float32]]]]
    """For each layer and picture, (R, N), and the reliability of the patch that was found, likewise."""

    def score(self, references: Sequence[int]) -> list[LayerScores]:
        """Return the scores by a memory of these references only."""
        rows = [self.row[reference] for reference in references]
        found = []
        for layer, of_layer in enumerate(self.distances):
            grids = []
            for one, (each, reliability) in zip(self.seen, of_layer, strict=True):
                nearest = each[rows].argmin(axis=0)[None]
                scaled = np.take_along_axis(each[rows] * reliability[rows], nearest, axis=0)[0]
                grids.append(ScoredGrid(one.grid, spread_on_grid(one.grid, scaled, self.use.sigma)))
            found.append(LayerScores(tuple(grids), self.use.pools[layer]))
        return found


def learn_network(use: NetworkUse, views: Sequence[tuple[int, int, View]]) -> tuple[NetworkMemory, list[list[Seen]]]:
    """Return the memory of reference views of one key, and what the network saw of each of them.

    Args:
        use: the network and how it is used.
        views: reference index, view index and view; at least one.
    """
    network = load_network(use.network)
    panes = [list(panes_of(view)) for _, _, view in views]
    pictures = [pane.picture for of_view in panes for pane in of_view]
    whole = all(view.key == "image" and view.mask is None for _, _, view in views)
    framing = frame_class(use, pictures, parts=whole, multiple=network.multiple)
    seen = [see(network, framing, of_view) for of_view in panes]
    held = seen
    if use.mirrored and framing.turns:
        held = [own + see(network, framing, of_view, mirrored=True) for own, of_view in zip(seen, panes, strict=True)]
    origin = np.concatenate(
        [
            np.column_stack([np.tile(np.array([r, v], np.float32), (len(placed), 1)), placed])
            for (r, v, view), of_view in zip(views, held, strict=True)
            for one in of_view
            for placed in [one.grid.on_view(view.size_hw)]
        ]
    )
    every = [one for of_view in held for one in of_view]
    banks = [_embed_all(use, network, layer, every, aligned=framing.aligned) for layer in range(len(network.layers))]
    capacity = round(_LARGE_BANK * use.capacity) if is_large(use, framing) else use.capacity
    candidates = _some(len(origin), _CANDIDATES * capacity)
    joined = np.concatenate([bank.rows[candidates] for bank in banks], axis=1)
    kept = candidates[choose_coreset(joined, capacity)]
    owners = origin[kept, 0].astype(np.int64)
    thinned = []
    for bank in banks:
        own = replace(bank, rows=_halved(bank.rows[kept]))
        alike = np.ones(len(kept), np.float32)
        thinned.append(replace(own, reliability=measure_reliability(own, owners) if use.reliability else alike))
    return NetworkMemory(use, framing, tuple(thinned), origin[kept]), seen


def _embed_all(use: NetworkUse, network: Network, layer: int, seen: Sequence[Seen], *, aligned: bool) -> LayerBank:
    rows = np.concatenate([one.rows[layer] for one in seen])
    mean, weight = make_scaling(rows, network.layers[layer].channels, use.metric)
    place_weight = use.place_weight if aligned else 0.0
    bare = LayerBank(use.metric, mean, weight, place_weight, rows[:0], np.zeros(0, np.float32))
    return replace(bare, rows=bare.embed(rows, np.concatenate([one.places for one in seen])))


def _beside_own(distances: NDArray[np.float32], elsewhere: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the geometric mean of the distances (N,) to the reference and the lesser of them and those to other places
    of the same picture; where a picture is too small to have any (0), the distances themselves."""
    nearer = np.where(elsewhere > 0, np.minimum(distances, elsewhere), distances)
    return np.asarray(np.sqrt(distances * nearer), np.float32)


def _some(count: int, most: int) -> NDArray[np.int64]:
    """Return at most that many of so many indices, at random, repeatably: a clip has patches by the 100,000."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).permutation(count)[:most])


def _halved(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rows in half precision, as the cache keeps them: a memory that is read again scores alike."""
    return rows.astype(np.float16).astype(np.float32)


def join(layers: Sequence[LayerScores], view: View) -> PatchScores:
    """Return the scores of one view by all layers of all networks."""
    return PatchScores(tuple(layers), view.size_hw, view.mask)
