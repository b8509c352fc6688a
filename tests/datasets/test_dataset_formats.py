"""Every layout, written as published, is recognised and read: counts, labels, types, masks, groups, order."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.datasets import data_folders as folders
from vlm_inspect.datasets.item import Dataset, Item
from vlm_inspect.datasets.masks import ClipMask, FrameMask, PointMask, RegionMask, read_at_size, read_frames
from vlm_inspect.datasets.mvtec import read_category
from vlm_inspect.datasets.registry import FORMATS, read_dataset
from vlm_inspect.datasets.summary import describe
from vlm_inspect.errors import DatasetError

# format, builder, (train, validation, normal test, anomalous test, unlabelled, masks)
LAYOUTS = [
    ("mvtec", folders.mvtec, (8, 0, 4, 8, 0, 8)),
    ("mvtec", folders.visa_folders, (2, 0, 2, 2, 0, 2)),
    ("btad", folders.btad, (3, 0, 3, 3, 0, 3)),
    ("visa", folders.visa, (2, 0, 1, 2, 0, 2)),
    ("mvtec-ad-2", folders.mvtec_ad_2, (2, 2, 2, 2, 4, 2)),
    ("mvtec-loco", folders.mvtec_loco, (2, 2, 2, 2, 0, 2)),
    ("mvtec-3d", folders.mvtec_3d, (2, 2, 2, 2, 0, 2)),
    ("real3d-ad", folders.real3d_ad, (4, 0, 2, 2, 0, 2)),
    ("real-iad", folders.real_iad, (4, 0, 3, 1, 0, 1)),
    ("kolektor-sdd", folders.kolektor, (4, 0, 4, 4, 0, 4)),
    ("deeppcb", folders.deeppcb, (0, 0, 0, 2, 0, 2)),
    ("ucsd-ped", folders.ucsd_ped, (2, 0, 0, 2, 0, 2)),
    ("avenue", folders.avenue, (1, 0, 1, 1, 0, 1)),
    ("folder", folders.plain_folder, (3, 0, 3, 4, 0, 4)),
    ("mmad", folders.mmad, (0, 0, 2, 1, 0, 0)),
]


def counts(dataset: Dataset) -> tuple[int, ...]:
    found = dataset.categories
    odd = [item for category in found for item in category.test if item.anomalous]
    return (
        sum(len(category.train) for category in found),
        sum(len(category.validation) for category in found),
        sum(len(category.test) for category in found) - len(odd),
        len(odd),
        sum(item.split == "unlabelled" for item in dataset.items),
        sum(item.mask is not None for item in odd),
    )


def item_of(dataset: Dataset, end: str) -> Item:
    return next(item for item in dataset.items if item.id.endswith(end))


@pytest.mark.parametrize(("name", "build", "expected"), LAYOUTS)
def test_each_layout_is_recognised_and_read(
    tmp_path: Path, name: str, build: Callable[[Path], Path], expected: tuple[int, ...]
) -> None:
    root = build(tmp_path / "set")
    dataset = read_dataset(root)
    assert dataset.format == name
    assert counts(dataset) == expected
    order = [(item.category, item.id) for item in dataset.items]
    assert order == sorted(order)
    assert dataset == read_dataset(root, format=name)
    for item in dataset.items:
        assert all(path.is_dir() if item.kind == "video" else path.is_file() for path in item.paths)
        assert item.anomalous is not True or item.defects
        if item.mask is not None:
            assert item.anomalous
            assert item.mask.read().any()


@pytest.mark.parametrize(("name", "build", "expected"), LAYOUTS)
def test_no_layout_has_problems_of_its_own(
    tmp_path: Path, name: str, build: Callable[[Path], Path], expected: tuple[int, ...]
) -> None:
    found = {str(problem.kind) for problem in describe(build(tmp_path / "set")).problems}
    assert found == ({"one label only"} if name == "deeppcb" else set())


@pytest.mark.parametrize("build", [folders.mvtec, folders.mvtec_loco, folders.mvtec_3d, folders.real3d_ad])
def test_a_class_folder_alone_has_the_ids_of_the_whole(tmp_path: Path, build: Callable[[Path], Path]) -> None:
    whole = read_dataset(build(tmp_path / "set"))
    first = whole.categories[0]
    alone = read_dataset(tmp_path / "set" / first.name)
    assert [item.id for item in alone.items] == [item.id for item in first.items]


def test_mvtec_items_masks_and_categories(tmp_path: Path) -> None:
    folders.mvtec(tmp_path, classes=("screw",), suffix=".jpg")
    (tmp_path / "screw" / "train" / "good" / "notes.txt").write_text("no image")
    category = read_category(tmp_path / "screw")
    assert [item.path.name for item in category.train] == ["000.jpg", "001.jpg", "002.jpg", "003.jpg"]
    first = category.test[0]
    assert (first.id, first.defect, first.anomalous) == ("screw/test/crack/000.jpg", "crack", True)
    assert first.mask is not None
    assert first.mask.paths == (tmp_path / "screw" / "ground_truth" / "crack" / "000_mask.png",)
    assert category.has_masks
    (tmp_path / "screw" / "ground_truth" / "crack" / "000_mask.png").unlink()
    assert not read_category(tmp_path / "screw").has_masks


def test_masks_scale_to_a_map(tmp_path: Path) -> None:
    folders.mvtec(tmp_path, classes=("screw",))
    mask = read_category(tmp_path / "screw").test[0].mask
    width, height = folders.SIZE_WH
    double = read_at_size(mask, (2 * height, 2 * width))
    assert double.shape == (2 * height, 2 * width)
    assert double.sum() == 4 * read_at_size(mask, (height, width)).sum() == 4 * 16
    assert not read_at_size(None, (5, 4)).any()


def test_visa_names_all_types_of_an_image(tmp_path: Path) -> None:
    dataset = read_dataset(folders.visa(tmp_path))
    assert item_of(dataset, "000.JPG").defects == ("melt",)
    assert item_of(dataset, "001.JPG").defects == ("bent", "scratch")
    assert item_of(dataset, "001.JPG").defect == "bent+scratch"


def test_loco_masks_know_regions_and_saturation(tmp_path: Path) -> None:
    mask = item_of(read_dataset(folders.mvtec_loco(tmp_path)), "logical_anomalies/000.png").mask
    assert isinstance(mask, RegionMask)
    # 16 pixels saturate at 6 of them; 24 pixels at half; the two share 8.
    assert [(int(region.mask.sum()), region.saturation) for region in mask.regions()] == [(16, 6), (24, 12)]
    assert mask.read().sum() == 16 + 24 - 8


def test_loco_rejects_a_value_that_the_config_lacks(tmp_path: Path) -> None:
    root = folders.mvtec_loco(tmp_path)
    folders.mask(root / "screw_bag" / "ground_truth" / "logical_anomalies" / "000" / "000.png", 7)
    mask = item_of(read_dataset(root), "logical_anomalies/000.png").mask
    assert isinstance(mask, RegionMask)
    with pytest.raises(DatasetError, match=r"000\.png has the values \[7\]"):
        mask.regions()


def test_scans_come_with_photo_and_flags_a_point(tmp_path: Path) -> None:
    hole = item_of(read_dataset(folders.mvtec_3d(tmp_path / "a")), "test/hole/xyz/000.tiff")
    assert [path.parent.name for path in hole.paths] == ["xyz", "rgb"]
    assert hole.mask is not None
    assert hole.mask.read().shape == (32, 48)
    sink = item_of(read_dataset(folders.real3d_ad(tmp_path / "b")), "4_sink_cut.pcd")
    assert isinstance(sink.mask, PointMask)
    assert sink.defects == ("sink",)
    assert sink.mask.read().sum() == 5
    assert sink.mask.points().shape == (60, 3)


def test_real_iad_groups_the_photos_of_a_part(tmp_path: Path) -> None:
    root = folders.real_iad(tmp_path)
    folders.picture(root / "realiad_1024" / "audiojack" / "OK" / "x.jpg")  # larger, but only one image is there
    dataset = read_dataset(root)
    assert dataset.note == "Images of realiad_1024."
    (root / "realiad_1024" / "audiojack" / "OK" / "x.jpg").unlink()
    (root / "realiad_1024" / "audiojack" / "OK").rmdir()
    (root / "realiad_1024" / "audiojack").rmdir()
    (root / "realiad_1024").rmdir()
    seen = item_of(read_dataset(root), "_0003_QS_C1.jpg")
    unseen = item_of(read_dataset(root), "_0003_QS_C2.jpg")
    assert seen.group == unseen.group
    assert (seen.anomalous, unseen.anomalous) == (True, False)


def test_deeppcb_boxes_types_and_its_own_template(tmp_path: Path) -> None:
    root = folders.deeppcb(tmp_path)
    board = read_dataset(root).items[0]
    assert board.defects == ("mousebite", "open")
    assert [path.name for path in board.references] == ["00041000_temp.jpg"]
    assert board.mask is not None
    assert board.mask.read().sum() == 4 * 4 + 4 * 5
    (root / "test.txt").write_text("group00041/00041/00041001.jpg group00041/00041_not/00041001.txt\n")
    assert [item.path.name for item in read_dataset(root).items] == ["00041001_test.jpg"]


def test_frames_without_masks_need_labels(tmp_path: Path) -> None:
    root = folders.ucsd_ped(tmp_path)
    masks = root / "UCSDped2" / "Test" / "Test001_gt"
    (masks / "001.bmp").unlink()
    partly = read_dataset(root).category("UCSDped2").test[0]
    assert isinstance(partly.mask, FrameMask)
    flags, known = read_frames(partly.mask)
    assert flags[known].tolist() == [True, True]
    assert known.tolist() == [False, True, True]
    for name in ("002.bmp", "003.bmp"):
        (masks / name).unlink()
    bare = read_dataset(root).category("UCSDped2")
    assert bare.test == ()
    assert any("3 frames have neither" in problem.message for problem in read_dataset(root).problems)
    labels = root / "UCSDped2" / "Test" / "UCSDped2.m"
    labels.write_text("TestVideoFile = {};\nTestVideoFile{end+1}.gt_frame = [1:1, 3:3];\n")
    told = read_dataset(root).category("UCSDped2")
    assert told.has_masks
    assert isinstance(told.test[0].mask, FrameMask)
    assert told.test[0].mask.read().ravel().tolist() == [True, False, True]
    labels.write_text("TestVideoFile{end+1}.gt_frame = [soon];\n")
    with pytest.raises(DatasetError, match="not a list of frames"):
        read_dataset(root)


def test_avenue_masks_have_a_frame_axis(tmp_path: Path) -> None:
    clip = item_of(read_dataset(folders.avenue(tmp_path)), "testing_videos/01.avi")
    assert isinstance(clip.mask, ClipMask)
    assert clip.mask.read().any(axis=(1, 2)).tolist() == [False, False, True, True]


def test_questions_of_mmad(tmp_path: Path) -> None:
    dataset = read_dataset(folders.mmad(tmp_path))
    first = dataset.questions[0]
    assert len(dataset.questions) == 6
    assert {question.subtask for question in dataset.questions} == {"Anomaly Detection", "Object Analysis"}
    assert (first.dataset, first.category, first.anomalous) == ("MVTec-AD", "MVTec-AD/bottle", True)
    assert (first.options, first.answer) == ((("A", "Yes."), ("B", "No.")), "A")
    assert first.random_templates == (tmp_path / "MVTec-AD/bottle/train/good/002.png",)
    assert read_dataset(tmp_path / "mmad.json") == dataset
    assert dataset.select(["MVTec-AD/bottle"]) == dataset


def test_auto_says_what_it_knows(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no known layout"):
        read_dataset(tmp_path)
    with pytest.raises(DatasetError, match="does not exist"):
        read_dataset(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="no data format 'coco'"):
        read_dataset(tmp_path, format="coco")


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_an_empty_folder_is_one_line_in_every_format(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError) as caught:
        read_dataset(tmp_path, format=name)
    assert "\n" not in str(caught.value)


def _break_csv(root: Path) -> None:
    folders.write_csv(root / "split_csv" / "1cls.csv", [("object", "split"), ("pcb1", "train")])


def _climb_in_csv(root: Path) -> None:
    folders.write_csv(
        root / "split_csv" / "1cls.csv",
        [("object", "split", "label", "image", "mask"), ("pcb1", "train", "normal", "../../secret.png", "")],
    )


def _break_config(root: Path) -> None:
    entries = [dict(folders.LOCO_CONFIG[0], pixel_value=300)]
    folders.write_json(root / "screw_bag" / "defects_config.json", entries)


def _break_json(root: Path) -> None:
    (root / "realiad_jsons" / "realiad_jsons" / "audiojack.json").write_text("{")


def _lose_key(root: Path) -> None:
    folders.write_json(root / "realiad_jsons" / "realiad_jsons" / "audiojack.json", {"train": []})


def _bad_answer(root: Path) -> None:
    path = root / "mmad.json"
    entries = json.loads(path.read_text())
    next(iter(entries.values()))["conversation"][0]["Answer"] = "Z"
    folders.write_json(path, entries)


def _bad_box(root: Path) -> None:
    (root / "group00041" / "00041_not" / "00041000.txt").write_text("1 2 3 4 9\n")


def _bad_label_file(root: Path) -> None:
    (root / "kos01" / "Part0_label.bmp").write_bytes(b"BM nonsense")


@pytest.mark.parametrize(
    ("build", "damage", "message"),
    [
        (folders.visa, _break_csv, "no column 'label'"),
        (folders.visa, _climb_in_csv, "not a path below"),
        (folders.mvtec_loco, _break_config, "0.pixel_value"),
        (folders.real_iad, _break_json, "cannot be read as JSON"),
        (folders.real_iad, _lose_key, "test: Field required"),
        (folders.mmad, _bad_answer, "'Z' is none of the options"),
        (folders.deeppcb, _bad_box, "line 1"),
        (folders.kolektor, _bad_label_file, "cannot be read as a mask"),
    ],
)
def test_a_damaged_list_is_one_line(
    tmp_path: Path, build: Callable[[Path], Path], damage: Callable[[Path], None], message: str
) -> None:
    root = build(tmp_path / "set")
    damage(root)
    with pytest.raises(DatasetError, match=message) as caught:
        read_dataset(root)
    assert "\n" not in str(caught.value)


def test_boxes_beyond_the_image_are_cut(tmp_path: Path) -> None:
    root = folders.deeppcb(tmp_path)
    (root / "group00041" / "00041_not" / "00041000.txt").write_text("20,10,900,900,2\n")
    mask = read_dataset(root).items[0].mask
    assert mask is not None
    assert np.argwhere(mask.read()).max(axis=0).tolist() == [31, 47]
