"""Pictures reach the tower whole, in the library's own numbers."""

from pathlib import Path

import numpy as np
import pytest
import torch

from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dual_encoder.encoder import CLIP_NORMALISATION, IMAGENET_NORMALISATION
from vlm_inspect.localization.dual_encoder.pixels import prepare_pixels, resize_square


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize("size_hw", [(40, 90), (90, 40), (32, 32), (11, 7)])
def test_equals_the_library_told_not_to_crop(openai_folder: Path, size_hw: tuple[int, int]) -> None:
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    processor = CLIPImageProcessorPil.from_pretrained(openai_folder)
    picture = noise(*size_hw)
    theirs = processor(
        images=[picture], do_center_crop=False, size={"height": 32, "width": 32}, return_tensors="pt"
    ).pixel_values
    ours = prepare_pixels([picture], 32, CLIP_NORMALISATION)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_a_long_part_keeps_its_ends() -> None:
    picture = np.zeros((50, 400, 3), np.uint8)
    picture[:, :20], picture[:, -20:] = (255, 0, 0), (0, 0, 255)
    small = resize_square(picture, 40)
    assert small.shape == (40, 40, 3)
    assert small[20, 0].tolist() == [255, 0, 0]
    assert small[20, -1].tolist() == [0, 0, 255]


def test_is_antialiased() -> None:
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    assert abs(resize_square(stripes, 32).astype(int) - 128).max() <= 16


def test_a_batch_of_any_sizes_is_standardised() -> None:
    white, mixed = np.full((20, 30, 3), 255, np.uint8), noise(64, 48)
    batch = prepare_pixels([white, mixed], 32, IMAGENET_NORMALISATION)
    assert batch.shape == (2, 3, 32, 32)
    assert batch.dtype == torch.float32
    for channel, (mean, std) in enumerate(zip(IMAGENET_NORMALISATION.mean, IMAGENET_NORMALISATION.std, strict=True)):
        assert batch[0, channel].numpy() == pytest.approx((1 - mean) / std, abs=1e-5)
    torch.testing.assert_close(batch[1:], prepare_pixels([mixed], 32, IMAGENET_NORMALISATION))


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_other_arrays_are_an_error(picture: np.ndarray) -> None:
    with pytest.raises(LocalizerError, match="is not uint8 RGB"):
        prepare_pixels([picture], 32, CLIP_NORMALISATION)


def test_no_picture_is_an_error() -> None:
    with pytest.raises(LocalizerError, match="no picture"):
        prepare_pixels([], 32, CLIP_NORMALISATION)
