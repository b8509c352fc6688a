"""What the reference curves of a class say about each other: which windows compare, and how far normal ones differ.

Which windows a curve may be compared with, the references decide: where they look alike at the same second (a press
stroke), only those of that second, so a normal pattern at a wrong time is found; where they do not (a running motor),
all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, reduce

import numpy as np
from numpy.typing import NDArray

from converters.sample import Series
from vlm_inspect.errors import ReferenceSampleError
from vlm_inspect.localization.curves.comparison import (
    KINDS,
    Distances,
    Measure,
    PreparedCurve,
    compare,
    feature_distances,
    measure_of,
    prepare,
)
from vlm_inspect.localization.curves.matching import ReferenceTraits, with_channels
from vlm_inspect.localization.curves.polarity import Polarity
from vlm_inspect.localization.curves.windows import grid_of, windows
from vlm_inspect.tolerance import Tolerance, tolerance_from_normals

_MOST = 16
"""References that curves are compared with; of more, so many evenly chosen ones."""
_SAME_TIME = 2.5
_OTHER_TIME = 2.0
"""References run in step when windows of the same second lie at most 2.5 times as far apart as the nearest of any
second, and windows half a curve later at least twice as far as those of the same second."""
_TOGETHER = KINDS.index("channels together")
_BETTER = 0.8
"""Curves are aligned where that brings them together to this share of what they are apart."""
_MOST_LAG = 0.15
"""Of a curve's length."""
_AGAINST = -0.7
"""Correlation with the mean course of references in step, at most, of a channel that is turned in sign."""
_LEAST_SPREAD = 0.1
"""Of a logarithm: changes of less than a tenth are noise."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NormalCurves:
    """Reference curves made ready once, for any number of curves of their class."""

    traits: ReferenceTraits
    measure: Measure
    curves: tuple[PreparedCurve, ...]
    kept: tuple[int, ...]
    """Which of the references they are."""
    polarity: Polarity
    lags_s: tuple[float, float] = (0.0, 0.0)
    """Least and greatest lag of the references behind the first one."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of their channels."""
        return self.traits.names

    def prepare(self, curve: Series) -> PreparedCurve:
        """Return a curve with the channels of its class, ready to be compared, its lag no other than a normal one."""
        made = prepare(curve, self.measure)
        if self.lags_s[0] == self.lags_s[1]:
            return made
        lag_s = _lag_s(made, self.curves[0], self.measure)
        return replace(made, lag_s=float(np.clip(lag_s, *self.lags_s)))

    def doubts(self, curve: Series) -> tuple[str, ...]:
        """Say what keeps a curve that is compared from being normal, whatever its distances."""
        return (*self.traits.doubts(curve), *self.polarity.doubts(curve, self._against(curve)))

    def _against(self, curve: Series) -> list[int]:
        """Return the channels whose course runs against that of references in step."""
        own = with_channels(curve, self.names)
        if not self.measure.in_step or own is None:
            return []
        count = min(one.course.shape[1] for one in self.curves)
        usual = np.mean([one.course[:, :count] for one in self.curves], axis=0)
        course = prepare(own, self.measure).course[:, :count]
        usual = usual[:, : course.shape[1]]
        alike = [_correlation(one, other) for one, other in zip(course, usual, strict=True)]
        return [k for k, one in enumerate(alike) if one <= _AGAINST]

    def distances(self, curve: PreparedCurve, *, without: int | None = None) -> Distances:
        """Return how far a curve is from the nearest reference, one of which may be left out."""
        each = [compare(curve, self.curves[j], self.measure) for j in self._others(without)]
        return reduce(Distances.nearer, each).with_lasting()

    def nearest(self, curve: PreparedCurve) -> int:
        """Return the reference that a curve is nearest in all."""
        away = [feature_distances(curve, one, self.measure).mean() for one in self.curves]
        return int(np.argmin(away))

    def heights(self, found: Distances, *, without: int | None = None) -> tuple[Floats, ...]:
        """Return distances as shares of how far normal curves go, (W, C) for each kind: 1 is the limit of one channel.

        Of a single reference nobody knows how far they go: a share is then that of the curve's own usual distance.
        """
        limits = self.limits(without)
        if limits is None:
            limits = [np.maximum(np.median(one), 1e-12) for one in found.values]
        return tuple(one / limit for one, limit in zip(found.values, limits, strict=True))

    @cached_property
    def tolerance(self) -> Tolerance | None:
        """How high normal curves go in their highest window; None: a single reference does not tell."""
        if len(self.curves) < 2:
            return None
        return tolerance_from_normals([float(np.exp(one)) for one in self.level])

    @cached_property
    def level(self) -> Floats:
        """(n,): log of the highest window of each reference, judged by the others."""
        return np.array([self.log_score(self._left_out(i), without=i) for i in range(len(self.curves))])

    def log_score(self, found: Distances, *, without: int | None = None) -> float:
        """Return the logarithm of the highest window by any kind of evidence."""
        return float(np.log(max(one.max() for one in self.heights(found, without=without))))

    def limits(self, without: int | None = None) -> list[Floats] | None:
        """Return how far normal curves go by each kind of evidence, (C,) each; None where nobody knows."""
        count = len(self.curves)
        if count < 2:
            return None
        # Of two references, one left out leaves nothing to compare; their distance serves as the unit all the same.
        return self._limits(without if count > 2 else None)

    @lru_cache(maxsize=64)  # noqa: B019  # as long as the references themselves
    def _limits(self, without: int | None) -> list[Floats]:
        kept = self._others(without)
        found = [self._left_out(i, without) for i in kept]
        limits = []
        for kind in range(len(found[0].values)):
            highest = np.array([one.values[kind].max(axis=0) for one in found])
            if kind == _TOGETHER:
                highest = np.repeat(highest.max(axis=1, keepdims=True), highest.shape[1], axis=1)
            limits.append(np.array([tolerance_from_normals(list(column)).limit for column in highest.T]))
        return limits

    def _left_out(self, index: int, also: int | None = None) -> Distances:
        """Return how far a reference is from the nearest of the others."""
        others = [self._pairs[index][j] for j in self._others(also) if j != index]
        return reduce(Distances.nearer, [one for one in others if one is not None]).with_lasting()

    def _others(self, without: int | None) -> list[int]:
        return [j for j in range(len(self.curves)) if j != without]

    @cached_property
    def _pairs(self) -> list[list[Distances | None]]:
        """Each reference against each other."""
        return [
            [None if one is other else compare(one, other, self.measure) for other in self.curves]
            for one in self.curves
        ]


