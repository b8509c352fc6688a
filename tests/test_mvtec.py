"""The reader of MVTec-style folders."""

from pathlib import Path

import pytest

from evaluation.datasets.mvtec import read_category


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")


def test_items_are_sorted_labelled_and_masked(tmp_path: Path) -> None:
    touch(tmp_path / "train" / "good", "b.png", "a.png", "notes.txt")
    touch(tmp_path / "test" / "good", "n.png")
    touch(tmp_path / "test" / "crack", "1.jpg", "0.jpg")
    touch(tmp_path / "ground_truth" / "crack", "0_mask.png", "1_mask.png")
    category = read_category(tmp_path)
    assert [item.path.name for item in category.train] == ["a.png", "b.png"]
    assert [(item.path.name, item.defect, item.anomalous) for item in category.test] == [
        ("0.jpg", "crack", True),
        ("1.jpg", "crack", True),
        ("n.png", "good", False),
    ]
    assert category.test[0].mask_path == tmp_path / "ground_truth" / "crack" / "0_mask.png"
    assert category.test[2].mask_path is None
    assert category.has_masks


def test_a_missing_mask_is_told(tmp_path: Path) -> None:
    touch(tmp_path / "train" / "good", "a.png")
    touch(tmp_path / "test" / "crack", "0.jpg")
    assert not read_category(tmp_path).has_masks


def test_another_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no MVTec-style category"):
        read_category(tmp_path)
