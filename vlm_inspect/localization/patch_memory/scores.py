"""What a memory says of one view: scores by channel, maps drawn when they are asked for."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.localization.patch_memory.channels import log_of
from vlm_inspect.localization.patch_memory.eyes import Pool
from vlm_inspect.localization.patch_memory.grids import Grid
from vlm_inspect.localization.score_map import MATCH_GRID, draw_matches, draw_values, smooth


@dataclass(frozen=True, eq=False)
class ScoredGrid:
    """One framed picture with the scores of its patches by one layer."""

    grid: Grid
    values: NDArray[np.float32]
    """(h, w): smoothed; 0 where a patch does not count."""
    origins: NDArray[np.float32] | None = None
    """(h, w, 4): reference, view, and x, y in [0, 1] on that view of the nearest patch; NaN where none counts."""


@dataclass(frozen=True, eq=False)
class LayerScores:
    """One view by one layer."""

    grids: tuple[ScoredGrid, ...]
    pools: tuple[Pool, ...]
    """How its channels make a score of them."""

    def log_scores(self) -> list[float]:
        """Return the log score of each of its channels."""
        counted = [one.values[one.grid.counted] for one in self.grids]
        values = np.concatenate(counted) if counted else np.zeros(0, np.float32)
        return [log_of(pool_values(values, pool.share)) for pool in self.pools]


@dataclass(frozen=True, eq=False)
class PatchScores:
    """See `ViewScores`."""

    layers: tuple[LayerScores, ...]
    size_hw: tuple[int, int]
    mask: NDArray[np.bool_] | None = None
    """(H, W): where the view shows its part; None: everywhere."""

    @property
    def log_scores(self) -> NDArray[np.float64]:
        """See `ViewScores.log_scores`."""
        return np.array([score for layer in self.layers for score in layer.log_scores()])

    def maps(self) -> NDArray[np.float32]:
        """See `ViewScores.maps`."""
        drawn = []
        for layer in self.layers:
            canvas = np.zeros(self.size_hw, np.float32)
            for one in layer.grids:
                pane = one.grid.pane
                draw_values(canvas, one.values, one.grid.framed, pane.corner_xy, pane.size_hw)
            if self.mask is not None:
                canvas[~self.mask] = 0.0
            drawn += [canvas] * len(layer.pools)
        return np.stack(drawn)

    def matches(self, channel: int) -> NDArray[np.float32]:
        """Return where a channel found each place of the view, (32, 32, 4); see `AnomalyMap.matches`."""
        canvas = np.full((*MATCH_GRID, 4), np.nan, np.float32)
        for one in self._layer_of(channel).grids:
            if one.origins is not None:
                pane = one.grid.pane
                draw_matches(canvas, one.origins, one.grid.framed, pane.corner_xy, pane.size_hw, self.size_hw)
        return canvas

    def nearest_reference(self, channel: int) -> int | None:
        """Return the reference that most patches resemble most by a channel."""
        found = [one.origins[..., 0].ravel() for one in self._layer_of(channel).grids if one.origins is not None]
        known = np.concatenate(found) if found else np.zeros(0, np.float32)
        votes = known[~np.isnan(known)].astype(np.int64)
        return int(np.bincount(votes).argmax()) if votes.size else None

    def _layer_of(self, channel: int) -> LayerScores:
        owners = [layer for layer in self.layers for _ in layer.pools]
        return owners[channel]


def pool_values(values: NDArray[np.float32], share: float) -> float:
    """Return the mean over the highest `share` of the values (N,), at least one of them; 0.0 of none."""
    if values.size == 0:
        return 0.0
    count = max(1, round(share * values.size))
    return float(np.partition(values, values.size - count)[values.size - count :].mean())


def spread_on_grid(grid: Grid, distances: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Return the distances (N,) of the patches that count on their grid (h, w), smoothed; 0 elsewhere."""
    values = np.zeros(grid.counted.shape, np.float32)
    values[grid.counted] = distances
    return smooth(values, grid.counted, sigma) if sigma > 0 else values


def origins_on_grid(grid: Grid, origins: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the origins (N, 4) of the patches that count on their grid (h, w, 4); NaN elsewhere."""
    found = np.full((*grid.counted.shape, 4), np.nan, np.float32)
    found[grid.counted] = origins
    return found