def learn_curves(references: Sequence[Series]) -> NormalCurves:
    """Return what reference curves (at least one) say.

    Raises:
        ReferenceSampleError: one lacks a channel of the first, or has a clock where that has none, or no value.
    """
    if not references:
        raise ValueError("a deviation needs at least one reference")
    names, first = references[0].names, ReferenceTraits.of(references[:1], in_step=False)
    having = {}
    for k, one in enumerate(references):
        curve, refusal = with_channels(one, names), first.unlike(one)
        if curve is None or refusal is not None:
            raise ReferenceSampleError(
                f"{one.path} is no reference beside {references[0].path}: {refusal}; give references of one class"
            )
        having[k] = curve
    kept = list(having)
    if len(kept) > _MOST:
        kept = [kept[k] for k in np.linspace(0, len(kept) - 1, _MOST).round().astype(int)]
    curves = [having[k] for k in kept]
    grid = grid_of(curves)
    features = [windows(curve, grid)[1] for curve in curves]
    measure = measure_of(curves, _pooled_scale(features))
    prepared = tuple(prepare(curve, measure) for curve in curves)
    traits, polarity = ReferenceTraits.of(curves, in_step=False), Polarity.of(curves)
    if len(curves) < 2:
        return NormalCurves(traits, measure, prepared, tuple(kept), polarity)
    aligned = tuple(replace(one, lag_s=_lag_s(one, prepared[0], measure)) for one in prepared)
    apart, apart_aligned = _apart_in_step(prepared, measure), _apart_in_step(aligned, measure)
    if apart is None and apart_aligned is None:
        return NormalCurves(traits, measure, prepared, tuple(kept), polarity)
    if apart is None or (apart_aligned is not None and apart_aligned < _BETTER * apart):
        prepared = aligned
    measure = replace(measure, in_step=True, scale=_scale_at_each_time(prepared, measure))
    lags = [one.lag_s for one in prepared]
    traits = replace(traits, in_step=True)
    return NormalCurves(traits, measure, prepared, tuple(kept), polarity, (min(lags), max(lags)))


