"""`PatchMemory`: the memories of several networks as one `ChannelMemory`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.view import View
from vlm_inspect.localization.patch_memory.channels import Channel
from vlm_inspect.localization.patch_memory.copies import COPIES, changed_copies
from vlm_inspect.localization.patch_memory.eyes import NetworkUse, Pool
from vlm_inspect.localization.patch_memory.grids import Pane, Seen, panes_of
from vlm_inspect.localization.patch_memory.levels import left_out_levels, single_level
from vlm_inspect.localization.patch_memory.network_memory import NetworkMemory, join, learn_network
from vlm_inspect.localization.patch_memory.scores import LayerScores, PatchScores

_TOGETHER = 16
"""Most views whose features are held at once."""
_COARSE = 96
"""Rows and columns at which the maps of left-out references are kept."""

_COPIED_PANES = 8
"""About how many panes of a view are copied."""

ReferenceViews = Sequence[tuple[int, int, View]]
"""Reference index, view index and view, all of one key."""


@dataclass(frozen=True, eq=False)
class PatchMemory:
    """See `ChannelMemory`."""

    networks: tuple[NetworkMemory, ...]
    references: tuple[int, ...]
    level: NDArray[np.float64]
    """(n, C): see `ChannelMemory`."""
    correction: NDArray[np.float64]
    """(C,): what was taken off the log scores of left-out references, which met a memory that is one short."""
    left_out: NDArray[np.float16]
    """(n, C, 96, 96): map of every reference by each channel, without itself, shrunk; (0, C, 0, 0) of a single one."""

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
            Channel(memory.use.network, layer.name, pool.share, pool.prior_spread, memory.votes)
            for memory in self.networks
            for layer, pools in zip(memory.network.layers, memory.use.pools, strict=True)
            for pool in pools
        )

    def left_out_scores(self, reference: int) -> NDArray[np.float64] | None:
        """Return the log scores (C,) of a reference by the others, as learned; None where there are no others."""
        if len(self.references) < 2 or reference not in self.references:
            return None
        return np.asarray(self.level[self.references.index(reference)] + self.correction)

    def score(self, views: Sequence[View], *, without: int | None = None) -> list[PatchScores]:
        """See `ChannelMemory.score`."""
        found: list[PatchScores] = []
        for start in range(0, len(views), _TOGETHER):
            some = views[start : start + _TOGETHER]
            panes = [list(panes_of(view)) for view in some]
            layers: list[list[LayerScores]] = [[] for _ in some]
            for memory in self.networks:
                seen = iter(memory.see([pane for of_view in panes for pane in of_view]))
                for index, own in enumerate(panes):
                    layers[index] += memory.score([next(seen) for _ in own], without=without)
            found += [join(of_view, view) for of_view, view in zip(layers, some, strict=True)]
        return found


def learn_memory(uses: Sequence[NetworkUse], views: ReferenceViews) -> PatchMemory:
    """Return the memory of reference views of one key.

    Raises:
        LocalizerError: a network or its weights cannot be used.
    """
    learned = [learn_network(use, views) for use in uses]
    references = tuple(dict.fromkeys(reference for reference, _, _ in views))
    networks = tuple(memory for memory, _ in learned)
    if len(references) > 1:
        return _with_left_out(networks, [seen for _, seen in learned], views, references)
    channels = sum(len(pools) for use in uses for pools in use.pools)
    level = _level_of_one(networks, [seen for _, seen in learned], views)
    nothing = np.zeros((0, channels, 0, 0), np.float16)
    return PatchMemory(networks, references, level, np.zeros(channels), nothing)


def _with_left_out(
    networks: tuple[NetworkMemory, ...],
    seen: Sequence[Sequence[Sequence[Seen]]],
    views: ReferenceViews,
    references: tuple[int, ...],
) -> PatchMemory:
    """Score every reference without itself; of a reference with several views of one key the highest scores count."""
    each = [
        [
            memory.score_by_each(of_network[index], [other for other in references if other != reference])
            for memory, of_network in zip(networks, seen, strict=True)
        ]
        for index, (reference, _, _) in enumerate(views)
    ]
    own = {one: [index for index, (reference, _, _) in enumerate(views) if reference == one] for one in references}

    def score_view(index: int, others: Sequence[int]) -> PatchScores:
        return join([layer for one in each[index] for layer in one.score(others)], views[index][2])

    def score(reference: int, others: Sequence[int]) -> NDArray[np.float64]:
        by_view = [score_view(index, others).log_scores for index in own[reference]]
        return np.asarray(np.max(np.array(by_view), axis=0), np.float64)

    slopes = np.array([pool.prior_slope for memory in networks for pools in memory.use.pools for pool in pools])
    level, correction = left_out_levels(references, score, slopes)
    maps = [
        np.max([_coarse(score_view(index, [o for o in references if o != one])) for index in own[one]], axis=0)
        for one in references
    ]
    return PatchMemory(networks, references, level, correction, np.stack(maps).astype(np.float16))


def _coarse(scores: PatchScores) -> NDArray[np.float32]:
    import cv2

    side = (_COARSE, _COARSE)
    return np.stack([cv2.resize(one, side, interpolation=cv2.INTER_AREA) for one in scores.maps()])


def _level_of_one(
    networks: Sequence[NetworkMemory], seen: Sequence[Sequence[Sequence[Seen]]], views: ReferenceViews
) -> NDArray[np.float64]:
    """Return the log scores that the only reference lets expect of a new part, (1, C)."""
    elsewhere, copied = [], []
    for index, (_, _, view) in enumerate(views):
        pairs = zip(networks, seen, strict=True)
        own = [layer for memory, of_network in pairs for layer in memory.score_elsewhere(of_network[index])]
        elsewhere.append(join(own, view).log_scores)
        copied.append([join(of_copy, view).log_scores for of_copy in _scores_of_copies(networks, view)])
    usual = np.array([pool.next_over_self for memory in networks for pools in memory.use.pools for pool in pools])
    return single_level(np.max(np.array(elsewhere), axis=0), np.max(np.array(copied), axis=0), usual)


def _scores_of_copies(networks: Sequence[NetworkMemory], view: View) -> list[list[LayerScores]]:
    """Return the scores of every changed copy of a view by all layers; of many panes (frames) some are copied."""
    panes = list(panes_of(view))
    chosen = panes[:: -(-len(panes) // _COPIED_PANES)]
    copies = [[Pane(copy, pane.corner_xy) for copy in changed_copies(pane.picture)] for pane in chosen]
    scores: list[list[LayerScores]] = [[] for _ in range(COPIES)]
    for memory in networks:
        seen = iter(memory.see([copy for of_pane in copies for copy in of_pane]))
        by_pane = [[next(seen) for _ in of_pane] for of_pane in copies]
        for number in range(COPIES):
            scores[number] += memory.score([of_pane[number] for of_pane in by_pane])
    return scores
