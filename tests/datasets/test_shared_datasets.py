"""The readers on real data."""

from pathlib import Path

import pytest

from vlm_inspect.datasets.item import ProblemKind
from vlm_inspect.datasets.masks import FrameMask, read_frames
from vlm_inspect.datasets.registry import read_dataset
from vlm_inspect.datasets.summary import describe
from vlm_inspect.errors import DatasetError


def test_mvtec_as_a_whole(shared_data: Path) -> None:
    summary = describe(shared_data / "mvtec", decode=False)
    found = {one.name: (one.train, one.test_normal, one.test_anomalous, one.masks) for one in summary.categories}
    assert summary.format == "mvtec"
    assert found == {
        "bottle": (209, 20, 63, 63),
        "hazelnut": (50, 2, 8, 8),
        "screw": (80, 41, 119, 0),
        "transistor": (50, 2, 8, 8),
    }
    assert [(problem.kind, problem.category) for problem in summary.problems] == [
        (ProblemKind.CLASS_WITHOUT_MASKS, "screw")
    ]


def test_magnetic_tile_has_two_empty_masks(shared_data: Path) -> None:
    summary = describe(shared_data / "magnetic_tile")
    assert summary.format == "mvtec"
    assert dict(summary.categories[0].defects) == dict.fromkeys(("blowhole", "break", "crack", "fray", "uneven"), 30)
    assert [problem.kind for problem in summary.problems] == [ProblemKind.EMPTY_MASK] * 2


def test_deeppcb_boards_bring_their_templates(shared_data: Path) -> None:
    dataset = read_dataset(shared_data / "deeppcb")
    assert dataset.format == "deeppcb"
    assert len(dataset.items) == 40
    board = dataset.items[0]
    assert board.references[0].name == board.path.name.replace("_test", "_temp")
    assert board.mask is not None
    assert 0.0 < board.mask.read().mean() < 0.2


def test_clips_of_ucsd(shared_data: Path) -> None:
    dataset = read_dataset(shared_data / "ucsd_ped1")
    assert dataset.format == "ucsd-ped"
    assert [item.path.name for item in dataset.items] == ["Test001", "Test003", "Test004"]
    for item in dataset.items:
        assert isinstance(item.mask, FrameMask)
        flags, known = read_frames(item.mask)
        assert len(flags) == known.sum() == 200
        assert 0 < flags.sum() < 200
    first = dataset.items[0].mask
    assert first is not None
    assert first.read().shape == (200, 158, 238)


def test_questions_without_their_images(shared_data: Path) -> None:
    summary = describe(shared_data / "qa")
    assert summary.format == "mmad"
    assert [one.questions for one in summary.categories] == [340]
    assert {problem.kind for problem in summary.problems} == {ProblemKind.MISSING_FILE, ProblemKind.NO_REFERENCES}


def test_what_is_no_data_set(shared_data: Path) -> None:
    with pytest.raises(DatasetError, match="no known layout"):
        read_dataset(shared_data / "gear")