def _apart_in_step(curves: Sequence[PreparedCurve], measure: Measure) -> float | None:
    """Return how far references that run in step are apart: alike at the same second, and unlike at another; None: they
    do not.
    """
    timed = replace(measure, in_step=True)
    later = [replace(one, middles=(one.middles + 0.5 * one.middles[-1]) % (one.middles[-1] + 1e-9)) for one in curves]
    free, same, other = (
        float(np.median([_apart(curves, i, others, by) for i in range(len(curves))]))
        for others, by in ((curves, measure), (curves, timed), (later, timed))
    )
    return same if same <= _SAME_TIME * free and other >= _OTHER_TIME * same else None


def _lag_s(curve: PreparedCurve, first: PreparedCurve, measure: Measure) -> float:
    """Return by how many seconds a curve runs behind another: where all channels together correlate most."""
    count = max(curve.course.shape[1], first.course.shape[1])
    one, two = (np.fft.rfft(each.course, 2 * count, axis=1) for each in (curve, first))
    alike = np.fft.irfft((one * two.conj()).sum(axis=0))
    most = round(_MOST_LAG * count)
    lags = np.arange(-most, most + 1)
    return float(lags[alike[lags].argmax()] * measure.step_s)


def _apart(curves: Sequence[PreparedCurve], index: int, others: Sequence[PreparedCurve], measure: Measure) -> float:
    """Return how far a reference is from the others at most: the mean of the four highest of its windows."""
    rest = [feature_distances(curves[index], one, measure) for j, one in enumerate(others) if j != index]
    nearest = np.min(rest, axis=0)
    return float(np.sort(nearest, axis=0)[-4:].mean(axis=0).max())


def _pooled_scale(features: Sequence[Floats]) -> Floats:
    """Return robust standard deviations (C, F) over all windows."""
    pooled = np.concatenate(features)
    return _floored(1.4826 * np.median(np.abs(pooled - np.median(pooled, axis=0)), axis=0), pooled)


def _scale_at_each_time(curves: Sequence[PreparedCurve], measure: Measure) -> Floats:
    """Return standard deviations (C, F) among the references at one time, the median over times."""
    count, hop_s = min(len(one.features) for one in curves), measure.grid.hop * measure.grid.step_s
    places = [np.clip(np.arange(count) + round(one.lag_s / hop_s), 0, len(one.features) - 1) for one in curves]
    together = np.stack([one.features[at] for one, at in zip(curves, places, strict=True)])
    return _floored(np.median(together.std(axis=0, ddof=1), axis=0), together.reshape(-1, *together.shape[2:]))


def _floored(scale: Floats, pooled: Floats) -> Floats:
    """Keep the unit of distance above rounding: for the mean 2 % of the channel's own spread, else a tenth."""
    level = 0.02 * (np.ptp(pooled[:, :, 0], axis=0) + np.median(np.exp(pooled[:, :, 1]), axis=0))
    scale = np.maximum(scale, _LEAST_SPREAD)
    spread = 1.4826 * np.median(np.abs(pooled[:, :, 0] - np.median(pooled[:, :, 0], axis=0)), axis=0)
    scale[:, 0] = np.maximum.reduce([level, np.minimum(scale[:, 0], spread), np.full(len(level), 1e-12)])
    return scale


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    one, other = one - one.mean(), other - other.mean()
    size = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / size if size > 0.0 else 0.0


def rarity(features: Floats) -> Floats:
    """Return distances (W, C) of the windows of a curve (W, C, F) from its own median window."""
    gaps = (features - np.median(features, axis=0)) / _pooled_scale([features])
    return np.asarray(np.sqrt((gaps**2).mean(axis=2)))
