"""Pixel metrics of a class from its kept maps, and what a missing one costs."""

from pathlib import Path

import numpy as np
import pytest

from evaluation.metrics import PixelMetrics
from evaluation.runs.plan import RunPlan, make_plan
from evaluation.runs.record import ItemRecord
from evaluation.scoring.item_map import StoredMap
from evaluation.scoring.scorers.pixels import map_name, score_pixels
from tests.datasets.data_folders import SIZE_WH, mvtec, mvtec_loco
from vlm_inspect.datasets.registry import read_dataset

SIZE_HW = SIZE_WH[::-1]


def records_of(plan: RunPlan) -> dict[str, ItemRecord]:
    return {
        task.id: ItemRecord(
            id=task.id,
            category=task.category,
            label="anomalous" if task.item.anomalous else "normal",
            preview=task.id.replace("/", "-"),
        )
        for task in plan.tasks
    }


def write_maps(
    plan: RunPlan, records: dict[str, ItemRecord], folder: Path, without: tuple[str, ...] = ()
) -> PixelMetrics:
    """Write a map for each task but some; returns what they amount to."""
    generator, found = np.random.default_rng(0), PixelMetrics()
    for task in plan.tasks:
        mask = np.zeros(SIZE_HW, bool) if task.item.mask is None else task.item.mask.read()
        kept = StoredMap.of((generator.random(SIZE_HW) + mask).astype(np.float32))
        found.add(kept.values(), mask)
        if not task.id.endswith(without) or not without:
            (folder / map_name(records[task.id])).write_bytes(kept.pack())
    return found


def test_they_are_those_of_the_maps(tmp_path: Path) -> None:
    plan = make_plan(read_dataset(mvtec(tmp_path / "data", classes=("bottle",))), shots=0)
    records = records_of(plan)
    expected = write_maps(plan, records, tmp_path).summary()
    found = score_pixels(plan.tasks, records, tmp_path).metrics
    assert found["pixel_auroc"] == expected.auroc
    assert found["aupro"] == expected.aupro
    assert found["pixel_images"] == len(plan.tasks)
    assert score_pixels(plan.tasks, records, tmp_path / "nowhere").metrics == {}


@pytest.mark.parametrize("lost", ["crack/000.png", "good/001.png"])
def test_a_missing_map_is_as_wrong_as_can_be(tmp_path: Path, lost: str) -> None:
    plan = make_plan(read_dataset(mvtec(tmp_path / "data", classes=("bottle",))), shots=0)
    records = records_of(plan)
    whole = write_maps(plan, records, tmp_path).summary()
    (tmp_path / map_name(next(one for name, one in records.items() if name.endswith(lost)))).unlink()
    found = score_pixels(plan.tasks, records, tmp_path).metrics
    assert found["pixel_images_without_map"] == 1
    assert found["pixel_images"] == len(plan.tasks)
    assert found["pixel_auroc"] < (whole.auroc or 0.0)
    assert found["aupro"] < (whole.aupro or 0.0)


def test_saturated_regions_count_for_loco(tmp_path: Path) -> None:
    dataset = read_dataset(mvtec_loco(tmp_path / "data"))
    plan = make_plan(dataset, shots=0)
    records = records_of(plan)
    write_maps(plan, records, tmp_path)
    found = score_pixels(plan.of_category(plan.categories[0].name), records, tmp_path).metrics
    assert found["spro_at_0.05"] == pytest.approx(1.0), "every defect is hotter than every normal place"
