"""Data folders: what is read of each layout, in which order, and what is refused in one line."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from converters.errors import ConversionError
from tests.training.training_folders import (
    SIZE_HW,
    deeppcb_folder,
    mvtec_folder,
    plain_folder,
    plate,
    save,
    visa_folder,
)
from vlm_inspect.datasets.defect_words import word_of_folder
from vlm_inspect.errors import DatasetError, TrainingError
from vlm_inspect.training.data import TrainingData, read_data


def sources(data: TrainingData) -> list[str]:
    return [entry.source for entry in data.entries]


def words(data: TrainingData) -> list[str | None]:
    return [entry.item.word for entry in data.entries]


def test_mvtec_test_pictures_in_sorted_order(tmp_path: Path) -> None:
    data = read_data([mvtec_folder(tmp_path / "metal_plate")], "masks")
    assert sources(data) == [
        *(f"metal_plate/test/good/{i:03}.png" for i in range(4)),
        *(f"metal_plate/test/line/{i:03}.png" for i in range(3)),
        *(f"metal_plate/test/spot/{i:03}.png" for i in range(3)),
    ]
    assert words(data) == [None] * 4 + ["line"] * 3 + ["spot"] * 3
    assert data.words == ("line", "spot")
    assert data.class_names == ("metal plate",)
    assert (data.facts[0].normal, data.facts[0].anomalous) == (4, 6)
    line = data.entries[4].load()
    _, mask = plate(310, "line")
    assert np.array_equal(line.mask, mask > 0)
    assert not data.entries[0].load().mask.any()


def test_synthetic_supervision_reads_normal_training_pictures_only(tmp_path: Path) -> None:
    folder = mvtec_folder(tmp_path / "plate")
    data = read_data([folder], "synthetic")
    assert sources(data) == [f"plate/train/good/{i:03}.png" for i in range(4)]
    assert words(data) == [None] * 4
    plain = read_data([plain_folder(tmp_path / "plain")], "synthetic")
    assert sources(plain) == [f"plain/normal/n{i}.png" for i in range(3)]


def test_masks_named_as_visa_copies_name_them(tmp_path: Path) -> None:
    data = read_data([mvtec_folder(tmp_path / "pcb1", mask_name="{}.png")], "masks")
    assert data.facts[0].anomalous == 6


def test_a_root_holds_classes_in_any_layout(tmp_path: Path) -> None:
    mvtec_folder(tmp_path / "b")
    plain_folder(tmp_path / "a")
    (tmp_path / "notes").mkdir()
    data = read_data([tmp_path], "masks")
    assert data.class_names == ("a", "b")
    assert sources(data)[0] == f"{tmp_path.name}/a/normal/n0.png"


def test_plain_folders(tmp_path: Path) -> None:
    data = read_data([plain_folder(tmp_path / "part")], "masks")
    assert sources(data) == [
        *(f"part/normal/n{i}.png" for i in range(3)),
        "part/anomalous/a0.png",
        "part/anomalous/line/a1.png",
    ]
    assert words(data) == [None, None, None, "damage", "line"]


def test_visa_leaves_out_pictures_with_several_types_and_says_so(tmp_path: Path) -> None:
    data = read_data([visa_folder(tmp_path)], "masks")
    assert words(data) == [None, None, None, None, "spot", "line"]
    assert data.left_out == ("pcb1: 1 pictures with several defect types",)
    # masks of VisA hold type numbers, not 255
    assert data.entries[5].load().mask.sum() == (plate(501, "line")[1] > 0).sum()


def test_visa_split(tmp_path: Path) -> None:
    folder = visa_folder(tmp_path, split=True)
    assert words(read_data([folder], "masks")) == [None, "spot", "line"]
    assert sources(read_data([folder], "synthetic")) == [f"pcb1/Data/Images/Normal/{i:04}.JPG" for i in range(3)]


def test_deeppcb_marks_what_differs_from_the_template_by_type(tmp_path: Path) -> None:
    data = read_data([deeppcb_folder(tmp_path / "boards")], "masks")
    assert words(data) == [None, "open"]
    assert data.words == ("copper", "open")
    sample = data.entries[1].load()
    assert sample.type_words == ("open", "copper")
    assert sample.type_map is not None
    expected = np.zeros(SIZE_HW, np.uint8)
    expected[10:14, 4:8] = 1
    expected[2:5, 20:24] = 2
    # JPEG blurs edges by a pixel
    assert (sample.type_map != expected).sum() <= 6
    assert np.array_equal(sample.mask, sample.type_map > 0)


def test_words_of_the_public_collections_for_their_own_classes_only() -> None:
    assert word_of_folder("bottle", "broken_large") == "broken"
    assert word_of_folder("metal nut", "flip") == "misaligned"
    assert word_of_folder("my part", "broken_large") == "broken large"
    assert word_of_folder("x", "Bad") == word_of_folder("x", "") == "damage"


def test_digest_follows_pictures_masks_and_words(tmp_path: Path) -> None:
    folder = mvtec_folder(tmp_path / "plate")
    before = read_data([folder], "masks").facts[0].sha256
    assert read_data([folder], "masks").facts[0].sha256 == before
    mask = folder / "ground_truth" / "spot" / "000_mask.png"
    kept = mask.read_bytes()
    save(mask, 255 - plate(300, "spot")[1])
    changed = read_data([folder], "masks").facts[0].sha256
    mask.write_bytes(kept)
    renamed = read_data([folder], "masks", lambda _, name: f"x {name}").facts[0].sha256
    assert len({before, changed, renamed}) == 3


def test_empty_masks_are_left_out_and_named(tmp_path: Path) -> None:
    folder = mvtec_folder(tmp_path / "plate")
    save(folder / "ground_truth" / "spot" / "001_mask.png", np.zeros(SIZE_HW, np.uint8))
    data = read_data([folder], "masks")
    assert data.left_out == ("plate/test/spot/001.png: its mask is empty",)
    assert data.facts[0].anomalous == 5
    assert "plate/test/spot/001.png" not in sources(data)


@pytest.mark.parametrize("value", [255, 1, 3])
def test_masks_of_any_value(tmp_path: Path, value: int) -> None:
    folder = mvtec_folder(tmp_path / "plate", each=1)
    mask = plate(300, "spot")[1] > 0
    save(folder / "ground_truth" / "spot" / "000_mask.png", (mask * value).astype(np.uint8))
    assert np.array_equal(read_data([folder], "masks").entries[-1].load().mask, mask)


def test_colour_and_one_bit_masks(tmp_path: Path) -> None:
    folder = mvtec_folder(tmp_path / "plate", each=1)
    mask = plate(300, "spot")[1]
    place = folder / "ground_truth" / "spot" / "000_mask.png"
    opaque = np.full_like(mask, 255)
    for made in (
        Image.fromarray(mask).convert("1"),
        Image.fromarray(np.stack([mask, 0 * mask, 0 * mask, opaque], axis=2)),
        Image.fromarray(np.stack([mask, mask, 0 * mask], axis=2)),
    ):
        made.save(place)
        assert np.array_equal(read_data([folder], "masks").entries[-1].load().mask, mask > 0)


def refused(folder: Path, message: str, supervision: str = "masks") -> None:
    with pytest.raises((TrainingError, DatasetError, ConversionError), match=message) as raised:
        read_data([folder], supervision)  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)


def test_refusals(tmp_path: Path) -> None:
    folder = mvtec_folder(tmp_path / "plate")
    refused(tmp_path / "nothing", "no such folder")
    refused(folder / "test" / "spot" / "000.png", "is a file")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "has no known layout")
    (tmp_path / "hollow" / "test" / "good").mkdir(parents=True)
    refused(tmp_path / "hollow", "has no sample")
    with pytest.raises(TrainingError, match="given twice"):
        read_data([folder, folder / "."], "masks")
    with pytest.raises(TrainingError, match="inside another"):
        read_data([tmp_path, folder], "masks")


def test_refuses_a_missing_mask(tmp_path: Path) -> None:
    folder = mvtec_folder(tmp_path / "plate")
    (folder / "ground_truth" / "spot" / "001_mask.png").unlink()
    refused(folder, re.escape("spot/001.png has no mask (none is named after 001)"))


def test_refuses_a_mask_of_another_size(tmp_path: Path) -> None:
    folder = mvtec_folder(tmp_path / "plate")
    save(folder / "ground_truth" / "spot" / "001_mask.png", np.full((24, 24), 255, np.uint8))
    refused(folder, re.escape("001_mask.png is 24 x 24 px, its picture"))


def test_refuses_no_anomalous_and_no_normal_pictures(tmp_path: Path) -> None:
    refused(mvtec_folder(tmp_path / "a", each=0), "no anomalous picture")
    refused(mvtec_folder(tmp_path / "b", normal=0), "no normal picture")
    folder = mvtec_folder(tmp_path / "c", each=1)
    for mask in (folder / "ground_truth").rglob("*.png"):
        save(mask, np.zeros(SIZE_HW, np.uint8))
    refused(folder, "every mask is empty")


def test_refuses_unreadable_pictures_and_masks(tmp_path: Path) -> None:
    folder = mvtec_folder(tmp_path / "plate")
    picture = folder / "test" / "good" / "002.png"
    kept = picture.read_bytes()
    picture.write_bytes(kept[: len(kept) // 2])
    refused(folder, "002.png")
    picture.write_bytes(kept)
    (folder / "ground_truth" / "line" / "000_mask.png").write_bytes(b"no picture")
    refused(folder, "cannot be read as a mask")


def test_refuses_broken_tables_and_boxes(tmp_path: Path) -> None:
    folder = visa_folder(tmp_path)
    (folder / "image_anno.csv").write_text("image;label\n")
    refused(folder, "has no column 'image'; it needs image, label, mask")
    (folder / "image_anno.csv").unlink()
    refused(folder, "cannot be read")
    boards = deeppcb_folder(tmp_path / "boards")
    (boards / "00.txt").write_text("1 2 3 4 9\n")
    refused(boards, "line 1: a box is x1 y1 x2 y2 and a type from 1 to 6")
    (boards / "00.txt").write_text("100 100 120 120 1\n")
    refused(boards, "lies outside")
    (boards / "00.txt").write_text("\n")
    refused(boards, "has no box")
    (boards / "00.txt").unlink()
    refused(boards, "has no image NAME_test.jpg with a template")


def test_renaming_takes_one_class(tmp_path: Path) -> None:
    mvtec_folder(tmp_path / "a")
    assert read_data([tmp_path / "a"], "masks").renamed("cover").class_names == ("cover",)
    plain_folder(tmp_path / "b")
    with pytest.raises(TrainingError, match="holds a, b"):
        read_data([tmp_path], "masks").renamed("cover")


def test_real_folders(shared_data: Path) -> None:
    hazelnut = read_data([shared_data / "mvtec" / "hazelnut"], "masks", word_of_folder)
    assert hazelnut.words == ("crack", "cut", "faulty imprint", "hole")
    assert (hazelnut.facts[0].normal, hazelnut.facts[0].anomalous) == (2, 8)
    boards = read_data([shared_data / "deeppcb"], "masks")
    assert boards.words == ("copper", "mousebite", "open", "pin hole", "short", "spur")
    assert (boards.facts[0].normal, boards.facts[0].anomalous) == (40, 40)
    with pytest.raises(TrainingError, match="has no mask"):
        read_data([shared_data / "mvtec" / "screw"], "masks")
