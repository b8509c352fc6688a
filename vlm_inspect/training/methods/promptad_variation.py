"""How one picture varies: flips, turns and colours, on arrays before a batch is made, and on tensors with a way back.

Everything is drawn from a numpy `Generator`: equal generators, equal variations, on every device.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vlm_inspect.localization.dual_encoder.encoder import Normalisation
from vlm_inspect.localization.promptad.settings import Variation
from vlm_inspect.training.method import TrainingSample

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Warp:
    """A flip, then a turn about the centre, for each of B square pictures."""

    upside_down: tuple[bool, ...]
    mirrored: tuple[bool, ...]
    angles_deg: tuple[float, ...]

    def apply(self, images: "Tensor") -> "Tensor":
        """Return the varied images, (B, channels, S, S); what the turn brings in from outside is mirrored."""
        return _turn(_flip(images, self), self.angles_deg, "reflection")

    def invert(self, maps: "Tensor") -> "tuple[Tensor, Tensor]":
        """Return maps of varied images on the images themselves, and where they are known.

        Args:
            maps: (B, S, S).

        Returns:
            The maps, (B, S, S), and a bool tensor of the same shape: False where the turn lost the place.
        """
        back = tuple(-angle for angle in self.angles_deg)
        known = _turn(maps.new_ones(maps.shape)[:, None], self.angles_deg, "zeros")
        known = _turn(known, back, "zeros")
        returned = _turn(maps[:, None], back, "zeros")
        return _flip(returned, self)[:, 0], _flip(known, self)[:, 0] > 0.999


def random_warp(count: int, variation: Variation, generator: np.random.Generator) -> Warp:
    """Return a warp for `count` pictures."""
    flips = (generator.random((2, count)) < 0.5) & variation.flips
    angles = generator.uniform(-variation.rotation_deg, variation.rotation_deg, count)
    return Warp(tuple(map(bool, flips[0])), tuple(map(bool, flips[1])), tuple(map(float, angles)))


def jitter_pixels(
    pixels: "Tensor", normalisation: Normalisation, strength: float, generator: np.random.Generator
) -> "Tensor":
    """Return normalised pixels (B, 3, S, S) with another brightness, contrast and saturation for each picture."""
    import torch

    changes = generator.uniform(-strength, strength, (3, len(pixels), 1, 1, 1)).astype(np.float32)
    brightness, contrast, saturation = torch.from_numpy(changes).to(pixels)
    mean, std = (pixels.new_tensor(value)[:, None, None] for value in (normalisation.mean, normalisation.std))
    colours = pixels * std + mean
    grey = colours.mean(dim=1, keepdim=True)
    colours = grey + (colours - grey) * (1 + saturation)
    middle = colours.mean(dim=(1, 2, 3), keepdim=True)
    colours = middle + (colours - middle) * (1 + contrast) + brightness
    varied: Tensor = (colours.clamp(0, 1) - mean) / std
    return varied


def vary_sample(sample: TrainingSample, variation: Variation, generator: np.random.Generator) -> TrainingSample:
    """Return the sample flipped, turned and with other colours; a turn that would lose the defect is left out."""
    picture, mask = sample.picture, sample.mask
    for axis, flipped in enumerate(generator.random(2) < 0.5):
        if flipped and variation.flips:
            picture, mask = np.flip(picture, axis), np.flip(mask, axis)
    varied = replace(_untyped(sample), picture=np.ascontiguousarray(picture), mask=np.ascontiguousarray(mask))
    varied = _turn_sample(varied, float(generator.uniform(-variation.rotation_deg, variation.rotation_deg)))
    brightness, contrast, saturation = generator.uniform(-variation.jitter, variation.jitter, 3)
    colours = varied.picture.astype(np.float32)
    grey = colours.mean(axis=2, keepdims=True)
    colours = grey + (colours - grey) * np.float32(1 + saturation)
    middle = colours.mean()
    colours = middle + (colours - middle) * np.float32(1 + contrast) + np.float32(255 * brightness)
    return replace(varied, picture=np.clip(np.rint(colours), 0, 255).astype(np.uint8))


def _untyped(sample: TrainingSample) -> TrainingSample:
    """Leave out the map of types, which PromptAD does not look at."""
    return replace(sample, type_map=None, type_words=())


def _turn_sample(sample: TrainingSample, angle_deg: float) -> TrainingSample:
    import cv2

    height, width = sample.picture.shape[:2]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle_deg, 1.0)
    size = width, height
    mask = cv2.warpAffine(sample.mask.astype(np.uint8), turn, size, flags=cv2.INTER_NEAREST) > 0
    if angle_deg == 0 or mask.any() != sample.mask.any():
        return sample
    picture = cv2.warpAffine(sample.picture, turn, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return replace(sample, picture=np.asarray(picture), mask=np.asarray(mask))


def _flip(images: "Tensor", warp: Warp) -> "Tensor":
    """Flip some of (B, channels, S, S); exact, and its own inverse."""
    import torch

    for dim, flipped in ((2, warp.upside_down), (3, warp.mirrored)):
        which = torch.tensor(flipped, device=images.device)[:, None, None, None]
        images = torch.where(which, images.flip(dim), images)
    return images


def _turn(images: "Tensor", angles_deg: tuple[float, ...], outside: str) -> "Tensor":
    import torch
    import torch.nn.functional as F

    if not any(angles_deg):
        return images
    angles = torch.deg2rad(torch.tensor(angles_deg, dtype=torch.float32, device=images.device))
    cosine, sine, zero = angles.cos(), angles.sin(), torch.zeros_like(angles)
    matrices = torch.stack([cosine, -sine, zero, sine, cosine, zero], dim=1).reshape(-1, 2, 3)
    grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
    return F.grid_sample(images.float(), grid, mode="bilinear", padding_mode=outside, align_corners=False)
