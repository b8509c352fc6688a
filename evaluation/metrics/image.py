"""Metrics of one score and one label an item. What the data cannot tell is None ("n/a"), never 0.5 or NaN.

Labels: nonzero is anomalous. Scores: higher is more anomalous, finite. Predictions: nonzero says anomalous.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Rates:
    """What one threshold does: an item whose score reaches it is called anomalous. Shares in [0, 1]."""

    threshold: float
    miss: float | None
    """Anomalous items below the threshold among the anomalous; None where there is none."""
    overkill: float | None
    """Normal items that reach the threshold among the normal; None where there is none."""
    accuracy: float
    balanced_accuracy: float | None
    """Mean of sensitivity and specificity; None with a single label."""


@dataclass(frozen=True)
class ClassMean:
    """Unweighted mean over classes; those that cannot tell are left out by name."""

    value: float | None
    counted: int
    left_out: tuple[str, ...]


def image_auroc(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Return the area under the ROC curve; ties count half (Mann-Whitney). None with a single label.

    Raises:
        ValueError: lengths differ, nothing at all, or a score is not finite.
    """
    truth, values = checked(labels, scores)
    positives = int(truth.sum())
    negatives = truth.size - positives
    if positives == 0 or negatives == 0:
        return None
    order = np.argsort(values, kind="stable")
    ends = last_of_ties(values[order])
    starts = np.concatenate([[0], ends[:-1] + 1])
    middle = (starts + ends) / 2 + 1  # the mean rank of each group of ties
    ranks = np.repeat(middle, ends - starts + 1)
    total = float(ranks[truth[order]].sum())
    return (total - positives * (positives + 1) / 2) / (positives * negatives)


def image_ap(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Return the average precision: precision times step of recall, summed. None with a single label."""
    curve = _precision_recall(*checked(labels, scores))
    if curve is None:
        return None
    precision, recall = curve
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def image_f1_max(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Return the largest F1 over all thresholds, 2PR / (P + R). None with a single label."""
    curve = _precision_recall(*checked(labels, scores))
    if curve is None:
        return None
    precision, recall = curve
    total = precision + recall
    return float(np.max(2 * precision * recall / np.where(total > 0, total, 1.0)))


def accuracy(labels: ArrayLike, predictions: ArrayLike) -> float | None:
    """Return the share of hard predictions that are right; None for no item."""
    truth, predicted = _paired_flags(labels, predictions)
    return float((truth == predicted).mean()) if truth.size else None


def balanced_accuracy(labels: ArrayLike, predictions: ArrayLike) -> float | None:
    """Return the mean of sensitivity and specificity; None with a single label."""
    miss, overkill = miss_rate(labels, predictions), overkill_rate(labels, predictions)
    return None if miss is None or overkill is None else 1.0 - (miss + overkill) / 2


def miss_rate(labels: ArrayLike, predictions: ArrayLike) -> float | None:
    """Return the share of anomalous items that are called normal; None without an anomalous item."""
    truth, predicted = _paired_flags(labels, predictions)
    return float((~predicted[truth]).mean()) if truth.any() else None


def overkill_rate(labels: ArrayLike, predictions: ArrayLike) -> float | None:
    """Return the share of normal items that are called anomalous; None without a normal item."""
    truth, predicted = _paired_flags(labels, predictions)
    return None if truth.all() else float(predicted[~truth].mean())


def rates_at(labels: ArrayLike, scores: ArrayLike, threshold: float) -> Rates:
    """Return miss and overkill rates and accuracies where a score of at least `threshold` is called anomalous.

    Raises:
        ValueError: as `image_auroc`.
    """
    truth, values = checked(labels, scores)
    called = values >= threshold
    return Rates(
        threshold,
        miss_rate(truth, called),
        overkill_rate(truth, called),
        float((truth == called).mean()),
        balanced_accuracy(truth, called),
    )


def fill_failures(
    labels: ArrayLike, scores: Sequence[float | None], *, low: float | None = None, high: float | None = None
) -> Floats:
    """Return scores in which every failed item (None) is as wrong as can be, so that failures are never dropped.

    A failed anomalous item gets `low`, by default less than any score; a failed normal one `high`, by default more
    than any. For probabilities give low=0 and high=1; where a threshold matters, give values on its far sides.

    Returns:
        float64, one a score.

    Raises:
        ValueError: lengths differ.
    """
    truth = flags(labels)
    if truth.size != len(scores):
        raise ValueError(f"{truth.size} labels do not fit {len(scores)} scores")
    known = [score for score in scores if score is not None]
    lowest = low if low is not None else min(known, default=0.0) - 1.0
    highest = high if high is not None else max(known, default=0.0) + 1.0
    worst = np.where(truth, lowest, highest)
    return np.array([worst[at] if score is None else score for at, score in enumerate(scores)], np.float64)


def mean_of_classes(values: Mapping[str, float | None]) -> ClassMean:
    """Return the unweighted mean over classes, leaving out and naming those whose value is None."""
    known = [value for value in values.values() if value is not None]
    left_out = tuple(sorted(name for name, value in values.items() if value is None))
    return ClassMean(float(np.mean(known)) if known else None, len(known), left_out)


def _precision_recall(truth: Flags, scores: Floats) -> tuple[Floats, Floats] | None:
    """Return precision and recall at every distinct score, falling; None with a single label."""
    if truth.all() or not truth.any():
        return None
    order = np.argsort(-scores, kind="stable")
    ends = last_of_ties(scores[order])
    hits = np.cumsum(truth[order])[ends]
    return hits / (ends + 1), hits / truth.sum()


def last_of_ties(ordered: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return the index of the last of each group of equal neighbours; `ordered` is not empty."""
    return np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), ordered.size - 1).astype(np.int64)


def flags(labels: ArrayLike) -> Flags:
    """Return labels of any shape and type as flat booleans: nonzero is True."""
    return np.asarray(np.asarray(labels).ravel() != 0)


def checked(labels: ArrayLike, scores: ArrayLike) -> tuple[Flags, Floats]:
    """Return flat labels and finite float64 scores of one length, at least one.

    Raises:
        ValueError: lengths differ, nothing at all, or a score is not finite.
    """
    truth, values = flags(labels), np.asarray(scores, np.float64).ravel()
    if truth.shape != values.shape:
        raise ValueError(f"{truth.size} labels do not fit {values.size} scores")
    if values.size == 0:
        raise ValueError("a metric needs at least one item")
    if not np.isfinite(values).all():
        raise ValueError("a score is not finite")
    return truth, values


def _paired_flags(labels: ArrayLike, predictions: ArrayLike) -> tuple[Flags, Flags]:
    truth, predicted = flags(labels), flags(predictions)
    if truth.shape != predicted.shape:
        raise ValueError(f"{truth.size} labels do not fit {predicted.size} predictions")
    return truth, predicted
