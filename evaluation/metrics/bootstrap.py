"""Intervals of metrics by resampling images, and whether one run beats another on the same images.

An image drawn twice counts twice, so a resample is a vector of counts, and a metric over many resamples is arithmetic
on a matrix of counts (resamples x images) with the scores sorted once: no loop over resamples. The normal and the
anomalous images of a class are resampled each on their own (a test set fixes how many there are), so that no resample
loses a label. The mean of classes resamples within every class and averages.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evaluation.metrics.calibration_error import BINS
from evaluation.metrics.image import Flags, Floats, flags, last_of_ties

DRAWS = 2000
LEVEL = 0.95
_CELLS = 4_000_000
"""Counts that are held at once."""

WeightedMetric = Callable[[Flags, Floats, Floats], Floats]
"""(labels (n,), scores (n,), counts (draws, n)) to one value a draw; asked only where both labels are there."""


@dataclass(frozen=True)
class Outcomes:
    """Labels and scores of the images of one class; `ids` tell which are the same in two runs."""

    ids: tuple[str, ...]
    labels: Flags
    scores: Floats

    @classmethod
    def of(cls, ids: Sequence[str], labels: ArrayLike, scores: ArrayLike) -> "Outcomes":
        """Return checked outcomes, sorted by id.

        Raises:
            ValueError: lengths differ, an id twice, or a score that is not finite.
        """
        truth, values = flags(labels), np.asarray(scores, np.float64).ravel()
        if not len(ids) == truth.size == values.size or len(set(ids)) < len(ids):
            raise ValueError(f"{len(ids)} ids, {truth.size} labels and {values.size} scores: they need one each, once")
        if not np.isfinite(values).all():
            raise ValueError("a score is not finite; metrics.fill_failures gives failed items one")
        order = sorted(range(len(ids)), key=lambda at: ids[at])
        return cls(tuple(ids[at] for at in order), truth[order], values[order])

    @property
    def has_both_labels(self) -> bool:
        """Whether a metric of both labels is defined."""
        return bool(self.labels.any() and not self.labels.all())


@dataclass(frozen=True)
class Interval:
    """A metric with its percentile interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ClassIntervals:
    """Intervals per class and of their unweighted mean; a class with one label is None, and left out of the mean."""

    classes: dict[str, Interval | None]
    mean: Interval | None
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """Run B minus run A on the same images, resampled together."""

    value: float
    low: float
    high: float
    share: float
    """Of resamples in which B is the better one; equal ones count half. Near 0.5: no telling."""


@dataclass(frozen=True)
class ClassDifferences:
    """Differences per class and of the mean of classes."""

    classes: dict[str, Difference | None]
    mean: Difference | None
    left_out: tuple[str, ...]


def intervals(
    metric: WeightedMetric,
    classes: Mapping[str, Outcomes],
    *,
    draws: int = DRAWS,
    level: float = LEVEL,
    seed: int = 0,
) -> ClassIntervals:
    """Return the interval of a metric per class and of the mean of classes.

    Args:
        metric: one of this module, such as `auroc`.
        classes: outcomes by class.
        draws: resamples.
        level: share of resamples inside the interval, in (0, 1).
        seed: equal seeds give equal intervals.
    """
    return intervals_of_all({"": (metric, classes)}, draws=draws, level=level, seed=seed)[""]


