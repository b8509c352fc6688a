"""Whether probabilities mean what they say: reliability curve, expected calibration error, Brier score.

Labels: nonzero is anomalous. Probabilities: P(anomalous) in [0, 1].
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evaluation.metrics.image import Flags, Floats, checked

Binning = Literal["equal-width", "equal-mass"]
"""equal-width: [0, 1] cut into equal parts (Guo et al., ICML 2017, section 2; with P(anomalous), not the confidence).
equal-mass: the sorted probabilities cut into bins of equally many items, equal probabilities kept together (Nixon et
al., arXiv 1904.01685, section 3)."""
BINS = 10


@dataclass(frozen=True)
class ReliabilityBin:
    """Items of like probability."""

    items: int
    probability: float
    """Their mean P(anomalous)."""
    anomalous: float
    """Share of them that truly is anomalous."""


def reliability_curve(
    labels: ArrayLike, probabilities: ArrayLike, *, bins: int = BINS, binning: Binning = "equal-mass"
) -> tuple[ReliabilityBin, ...]:
    """Return the bins that hold items, by rising probability.

    Raises:
        ValueError: lengths differ, nothing at all, a probability outside [0, 1], fewer than one bin.
    """
    truth, values = _probabilities(labels, probabilities)
    if bins < 1:
        raise ValueError(f"a reliability curve needs at least one bin, not {bins}")
    index = _equal_width(values, bins) if binning == "equal-width" else _equal_mass(values, bins)
    return tuple(
        ReliabilityBin(int(inside.sum()), float(values[inside].mean()), float(truth[inside].mean()))
        for inside in (index == one for one in np.unique(index))
    )


def expected_calibration_error(
    labels: ArrayLike, probabilities: ArrayLike, *, bins: int = BINS, binning: Binning = "equal-mass"
) -> float:
    """Return the mean over items of |share anomalous - mean probability| of the item's bin, in [0, 1].

    Raises:
        ValueError: as `reliability_curve`.
    """
    curve = reliability_curve(labels, probabilities, bins=bins, binning=binning)
    total = sum(one.items for one in curve)
    return sum(one.items * abs(one.anomalous - one.probability) for one in curve) / total


def brier_score(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the mean of (P(anomalous) - label)², in [0, 1] (Brier 1950, for two classes, one term an item).

    Raises:
        ValueError: lengths differ, nothing at all, a probability outside [0, 1].
    """
    truth, values = _probabilities(labels, probabilities)
    return float(np.mean((values - truth) ** 2))


def _equal_width(values: Floats, bins: int) -> NDArray[np.int64]:
    return np.minimum((values * bins).astype(np.int64), bins - 1)


def _equal_mass(values: Floats, bins: int) -> NDArray[np.int64]:
    """Bin by the first rank of each group of equals, so that equal probabilities share a bin in any order of items."""
    return np.searchsorted(np.sort(values), values, side="left") * bins // values.size


def _probabilities(labels: ArrayLike, probabilities: ArrayLike) -> tuple[Flags, Floats]:
    truth, values = checked(labels, probabilities)
    if values.min() < 0.0 or values.max() > 1.0:
        raise ValueError("a probability lies outside [0, 1]")
    return truth, values
