"""Shifts of light and camera: what changes, what stays, and masks that move along."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluation.errors import RunError
from evaluation.metrics import PixelMetrics
from evaluation.runs.record import ItemRecord
from evaluation.scoring.registry import ClassRecords
from evaluation.scoring.scorers.light_conditions import light_of, score_lights
from evaluation.shifts.copying import shift_dataset
from evaluation.shifts.shifts import SHIFTS
from tests.datasets.data_folders import mvtec
from vlm_inspect.datasets.registry import read_dataset
from vlm_inspect.errors import OutputError


def edge() -> np.ndarray:
    picture = np.full((360, 480, 3), 120, np.uint8)
    picture[120:240, 180:300] = (200, 90, 40)
    return picture


@pytest.mark.parametrize("name", SHIFTS)
def test_strength_0_changes_nothing_and_more_changes_more(name: str) -> None:
    def changed(strength: float) -> np.ndarray:
        return SHIFTS[name].change(edge(), strength, np.random.default_rng(0)).astype(int)

    assert np.array_equal(changed(0.0), edge())
    small, large = (np.abs(changed(strength) - edge()).sum() for strength in (0.5, 2.0))
    assert 0 < small < large
    assert np.array_equal(changed(1.0), changed(1.0))


def test_light_goes_the_way_that_its_name_says() -> None:
    random = np.random.default_rng(0)
    assert SHIFTS["brighter"].change(edge(), 1.0, random).mean() > edge().mean() > SHIFTS["darker"].change(
        edge(), 1.0, random
    ).mean()  # fmt: skip
    warm = SHIFTS["warmer"].change(edge(), 1.0, random)[0, 0]
    assert warm[0] > 120 > warm[2]


@pytest.mark.parametrize("name", ["darker", "displaced"])
def test_a_copy_has_changed_test_pictures_and_masks_that_fit_them(name: str, tmp_path: Path) -> None:
    root, out = mvtec(tmp_path / "data", classes=("bottle",)), tmp_path / "out"
    data = read_dataset(root)
    assert shift_dataset(data, root, out, SHIFTS[name], strength=2.0) == 6
    before = {path.relative_to(root): path.read_bytes() for path in root.rglob("*.png")}
    after = {path.relative_to(out): path.read_bytes() for path in out.rglob("*.png")}
    assert before.keys() == after.keys()
    same = {path for path in before if before[path] == after[path]}
    assert all("train" in path.parts for path in same if "ground_truth" not in path.parts)
    assert all(path in same for path in before if "train" in path.parts)
    masks = [path for path in before if "ground_truth" in path.parts]
    assert all((path in same) != SHIFTS[name].moves for path in masks)
    moved = read_dataset(out)
    assert [item.id for item in moved.items] == [item.id for item in data.items]
    for path in masks:
        values = np.unique(np.asarray(Image.open(out / path)))
        assert set(values.tolist()) <= {0, 255}


def test_what_cannot_be_done_is_said_before_anything_is_written(tmp_path: Path) -> None:
    root = mvtec(tmp_path / "data", classes=("bottle",))
    data = read_dataset(root)
    with pytest.raises(OutputError, match="there already"):
        shift_dataset(data, root, root.parent, SHIFTS["darker"], strength=1.0)
    with pytest.raises(OutputError, match="lies in the data set"):
        shift_dataset(data, root, root / "out", SHIFTS["darker"], strength=1.0)
    (root / "bottle" / "test" / "good" / "000.png").write_bytes(b"no picture")
    with pytest.raises(RunError, match="cannot be read as a picture"):
        shift_dataset(data, root, tmp_path / "out", SHIFTS["darker"], strength=1.0)


def record(name: str, score: float) -> ItemRecord:
    label = "anomalous" if "bad" in name else "normal"
    return ItemRecord(id=name, category="can", label=label, score=score, outcome="OK", heatmap_score=score)


def test_mvtec_ad_2_is_told_by_light() -> None:
    records = [
        record(f"can/test_public/{kind}/{at:03}_{light}.png", score)
        for light, scores in {"regular": (0.1, 0.9), "overexposed": (0.8, 0.2)}.items()
        for at, (kind, score) in enumerate(zip(("good", "bad"), scores, strict=True))
    ]
    found = score_lights(ClassRecords("can", records, 0.5))["lights"]
    assert found["regular"] == {"n": 2, "image_auroc": 1.0, "heatmap_auroc": 1.0}
    assert found["overexposed"]["image_auroc"] == 0.0
    assert light_of("can/test_public/bad/004_shift_2.png") == "shift_2"
    assert score_lights(ClassRecords("can", [record("bottle/test/good/000.png", 0.1)], 0.5)) == {}


def test_accuracy_is_that_at_the_best_f1() -> None:
    scores, mask = np.array([[0.1, 0.2, 0.6, 0.9]], np.float32), np.array([[False, False, False, True]])
    found = PixelMetrics()
    found.add(scores, mask)
    assert found.accuracy_at_f1_max() == (pytest.approx(0.9), 1.0)
    worse = PixelMetrics()
    worse.add(scores, np.array([[False, True, False, True]]))
    threshold, accuracy = worse.accuracy_at_f1_max() or (0.0, 0.0)
    assert threshold == pytest.approx(0.2)
    assert accuracy == 0.75
    assert PixelMetrics().accuracy_at_f1_max() is None