def intervals_of_all(
    wanted: Mapping[str, tuple[WeightedMetric, Mapping[str, Outcomes]]],
    *,
    draws: int = DRAWS,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[str, ClassIntervals]:
    """Return what `intervals` returns for each of several metrics, with the resamples drawn once for all of them.

    Args:
        wanted: metric and outcomes by class, by the name of the metric; the images and labels are the same in all.
        draws: resamples.
        level: share of resamples inside the interval, in (0, 1).
        seed: equal seeds give equal intervals.

    Raises:
        ValueError: the outcomes of two metrics have other classes, images or labels.
    """
    _, first = next(iter(wanted.values()))
    for _, other in wanted.values():
        _check_pairs(first, other)
    usable = sorted(name for name, one in first.items() if one.has_both_labels)
    drawn: dict[str, list[Floats]] = {}
    for name in usable:
        drawn[name] = _draw([(metric, classes[name]) for metric, classes in wanted.values()], draws, seed, name)
    found = {}
    for at, (key, (metric, classes)) in enumerate(wanted.items()):
        own = {name: (_whole(classes[name], metric), drawn[name][at]) for name in usable}
        found[key] = _class_intervals(own, sorted(first), level)
    return found


def _class_intervals(own: Mapping[str, tuple[float, Floats]], names: Sequence[str], level: float) -> ClassIntervals:
    """Return intervals from the value of each usable class, and its values over the resamples."""
    found = {name: _interval(value, drawn, level) for name, (value, drawn) in own.items()}
    mean = None
    if own:
        mean = _interval(_mean(value for value, _ in own.values()), _mean(drawn for _, drawn in own.values()), level)
    left_out = tuple(name for name in names if name not in own)
    return ClassIntervals({name: found.get(name) for name in names}, mean, left_out)


def compare(
    metric: WeightedMetric,
    a: Mapping[str, Outcomes],
    b: Mapping[str, Outcomes],
    *,
    draws: int = DRAWS,
    level: float = LEVEL,
    seed: int = 0,
    lower_is_better: bool = False,
) -> ClassDifferences:
    """Return how much run B differs from run A, both resampled by the same counts.

    Args:
        metric: one of this module, such as `auroc`.
        a: outcomes of the first run by class.
        b: outcomes of the second run, on the same images.
        draws: resamples.
        level: share of resamples inside the interval, in (0, 1).
        seed: equal seeds give equal results.
        lower_is_better: for rates of errors; decides what `share` counts.

    Raises:
        ValueError: the runs have other classes, images or labels.
    """
    _check_pairs(a, b)
    usable = sorted(name for name, one in a.items() if one.has_both_labels)
    pairs = {name: _draw([(metric, a[name]), (metric, b[name])], draws, seed, name) for name in usable}
    drawn = {name: pair[1] - pair[0] for name, pair in pairs.items()}
    whole = {name: _whole(b[name], metric) - _whole(a[name], metric) for name in usable}
    sign = -1.0 if lower_is_better else 1.0
    found = {name: _difference(whole[name], drawn[name], level, sign) for name in usable}
    mean = _difference(_mean(whole.values()), _mean(drawn.values()), level, sign) if usable else None
    left_out = tuple(sorted(set(a) - set(usable)))
    return ClassDifferences({name: found.get(name) for name in sorted(a)}, mean, left_out)


def auroc(labels: Flags, scores: Floats, counts: Floats) -> Floats:
    """Return `metrics.image_auroc` of every resample."""
    order = np.argsort(scores, kind="stable")
    first = _first_of_ties(scores[order])
    positive = np.add.reduceat(counts[:, order] * labels[order], first, axis=1)
    negative = np.add.reduceat(counts[:, order] * ~labels[order], first, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2  # of equal scores, half
    return np.asarray((positive * below).sum(axis=1) / (positive.sum(axis=1) * negative.sum(axis=1)))


def average_precision(labels: Flags, scores: Floats, counts: Floats) -> Floats:
    """Return `metrics.image_ap` of every resample."""
    hits, called = _reached(labels, scores, counts)
    recall = np.diff(hits, axis=1, prepend=0.0) / hits[:, -1:]
    return np.asarray((recall * hits / np.maximum(called, 1.0)).sum(axis=1))


def f1_max(labels: Flags, scores: Floats, counts: Floats) -> Floats:
    """Return `metrics.image_f1_max` of every resample."""
    hits, called = _reached(labels, scores, counts)
    return np.asarray((2 * hits / (called + hits[:, -1:])).max(axis=1))


def at_threshold(kind: str, threshold: float) -> WeightedMetric:
    """Return the metric "miss", "overkill", "accuracy" or "balanced_accuracy" where scores >= threshold are anomalous.

    Raises:
        ValueError: another kind.
    """
    if kind not in {"miss", "overkill", "accuracy", "balanced_accuracy"}:
        raise ValueError(f"no metric {kind!r} at a threshold: miss, overkill, accuracy or balanced_accuracy")

    def metric(labels: Flags, scores: Floats, counts: Floats) -> Floats:
        called = scores >= threshold
        if kind == "accuracy":
            return np.asarray(counts @ (called == labels) / counts.sum(axis=1))
        miss = counts @ (labels & ~called) / (counts @ labels)
        overkill = counts @ (~labels & called) / (counts @ ~labels)
        rates = {"miss": miss, "overkill": overkill, "balanced_accuracy": 1.0 - (miss + overkill) / 2}
        return np.asarray(rates[kind])

    return metric


def expected_calibration_error(labels: Flags, scores: Floats, counts: Floats) -> Floats:
    """Return `calibration_error.expected_calibration_error` of every resample; scores are probabilities."""
    order = np.argsort(scores, kind="stable")
    first = _first_of_ties(scores[order])
    drawn, odd = (np.add.reduceat(counts[:, order] * part, first, axis=1) for part in (1.0, labels[order]))
    total = counts.sum(axis=1, keepdims=True)
    bins = (np.cumsum(drawn, axis=1) - drawn) * BINS // total  # by the first rank of each group of equals
    gap = odd - drawn * scores[order][first]
    return np.asarray(sum(np.abs((gap * (bins == one)).sum(axis=1)) for one in range(BINS)) / total[:, 0])


def brier(labels: Flags, scores: Floats, counts: Floats) -> Floats:
    """Return `calibration_error.brier_score` of every resample; scores are probabilities."""
    return np.asarray(counts @ (scores - labels) ** 2 / counts.sum(axis=1))


def _reached(labels: Flags, scores: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """Return anomalous images, and all images, that reach each distinct score, falling; both (draws, scores)."""
    order = np.argsort(-scores, kind="stable")
    ends = last_of_ties(scores[order])
    ordered = counts[:, order]
    return np.cumsum(ordered * labels[order], axis=1)[:, ends], np.cumsum(ordered, axis=1)[:, ends]


def _draw(asked: Sequence[tuple[WeightedMetric, Outcomes]], draws: int, seed: int, name: str) -> list[Floats]:
    """Return each metric over the same resamples of one class, which are drawn apart from those of other classes."""
    labels = asked[0][1].labels
    parts: list[list[Floats]] = [[] for _ in asked]
    for counts in draw_counts(labels, name, draws=draws, seed=seed, step=_CELLS // labels.size):
        for part, (metric, run) in zip(parts, asked, strict=True):
            part.append(metric(labels, run.scores, counts))
    return [np.concatenate(part) for part in parts]


def draw_counts(labels: Flags, name: str, *, draws: int = DRAWS, seed: int = 0, step: int = DRAWS) -> Iterator[Floats]:
    """Yield how often each image is in each resample, (at most `step`, images), in all `draws` rows.

    Equal labels, names and seeds give equal counts, whatever the step: two runs over the same images are resampled
    alike.

    Args:
        labels: of the images, in the order of their ids.
        name: of their class.
        draws: resamples.
        seed: of all of them.
        step: most rows at once.
    """
    # A stream of random numbers for each label, so that rows come out alike however many are drawn at once.
    streams = [
        (np.flatnonzero(labels == label), np.random.default_rng([seed, int(label), *name.encode()]))
        for label in (True, False)
    ]
    for start in range(0, draws, max(1, step)):
        counts = np.zeros((min(max(1, step), draws - start), labels.size))
        for places, generator in streams:
            if places.size:
                share = np.full(places.size, 1 / places.size)
                counts[:, places] = generator.multinomial(places.size, share, size=len(counts))
        yield counts


def _whole(one: Outcomes, metric: WeightedMetric) -> float:
    return float(metric(one.labels, one.scores, np.ones((1, one.labels.size)))[0])


def _mean(values: Any) -> Any:
    return np.mean(list(values), axis=0)


def _interval(value: float, drawn: Floats, level: float) -> Interval:
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(value), float(low), float(high))


def difference_of(value: float, drawn: Floats, *, level: float = LEVEL) -> Difference:
    """Return a difference of which more is better, from its value and its values over paired resamples."""
    return _difference(value, drawn, level, 1.0)


def _difference(value: float, drawn: Floats, level: float, sign: float) -> Difference:
    around = _interval(value, drawn, level)
    better = sign * drawn
    share = float(np.mean(better > 0) + np.mean(better == 0) / 2)
    return Difference(around.value, around.low, around.high, share)


def _check_pairs(a: Mapping[str, Outcomes], b: Mapping[str, Outcomes]) -> None:
    if set(a) != set(b):
        raise ValueError(f"the runs have different classes: {', '.join(sorted(set(a) ^ set(b)))}")
    for name, one in a.items():
        if one.ids != b[name].ids:
            odd = sorted(set(one.ids) ^ set(b[name].ids))
            raise ValueError(f"the runs have different images of {name}: {', '.join(odd[:3])} ({len(odd)})")
        if not np.array_equal(one.labels, b[name].labels):
            raise ValueError(f"the runs have different labels for images of {name}")


def _first_of_ties(ordered: Floats) -> NDArray[np.int64]:
    """Return the index of the first of each group of equal neighbours."""
    return np.concatenate([[0], last_of_ties(ordered)[:-1] + 1]).astype(np.int64)
