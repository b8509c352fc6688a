"""Folders as users have them: other names, other layouts side by side, files that are no samples."""

import shutil
from pathlib import Path

import pytest

from tests.datasets.data_folders import mask, mvtec, picture, plain_folder, visa
from vlm_inspect.datasets.item import ProblemKind
from vlm_inspect.datasets.registry import read_dataset


@pytest.mark.parametrize(
    ("normal", "anomalous"),
    [
        ("good", "bad"),
        ("OK", "NG"),
        ("Normals", "Defects"),
        ("ok", "anomaly"),
        ("Good", "Defective"),
        ("normal", "nok"),
    ],
)
def test_plain_folders_by_their_usual_names(tmp_path: Path, normal: str, anomalous: str) -> None:
    for at in range(2):
        picture(tmp_path / "cap" / normal / f"{at}.png")
        picture(tmp_path / "cap" / anomalous / "dent" / f"{at}.png")
    dataset = read_dataset(tmp_path / "cap")
    labels = [(item.anomalous, item.defects) for item in dataset.category("cap").test]
    assert sorted(labels) == [(False, ()), (False, ()), (True, ("dent",)), (True, ("dent",))]
    assert not dataset.problems


def test_system_files_are_no_samples(tmp_path: Path) -> None:
    root = plain_folder(tmp_path)
    before = read_dataset(root)
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._000.png", "~$x.csv"):
        (next(root.rglob("normal")) / name).write_bytes(b"x")
    picture(root / "__MACOSX" / "normal" / "000.png")
    after = read_dataset(root)
    assert after.items == before.items
    assert after.problems == before.problems


def test_what_is_read_as_nothing_is_named(tmp_path: Path) -> None:
    for at in range(2):
        picture(tmp_path / "cap" / "good" / f"{at}.png")
        picture(tmp_path / "cap" / "bad" / f"{at}.png")
        picture(tmp_path / "cap" / "unsure" / f"{at}.png")
    found = read_dataset(tmp_path).problems
    assert [(one.kind, one.category, one.message) for one in found] == [
        (ProblemKind.SKIPPED, "cap", "2 files in cap/unsure skipped: format folder reads no such folder")
    ]


def test_masks_in_another_layout_are_named(tmp_path: Path) -> None:
    for at in range(2):
        picture(tmp_path / "a" / "good" / f"{at}.png")
        picture(tmp_path / "a" / "bad" / f"{at}.png")
        mask(tmp_path / "a" / "ground_truth" / f"{at}.png")
    (moved,) = read_dataset(tmp_path / "a").problems
    assert moved.kind is ProblemKind.MASK_LAYOUT
    assert (
        "2 files in ground_truth look like masks, but format folder has them in masks/[TYPE/]NAME.png" in moved.message
    )
    root = mvtec(tmp_path / "b", classes=("screw",))
    for path in sorted((root / "screw" / "ground_truth").rglob("*.png")):
        path.rename(path.with_name(f"gt_{path.name}"))
    named = [one for one in read_dataset(root).problems if one.kind is ProblemKind.MASK_LAYOUT]
    assert len(named) == 1
    assert "named after none of its images" in named[0].message


def test_a_mask_among_the_images_is_no_part(tmp_path: Path) -> None:
    root = mvtec(tmp_path, classes=("screw",))
    mask(root / "screw" / "test" / "crack" / "000_mask.png")
    dataset = read_dataset(root)
    assert len(dataset.category("screw").test) == 6
    assert [one.kind for one in dataset.problems] == [ProblemKind.MASK_LAYOUT]


def test_classes_in_several_layouts_side_by_side(tmp_path: Path) -> None:
    mvtec(tmp_path, classes=("screw",))
    for name in ("good", "bad"):
        picture(tmp_path / "cap" / name / "0.png")
    (tmp_path / "notes").mkdir()
    dataset = read_dataset(tmp_path)
    assert [one.name for one in dataset.categories] == ["cap", "screw"]
    assert dataset.format == "mvtec+folder"


def test_mvtec_without_training_images(tmp_path: Path) -> None:
    root = mvtec(tmp_path, classes=("screw",))
    shutil.rmtree(root / "screw" / "train")
    dataset = read_dataset(root)
    assert (dataset.format, len(dataset.category("screw").test)) == ("mvtec", 6)


def test_a_visa_class_alone(tmp_path: Path) -> None:
    root = visa(tmp_path)
    alone = read_dataset(root / "pcb1")
    assert [item.id for item in alone.items] == [item.id for item in read_dataset(root).items]
    shutil.rmtree(root / "split_csv")
    bare = read_dataset(root / "pcb1")
    assert {item.split for item in bare.items} == {"test"}
    assert "every image is scored" in bare.note
