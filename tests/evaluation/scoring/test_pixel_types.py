"""Kinds of defects told apart by pixel, from words by place on coarse grids."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from converters.image import render_image
from converters.sample import ImageSample
from converters.view import ViewBudget
from evaluation.engine.examiner import Result
from evaluation.engine.item_files import ItemFiles
from evaluation.errors import RunError
from evaluation.runs.plan import RunPlan, make_plan
from evaluation.runs.record import ItemRecord
from evaluation.scoring.item_map import StoredMap
from evaluation.scoring.item_places import find_places
from evaluation.scoring.scorers import pixel_types
from evaluation.scoring.scorers.pixel_types import score_pixel_types, types_name
from evaluation.scoring.scorers.pixels import map_name
from evaluation.scoring.type_map import StoredTypes, read_types
from tests.datasets.data_folders import SIZE_WH, mvtec
from tests.evaluation.scoring.test_pixel_scores import records_of
from vlm_inspect.datasets.registry import read_dataset
from vlm_inspect.evidence import AnomalyMap, TypeMap

WIDTH, HEIGHT = SIZE_WH
Words = Mapping[str, str]


@pytest.fixture
def bottles(tmp_path: Path) -> RunPlan:
    return make_plan(read_dataset(mvtec(tmp_path / "data", classes=("bottle",))), shots=0)


def write_types(plan: RunPlan, folder: Path, said: Words) -> dict[str, ItemRecord]:
    """Write for each item a grid that says `said[its type]` on its mask, and nothing elsewhere."""
    records = records_of(plan)
    for task in plan.tasks:
        mask = np.zeros((HEIGHT, WIDTH), bool) if task.item.mask is None else task.item.mask.read()
        words = ("Crack", "hole", "other")
        grid = np.stack([mask * (said.get(task.item.defect) == word) * 0.9 for word in words]).astype(np.float32)
        stored = StoredTypes(words, StoredMap.of(grid), (HEIGHT, WIDTH))
        (folder / types_name(records[task.id])).write_bytes(stored.pack())
    return records


def test_right_words_on_the_masks_are_perfect(bottles: RunPlan, tmp_path: Path) -> None:
    records = write_types(bottles, tmp_path, {"crack": "Crack", "hole": "hole"})
    found = score_pixel_types(bottles.tasks, records, tmp_path)
    assert [found[f"pixel_type_{name}"] for name in ("auroc", "ap", "f1")] == pytest.approx([1.0, 1.0, 1.0])
    assert [one["name"] for one in found["pixel_types"]] == ["normal", "crack", "hole"]
    pixels = len(bottles.tasks) * WIDTH * HEIGHT
    assert sum(one["items"] for one in found["pixel_types"]) == pixels
    assert found["pixel_types_every"] == 1


def test_swapped_words_find_the_places_and_miss_the_types(bottles: RunPlan, tmp_path: Path) -> None:
    records = write_types(bottles, tmp_path, {"crack": "hole", "hole": "Crack"})
    by_name = {one["name"]: one for one in score_pixel_types(bottles.tasks, records, tmp_path)["pixel_types"]}
    assert by_name["normal"]["f1"] == pytest.approx(1.0)
    assert by_name["crack"]["f1"] == by_name["hole"]["f1"] == 0.0
    assert by_name["crack"]["auroc"] < 0.5


def test_a_word_of_no_type_is_not_normal_either(bottles: RunPlan, tmp_path: Path) -> None:
    records = write_types(bottles, tmp_path, {"crack": "Crack", "hole": "other"})
    by_name = {one["name"]: one for one in score_pixel_types(bottles.tasks, records, tmp_path)["pixel_types"]}
    assert by_name["hole"]["auroc"] == pytest.approx(0.5), "0 everywhere"
    assert by_name["normal"]["auroc"] == pytest.approx(1.0), "the places are known"


def test_an_image_without_types_is_wrong_everywhere(bottles: RunPlan, tmp_path: Path) -> None:
    records = write_types(bottles, tmp_path, {"crack": "Crack", "hole": "hole"})
    lost = next(task for task in bottles.tasks if task.item.defect == "crack")
    (tmp_path / types_name(records[lost.id])).unlink()
    found = score_pixel_types(bottles.tasks, records, tmp_path)
    assert found["pixel_types_images_without"] == 1
    assert found["pixel_type_auroc"] < 0.9
    assert found["pixel_type_f1"] < 0.9


def test_there_is_nothing_to_say_without_common_words_or_single_types(bottles: RunPlan, tmp_path: Path) -> None:
    assert score_pixel_types(bottles.tasks, records_of(bottles), tmp_path) == {}
    records = write_types(bottles, tmp_path, {})
    normal = [task for task in bottles.tasks if not task.item.anomalous]
    assert score_pixel_types(normal, records, tmp_path) == {}
    stranger = StoredTypes(("dirt",), StoredMap.of(np.zeros((1, 2, 2), np.float32)), (HEIGHT, WIDTH))
    for record in records.values():
        (tmp_path / types_name(record)).write_bytes(stranger.pack())
    assert score_pixel_types(bottles.tasks, records, tmp_path) == {}


def test_many_pixels_are_thinned_out_through_all_columns(
    bottles: RunPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = write_types(bottles, tmp_path, {"crack": "Crack", "hole": "hole"})
    pixels = len(bottles.tasks) * WIDTH * HEIGHT
    monkeypatch.setattr(pixel_types, "_MOST_SCORES", pixels)  # three columns of scores; 3 and 4 divide the width
    found = score_pixel_types(bottles.tasks, records, tmp_path)
    assert found["pixel_types_every"] == 5
    assert sum(one["items"] for one in found["pixel_types"]) == len(bottles.tasks) * -(-WIDTH * HEIGHT // 5)
    assert found["pixel_type_f1"] == pytest.approx(1.0)


def test_types_of_the_whole_view_are_kept_coarse_and_come_back_at_its_size(bottles: RunPlan, tmp_path: Path) -> None:
    views = render_image(ImageSample(tmp_path / "a.png", (np.zeros((40, 60, 3), np.uint8),)), ViewBudget())
    grid: NDArray[np.float32] = np.zeros((2, 4, 6), np.float32)
    grid[1, :, 3:] = 0.8
    one = AnomalyMap(0, np.ones((40, 60), np.float32), 1.0, "dapo", types=TypeMap(("dent", "hole"), grid))
    record = records_of(bottles)[bottles.tasks[0].id]
    files = ItemFiles(tmp_path, bottles.categories)
    files.save_map(Result(record, places=find_places(bottles.tasks[0].item, views, [one])))
    kept = {path.name for path in (tmp_path / "maps").iterdir()}
    assert kept == {map_name(record), types_name(record)}
    found = read_types(tmp_path / "maps" / types_name(record))
    assert found.words == ("dent", "hole")
    assert found.grid.steps.shape == (2, 4, 6)
    drawn = found.at_size()
    assert drawn.shape == (2, 40, 60)
    assert drawn[1, :, 40:] == pytest.approx(0.8, abs=1e-4)
    assert not drawn[0].any()
    files.drop_maps(bottles.tasks, records_of(bottles))
    assert not (tmp_path / "maps").exists()
    (tmp_path / "a.npz").write_bytes(b"no")
    with pytest.raises(RunError, match="cannot be read"):
        read_types(tmp_path / "a.npz")


def test_the_word_that_training_gives_a_folder_is_right_on_its_pixels(bottles: RunPlan, tmp_path: Path) -> None:
    renamed = [replace(task, item=replace(task.item, defects=_coloured(task.item.defects))) for task in bottles.tasks]
    records = write_types(replace(bottles, tasks=tuple(renamed)), tmp_path, {"color": "Crack", "hole": "hole"})
    found = score_pixel_types(renamed, records, tmp_path, {"bottle/color": "crack"})
    assert found["pixel_type_auroc"] == pytest.approx(1.0)


def _coloured(defects: tuple[str, ...]) -> tuple[str, ...]:
    return tuple("color" if name == "crack" else name for name in defects)
