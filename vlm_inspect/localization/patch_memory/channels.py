"""Channels: the several scores that a patch memory gives one picture, and how they become one.

A channel is a network, the layers of it that are compared, and how a map becomes a score. Which channel sees the
defects of a class is not known beforehand, so every one scores every picture, and weights learned for the class say
how much each counts.

All scores are distances, so they are compared as logarithms: a combined score is a weighted geometric mean of how many
times each channel's score exceeds what it gives normal parts. 1 is a normal part, whatever the weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from converters.view import View

_LEAST = 1e-6
"""Scores below this count as this: the logarithm of 0 is none."""


@dataclass(frozen=True)
class Channel:
    """One way of turning a picture into a score."""

    network: str
    """"lite0", "dinov2"."""
    layer: str
    """Which of its layers are compared: "9", "2-4-10-15"."""
    pool: float
    """The score is the mean over this share of the part's patches, the highest ones; 0: the highest patch; 1: all, the
    surface as a whole."""
    prior_spread: float
    """Standard deviation of the log score among normal parts of one class, before any is seen."""
    votes: float = 1.0
    """What it counts for among equal votes, in units of its spread."""

    @property
    def whole(self) -> bool:
        """Whether it scores the surface as a whole, not its oddest places."""
        return self.pool >= 1.0

    @property
    def name(self) -> str:
        """ "dinov2/9/top 0.1 %", "dinov2/9/whole", "lite0/2-4-10-15/max"."""
        pooled = "max" if self.pool == 0 else "whole" if self.whole else f"top {100 * self.pool:g} %"
        return f"{self.network}/{self.layer}/{pooled}"


class ViewScores(Protocol):
    """What a memory says of one view."""

    @property
    def log_scores(self) -> NDArray[np.float64]:
        """(C,): natural logarithm of each channel's score of the whole view."""
        ...

    def maps(self) -> NDArray[np.float32]:
        """Return the scores of every place by every channel, (C, H, W) of the view, >= 0; 0 where nothing counts.

        Drawn when asked for. Channels that differ in their pooling alone have equal maps.
        """
        ...


class ChannelMemory(Protocol):
    """A memory fitted on the reference views of one key."""

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The C channels, in the order of all arrays."""
        ...

    @property
    def references(self) -> tuple[int, ...]:
        """(n,): index of each reference that has a view of this key."""
        ...

    @property
    def level(self) -> NDArray[np.float64]:
        """(n, C): log score of every reference as a new normal part would have it, the full memory against it.

        Each is scored without itself, and corrected for the memory being one reference short then. The row of a single
        reference comes from changed copies of it, times what the next normal part usually exceeds such copies by.
        """
        ...

    @property
    def level_error(self) -> NDArray[np.float64]:
        """(C,): standard deviation of the error of the mean level, in the log, beyond what its scatter shows."""
        ...

    def score(self, views: Sequence[View], *, without: int | None = None) -> Sequence[ViewScores]:
        """Return the scores of views of this key, in their order.

        Args:
            views: pictures of parts; not one sample, each is judged for itself.
            without: index of a reference that must not be found: for defects planted on it. A single reference is
                found all the same; plant on changed copies of it (`copies.py`).
        """
        ...


@dataclass(frozen=True, eq=False)
class ChannelWeights:
    """How the channels of one class become one score."""

    level: NDArray[np.float64]
    """(C,): log score that each channel gives normal parts of the class."""
    weights: NDArray[np.float64]
    """(C,): >= 0, sum 1."""

    def __post_init__(self) -> None:
        if self.level.shape != self.weights.shape or not np.isfinite(self.level).all():
            raise ValueError("channel weights need one finite level for each weight")
        if (self.weights < 0).any() or not np.isclose(self.weights.sum(), 1.0):
            raise ValueError(f"channel weights are >= 0 and sum to 1, not {self.weights.tolist()}")

    def score(self, log_scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return combined log scores (...,) of log scores (..., C): 0 for a normal part."""
        return np.asarray((log_scores - self.level) @ self.weights)

    def map(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the combined map (H, W) of maps (C, H, W): 1 is as high as normal parts go; 0 where nothing counts."""
        voting = np.flatnonzero(self.weights > 0)
        total = np.zeros(maps.shape[1:], np.float32)
        for channel in voting:
            ratio = np.log(np.maximum(maps[channel], _LEAST)) - np.float32(self.level[channel])
            total += np.float32(self.weights[channel]) * ratio
        counted = (maps[voting] > 0).any(axis=0)
        return np.where(counted, np.exp(total), 0.0).astype(np.float32)


def equal_weights(memory: ChannelMemory) -> ChannelWeights:
    """Return weights by which every channel counts by its votes and prior spread alone, where nothing was planted.

    Those that score the surface as a whole say nothing of a place, so they have none.
    """
    inverse = np.array([0.0 if c.whole else c.votes / c.prior_spread for c in memory.channels])
    level = memory.level.mean(axis=0) if len(memory.level) else np.zeros(len(memory.channels))
    return ChannelWeights(level=level, weights=inverse / inverse.sum())


def log_of(score: float) -> float:
    """Return the natural logarithm of a score (>= 0), bounded below."""
    return float(np.log(max(score, _LEAST)))
