"""Metrics of anomaly maps against masks, one image at a time, exact to the last pixel.

A metric over all pixels needs no order among the normal ones: it needs, at each score that an anomalous pixel has, how
many normal pixels lie above it. So scores are kept as plain float32 (anomalous ones beside their region's weight),
normal ones are sorted block by block in place, and counts come from binary searches of the few anomalous scores. 100
maps of 1024 x 1024 cost 4 bytes a pixel and one sort.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evaluation.metrics.image import Floats, last_of_ties
from vlm_inspect.datasets.masks import TrueRegion

FPR_LIMIT = 0.3
"""Largest false-positive rate that counts for AUPRO (Bergmann et al., IJCV 129, 2021, section 4.3)."""
LOCO_FPR_LIMIT = 0.05
"""Where MVTec LOCO's sPRO ends (IJCV 130, 2022, section 5.2)."""
_BLOCK = 1 << 24
"""Normal pixels that are sorted together."""
_SORTERS = 4
_Scores = NDArray[np.floating[Any]]
_Anomalous = tuple[_Scores, NDArray[np.bool_], Floats]
"""Scores; whether each is a pixel, or stands for one that was counted already; what each adds to its region's share."""


@dataclass(frozen=True)
class PixelSummary:
    """The pixel metrics of one class; None where the pixels cannot tell."""

    auroc: float | None
    ap: float | None
    f1_max: float | None
    aupro: float | None
    images: int
    regions: int


@dataclass(frozen=True)
class _Steps:
    """The anomalous side of every curve: one row a distinct anomalous score, falling."""

    hits: NDArray[np.int64]
    """Anomalous pixels that reach the score."""
    overlap: Floats
    """Sum over regions of the share that reaches it."""
    above: NDArray[np.int64]
    """Normal pixels above the score."""
    reach: NDArray[np.int64]
    """Normal pixels at or above the score."""
    thresholds: NDArray[np.float32]
    """The scores themselves."""


