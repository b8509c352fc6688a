"""`PatchMemory`: the memories of several networks as one `ChannelMemory`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.view import View
from vlm_inspect.localization.patch_memory.channels import Channel
from vlm_inspect.localization.patch_memory.copies import changed_copies
from vlm_inspect.localization.patch_memory.eyes import Eye, Pool
from vlm_inspect.localization.patch_memory.grids import Pane, Seen, panes_of
from vlm_inspect.localization.patch_memory.levels import left_out_levels
from vlm_inspect.localization.patch_memory.network_memory import NetworkMemory, join, learn_network
from vlm_inspect.localization.patch_memory.scores import LayerScores, PatchScores

_TOGETHER = 16
"""Most views whose features are held at once."""

ReferenceViews = Sequence[tuple[int, int, View]]
"""Reference index, view index and view, all of one key."""


@dataclass(frozen=True, eq=False)
class PatchMemory:
    """See `ChannelMemory`."""

    networks: tuple[NetworkMemory, ...]
    references: tuple[int, ...]
    level: NDArray[np.float64]
    """(n, C): see `ChannelMemory`."""

    @property
    def pools(self) -> tuple[Pool, ...]:
        """How each channel makes a score of a map."""
        return tuple(pool for memory in self.networks for pools in memory.use.pools for pool in pools)

    @property
    def level_error(self) -> NDArray[np.float64]:
        """See `ChannelMemory.level_error`."""
        return np.array([pool.level_error(len(self.references)) for pool in self.pools])

    @property
    def channels(self) -> tuple[Channel, ...]:
        """See `ChannelMemory.channels`."""
        return tuple(
            Channel(memory.use.network, layer.name, pool.share, pool.prior_spread)
            for memory in self.networks
            for layer, pools in zip(memory.network.layers, memory.use.pools, strict=True)
            for pool in pools
        )

    def score(self, views: Sequence[View], *, without: int | None = None) -> list[PatchScores]:
        """See `ChannelMemory.score`."""
        found: list[PatchScores] = []
        for start in range(0, len(views), _TOGETHER):
            some = views[start : start + _TOGETHER]
            panes = [list(panes_of(view)) for view in some]
            layers: list[list[LayerScores]] = [[] for _ in some]
            for memory in self.networks:
                seen = iter(memory.see_all([pane for of_view in panes for pane in of_view]))
                for index, own in enumerate(panes):
                    layers[index] += memory.score([next(seen) for _ in own], without=without)
            found += [join(of_view, view) for of_view, view in zip(layers, some, strict=True)]
        return found


def learn_memory(eye: Eye, views: ReferenceViews) -> PatchMemory:
    """Return the memory of reference views of one key.

    Raises:
        LocalizerError: a network or its weights cannot be used.
    """
    learned = [learn_network(use, views) for use in eye.uses]
    references = tuple(dict.fromkeys(reference for reference, _, _ in views))
    bare = PatchMemory(tuple(memory for memory, _ in learned), references, np.zeros((0, 0)))
    if len(references) == 1:
        return PatchMemory(bare.networks, references, _level_of_copies(bare, views))
    return PatchMemory(bare.networks, references, _left_out(learned, views, references))


def _left_out(
    learned: Sequence[tuple[NetworkMemory, list[list[Seen]]]], views: ReferenceViews, references: tuple[int, ...]
) -> NDArray[np.float64]:
    """Return the corrected levels; of a reference with several views of one key (frames) the highest scores."""
    each = {
        index: [
            memory.score_by_each(seen[index], [other for other in references if other != reference])
            for memory, seen in learned
        ]
        for index, (reference, _, _) in enumerate(views)
    }
    own = {one: [index for index, (reference, _, _) in enumerate(views) if reference == one] for one in references}

    def score(reference: int, others: Sequence[int]) -> NDArray[np.float64]:
        by_view = []
        for index in own[reference]:
            layers = [layer for one in each[index] for layer in one.score(others)]
            by_view.append([value for layer in layers for value in layer.log_scores()])
        return np.asarray(np.max(np.array(by_view), axis=0), np.float64)

    slopes = [pool.prior_slope for memory, _ in learned for pools in memory.use.pools for pool in pools]
    return left_out_levels(references, score, np.array(slopes))


def _level_of_copies(memory: PatchMemory, views: ReferenceViews) -> NDArray[np.float64]:
    """Return the log scores that changed copies of the only reference let expect of a new part, (1, C)."""
    scores: list[list[NDArray[np.float64]]] = []
    for _, _, view in views:
        for number, copy in enumerate(changed_copies(view)):
            panes = [Pane(copy, (0, 0))]
            layers = [layer for one in memory.networks for layer in one.score(one.see_all(panes))]
            scores += [[]] * max(0, number + 1 - len(scores))
            scores[number] = [*scores[number], join(layers, view).log_scores]
    own = np.array([np.max(of_copy, axis=0) for of_copy in scores])
    return np.asarray(own.mean(axis=0, keepdims=True) + np.array([pool.next_over_self for pool in memory.pools]))
