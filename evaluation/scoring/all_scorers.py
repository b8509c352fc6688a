"""Every registered scorer, called in order; `registry.py` says how one registers itself."""

import pkgutil
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib import import_module
from typing import Any

from evaluation.metrics.bootstrap import WeightedMetric
from evaluation.runs.record import ItemRecord
from evaluation.scoring import scorers
from evaluation.scoring.registry import REGISTERED, ClassMaps, ClassRecords, Metric, Numbers, Registered
from evaluation.scoring.resampling import PlaceScores


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
def _scorers() -> tuple[Registered, ...]:
    for module in pkgutil.iter_modules(scorers.__path__):
        import_module(f"{scorers.__name__}.{module.name}")
    return tuple(sorted(REGISTERED.values(), key=lambda one: one.order))