class PixelMetrics:
    """Accumulates maps and masks; every metric can be asked for at any time, and more images added after."""

    def __init__(self) -> None:
        self.images = 0
        self.regions = 0
        self._blocks: list[_Scores] = []
        self._sorted = 0  # blocks before this one are sorted
        self._pending: list[_Scores] = []
        self._anomalous: list[_Anomalous] = []
        self._low, self._high = np.inf, -np.inf
        self._known: _Steps | None = None  # until the next image

    def add(self, scores: ArrayLike, mask: ArrayLike, regions: Sequence[TrueRegion] | None = None) -> None:
        """Take in one image.

        Args:
            scores: (H, W) anomaly map, finite, higher is more anomalous; what float32 cannot hold stays float64.
            mask: (H, W), nonzero is anomalous; all zero for a normal image.
            regions: what AUPRO weighs alike, for masks whose regions are no connected components (MVTec LOCO); by
                default the connected components of the mask by 8 neighbours, each saturated at its own area.

        Raises:
            ValueError: shapes differ, no pixel, a score that is not finite, a region that is empty or leaves the mask.
        """
        values, anomalous = _narrow(np.asarray(scores)), np.asarray(np.asarray(mask) != 0)
        if values.shape != anomalous.shape or values.ndim != 2 or not values.size:
            raise ValueError(f"a mask of shape {anomalous.shape} does not fit a map of shape {values.shape}")
        for region in regions or ():
            if region.mask.shape != values.shape or not region.mask.any() or (region.mask & ~anomalous).any():
                raise ValueError("a region is empty, of another shape, or leaves the mask")
        low, high = float(values.min()), float(values.max())
        if not np.isfinite([low, high]).all():
            raise ValueError("a score is not finite")
        self._low, self._high = min(self._low, low), max(self._high, high)
        self.images += 1
        self._known = None
        if anomalous.any():
            self._weigh(values, anomalous, regions)
            values = values[~anomalous]
        self._pending.append(values.ravel())
        if sum(part.size for part in self._pending) >= _BLOCK:
            self._close_block()

    def auroc(self) -> float | None:
        """Return the AUROC of all pixels pooled, ties half; None where all are of one kind."""
        normal = self._normal()
        if not self._anomalous or normal == 0:
            return None
        steps = self._steps()
        here = np.diff(steps.hits, prepend=0)
        lost = float(here @ (steps.above + steps.reach)) / 2
        return 1.0 - lost / (float(steps.hits[-1]) * normal)

    def ap(self) -> float | None:
        """Return the average precision of all pixels pooled; None where all are of one kind."""
        curve = self._precision_recall()
        return None if curve is None else float(np.sum(np.diff(curve[1], prepend=0.0) * curve[0]))

    def f1_max(self) -> float | None:
        """Return the largest F1 over all thresholds on the pooled pixels; None where all are of one kind."""
        curve = self._precision_recall()
        if curve is None:
            return None
        precision, recall = curve
        return float(np.max(2 * precision * recall / (precision + recall)))

    def accuracy_at_f1_max(self) -> tuple[float, float] | None:
        """Return the threshold with the largest F1 over all pixels, and the share of pixels that is right there.

        A pixel counts as anomalous from the threshold on. None where all pixels are of one kind.
        """
        curve = self._precision_recall()
        if curve is None:
            return None
        precision, recall = curve
        steps, normal = self._steps(), self._normal()
        best = int(np.argmax(2 * precision * recall / (precision + recall)))
        right = float(steps.hits[best] + normal - steps.reach[best])
        return float(steps.thresholds[best]), right / (float(steps.hits[-1]) + normal)

    def aupro(self, *, fpr_limit: float = FPR_LIMIT) -> float | None:
        """Return the normalised area under the per-region overlap curve up to a false-positive rate, in [0, 1].

        PRO(t) is the mean over regions of min(pixels above t / saturation, 1); FPR(t) is the share of all normal pixels
        above t (Bergmann et al., IJCV 129, 2021, section 4.3; with saturation sPRO, IJCV 130, 2022, section 5.2). The
        curve has a point at every distinct score, is linear between them, and is cut at exactly `fpr_limit`: no binning
        of thresholds, which a single outlier pixel would spoil. MVTec LOCO reports 0.05.

        Returns:
            None where there is no region or no normal pixel.

        Raises:
            ValueError: a limit outside (0, 1].
        """
        if not 0.0 < fpr_limit <= 1.0:
            raise ValueError(f"the limit of the false-positive rate is in (0, 1], not {fpr_limit}")
        normal = self._normal()
        if not self.regions or normal == 0:
            return None
        steps = self._steps()
        pro = steps.overlap / self.regions
        before = np.concatenate([[0.0], pro[:-1]])
        # Between two anomalous scores only normal pixels come in, so the curve runs level there.
        fpr = np.stack([steps.above, steps.reach], axis=1).ravel() / normal
        return _area_up_to(fpr, np.stack([before, pro], axis=1).ravel(), fpr_limit) / fpr_limit

    def aupro_of_200_thresholds(self, *, fpr_limit: float = FPR_LIMIT) -> float | None:
        """Return AUPRO as the code of several papers computes it, for comparing with their tables only.

        200 evenly spaced thresholds from the smallest to the largest score, those with FPR < `fpr_limit`, FPR then
        stretched to [0, 1]. One outlier pixel moves every threshold, so that it can halve the number; see `aupro`.

        Returns:
            None where there is no region, no normal pixel, or fewer than two different rates below the limit.
        """
        normal = self._normal()
        if not self.regions or normal == 0 or self._high <= self._low:
            return None
        step = (self._high - self._low) / 200
        thresholds = np.arange(self._low, self._high, step)
        fpr = self._count(thresholds)[1] / normal
        scores, _, weights = (np.concatenate(part) for part in zip(*self._anomalous, strict=True))
        order = np.argsort(scores, kind="stable")
        up_to = np.concatenate([[0.0], np.cumsum(weights[order])])
        pro = (up_to[-1] - up_to[np.searchsorted(scores[order], thresholds, side="right")]) / self.regions
        fpr, pro = fpr[fpr < fpr_limit], pro[fpr < fpr_limit]
        if not fpr.size or fpr.max() == fpr.min():
            return None
        return float(np.trapezoid(pro[::-1], ((fpr - fpr.min()) / (fpr.max() - fpr.min()))[::-1]))

    def summary(self, *, fpr_limit: float = FPR_LIMIT) -> PixelSummary:
        """Return every exact metric of what was added so far."""
        aupro = self.aupro(fpr_limit=fpr_limit)
        return PixelSummary(self.auroc(), self.ap(), self.f1_max(), aupro, self.images, self.regions)

    def anomalous_quantiles(self, shares: Floats) -> Floats:
        """Return scores of anomalous pixels that these shares of them do not exceed; empty where there is none."""
        if not self._anomalous:
            return np.zeros(0)
        scores = np.concatenate([part[0] for part in self._anomalous])
        return np.asarray(np.quantile(scores, shares, method="lower"), np.float64)

    def normal_quantiles(self, shares: Floats) -> Floats:
        """Return about the scores of normal pixels that these shares of them do not exceed; empty where there is none.

        They are exact where the pixels fit one block, else means over blocks.
        """
        self._sort_blocks()
        found = [block[np.minimum((shares * block.size).astype(np.int64), block.size - 1)] for block in self._blocks]
        return np.asarray(np.mean(found, axis=0), np.float64) if found else np.zeros(0)

    def _weigh(self, values: _Scores, anomalous: NDArray[np.bool_], regions: Sequence[TrueRegion] | None) -> None:
        """Keep each anomalous pixel's score with what it adds to its region's overlap."""
        if regions is None:
            shares = 1.0 / region_areas(anomalous)
            self._anomalous.append((values[anomalous], np.ones(shares.size, bool), shares))
            self.regions += round(float(np.sum(shares)))
            return
        own = values[anomalous]
        self._anomalous.append((own, np.ones(own.size, bool), np.zeros(own.size)))
        for region in regions:
            scores = np.sort(values[region.mask])[::-1]
            count = max(1, min(region.saturation, scores.size))
            # Only the highest pixels count, up to saturation; which of equal ones they are makes no difference.
            self._anomalous.append((scores[:count], np.zeros(count, bool), np.full(count, 1.0 / count)))
            self.regions += 1

    def _precision_recall(self) -> tuple[Floats, Floats] | None:
        if not self._anomalous or self._normal() == 0:
            return None
        steps = self._steps()
        return steps.hits / (steps.hits + steps.reach), steps.hits / steps.hits[-1]

    def _steps(self) -> _Steps:
        """Return the table that every metric is read from; there is an anomalous pixel."""
        if self._known is None:
            scores, pixels, shares = (np.concatenate(part) for part in zip(*self._anomalous, strict=True))
            order = np.argsort(scores, kind="stable")[::-1]
            falling = scores[order]
            ends = last_of_ties(falling)
            reach, above = self._count(falling[ends][::-1])
            hits, overlap = np.cumsum(pixels[order])[ends], np.cumsum(shares[order])[ends]
            self._known = _Steps(hits, overlap, above[::-1], reach[::-1], falling[ends])
        return self._known

    def _normal(self) -> int:
        return sum(part.size for part in self._blocks) + sum(part.size for part in self._pending)

    def _count(self, rising: _Scores) -> NDArray[np.int64]:
        """Return how many normal pixels are at or above, and how many above, each of these rising scores; (2, n)."""
        self._sort_blocks()
        total = np.zeros((2, rising.size), np.int64)
        with ThreadPoolExecutor(_SORTERS) as pool:  # numpy sorts and searches without holding the interpreter's lock
            for found in pool.map(lambda block: _count_in(block, rising), self._blocks):
                total += found
        return total

    def _sort_blocks(self) -> None:
        if self._pending:
            self._close_block()
        with ThreadPoolExecutor(_SORTERS) as pool:
            list(pool.map(lambda block: block.sort(), self._blocks[self._sorted :]))
        self._sorted = len(self._blocks)

    def _close_block(self) -> None:
        self._blocks.append(np.concatenate(self._pending))
        self._pending = []


