"""Metrics of anomaly detection: images, pixels, regions. A metric that the data cannot tell is None, never 0.5.

Image metrics take one score and one label an item. Pixel metrics take lists of maps and masks of equal sizes; the
pixels of all images are pooled. Labels and masks: nonzero is anomalous.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

FPR_LIMIT = 0.3

_Floats = NDArray[np.float64]


def image_auroc(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Return the area under the ROC curve; ties count half (Mann-Whitney). None with a single class.

    Raises:
        ValueError: lengths differ, nothing at all, or a score is not finite.
    """
    truth, ranked = _checked(labels, scores)
    return _auroc(truth, ranked)


def image_ap(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Return the average precision: precision times step of recall, summed. None with a single class."""
    curve = _precision_recall(*_checked(labels, scores))
    if curve is None:
        return None
    precision, recall = curve
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def image_f1_max(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """Return the largest F1 over all thresholds, 2PR / (P + R). None with a single class."""
    return _f1_max(_precision_recall(*_checked(labels, scores)))


def accuracy(labels: ArrayLike, predictions: ArrayLike) -> float | None:
    """Return the share of hard predictions (nonzero: anomalous) that are right; None for no item."""
    truth, predicted = _flags(labels), _flags(predictions)
    if truth.shape != predicted.shape:
        raise ValueError(f"{truth.size} labels do not fit {predicted.size} predictions")
    return float((truth == predicted).mean()) if truth.size else None


def balanced_accuracy(labels: ArrayLike, predictions: ArrayLike) -> float | None:
    """Return the mean of sensitivity and specificity; None with a single class."""
    truth, predicted = _flags(labels), _flags(predictions)
    if truth.shape != predicted.shape:
        raise ValueError(f"{truth.size} labels do not fit {predicted.size} predictions")
    if truth.all() or not truth.any():
        return None
    return float((predicted[truth].mean() + (~predicted[~truth]).mean()) / 2)


def pixel_auroc(masks: Sequence[ArrayLike], maps: Sequence[ArrayLike]) -> float | None:
    """Return the AUROC of all pixels of all images pooled; None where all pixels are of one class."""
    return _auroc(*_pooled(masks, maps))


def pixel_f1_max(masks: Sequence[ArrayLike], maps: Sequence[ArrayLike]) -> float | None:
    """Return the largest F1 over all thresholds on the pooled pixels; None where all are of one class."""
    return _f1_max(_precision_recall(*_pooled(masks, maps)))


def aupro(masks: Sequence[ArrayLike], maps: Sequence[ArrayLike], *, fpr_limit: float = FPR_LIMIT) -> float | None:
    """Return the normalised area under the per-region overlap curve up to a false-positive rate, in [0, 1].

    PRO(t) is the mean over all connected anomalous regions (8 neighbours; every region of every image weighs the same)
    of the share of the region above t; FPR(t) is the share of all normal pixels above t (Bergmann et al., IJCV 129,
    2021, section 4.3). The curve has a point at every distinct score, is linear between them, and is cut at exactly
    `fpr_limit`: no binning of thresholds, which a single outlier pixel would spoil.

    Returns:
        None where there is no region or no normal pixel.

    Raises:
        ValueError: sizes differ, nothing at all, a score that is not finite, or a limit outside (0, 1].
    """
    if not 0.0 < fpr_limit <= 1.0:
        raise ValueError(f"the limit of the false-positive rate is in (0, 1], not {fpr_limit}")
    truth, scores = _pooled(masks, maps)
    normal = int((~truth).sum())
    if normal == 0 or not truth.any():
        return None
    weights, regions = _region_weights(masks)
    order = np.argsort(-scores, kind="stable")
    ends = _last_of_ties(scores[order])
    fpr = np.concatenate([[0.0], np.cumsum(~truth[order])[ends] / normal])
    pro = np.concatenate([[0.0], np.cumsum(weights[order])[ends] / regions])
    return _area_up_to(fpr, pro, fpr_limit) / fpr_limit


def _region_weights(masks: Sequence[ArrayLike]) -> tuple[_Floats, int]:
    """Return 1 / area of its region for every pooled pixel (0 for normal ones), and the number of regions."""
    from scipy import ndimage

    weights, count = [], 0
    for mask in masks:
        labels, found = ndimage.label(np.asarray(mask) != 0, structure=np.ones((3, 3)))
        areas = np.bincount(labels.ravel(), minlength=found + 1).astype(np.float64)
        share = np.concatenate([[0.0], 1.0 / areas[1:]])
        weights.append(share[labels].ravel())
        count += int(found)
    return np.concatenate(weights), count


def _area_up_to(x: _Floats, y: _Floats, limit: float) -> float:
    """Return the trapezoidal area under (x, y), x rising from 0 to 1, cut at x = limit."""
    inside = int(np.searchsorted(x, limit, side="right"))
    if inside < len(x):
        x0, x1, y0, y1 = x[inside - 1], x[inside], y[inside - 1], y[inside]
        at_limit = y0 + (y1 - y0) * (limit - x0) / (x1 - x0)
        x, y = np.append(x[:inside], limit), np.append(y[:inside], at_limit)
    return float(np.trapezoid(y, x))


def _auroc(truth: NDArray[np.bool_], scores: _Floats) -> float | None:
    positives = int(truth.sum())
    negatives = truth.size - positives
    if positives == 0 or negatives == 0:
        return None
    order = np.argsort(scores, kind="stable")
    ends = _last_of_ties(scores[order])
    starts = np.concatenate([[0], ends[:-1] + 1])
    middle = (starts + ends) / 2 + 1  # the mean rank of each group of ties
    ranks = np.repeat(middle, ends - starts + 1)
    total = float(ranks[truth[order]].sum())
    return (total - positives * (positives + 1) / 2) / (positives * negatives)


def _precision_recall(truth: NDArray[np.bool_], scores: _Floats) -> tuple[_Floats, _Floats] | None:
    """Return precision and recall at every distinct score, falling; None with a single class."""
    if truth.all() or not truth.any():
        return None
    order = np.argsort(-scores, kind="stable")
    ends = _last_of_ties(scores[order])
    hits = np.cumsum(truth[order])[ends]
    return hits / (ends + 1), hits / truth.sum()


def _f1_max(curve: tuple[_Floats, _Floats] | None) -> float | None:
    if curve is None:
        return None
    precision, recall = curve
    total = precision + recall
    return float(np.max(2 * precision * recall / np.where(total > 0, total, 1.0)))


def _last_of_ties(ordered: _Floats) -> NDArray[np.int64]:
    """Return the index of the last of each group of equal neighbours."""
    return np.append(np.flatnonzero(np.diff(ordered) != 0), ordered.size - 1).astype(np.int64)


def _flags(labels: ArrayLike) -> NDArray[np.bool_]:
    return np.asarray(np.asarray(labels).ravel() != 0)


def _checked(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], _Floats]:
    truth, values = _flags(labels), np.asarray(scores, np.float64).ravel()
    if truth.shape != values.shape:
        raise ValueError(f"{truth.size} labels do not fit {values.size} scores")
    if values.size == 0:
        raise ValueError("a metric needs at least one item")
    if not np.isfinite(values).all():
        raise ValueError("a score is not finite")
    return truth, values


def _pooled(masks: Sequence[ArrayLike], maps: Sequence[ArrayLike]) -> tuple[NDArray[np.bool_], _Floats]:
    sizes = [(np.shape(mask), np.shape(scores)) for mask, scores in zip(masks, maps, strict=True)]
    wrong = next((pair for pair in sizes if pair[0] != pair[1]), None)
    if wrong is not None:
        raise ValueError(f"a mask of shape {wrong[0]} does not fit a map of shape {wrong[1]}")
    if not sizes:
        raise ValueError("a metric needs at least one image")
    flat = np.concatenate([np.asarray(scores, np.float64).ravel() for scores in maps])
    return _checked(np.concatenate([_flags(mask) for mask in masks]), flat)
