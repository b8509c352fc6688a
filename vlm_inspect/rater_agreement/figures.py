"""Rates with exact intervals, and kappas: SciPy and statsmodels compute them."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict

from vlm_inspect.errors import ConfigError
from vlm_inspect.rater_agreement.ratings import Rating

CONFIDENCE = 0.95


class _Figure(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rate(_Figure):
    """A share of parts."""

    count: int
    n: int
    rate: float | None
    """count / n; None where n is 0."""
    ci95: tuple[float, float] | None
    """Exact interval (Clopper & Pearson, Biometrika 26, 1934)."""

    @classmethod
    def of(cls, count: int, n: int) -> Self:
        """Return `count` in `n`."""
        if n == 0:
            return cls(count=0, n=0, rate=None, ci95=None)
        from scipy.stats import binomtest

        found = binomtest(count, n).proportion_ci(CONFIDENCE, method="exact")
        return cls(count=count, n=n, rate=count / n, ci95=(float(found.low), float(found.high)))


class Kappa(_Figure):
    """Agreement beyond chance: 1 is perfect, 0 what chance gives; None where all raters said one thing of all parts."""

    value: float | None
    ci95: tuple[float, float] | None = None
    """Asymptotic interval; None of Fleiss' kappa."""


def cohen(pairs: Sequence[tuple[Rating, Rating]]) -> Kappa:
    """Return Cohen's kappa of two raters (Educational and Psychological Measurement 20, 1960).

    Raises:
        ConfigError: statsmodels is not installed.
    """
    words = sorted({rating for pair in pairs for rating in pair})
    if len(words) < 2:
        return Kappa(value=None)
    counts = Counter(pairs)
    table = np.array([[counts[one, other] for other in words] for one in words])
    with np.errstate(divide="ignore", invalid="ignore"):  # of one part there is no spread
        found = _library().cohens_kappa(table)
    low, high = float(found.kappa_low), float(found.kappa_upp)
    is_known = bool(np.isfinite([low, high]).all()) and low < high  # equal: so few parts that none can be told
    interval = (max(low, -1.0), min(high, 1.0)) if is_known else None
    return Kappa(value=float(found.kappa), ci95=interval)


def fleiss(rows: Sequence[Sequence[Rating]]) -> Kappa:
    """Return Fleiss' kappa (Psychological Bulletin 76, 1971).

    Args:
        rows: what each rater said of a part, one row a part, as many raters in each.

    Raises:
        ConfigError: statsmodels is not installed.
    """
    words = sorted({rating for row in rows for rating in row})
    if len(words) < 2:
        return Kappa(value=None)
    table = np.array([[row.count(word) for word in words] for row in map(list, rows)])
    return Kappa(value=float(_library().fleiss_kappa(table)))


def _library() -> Any:
    try:
        from statsmodels.stats import inter_rater
    except ImportError as error:
        raise ConfigError("agreement needs statsmodels: pip install 'vlm-inspect[agreement]'") from error
    return inter_rater
