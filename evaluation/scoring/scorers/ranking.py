"""How well scores tell normal from anomalous items: by rank, at the threshold, and as probabilities."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from evaluation.metrics import bootstrap, image_ap, image_auroc, image_f1_max, rates_at
from evaluation.metrics.calibration_error import brier_score, expected_calibration_error
from evaluation.runs.record import ItemRecord
from evaluation.scoring.outcomes import counted_scores, heatmap_scores, probabilities
from evaluation.scoring.registry import ClassRecords, Metric, Numbers, scores_items


def _ranked(records: Sequence[ItemRecord], _threshold: float) -> Numbers:
    return counted_scores(records)


def _called(records: Sequence[ItemRecord], threshold: float) -> Numbers:
    return np.where(counted_scores(records) >= threshold, 1.0, 0.0)


def _stated(records: Sequence[ItemRecord], _threshold: float) -> Numbers:
    return probabilities(records)


_AT = bootstrap.at_threshold
_METRICS = (
    Metric("image_auroc", "image AUROC", shown=True, in_every_mean=True, resampled=(bootstrap.auroc, _ranked)),
    Metric("image_ap", "image AP", shown=True, in_every_mean=True, resampled=(bootstrap.average_precision, _ranked)),
    Metric("image_f1_max", "image F1-max", shown=True, in_every_mean=True, resampled=(bootstrap.f1_max, _ranked)),
    Metric("accuracy", "accuracy", share=True, in_every_mean=True, resampled=(_AT("accuracy", 0.5), _called)),
    Metric(
        "balanced_accuracy",
        "balanced accuracy",
        share=True,
        in_every_mean=True,
        resampled=(_AT("balanced_accuracy", 0.5), _called),
    ),
)


@scores_items(*_METRICS, order=10)
def score_ranking(one: ClassRecords) -> dict[str, Any]:
    """Return AUROC, AP, F1-max, and accuracy at the class's threshold."""
    labels, scores = [record.anomalous for record in one.records], counted_scores(one.records)
    rates = rates_at(labels, scores, one.threshold)
    return {
        "image_auroc": image_auroc(labels, scores),
        "image_ap": image_ap(labels, scores),
        "image_f1_max": image_f1_max(labels, scores),
        "threshold": one.threshold,
        "accuracy": rates.accuracy,
        "balanced_accuracy": rates.balanced_accuracy,
    }


@scores_items(
    Metric(
        "ece",
        "ECE",
        in_every_mean=True,
        lower_is_better=True,
        resampled=(bootstrap.expected_calibration_error, _stated),
    ),
    Metric("brier", "Brier", in_every_mean=True, lower_is_better=True, resampled=(bootstrap.brier, _stated)),
    Metric("heatmap_auroc", "heatmap AUROC", shown=True, in_every_mean=True),
    Metric("heatmap_ap", "heatmap AP", shown=True),
    Metric("heatmap_f1_max", "heatmap F1-max", shown=True),
    order=30,
)
def score_probabilities(one: ClassRecords) -> dict[str, Any]:
    """Return how far P(anomalous) means what it says, and how the heatmap alone ranks the items."""
    labels, stated = [record.anomalous for record in one.records], probabilities(one.records)
    heat = heatmap_scores(one.records)
    return {
        "ece": expected_calibration_error(labels, stated),
        "brier": brier_score(labels, stated),
        "heatmap_auroc": None if heat is None else image_auroc(labels, heat),
        "heatmap_ap": None if heat is None else image_ap(labels, heat),
        "heatmap_f1_max": None if heat is None else image_f1_max(labels, heat),
    }
