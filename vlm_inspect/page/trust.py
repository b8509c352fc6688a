"""How far to trust it: outcomes by day with limits, whether normal parts drift, what the references can tell."""

import datetime
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vlm_inspect.page.review import is_sampled
from vlm_inspect.store import CaseLine

DAYS = 30
_LEAST = 20
"""Fewest normal parts, then and now, that are compared."""
_NEWEST = 50
DRIFT_P = 0.001
"""A drift is warned of where chance alone would show one in a thousand times."""


@dataclass(frozen=True)
class Day:
    """The outcomes of one day, with the limits of its share in REVIEW (p-chart)."""

    date: str
    ok: int
    ng: int
    review: int
    share: float
    """Of parts in REVIEW."""
    low: float
    high: float
    """Mean of all days minus and plus three standard errors of a day of this size, within [0, 1]."""

    @property
    def count(self) -> int:
        """Parts of the day."""
        return self.ok + self.ng + self.review

    @property
    def is_out(self) -> bool:
        """Whether the day lies beyond its limits."""
        return not self.low <= self.share <= self.high


@dataclass(frozen=True)
class Drift:
    """Whether the scores of normal parts have moved."""

    before: float
    now: float
    """Medians of P(anomalous), of the older and of the newest normal parts."""
    p_value: float
    """Of a two-sided Mann-Whitney test."""
    count: int

    @property
    def is_one(self) -> bool:
        """Whether it is more than chance."""
        return self.p_value < DRIFT_P


def days_of(lines: Sequence[CaseLine], *, days: int = DAYS) -> list[Day]:
    """Return the outcomes by day (UTC), the oldest first; days without parts are left out."""
    counts: dict[str, Counter[str]] = {}
    for line in lines:
        counts.setdefault(line.created_at[:10], Counter())[line.outcome] += 1
    chosen = sorted(counts)[-days:]
    parts = sum(sum(counts[date].values()) for date in chosen)
    mean = sum(counts[date]["REVIEW"] for date in chosen) / parts if parts else 0.0
    return [_day(date, counts[date], mean) for date in chosen]


def _day(date: str, count: Counter[str], mean: float) -> Day:
    n = sum(count.values())
    spread = 3.0 * math.sqrt(mean * (1.0 - mean) / n)
    share = count["REVIEW"] / n
    low, high = max(0.0, mean - spread), min(1.0, mean + spread)
    return Day(date, count["OK"], count["NG"], count["REVIEW"], share, low, high)


def drift_of(lines: Sequence[CaseLine]) -> Drift | None:
    """Compare the newest normal parts with those before them.

    Normal is what a person judged OK, or what nobody judged and was OK.

    Args:
        lines: cases of one class, the newest first.

    Returns:
        None where there are too few.
    """
    from scipy.stats import mannwhitneyu

    normal = [line.score for line in lines if (line.judged or line.outcome) == "OK"]
    now, before = normal[:_NEWEST], normal[_NEWEST:]
    if len(before) < _LEAST:
        now, before = normal[: len(normal) // 2], normal[len(normal) // 2 :]
    if min(len(now), len(before)) < _LEAST:
        return None
    p_value = 1.0 if len({*now, *before}) == 1 else float(mannwhitneyu(now, before).pvalue)
    return Drift(float(np.median(before)), float(np.median(now)), p_value, len(normal))


@dataclass(frozen=True)
class HeldUp:
    """Normal parts whose score is no OK any more, against what the calibration was made for."""

    count: int
    n: int
    """Parts that people judged OK, the newest."""
    expected: float
    """Largest share that the calibration was made for."""
    p_value: float
    """Of a one-sided binomial test."""

    @property
    def is_too_many(self) -> bool:
        """Whether it is more than chance."""
        return self.p_value < DRIFT_P


def held_up_of(lines: Sequence[CaseLine], ok_below: float, expected: float) -> HeldUp | None:
    """Compare the newest parts that people judged OK with what the calibration of their rule book was made for.

    Of all parts in REVIEW and a tenth of the others that people judge, only that same tenth of both counts: else those
    that were held up would be ten times too many.

    Args:
        lines: cases of one class, the newest first.
        ok_below: score from which on a part is no OK.
        expected: share of normal parts that may score so, in (0, 1).

    Returns:
        None where people judged too few of them.
    """
    from scipy.stats import binomtest

    scores = [line.score for line in lines if line.judged == "OK" and is_sampled(line.id)][:_NEWEST]
    if len(scores) < _LEAST:
        return None
    count = sum(score >= ok_below for score in scores)
    p_value = float(binomtest(count, len(scores), expected, alternative="greater").pvalue)
    return HeldUp(count, len(scores), expected, p_value)


def since_text(days: int = DAYS) -> str:
    """Return the date from which on days are shown, ISO 8601."""
    return (datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days)).date().isoformat()
