"""AUPRO as one would write it first: every pixel pooled and sorted, regions by scikit-image."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Maps = Sequence[NDArray[Any]]


def plain_aupro(maps: Maps, masks: Maps, limit: float = 0.3) -> float:
    """AUPRO: all pixels in one array, a weight of 1 / area on the anomalous ones, one sort, two running sums."""
    from skimage.measure import label

    weights, regions = [], 0
    for mask in masks:
        labels = label(mask != 0, connectivity=2)
        areas = np.bincount(labels.ravel())
        share = np.concatenate([[0.0], 1.0 / areas[1:]])
        weights.append(share[labels].ravel())
        regions += int(labels.max())
    scores = np.concatenate([one.ravel() for one in maps]).astype(np.float64)
    truth = np.concatenate([(one != 0).ravel() for one in masks])
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), scores.size - 1)
    fpr = np.cumsum(~truth[order])[ends] / (~truth).sum()
    pro = np.cumsum(np.concatenate(weights)[order])[ends] / regions
    fpr, pro = np.append(0.0, fpr), np.append(0.0, pro)
    at_limit = np.interp(limit, fpr[np.append(np.diff(fpr) > 0, True)], pro[np.append(np.diff(fpr) > 0, True)])
    inside = fpr <= limit
    return float(np.trapezoid(np.append(pro[inside], at_limit), np.append(fpr[inside], limit)) / limit)


def synthetic(count: int, side: int, seed: int = 0) -> tuple[list[NDArray[np.float32]], list[NDArray[np.bool_]]]:
    """Return smooth maps and masks of two blobs in two images of three; the maps find them, more or less."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side].astype(np.float32) / side
    noise = rng.normal(size=(side, side)).astype(np.float32)
    maps, masks = [], []
    for number in range(count):
        mask = np.zeros((side, side), bool)
        for y, x, radius in rng.uniform((0.1, 0.1, 0.02), (0.9, 0.9, 0.1), (2, 3)) if number % 3 else ():
            mask |= (rows - y) ** 2 + (columns - x) ** 2 < radius**2
        drift = np.float32(0.2) * np.sin(rows * (3 + number % 7) + columns * 5)
        shifted = np.roll(noise, (number * 37, number * 53), axis=(0, 1))
        maps.append((drift + shifted * np.float32(0.4) + mask * np.float32(0.8)).astype(np.float32))
        masks.append(mask)
    return maps, masks
