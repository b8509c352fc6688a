"""What became of the parts: OK, REVIEW or NG by label, what slipped through, and what was decided at which risk.

Missed is an anomalous part that came out OK, overkill a normal one that came out NG; a part held up for REVIEW is
neither. A failed item counts as missed, or as overkill, whatever else is known of it. Intervals of shares are exact
(Clopper & Pearson, Biometrika 26, 1934).

Risk over coverage (El-Yaniv & Wiener, JMLR 11, 2010): parts are decided from the surest on, by the distance of the
score from the threshold; coverage is the share that is decided, risk the share of errors among it. Failed items are
decided last, and wrong.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from evaluation.metrics import bootstrap
from evaluation.metrics.image import last_of_ties
from evaluation.runs.record import ItemRecord
from evaluation.scoring.outcomes import OUTCOMES, counted_scores, outcome_of
from evaluation.scoring.registry import ClassRecords, Metric, Numbers, scores_items
from vlm_inspect.calibration.intervals import overkill_interval

MOST_POINTS = 200
"""Of a curve in the results; of more, evenly chosen ones are kept."""


def _caught(records: Sequence[ItemRecord], _threshold: float) -> Numbers:
    """Return 0 for what counts as OK of an anomalous item, else 1."""
    return np.array([0.0 if outcome_of(one) in ("OK", "failed") else 1.0 for one in records])


def _rejected(records: Sequence[ItemRecord], _threshold: float) -> Numbers:
    """Return 1 for what counts as NG of a normal item, else 0."""
    return np.array([1.0 if outcome_of(one) in ("NG", "failed") else 0.0 for one in records])


_AT = bootstrap.at_threshold


def _error(name: str, label: str, kind: str, numbers: Any) -> Metric:
    return Metric(
        name, label, share=True, in_every_mean=True, lower_is_better=True, resampled=(_AT(kind, 0.5), numbers)
    )


@scores_items(
    _error("miss_rate", "missed: anomalous called OK", "miss", _caught),
    _error("overkill_rate", "overkill: normal called NG", "overkill", _rejected),
    Metric("anomalous_review_rate", "anomalous held up", share=True),
    Metric("normal_review_rate", "normal held up", share=True),
    Metric("normal_ok_rate", "normal called OK", share=True),
    Metric("anomalous_ng_rate", "anomalous called NG", share=True),
    Metric("decided_rate", "decided", share=True),
    Metric("decided_error_rate", "wrong of decided", share=True, lower_is_better=True),
    Metric("risk_coverage_area", "area of risk over coverage", lower_is_better=True),
    order=20,
)
def score_decisions(one: ClassRecords) -> dict[str, Any]:
    """Return the outcomes by label with exact intervals, the two errors, and risk over coverage."""
    by_label = {label: [r for r in one.records if r.label == label] for label in ("normal", "anomalous")}
    rates = {label: _rates(own) for label, own in by_label.items()}
    decided = [record for record in one.records if outcome_of(record) in ("OK", "NG")]
    wrong = sum((outcome_of(record) == "NG") != record.anomalous for record in decided)
    curve = risk_coverage(one.records, one.threshold)
    return {
        "miss_rate": _share(by_label["anomalous"], ("OK", "failed")),
        "overkill_rate": _share(by_label["normal"], ("NG", "failed")),
        "anomalous_review_rate": _share(by_label["anomalous"], ("REVIEW",)),
        "normal_review_rate": _share(by_label["normal"], ("REVIEW",)),
        "normal_ok_rate": _share(by_label["normal"], ("OK",)),
        "anomalous_ng_rate": _share(by_label["anomalous"], ("NG",)),
        "decided_rate": len(decided) / len(one.records),
        "decided_error_rate": wrong / len(decided) if decided else None,
        "risk_coverage_area": _area(curve),
        "outcomes": {label: _counts(own) for label, own in by_label.items()},
        "outcome_rates": rates,
        "risk_coverage": [list(point) for point in _thinned(curve)],
        "review_rate": sum(record.outcome == "REVIEW" for record in one.records) / len(one.records),
    }


def risk_coverage(records: Sequence[ItemRecord], threshold: float) -> list[tuple[float, float]]:
    """Return (coverage, risk) at every distinct sureness, from the surest items to all of them."""
    labels = np.array([one.anomalous for one in records])
    scores = counted_scores(records)
    failed = np.array([one.counted_score is None for one in records])
    sure = np.where(failed, -1.0, np.abs(scores - threshold))
    wrong = failed | ((scores >= threshold) != labels)
    order = np.argsort(-sure, kind="stable")
    ends = last_of_ties(sure[order])
    errors = np.cumsum(wrong[order])[ends]
    return [(float((at + 1) / len(records)), float(n / (at + 1))) for at, n in zip(ends, errors, strict=True)]


def _area(curve: Sequence[tuple[float, float]]) -> float:
    """Return the mean risk over all coverages, each point standing for the items that it adds."""
    before, total = 0.0, 0.0
    for coverage, risk in curve:
        total += risk * (coverage - before)
        before = coverage
    return total


def _thinned(curve: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    if len(curve) <= MOST_POINTS:
        return curve
    return [curve[int(at)] for at in np.unique(np.linspace(0, len(curve) - 1, MOST_POINTS).round())]


def _rates(records: Sequence[ItemRecord]) -> dict[str, Any]:
    """Return count, share and exact 95 % interval of each outcome of one label; no share where there is no item."""
    found = {}
    for name in OUTCOMES:
        count = sum(outcome_of(one) == name for one in records)
        known = bool(records)
        found[name] = {
            "count": count,
            "share": count / len(records) if known else None,
            "interval": list(overkill_interval(count, len(records))) if known else None,
        }
    return found


def _share(records: Sequence[ItemRecord], outcomes: tuple[str, ...]) -> float | None:
    return sum(outcome_of(one) in outcomes for one in records) / len(records) if records else None


def _counts(records: Sequence[ItemRecord]) -> dict[str, int]:
    counts = {name: sum(one.outcome == name for one in records) for name in ("OK", "REVIEW", "NG")}
    return {**counts, "none": sum(one.outcome is None for one in records)}
