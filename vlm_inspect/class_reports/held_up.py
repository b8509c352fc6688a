"""How sure a share of planted defects that were held up is, as a share of all that could be planted on such parts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.qualification.qualify import Qualification

CONFIDENCE = 0.95


@dataclass(frozen=True)
class HeldUp:
    """A share of planted defects that were not OK."""

    found: int
    planted: int
    ci95: tuple[float, float]

    @property
    def words(self) -> str:
        """Return the share with its interval."""
        low, high = (f"{100 * one:.0f}" for one in self.ci95)
        return f"{100 * self.found / self.planted:.0f} %, 95 % interval {low} to {high} %"


def held_up(qualification: Qualification) -> tuple[HeldUp, Mapping[str, HeldUp]]:
    """Return how many planted defects were held up, of all and by kind."""
    planted, found = qualification.trial.planted, qualification.found
    kinds = np.array(planted.kinds)
    by_kind = {kind: _of(found[kinds == kind], planted.owners[kinds == kind]) for kind in dict.fromkeys(planted.kinds)}
    return _of(found, planted.owners), by_kind


def _of(found: NDArray[np.bool_], owners: NDArray[np.int64]) -> HeldUp:
    return HeldUp(int(found.sum()), len(found), interval_of(found, owners))


def interval_of(
    found: Sequence[bool] | NDArray[np.bool_], owners: Sequence[int] | NDArray[np.int64]
) -> tuple[float, float]:
    """Return the 95 % interval of the share of True.

    Exact (Clopper & Pearson, Biometrika 26, 1934), for as many cases as they are worth: those on one part are alike,
    which the design effect allows for (Kish, Survey Sampling, 1965, section 5.4; its correlation by analysis of
    variance, Donner, Int. Stat. Rev. 54, 1986).

    Args:
        found: (m,), m >= 1.
        owners: (m,): the part that each belongs to.
    """
    from scipy.stats import beta

    hits, parts = np.asarray(found, np.float64), np.asarray(owners)
    count = len(hits) / _design_effect(hits, parts)
    successes = count * float(hits.mean())
    tail = (1 - CONFIDENCE) / 2
    low = float(beta.ppf(tail, successes, count - successes + 1)) if successes > 0 else 0.0
    high = float(beta.ppf(1 - tail, successes + 1, count - successes)) if successes < count else 1.0
    return low, high


def _design_effect(hits: NDArray[np.float64], parts: NDArray[np.int64]) -> float:
    groups = [hits[parts == part] for part in np.unique(parts)]
    sizes = np.array([len(one) for one in groups], np.float64)
    if len(groups) < 2 or len(hits) <= len(groups):
        return 1.0
    between = sum(len(one) * (one.mean() - hits.mean()) ** 2 for one in groups) / (len(groups) - 1)
    within = sum(((one - one.mean()) ** 2).sum() for one in groups) / (len(hits) - len(groups))
    usual = (len(hits) - (sizes**2).sum() / len(hits)) / (len(groups) - 1)
    spread = between + (usual - 1) * within
    alike = (between - within) / spread if spread > 0 else 0.0
    return max(1.0, 1.0 + (float((sizes**2).sum()) / len(hits) - 1) * max(alike, 0.0))
