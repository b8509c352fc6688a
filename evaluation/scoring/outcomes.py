"""Records as numbers that metrics and resamples take; failed items are as wrong as can be."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from evaluation.metrics import bootstrap, fill_failures, image_auroc
from evaluation.metrics.bootstrap import Outcomes, WeightedMetric
from evaluation.runs.record import ItemRecord

LOW, HIGH = -1.0, 2.0
"""Scores of failed items, anomalous and normal: on the far sides of any probability and of any threshold."""
Numbers = np.ndarray[Any, np.dtype[np.float64]]


def counted_scores(records: Sequence[ItemRecord]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the scores as metrics of ranks and thresholds take them, failed items as wrong as can be."""
    labels = [one.anomalous for one in records]
    return fill_failures(labels, [one.counted_score for one in records], low=LOW, high=HIGH)


def probabilities(records: Sequence[ItemRecord]) -> Numbers:
    """Return P(anomalous) of each item; of failed ones the wrong certainty."""
    labels = [one.anomalous for one in records]
    return fill_failures(labels, [one.counted_score for one in records], low=0.0, high=1.0)


def heatmap_scores(records: Sequence[ItemRecord]) -> Numbers | None:
    """Return the raw scores of the heatmaps alone; None where no item has one.

    Items without a heatmap count as wrong, as failed ones do.
    """
    raw = [one.heatmap_score for one in records]
    return None if all(one is None for one in raw) else fill_failures([one.anomalous for one in records], raw)


def heatmap_auroc(records: Sequence[ItemRecord]) -> float | None:
    """Return the AUROC of the heatmaps alone; None where no item has one, or all have one label."""
    scores = heatmap_scores(records)
    return None if scores is None else image_auroc([one.anomalous for one in records], scores)


def _called(records: Sequence[ItemRecord], threshold: float) -> Numbers:
    return np.where(counted_scores(records) >= threshold, 1.0, 0.0)


IMAGE_METRICS: Mapping[str, tuple[WeightedMetric, Callable[[Sequence[ItemRecord], float], Numbers]]] = {
    **{
        name: (function, lambda records, threshold: counted_scores(records))
        for name, function in (
            ("image_auroc", bootstrap.auroc),
            ("image_ap", bootstrap.average_precision),
            ("image_f1_max", bootstrap.f1_max),
        )
    },
    **{
        name: (bootstrap.at_threshold(kind, 0.5), _called)
        for name, kind in (
            ("accuracy", "accuracy"),
            ("balanced_accuracy", "balanced_accuracy"),
            ("miss_rate", "miss"),
            ("overkill_rate", "overkill"),
        )
    },
    "ece": (bootstrap.expected_calibration_error, lambda records, threshold: probabilities(records)),
    "brier": (bootstrap.brier, lambda records, threshold: probabilities(records)),
}
"""What is resampled: the metric, and the numbers that it takes of the records of a class under its threshold. Classes
may have different thresholds; their scores become 0 and 1, so that one threshold serves all."""


def outcomes_of(records: Sequence[ItemRecord], scores: Numbers) -> Outcomes:
    """Return what the bootstrap resamples."""
    return Outcomes.of([one.id for one in records], [one.anomalous for one in records], scores)


def image_intervals(
    by_class: Mapping[str, Sequence[ItemRecord]], thresholds: Mapping[str, float]
) -> dict[str, dict[str, list[float]]]:
    """Return 95 % intervals by image, {"mean": {metric: [low, high]}, class: {...}}; n/a is absent.

    Args:
        by_class: the records of each class.
        thresholds: by class, the score from which an item counts as anomalous.
    """
    wanted = {
        metric: (
            function,
            {name: outcomes_of(group, numbers(group, thresholds[name])) for name, group in by_class.items()},
        )
        for metric, (function, numbers) in IMAGE_METRICS.items()
    }
    drawn = bootstrap.intervals_of_all(wanted)
    heat = {
        name: outcomes_of(group, scores)
        for name, group in by_class.items()
        if (scores := heatmap_scores(group)) is not None
    }
    if heat:
        drawn["heatmap_auroc"] = bootstrap.intervals(bootstrap.auroc, heat)
    found: dict[str, dict[str, list[float]]] = {"mean": {}, **{name: {} for name in by_class}}
    for metric, told in drawn.items():
        for name, interval in {"mean": told.mean, **told.classes}.items():
            if interval is not None:
                found[name][metric] = [interval.low, interval.high]
    return found
