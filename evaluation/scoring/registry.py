"""What is scored of a class, and how: every module in `scorers/` registers its functions here by itself.

    @scores_items(Metric("image_auroc", "image AUROC"), order=10)
    def score_ranking(one: ClassRecords) -> dict[str, Any]: ...

A metric that is named here is in `results.json`, in the mean of the classes, in the table of the report and, where it
says how, in the intervals and in `compare`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.metrics.bootstrap import WeightedMetric
from evaluation.runs.plan import Task
from evaluation.runs.record import ItemRecord
from evaluation.scoring.resampling import PlaceScores

Numbers = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Metric:
    """One number of a class; None where the data cannot tell it."""

    name: str
    """Its key in `results.json`."""
    label: str
    """As the report calls it."""
    share: bool = False
    """Whether it reads best as a percentage."""
    shown: bool = False
    """Whether `bench` prints it at the end."""
    in_every_mean: bool = False
    """Whether the mean has it as null where no class has it; else it is absent there."""
    lower_is_better: bool = False
    resampled: tuple[WeightedMetric, Callable[[Sequence[ItemRecord], float], Numbers]] | None = None
    """For intervals by item: the metric, and the numbers that it takes of the records of a class under its threshold.
    Classes may have different thresholds; where scores become 0 and 1, one threshold serves all."""


@dataclass(frozen=True)
class ClassRecords:
    """What came of the items of one class."""

    name: str
    records: Sequence[ItemRecord]
    threshold: float
    """The score from which an item counts as anomalous."""
    folder_words: Mapping[str, str] = field(default_factory=dict)
    """See `words_of_types`."""


@dataclass(frozen=True)
class ClassMaps:
    """The kept maps of one class."""

    tasks: Sequence[Task]
    records: Mapping[str, ItemRecord]
    """What became of them, by id."""
    folder: Path
    """Where the maps are."""
    aupro_200: bool = False
    """Whether AUPRO by 200 thresholds is computed, too."""
    folder_words: Mapping[str, str] = field(default_factory=dict)
    """See `words_of_types`."""

    @property
    def mask_kinds(self) -> set[type]:
        """The kinds of masks of the anomalous items."""
        return {type(task.item.mask) for task in self.tasks if task.item.anomalous}


ItemScore = Callable[[ClassRecords], dict[str, Any]]
PlaceScore = Callable[[ClassMaps], PlaceScores]


@dataclass(frozen=True)
class Registered:
    """A scorer and the metrics that it returns."""

    order: int
    metrics: tuple[Metric, ...]
    of_items: ItemScore | None = None
    of_places: PlaceScore | None = None


REGISTERED: dict[str, Registered] = {}
"""Module and name of the function -> the scorer; complete once `all_scorers` has imported every module of them."""


def scores_items(*metrics: Metric, order: int) -> Callable[[ItemScore], ItemScore]:
    """Register a function that scores the records of a class.

    Args:
        metrics: what it returns, apart from tables.
        order: where they stand among the others.
    """

    def register(score: ItemScore) -> ItemScore:
        REGISTERED[f"{score.__module__}.{score.__name__}"] = Registered(order, metrics, of_items=score)
        return score

    return register


def scores_places(*metrics: Metric, order: int) -> Callable[[PlaceScore], PlaceScore]:
    """Register a function that scores the maps of a class; it returns nothing where they are not of its kind."""

    def register(score: PlaceScore) -> PlaceScore:
        REGISTERED[f"{score.__module__}.{score.__name__}"] = Registered(order, metrics, of_places=score)
        return score

    return register
