"""Metrics of places over resamples of the items of a class, from one pass over its maps."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics.image import Floats
from evaluation.metrics.pixel_bootstrap import PixelTally
from evaluation.runs.plan import Task
from vlm_inspect.datasets.masks import TrueRegion


@dataclass(frozen=True, eq=False)
class PlaceScores:
    """The metrics by place of a class."""

    metrics: Mapping[str, Any]
    draws: Mapping[str, Floats]
    """Metrics over resamples of the items, (`bootstrap.DRAWS`,) each; those that have any."""


NO_SCORES = PlaceScores({}, {})


@dataclass(frozen=True, eq=False)
class Scored:
    """The scores of one item, as they count."""

    item: str
    values: NDArray[np.float32]
    """(H, W); a list of points or frames is one row."""
    mask: NDArray[np.bool_]
    regions: Sequence[TrueRegion] | None
    """None: the connected components of the mask."""


def resample(levels: Floats, items: Iterable[Scored], tasks: Sequence[Task], metrics: Mapping[str, Any]) -> PlaceScores:
    """Return the metrics with their draws.

    Args:
        levels: from `choose_levels`.
        items: the scores of the class, once more.
        tasks: of the class; they tell the labels.
        metrics: the exact ones, by name.
    """
    tally = PixelTally(levels)
    for one in items:
        tally.add(one.item, one.values, one.mask, one.regions)
    labels = {task.id: bool(task.item.anomalous) for task in tasks}
    whole = {name: value for name, value in metrics.items() if value is not None}
    return PlaceScores(metrics, tally.draws(labels, name=tasks[0].category, whole=whole))
