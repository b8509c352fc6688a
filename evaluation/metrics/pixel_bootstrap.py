"""Intervals of pixel metrics by resampling images.

Resampling images only weighs them anew, so an image is kept as three rows over common score levels: its normal pixels,
its anomalous pixels, and its regions' overlap, each at or above every level. A resample is then a product of counts
with those rows, and its metrics come from the weighted curves, no pixel looked at again.

    tally = PixelTally(choose_levels(found))         # `found`: PixelMetrics of all images
    tally.add("a.png", scores, mask)                 # every image again
    drawn = tally.draws({"a.png": True, ...}, name="bottle", whole={"pixel_auroc": 0.98})

The curves have a point at every level, straight lines between them. What that loses is nearly the same in every
resample: the draws are shifted so that the resample that is the images themselves has the exact value.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evaluation.metrics.bootstrap import DRAWS, draw_counts
from evaluation.metrics.image import Floats
from evaluation.metrics.pixel import FPR_LIMIT, LOCO_FPR_LIMIT, PixelMetrics, region_areas
from vlm_inspect.datasets.masks import TrueRegion

LEVELS = 1600
"""Score levels, half of them by anomalous pixels and half by normal ones."""
_CELLS = 1_600_000
"""Weighted counts that are held at once."""
_RAREST = 1e-6
"""Share of normal pixels from which on levels are told apart."""


class PixelTally:
    """Images as rows over score levels; memory grows with images times levels."""

    def __init__(self, levels: Floats) -> None:
        """Start empty.

        Args:
            levels: (K,) rising scores.
        """
        self._levels = np.asarray(levels, np.float64)
        self._ids: list[str] = []
        self._rows: list[NDArray[np.float32]] = []
        self._totals: list[tuple[int, int, int]] = []

    def add(self, image: str, scores: ArrayLike, mask: ArrayLike, regions: Sequence[TrueRegion] | None = None) -> None:
        """Take in one image; see `PixelMetrics.add` for scores, mask and regions.

        Args:
            image: its id.
            scores: (H, W), finite.
            mask: (H, W), nonzero is anomalous.
            regions: None: the connected components of the mask.
        """
        values, anomalous = np.asarray(scores), np.asarray(np.asarray(mask) != 0)
        hot = values[anomalous]
        normal = values[~anomalous] if hot.size else values.ravel()
        places, shares, count = _overlap(values, anomalous, regions)
        rows = (
            _reaching(normal, None, self._levels),
            _reaching(hot, None, self._levels),
            _reaching(places, shares, self._levels),
        )
        self._ids.append(image)
        self._rows.append(np.stack(rows).astype(np.float32))
        self._totals.append((normal.size, hot.size, count))

    def draws(
        self, anomalous: Mapping[str, bool], *, name: str, whole: Mapping[str, float], draws: int = DRAWS, seed: int = 0
    ) -> dict[str, Floats]:
        """Return each metric over the resamples of `bootstrap` for a class of this name and these images.

        Args:
            anomalous: the label of every image that was added.
            name: of the class; it seeds the resamples.
            whole: the exact metrics of the images themselves, by name; those that are asked for.
            draws: resamples.
            seed: equal seeds give equal draws.
        """
        order = sorted(range(len(self._ids)), key=lambda at: self._ids[at])
        labels = np.array([anomalous[self._ids[at]] for at in order])
        rows = np.stack([self._rows[at] for at in order]).astype(np.float64)  # (images, 3, K)
        totals = np.array([self._totals[at] for at in order], np.float64)
        asked = [metric for metric in whole if metric in _METRICS]
        step = max(1, _CELLS // max(self._levels.size, labels.size))
        parts: dict[str, list[Floats]] = {metric: [] for metric in asked}
        with np.errstate(divide="ignore", invalid="ignore"):
            for counts in draw_counts(labels, name, draws=draws, seed=seed, step=step):
                curves = _Curves(counts, rows, totals)
                for metric in asked:
                    parts[metric].append(_METRICS[metric](curves))
        itself = _Curves(np.ones((1, labels.size)), rows, totals)
        drawn = {}
        for metric in asked:
            shifted = np.concatenate(parts[metric]) + (whole[metric] - _METRICS[metric](itself)[0])
            # A resample without an anomalous pixel (of images whose masks are empty) tells nothing.
            drawn[metric] = np.nan_to_num(np.clip(shifted, 0.0, 1.0), nan=whole[metric])
        return drawn


def choose_levels(found: PixelMetrics, count: int = LEVELS) -> Floats:
    """Return at most `count` rising score levels: quantiles of the anomalous pixels, and of the normal ones, of which
    those few that lie highest are told apart most finely.

    Args:
        found: with all images.
        count: how many.
    """
    half = count // 2
    odd = found.anomalous_quantiles(np.linspace(0.0, 1.0, half))
    shares = np.concatenate([np.geomspace(_RAREST, FPR_LIMIT, half * 2 // 3), np.linspace(FPR_LIMIT, 1.0, half // 3)])
    return np.unique(np.concatenate([odd, found.normal_quantiles(1.0 - shares)]))


class _Curves:
    """What resamples reach at each level, from the highest to the lowest; all (draws, K + 2) with both ends."""

    def __init__(self, counts: Floats, rows: Floats, totals: Floats) -> None:
        reached = np.einsum("di,ick->cdk", counts, rows[:, :, ::-1], optimize=True)
        every = counts @ totals
        self.normal, self.anomalous, self.regions = every[:, 0:1], every[:, 1:2], every[:, 2:3]
        self.false, self.hits, self.overlap = (
            np.concatenate([np.zeros((len(counts), 1)), one, end], axis=1)
            for one, end in zip(reached, (self.normal, self.anomalous, self.regions), strict=True)
        )


def _auroc(curves: _Curves) -> Floats:
    area = np.trapezoid(curves.hits, curves.false, axis=1)
    return np.asarray(area / (curves.normal * curves.anomalous)[:, 0])


def _ap(curves: _Curves) -> Floats:
    called = np.maximum(curves.hits + curves.false, 1.0)
    gained = np.diff(curves.hits, axis=1) / curves.anomalous
    return np.asarray((gained * (curves.hits / called)[:, 1:]).sum(axis=1))


def _f1_max(curves: _Curves) -> Floats:
    called = curves.hits + curves.false
    return np.asarray((2 * curves.hits / (called + curves.anomalous)).max(axis=1))


def _aupro(limit: float) -> Callable[[_Curves], Floats]:
    def metric(curves: _Curves) -> Floats:
        fpr, pro = curves.false / curves.normal, curves.overlap / curves.regions
        left, right = fpr[:, :-1], fpr[:, 1:]
        inside = np.clip((limit - left) / np.maximum(right - left, 1e-300), 0.0, 1.0)  # of each step, what counts
        low, high = pro[:, :-1], pro[:, :-1] + inside * np.diff(pro, axis=1)
        return np.asarray((inside * (right - left) * (low + high) / 2).sum(axis=1) / limit)

    return metric


_METRICS: dict[str, Callable[[_Curves], Floats]] = {
    "pixel_auroc": _auroc,
    "pixel_ap": _ap,
    "pixel_f1_max": _f1_max,
    "aupro": _aupro(FPR_LIMIT),
    "spro_at_0.05": _aupro(LOCO_FPR_LIMIT),
    "point_auroc": _auroc,
    "point_ap": _ap,
    "frame_auroc": _auroc,
    "frame_ap": _ap,
}


def _reaching(scores: NDArray[np.floating], weights: Floats | None, levels: Floats) -> Floats:
    """Return how much of the scores is at or above each level: (K,), their number or the sum of their weights."""
    order = None if weights is None else np.argsort(scores)
    below = np.searchsorted(np.sort(scores) if order is None else scores[order], levels, side="left")
    if weights is None or order is None:
        return np.asarray(scores.size - below, np.float64)
    up_to = np.concatenate([[0.0], np.cumsum(weights[order])])
    return np.asarray(up_to[-1] - up_to[below])


def _overlap(
    values: NDArray[np.floating], anomalous: NDArray[np.bool_], regions: Sequence[TrueRegion] | None
) -> tuple[NDArray[np.floating], Floats, int]:
    """Return the scores that count for regions, what each adds to its region's share, and the number of regions."""
    if not anomalous.any() or (regions is not None and not regions):
        return values[:0].ravel(), np.zeros(0), 0
    if regions is None:
        shares = 1.0 / region_areas(anomalous)
        return values[anomalous], shares, round(float(shares.sum()))
    scores, shares_of = [], []
    for region in regions:
        own = np.sort(values[region.mask])[::-1][: max(1, region.saturation)]
        scores.append(own)
        shares_of.append(np.full(own.size, 1.0 / own.size))
    return np.concatenate(scores), np.concatenate(shares_of), len(regions)
