"""OK, REVIEW and NG by label, what slipped through, and risk over coverage."""

import pytest

from evaluation.runs.record import Failure, ItemRecord
from evaluation.scoring.all_scorers import all_metrics, resampled_metrics, score_records
from evaluation.scoring.registry import ClassRecords, Metric
from evaluation.scoring.scorers.decisions import MOST_POINTS, risk_coverage, score_decisions
from vlm_inspect.calibration.intervals import overkill_interval


def record(number: int, label: str, score: float | None, outcome: str | None) -> ItemRecord:
    failure = Failure(kind="parse", message="no") if outcome == "failed" else None
    told = {"outcome": None if failure else outcome, "failure": failure}
    return ItemRecord.model_validate({"id": f"{number:04}", "category": "a", "label": label, "score": score, **told})


def records(*told: tuple[str, float | None, str]) -> list[ItemRecord]:
    return [record(at, *one) for at, one in enumerate(told)]


ODD = (("anomalous", 0.9, "NG"), ("anomalous", 0.4, "REVIEW"), ("anomalous", 0.1, "OK"), ("anomalous", None, "failed"))
FINE = (("normal", 0.1, "OK"), ("normal", 0.2, "OK"), ("normal", 0.5, "REVIEW"), ("normal", 0.8, "NG"))


def test_review_is_neither_a_miss_nor_overkill() -> None:
    found = score_decisions(ClassRecords("a", records(*ODD, *FINE), 0.5))
    assert found["miss_rate"] == 2 / 4, "one OK, one failed"
    assert found["overkill_rate"] == 1 / 4
    assert found["anomalous_review_rate"] == found["normal_review_rate"] == 1 / 4
    assert found["normal_ok_rate"] == 2 / 4
    assert (found["decided_rate"], found["decided_error_rate"]) == (5 / 8, 2 / 5)
    assert found["outcomes"]["anomalous"] == {"OK": 1, "REVIEW": 1, "NG": 1, "none": 1}


def test_intervals_of_outcomes_are_exact() -> None:
    rates = score_decisions(ClassRecords("a", records(*ODD, *FINE), 0.5))["outcome_rates"]
    assert rates["anomalous"]["OK"] == {"count": 1, "share": 0.25, "interval": list(overkill_interval(1, 4))}
    assert sum(one["count"] for one in rates["normal"].values()) == 4
    alone = score_decisions(ClassRecords("a", records(*FINE), 0.5))
    assert alone["outcome_rates"]["anomalous"]["OK"] == {"count": 0, "share": None, "interval": None}
    assert alone["miss_rate"] is None


def test_risk_over_coverage_counts_the_surest_first_and_failures_last() -> None:
    told = records(
        ("anomalous", 0.95, "NG"), ("normal", 0.1, "OK"), ("anomalous", 0.3, "OK"), ("normal", None, "failed")
    )
    assert risk_coverage(told, 0.5) == [(0.25, 0.0), (0.5, 0.0), (0.75, pytest.approx(1 / 3)), (1.0, 0.5)]
    area = score_decisions(ClassRecords("a", told, 0.5))["risk_coverage_area"]
    assert area == pytest.approx((0 + 0 + 1 / 3 + 1 / 2) / 4)
    many = [record(at, "normal", at / 2000, "OK") for at in range(1000)]
    points = score_decisions(ClassRecords("a", many, 0.5))["risk_coverage"]
    assert len(points) == MOST_POINTS
    assert points[-1][0] == 1.0


def test_a_class_without_a_decision_has_no_error_of_decided_parts() -> None:
    held = score_decisions(ClassRecords("a", records(("normal", 0.5, "REVIEW"), ("anomalous", 0.5, "REVIEW")), 0.5))
    assert (held["decided_rate"], held["decided_error_rate"], held["miss_rate"]) == (0.0, None, 0.0)


def test_scorers_register_themselves_and_nothing_else_names_them() -> None:
    names = [metric.name for metric in all_metrics()]
    assert len(set(names)) == len(names)
    assert {"image_auroc", "miss_rate", "aupro", "point_auroc", "frame_auroc", "type_f1", "pixel_type_auroc"} <= set(
        names
    )
    assert names.index("image_auroc") < names.index("miss_rate") < names.index("aupro")
    found = score_records(ClassRecords("a", records(*ODD, *FINE), 0.5))
    assert {metric.name for metric, _, _ in resampled_metrics()} <= set(found)
    assert all(isinstance(metric, Metric) and metric.label for metric in all_metrics())
