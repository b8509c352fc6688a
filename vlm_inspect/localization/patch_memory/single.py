"""The reference memory of one network as a memory of one channel."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.view import View
from vlm_inspect.localization.memory import NORMAL_SPREAD, ReferenceMemory
from vlm_inspect.localization.patch_memory.channels import Channel, log_of
from vlm_inspect.references import Part, ReferenceSet


@dataclass(frozen=True, eq=False)
class SingleScores:
    """Scores of one view by one channel; see `ViewScores`."""

    log_scores: NDArray[np.float64]
    values: NDArray[np.float32]

    def maps(self) -> NDArray[np.float32]:
        """See `ViewScores.maps`."""
        return self.values[None]


class SingleChannelMemory:
    """See `ChannelMemory`: the maximum of one network's map."""

    def __init__(self, references: Sequence[Sequence[View]], key: str, memory: ReferenceMemory | None = None) -> None:
        """Remember the views of `key` of every reference sample."""
        self._memory = memory or ReferenceMemory()
        self._views = {
            index: [view for view in views if view.key == key]
            for index, views in enumerate(references)
            if any(view.key == key for view in views)
        }
        backbone = self._memory.backbone
        network, layers, *_ = backbone.identity.split("/")
        self.channels = (Channel(network, layers, 0.0, NORMAL_SPREAD),)
        self.references = tuple(self._views)
        self._fitted = self._memory.fit(ReferenceSet.of_views(list(self._views.values())))
        own = self._fitted.memories[key].normal_scores
        self.level = np.array([[log_of(score)] for score in own], np.float64).reshape(-1, 1)

    def score(self, views: Sequence[View], *, without: int | None = None) -> list[SingleScores]:
        """See `ChannelMemory.score`."""
        fitted = self._fitted
        if without is not None:
            kept = [one for index, one in self._views.items() if index != without]
            fitted = self._memory.fit(ReferenceSet.of_views(kept))
        return [
            SingleScores(np.array([log_of(found.score)]), found.values)
            for found in fitted.localize(Part(None, tuple(views))).maps
        ]
