"""Heat and boxes together, scored beside the heat: boards of the demo and real bottles, boxes of known quality.

Good boxes mean the defect, roughly; random ones have its size and lie anywhere. Both come with the same high
probability, and the random model names a place on normal parts, too.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from converters.image import ImageOrigin
from converters.view import BoxXyxyn, View
from evaluation.metrics import PixelMetrics
from evaluation.runs.plan import Task
from evaluation.runs.record import ItemRecord, ModelBox
from evaluation.scoring.item_map import read_map
from evaluation.scoring.item_places import heat_picture
from evaluation.scoring.registry import ClassMaps
from evaluation.scoring.scorers.fused_pixels import fused_name, odds_name, score_fused_pixels
from tests.localization.fitted import localize
from vlm_inspect.datasets.item import Item
from vlm_inspect.datasets.masks import ImageMask
from vlm_inspect.demo.circuit_board import photograph
from vlm_inspect.evidence import AnomalyMap
from vlm_inspect.fused_map import box_evidence, heat_log_odds, in_nats
from vlm_inspect.localization import load_localizer
from vlm_inspect.localization.settings import LocalizerSettings

Part = tuple[View, AnomalyMap, NDArray[np.bool_]]
"""A view, its heat, and where it is anomalous."""


def view_of(picture: NDArray[np.uint8]) -> View:
    height, width = picture.shape[:2]
    return View(picture, "image", "whole", ImageOrigin(window_xyxy=(0, 0, width, height), page=0))


def boards() -> list[Part]:
    """Boards with and without a missing part; heat by the memory of four normal ones."""
    known = [[view_of(photograph(np.random.default_rng(100 + i))[0])] for i in range(4)]
    memory = load_localizer("memory", LocalizerSettings.model_validate({"memory": {"eye": "fast"}}))
    made, views = [], []
    for i, missing in enumerate([*("C2", "R3", "C1", "R1", "U3", "R2", "C3", "U2", "U1"), None, None, None]):
        photo, box = photograph(np.random.default_rng(i), missing=missing)
        mask = np.zeros(photo.shape[:2], bool)
        if box is not None:
            (x0, y0), (x1, y1) = (np.array(corner) * photo.shape[1::-1] for corner in (box[:2], box[2:]))
            mask[int(y0) : int(y1), int(x0) : int(x1)] = True
        made.append(mask)
        views.append(view_of(photo))
    heats = [localize(memory, [one], known)[0] for one in views]
    return list(zip(views, heats, made, strict=True))


def bottles(data: Path) -> list[Part]:
    """Every third test picture of the class; heat by dapo-mini, without references."""
    root, dapo = data / "mvtec" / "bottle", load_localizer("dapo")
    found = []
    for path in sorted(path for folder in (root / "test").iterdir() for path in folder.iterdir())[::3]:
        picture = np.asarray(Image.open(path).convert("RGB").resize((450, 450)))
        truth = root / "ground_truth" / path.parent.name / f"{path.stem}_mask.png"
        mask = np.zeros((450, 450), bool)
        if truth.is_file():
            mask = np.asarray(Image.open(truth).convert("L").resize((450, 450), Image.Resampling.NEAREST)) > 127
        view = view_of(picture)
        found.append((view, localize(dapo, [view])[0], mask))
    return found


def boxes_of(mask: NDArray[np.bool_], random: np.random.Generator, *, good: bool) -> list[BoxXyxyn]:
    rows, columns = np.nonzero(mask)
    if good and not len(rows):
        return []
    size = np.array(mask.shape[::-1])
    low, high = ([0.4, 0.4], [0.55, 0.6]) if not len(rows) else (
        np.array([columns.min(), rows.min()]) / size, np.array([columns.max() + 1, rows.max() + 1]) / size
    )  # fmt: skip
    middle, sides = (np.array(low) + high) / 2, np.array(high) - low
    if good:
        middle, sides = middle + random.normal(0, 0.15, 2) * sides, sides * np.exp(random.normal(0, 0.25, 2))
    else:
        middle = random.random(2)
    x0, y0, x1, y1 = np.clip(np.concatenate([middle - sides / 2, middle + sides / 2]), 0, 1)
    return [(float(x0), float(y0), float(x1), float(y1))]


def written(parts: list[Part], folder: Path, *, good: bool | None) -> ClassMaps:
    """Write the heat of parts as a run does, with boxes good or random; None: the model names no place."""
    random, tasks, records = np.random.default_rng(3), [], {}
    for number, (view, heat, mask) in enumerate(parts):
        name, truth = f"part/{number}", folder / f"{number}_mask.png"
        Image.fromarray(mask.astype(np.uint8) * 255).save(truth)
        odd = bool(mask.any())
        item = Item(name, "part", (truth,), "test", odd, ("hole",) if odd else (), ImageMask(truth) if odd else None)
        boxes = [] if good is None else boxes_of(mask, random, good=good)
        tasks.append(Task(name, item, ()))
        records[name] = ItemRecord(
            id=name,
            category="part",
            label="anomalous" if odd else "normal",
            preview=str(number),
            boxes=tuple(ModelBox(box_xyxyn=box, p=0.9) for box in boxes),
        )
        odds = heat_picture([view], [heat])
        assert odds is not None
        (folder / odds_name(records[name])).write_bytes(odds.pack())
    return ClassMaps(tasks, records, folder)


def alone(values: Iterable[NDArray[Any]], parts: list[Part]) -> tuple[float, float]:
    found = PixelMetrics()
    for one, (_, _, mask) in zip(values, parts, strict=True):
        found.add(one, mask)
    auroc, aupro = found.auroc(), found.aupro()
    assert auroc is not None
    assert aupro is not None
    return auroc, aupro


def box_maps(maps: ClassMaps, parts: list[Part]) -> list[NDArray[np.float32]]:
    """What the boxes say without the heat: their probability inside, 0 outside."""
    drawn = []
    for task, (_, _, mask) in zip(maps.tasks, parts, strict=True):
        own = np.zeros(mask.shape, np.float32)
        for one in maps.records[task.id].boxes or ():
            height, width = mask.shape
            x0, y0, x1, y1 = one.box_xyxyn
            own[int(y0 * height) : int(np.ceil(y1 * height)), int(x0 * width) : int(np.ceil(x1 * width))] = one.p
        drawn.append(own)
    return drawn


@pytest.fixture(scope="module", params=["boards", "bottles"])
def parts(request: pytest.FixtureRequest) -> list[Part]:
    return boards() if request.param == "boards" else bottles(request.getfixturevalue("shared_data"))


def test_good_boxes_make_it_better_than_both(parts: list[Part], tmp_path: Path) -> None:
    maps = written(parts, tmp_path, good=True)
    found = score_fused_pixels(maps).metrics
    heat = alone((one.values for _, one, _ in parts), parts)
    boxes = alone(box_maps(maps, parts), parts)
    assert found["box_trust"] > 0.7
    assert found["fused_pixel_auroc"] > max(heat[0], boxes[0])
    assert found["fused_aupro"] > max(heat[1], boxes[1])
    assert found["fused_hit_rate"] >= found["map_hit_rate"]
    assert found["box_hit_rate"] > 0.9


def test_random_boxes_do_not_make_it_worse_than_the_heat(parts: list[Part], tmp_path: Path) -> None:
    found = score_fused_pixels(written(parts, tmp_path, good=False)).metrics
    auroc, aupro = alone((one.values for _, one, _ in parts), parts)
    assert found["box_trust"] == 0
    assert found["fused_pixel_auroc"] >= auroc - 1e-3  # the log-odds are kept in 16 bits
    assert found["fused_aupro"] >= aupro - 1e-3
    assert found["box_hit_rate"] < 0.5


def single(maps: ClassMaps, parts: list[Part]) -> tuple[float, float]:
    """The fused maps of parts that are judged one by one, by a model that nothing is known of."""
    drawn = []
    for task, (view, heat, _) in zip(maps.tasks, parts, strict=True):
        log_odds = heat_log_odds([heat])[0]
        boxes = [(one.box_xyxyn, one.p) for one in maps.records[task.id].boxes or ()]
        drawn.append(in_nats(log_odds + box_evidence(log_odds, view.mask, boxes)))
    return alone(drawn, parts)


def test_a_single_part_gains_by_good_boxes_and_keeps_its_heat_with_random_ones(
    parts: list[Part], tmp_path: Path
) -> None:
    heat = alone((one.values for _, one, _ in parts), parts)
    good = single(written(parts, tmp_path, good=True), parts)
    random = single(written(parts, tmp_path, good=False), parts)
    assert good[0] > heat[0]
    assert good[1] > heat[1]
    assert random[0] > heat[0] - 2e-3
    assert random[1] > heat[1] - 4e-3


def test_without_boxes_it_is_the_heat_and_kept_beside_it(parts: list[Part], tmp_path: Path) -> None:
    maps = written(parts, tmp_path, good=None)
    found = score_fused_pixels(maps).metrics
    assert found["fused_pixel_auroc"] == pytest.approx(alone((one.values for _, one, _ in parts), parts)[0], abs=1e-3)
    assert found["fused_hit_rate"] == found["map_hit_rate"]
    for task in maps.tasks:
        assert read_map(tmp_path / fused_name(maps.records[task.id])).values().min() >= 0


def test_what_no_model_judged_is_not_scored(tmp_path: Path) -> None:
    picture = np.zeros((20, 20, 3), np.uint8)
    heat = AnomalyMap(0, np.random.default_rng(0).random((20, 20)).astype(np.float32), 1.0, "memory")
    mask = np.eye(20, dtype=bool)
    maps = written([(view_of(picture), heat, mask)], tmp_path, good=True)
    offline = {name: one.model_copy(update={"boxes": None}) for name, one in maps.records.items()}
    assert score_fused_pixels(ClassMaps(maps.tasks, offline, tmp_path)).metrics == {}
