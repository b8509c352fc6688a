"""What is scored of a class, and how: every module in `scorers/` registers its functions here by itself.

    @scores_items(Metric("image_auroc", "image AUROC"), order=10)
    def score_ranking(one: ClassRecords) -> dict[str, Any]: ...

A metric that is named here is in `results.json`, in the mean of the classes, in the table of the report and, where it
says how, in the intervals and in `compare`.
"""

import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
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
class _Registered:
    order: int
    metrics: tuple[Metric, ...]
    of_items: ItemScore | None = None
    of_places: PlaceScore | None = None


_REGISTERED: dict[str, _Registered] = {}


def scores_items(*metrics: Metric, order: int) -> Callable[[ItemScore], ItemScore]:
    """Register a function that scores the records of a class.

    Args:
        metrics: what it returns, apart from tables.
        order: where they stand among the others.
    """

    def register(score: ItemScore) -> ItemScore:
        _REGISTERED[f"{score.__module__}.{score.__name__}"] = _Registered(order, metrics, of_items=score)
        return score

    return register


def scores_places(*metrics: Metric, order: int) -> Callable[[PlaceScore], PlaceScore]:
    """Register a function that scores the maps of a class; it returns nothing where they are not of its kind."""

    def register(score: PlaceScore) -> PlaceScore:
        _REGISTERED[f"{score.__module__}.{score.__name__}"] = _Registered(order, metrics, of_places=score)
        return score

    return register


def score_records(one: ClassRecords) -> dict[str, Any]:
    """Return all that is scored of the records of a class."""
    found: dict[str, Any] = {}
    for scorer in _scorers():
        if scorer.of_items is not None:
            found |= scorer.of_items(one)
    return found


def score_maps(one: ClassMaps) -> PlaceScores:
    """Return all that is scored of the maps of a class.

    Raises:
        RunError: a map is damaged.
        DatasetError: a mask cannot be read.
    """
    metrics: dict[str, Any] = {}
    draws: dict[str, Any] = {}
    for scorer in _scorers():
        if scorer.of_places is not None:
            found = scorer.of_places(one)
            metrics |= found.metrics
            draws |= found.draws
    return PlaceScores(metrics, draws)


def all_metrics() -> tuple[Metric, ...]:
    """Return every metric, in the order in which they are shown."""
    return tuple(metric for scorer in _scorers() for metric in scorer.metrics)


def resampled_metrics() -> Iterator[tuple[Metric, WeightedMetric, Callable[[Sequence[ItemRecord], float], Numbers]]]:
    """Yield the metrics that are resampled by item, with how."""
    for metric in all_metrics():
        if metric.resampled is not None:
            yield metric, *metric.resampled


@cache
def _scorers() -> tuple[_Registered, ...]:
    from evaluation.scoring import scorers

    for module in pkgutil.iter_modules(scorers.__path__):
        import_module(f"{scorers.__name__}.{module.name}")
    return tuple(sorted(_REGISTERED.values(), key=lambda one: one.order))
