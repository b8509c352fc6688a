"""Records as numbers that metrics and resamples take; failed items are as wrong as can be."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from evaluation.metrics import fill_failures
from evaluation.metrics.bootstrap import Outcomes
from evaluation.runs.record import ItemRecord

OUTCOMES = ("OK", "REVIEW", "NG", "failed")
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


def outcome_of(record: ItemRecord) -> str:
    """Return what became of an item, one of `OUTCOMES`; "failed" where the model gave no verdict."""
    return "failed" if record.failure is not None or record.outcome is None else record.outcome


def outcomes_of(records: Sequence[ItemRecord], scores: Numbers) -> Outcomes:
    """Return what the bootstrap resamples."""
    return Outcomes.of([one.id for one in records], [one.anomalous for one in records], scores)
