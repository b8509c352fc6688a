"""From records to the points of a curve; failed items count as wrong, as they do in the metrics."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics.image import last_of_ties
from evaluation.runs.record import ItemRecord
from evaluation.scoring.outcomes import counted_scores

Point = tuple[float, float]
BINS = 20


@dataclass(frozen=True)
class Curves:
    """ROC and precision-recall of one class, each with the point that the threshold picks."""

    roc: tuple[Point, ...]
    """(share of normal called anomalous, share of anomalous called so), from (0, 0) to (1, 1)."""
    roc_at: Point
    pr: tuple[Point, ...]
    """(recall, precision) at every distinct score, by rising recall."""
    pr_at: Point | None
    """None where nothing reaches the threshold."""
    prevalence: float


def curves_of(records: Sequence[ItemRecord], threshold: float) -> Curves | None:
    """Return the curves; None of items of one label, for which they are not defined."""
    labels = np.array([one.anomalous for one in records])
    if not labels.any() or labels.all():
        return None
    scores = counted_scores(records)
    order = np.argsort(-scores, kind="stable")
    ends = last_of_ties(scores[order])
    hits, called = np.cumsum(labels[order])[ends], ends + 1
    odd, normal = labels.sum(), (~labels).sum()
    found, false = hits / odd, (called - hits) / normal
    reached = scores >= threshold
    true_hits, all_called = int((reached & labels).sum()), int(reached.sum())
    return Curves(
        roc=((0.0, 0.0), *_pairs(false, found)),
        roc_at=(float((reached & ~labels).sum() / normal), float(true_hits / odd)),
        pr=_pairs(found, hits / called),
        pr_at=(float(true_hits / odd), true_hits / all_called) if all_called else None,
        prevalence=float(labels.mean()),
    )


def histogram(scores: Sequence[float], bins: int = BINS) -> list[int]:
    """Return how many scores lie in each of equal parts of [0, 1]; 1 belongs to the last."""
    counts, _ = np.histogram(np.asarray(scores, np.float64), bins=bins, range=(0.0, 1.0))
    return [int(count) for count in counts]


def outline(counts: Sequence[float], low: float = 0.0, high: float = 1.0) -> list[Point]:
    """Return the upper outline of a histogram over [low, high] as points."""
    width = (high - low) / max(len(counts), 1)
    points: list[Point] = []
    for at, count in enumerate(counts):
        points += [(low + at * width, float(count)), (low + (at + 1) * width, float(count))]
    return points


def _pairs(x: NDArray[np.floating], y: NDArray[np.floating]) -> tuple[Point, ...]:
    return tuple((float(a), float(b)) for a, b in zip(x, y, strict=True))