def pixel_auroc(masks: Sequence[ArrayLike], maps: Sequence[ArrayLike]) -> float | None:
    """Return the AUROC of all pixels of all images pooled; None where all pixels are of one kind."""
    return _pooled(masks, maps).auroc()


def pixel_f1_max(masks: Sequence[ArrayLike], maps: Sequence[ArrayLike]) -> float | None:
    """Return the largest F1 over all thresholds on the pooled pixels; None where all are of one kind."""
    return _pooled(masks, maps).f1_max()


def aupro(masks: Sequence[ArrayLike], maps: Sequence[ArrayLike], *, fpr_limit: float = FPR_LIMIT) -> float | None:
    """Return `PixelMetrics.aupro` of these maps and masks.

    Raises:
        ValueError: sizes differ, nothing at all, a score that is not finite, or a limit outside (0, 1].
    """
    return _pooled(masks, maps).aupro(fpr_limit=fpr_limit)


def _pooled(masks: Sequence[ArrayLike], maps: Sequence[ArrayLike]) -> PixelMetrics:
    found = PixelMetrics()
    for mask, scores in zip(masks, maps, strict=True):
        found.add(scores, mask)
    if not found.images:
        raise ValueError("a metric needs at least one image")
    return found


def _narrow(scores: NDArray[Any]) -> _Scores:
    """Return scores as float32 where that loses nothing, else as float64; never the caller's own memory."""
    if scores.dtype.kind == "f" and scores.dtype.itemsize <= 4:
        return scores.astype(np.float32)
    wide = scores.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        small = wide.astype(np.float32)
    return small if np.array_equal(small, wide) else wide


