"""What results say of classes that cannot tell, of failures, and of each other."""

import json
from pathlib import Path
from typing import Any

import pytest

from evaluation.runs.plan import RunPlan, make_plan
from evaluation.runs.record import Failure, ItemRecord, Spent
from evaluation.runs.results import Results
from evaluation.runs.settings import Limits, Settings
from evaluation.scoring.outcomes import counted_scores, outcomes_of
from evaluation.scoring.results import build_results, threshold_of, write_results
from vlm_inspect.datasets.item import Dataset, Item
from vlm_inspect.decision.thresholds import Thresholds

FAILED = Failure(kind="backend", message="gone")


def item(category: str, number: int, *, anomalous: bool) -> Item:
    name = f"{category}/{number}.png"
    return Item(name, category, (Path(name),), "test", anomalous, ("dent",) if anomalous else ())


def plan_of(*labels: tuple[str, str]) -> RunPlan:
    """A class by name and its labels, such as ("a", "nnaa")."""
    items = [item(name, i, anomalous=told == "a") for name, text in labels for i, told in enumerate(text)]
    return make_plan(Dataset("d", "folder", Path("d"), tuple(items)), shots=0)


def told(plan: RunPlan, scores: list[float | None], **others: Any) -> dict[str, ItemRecord]:
    records = {}
    for task, score in zip(plan.tasks, scores, strict=True):
        label = "anomalous" if task.item.anomalous else "normal"
        records[task.id] = ItemRecord(
            id=task.id, category=task.category, label=label, score=score, defect_types=task.item.defects,
            outcome=None if score is None else "NG" if score > 0.5 else "OK",
            failure=FAILED if score is None else None, **others,
        )  # fmt: skip
    return records


def results(plan: RunPlan, records: dict[str, ItemRecord], **others: Any) -> dict[str, Any]:
    return built(plan, records, **others).dump()


def built(plan: RunPlan, records: dict[str, ItemRecord], **others: Any) -> Results:
    settings = Settings(
        dataset="d", format="folder", items_sha256="", categories=(), shots=0, seed=0, limit=None, model="m",
        localizer="none",
    )  # fmt: skip
    whole = {"pixels": {}, "settings": settings, "limits": Limits(), "thresholds": {}, "wall_s": 1.0, "checks": {}}
    return build_results(plan, records, **{**whole, **others})


def test_a_class_of_one_label_is_not_in_the_mean() -> None:
    plan = plan_of(("both", "nnaa"), ("normal", "nn"))
    document = results(plan, told(plan, [0.1, 0.6, 0.4, 0.9, 0.2, 0.3]))
    assert document["categories"]["normal"]["image_auroc"] is None
    assert document["categories"]["normal"]["overkill_rate"] == 0.0
    assert document["mean"]["image_auroc"] == document["categories"]["both"]["image_auroc"] == 0.75
    assert document["left_out_of_mean"]["image_auroc"] == ["normal"]
    assert "image_auroc" not in document["ci95"]["normal"]
    pixels = {"both": {"point_auroc": 0.5, "pixel_type_f1": 0.25, "frame_auroc": None}, "normal": {"point_auroc": 0.75}}
    mean = results(plan, told(plan, [0.5] * 6), pixels=pixels)["mean"]
    assert (mean["point_auroc"], mean["pixel_type_f1"]) == (0.625, 0.25)
    assert "frame_auroc" not in mean
    low, high = document["ci95"]["mean"]["image_auroc"]
    assert 0.0 <= low <= 0.75 <= high <= 1.0
    assert document["categories"]["both"]["accuracy"] == 0.5
    assert document["categories"]["both"]["defect_types"] == {"dent": {"n": 2, "missed": 1, "image_auroc": 0.75}}


def test_failures_are_wrong_in_every_metric() -> None:
    plan = plan_of(("a", "nnaa"))
    perfect = results(plan, told(plan, [0.1, 0.2, 0.8, 0.9]))["categories"]["a"]
    assert perfect["image_auroc"] == perfect["accuracy"] == 1.0
    document = results(plan, told(plan, [0.1, None, 0.8, None]))
    failed = document["categories"]["a"]
    assert failed["image_auroc"] == 0.25, "of four pairs one is right"
    assert failed["accuracy"] == failed["balanced_accuracy"] == 0.5
    assert failed["miss_rate"] == failed["overkill_rate"] == 0.5
    assert failed["brier"] == pytest.approx((0.1**2 + 1 + 0.2**2 + 1) / 4)
    assert failed["failed"] == 2
    assert document["coverage"] == 0.5
    assert document["failures"] == [
        {"id": name, "kind": "backend", "message": "gone"} for name in ("a/1.png", "a/3.png")
    ]


def test_all_failed_is_still_a_result() -> None:
    plan = plan_of(("a", "na"))
    document = results(plan, told(plan, [None, None]))
    assert document["categories"]["a"]["image_auroc"] == 0.0
    assert document["coverage"] == 0.0


def test_classes_may_have_their_own_thresholds() -> None:
    plan = plan_of(("a", "na"), ("b", "na"))
    thresholds = {"a": Thresholds(ok_below=0.15, ng_above=0.9, calibrated=True)}
    document = results(plan, told(plan, [0.1, 0.2, 0.1, 0.2]), thresholds=thresholds)
    assert document["categories"]["a"]["accuracy"] == 1.0
    assert document["categories"]["b"]["accuracy"] == 0.5
    assert document["mean"]["accuracy"] == 0.75
    assert document["ci95"]["mean"]["accuracy"] == [0.75, 0.75]
    assert threshold_of(Thresholds(ok_below=1.0, ng_above=1.0, calibrated=True)) > 1.0
    assert threshold_of(Thresholds()) == 0.5


def test_what_was_spent_is_added_up() -> None:
    plan = plan_of(("a", "na"))
    records = told(plan, [0.1, 0.9], usage=Spent(prompt_tokens=1000, completion_tokens=10, calls=1, cost_usd=0.0021))
    second = list(records.values())[1]
    records[second.id] = second.model_copy(update={"usage": Spent(), "spared": second.usage})
    usage = results(plan, records)["usage"]
    assert usage["prompt_tokens"] == 1000
    assert usage["calls"] == usage["from_cache"] == 1
    assert usage["cost_usd"] == pytest.approx(0.0021), "what came from the cache costs nothing"
    unknown = told(plan, [0.1, 0.9], usage=Spent(prompt_tokens=1000, calls=1))
    assert results(plan, unknown)["usage"]["cost_usd"] is None


def test_both_files_are_json(tmp_path: Path) -> None:
    plan = plan_of(("a", "nna"))
    records = told(plan, [0.1, None, 0.9])
    write_results(tmp_path, built(plan, records), plan, records)
    assert json.loads((tmp_path / "results.json").read_text())["categories"]["a"]["n"] == 3
    lines = [json.loads(line) for line in (tmp_path / "items.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == ["a/0.png", "a/1.png", "a/2.png"]
    every = list(records.values())
    assert outcomes_of(every, counted_scores(every)).ids == (
        "a/0.png",
        "a/1.png",
        "a/2.png",
    )
