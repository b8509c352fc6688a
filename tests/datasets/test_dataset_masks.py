"""Masks as files come: palettes, alpha, colours, other sizes; each file that is no mask is told by name."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vlm_inspect.datasets.masks import (
    BoxMask,
    ClipMask,
    ImageMask,
    PointMask,
    RegionMask,
    Saturation,
    read_at_size,
    scale_mask,
)
from vlm_inspect.errors import DatasetError

INDICES = np.array([[0, 1], [2, 0]], np.uint8)


@pytest.mark.parametrize("mode", ["L", "1", "RGB", "RGBA", "LA", "I;16"])
def test_any_picture_mode_gives_the_same_mask(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "mask.png"
    values = (INDICES > 0).astype(np.uint8) * 255
    if mode == "I;16":
        Image.fromarray(values.astype(np.uint16) * 200).save(path)
    else:
        Image.fromarray(values).convert(mode).save(path)
    assert ImageMask(path).read().tolist() == (INDICES > 0).tolist()


@pytest.mark.parametrize("palette", [[0, 0, 0, 255, 0, 0, 0, 255, 0], [0] * 9])
def test_palettes_count_by_colour_or_else_by_index(tmp_path: Path, palette: list[int]) -> None:
    picture = Image.fromarray(INDICES, mode=None).convert("P")
    picture.putdata([int(value) for value in INDICES.ravel()])
    picture.putpalette(palette)
    picture.save(tmp_path / "mask.png")
    assert ImageMask(tmp_path / "mask.png").read().tolist() == (INDICES > 0).tolist()


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
@settings(deadline=None)
def test_scaling_keeps_full_and_empty_masks(height: int, width: int, new_height: int, new_width: int) -> None:
    for value in (False, True):
        found = scale_mask(np.full((height, width), value), (new_height, new_width))
        assert found.shape == (new_height, new_width)
        assert (found == value).all()


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 4))
@settings(deadline=None)
def test_scaling_up_by_a_whole_number_and_back(height: int, width: int, times: int) -> None:
    mask = np.random.default_rng(height * 100 + width).random((height, width)) < 0.5
    large = scale_mask(mask, (height * times, width * times))
    assert (large == np.kron(mask, np.ones((times, times), bool))).all()
    assert (scale_mask(large, (height, width)) == mask).all()


def test_saturation_is_a_count_or_a_share() -> None:
    assert Saturation("a", 30, relative=False).pixels(100) == 30
    assert Saturation("a", 30, relative=False).pixels(20) == 20
    assert Saturation("a", 0.35, relative=True).pixels(10) == 3
    assert Saturation("a", 0.01, relative=True).pixels(10) == 1


def test_files_that_are_no_masks(tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.write_text("1 2 3\nx y z\n")
    small, large = tmp_path / "s.png", tmp_path / "l.png"
    Image.new("L", (3, 3), 5).save(small)
    Image.new("L", (4, 4), 5).save(large)
    for mask in (
        ImageMask(bad),
        ImageMask(tmp_path / "gone.png"),
        BoxMask(bad, bad, ((0, 0, 1, 1),)),
        PointMask(bad),
        ClipMask(bad),
        RegionMask((small, large), ()),
    ):
        with pytest.raises(DatasetError) as caught:
            mask.read()
        assert "\n" not in str(caught.value)
    three = tmp_path / "three.txt"
    three.write_text("1 2 3\n")
    with pytest.raises(DatasetError, match="3 columns"):
        PointMask(three).read()
    four = tmp_path / "four.txt"
    four.write_text("1 2 3 1\n4 5 6 0\n")
    with pytest.raises(DatasetError, match="not a mask of a picture"):
        read_at_size(PointMask(four), (2, 2))