def region_areas(anomalous: NDArray[np.bool_]) -> Floats:
    """Return the area of its region for every anomalous pixel, in raster order; regions connect by 8 neighbours."""
    from scipy import ndimage

    rows, columns = np.flatnonzero(anomalous.any(axis=1)), np.flatnonzero(anomalous.any(axis=0))
    box = anomalous[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    labels, _ = ndimage.label(box, structure=np.ones((3, 3)))
    inside = labels[box]
    return np.bincount(inside)[inside].astype(np.float64)


def _count_in(block: _Scores, rising: _Scores) -> NDArray[np.int64]:
    """Return `PixelMetrics._count` of one sorted block."""
    first = np.searchsorted(block, rising, side="left")
    after = first.copy()
    tied = np.flatnonzero(block[np.minimum(first, block.size - 1)] == rising)  # few, unless scores are coarse
    after[tied] = np.searchsorted(block, rising[tied], side="right")
    return block.size - np.stack([first, after])


def _area_up_to(x: Floats, y: Floats, limit: float) -> float:
    """Return the trapezoidal area under (x, y) and the corner (0, y[0]), x rising, cut or run level to x = limit."""
    x, y = np.concatenate([[0.0], x]), np.concatenate([y[:1], y])
    inside = int(np.searchsorted(x, limit, side="right"))
    if inside < len(x):
        x0, x1, y0, y1 = x[inside - 1], x[inside], y[inside - 1], y[inside]
        end = y0 + (y1 - y0) * (limit - x0) / (x1 - x0)
    else:
        end = y[-1]
    return float(np.trapezoid(np.append(y[:inside], end), np.append(x[:inside], limit)))
