"""Pictures as a vision tower takes them: both sides resized to one length, nothing cropped, standardised."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dual_encoder.encoder import Normalisation, Rgb

if TYPE_CHECKING:
    from torch import Tensor


def prepare_pixels(pictures: Sequence[Rgb], side: int, normalisation: Normalisation, device: str = "cpu") -> "Tensor":
    """Return the pictures as one batch, (B, 3, side, side) float32, standardised.

    Args:
        pictures: uint8 HWC RGB, any sizes; at least one.
        side: in pixels; a multiple of the tower's patch.
        normalisation: mean and deviation of values in [0, 1].
        device: where the batch shall lie.

    Raises:
        LocalizerError: no picture, or one of another type or shape.
    """
    import torch

    if not pictures:
        raise LocalizerError("there is no picture to encode")
    batch = torch.from_numpy(np.stack([resize_square(picture, side) for picture in pictures]))
    mean = torch.tensor(normalisation.mean, device=device)
    std = torch.tensor(normalisation.std, device=device)
    scaled = (batch.to(device).float() / 255 - mean) / std
    return scaled.permute(0, 3, 1, 2).contiguous()


def resize_square(picture: Rgb, side: int) -> Rgb:
    """Return a picture as uint8 (side, side, 3), bicubic and antialiased; the proportions are not kept.

    The shortest-side-and-crop of the models' own settings would lose the ends of a long part.

    Raises:
        LocalizerError: not uint8 HWC RGB, or empty.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or 0 in picture.shape:
        raise LocalizerError(f"a picture of shape {picture.shape}, {picture.dtype} is not uint8 RGB (height, width, 3)")
    if picture.shape[:2] == (side, side):
        return picture
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC))
