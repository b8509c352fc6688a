"""What the tower says of pictures: as a whole, by windows and by patches; and the part of it that a memory keeps."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from vlm_inspect.array_cache import ArrayCache, Arrays, content_of, key_of
from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dual_encoder.image_features import encode_image, last_values
from vlm_inspect.localization.dual_encoder.pixels import prepare_pixels
from vlm_inspect.localization.winclip.settings import WindowSettings
from vlm_inspect.localization.winclip.windows import (
    Windows,
    count_window_tokens,
    see_all_windows,
    unit,
)

if TYPE_CHECKING:
    from vlm_inspect.localization.dual_encoder.encoder import DualEncoder, Rgb, VisionTower

VERSION = "1"
"""Changes whenever kept features would no longer be what this code computes."""


@dataclass(frozen=True, eq=False)
class PictureFeatures:
    """What the tower says of B pictures; all rows have length 1, float32."""

    grid_hw: tuple[int, int]
    whole: Tensor
    """(B, J): CLS of the whole picture."""
    windows: tuple[Windows, ...]
    """By scale."""
    patches: Tensor
    """(B, h * w, D): patch tokens of the last block, not projected."""
    values: Tensor | None
    """(B, 1 + h * w, J): values of the last block in the joint space, CLS first; None where not asked for."""


@dataclass(frozen=True, eq=False)
class NormalFeatures:
    """What a memory keeps of K normal pictures; rows have length 1, float32."""

    windows: tuple[Tensor, ...]
    """By scale: (K * W, J)."""
    patches: Tensor
    """(K * h * w, D)."""


def see_pictures(vision: "VisionTower", pixels: Tensor, scales: Sequence[int], *, with_values: bool) -> PictureFeatures:
    """Return the features of pictures (B, 3, S, S), prepared for the tower.

    Raises:
        LocalizerError: a window does not fit the grid.
    """
    before_last = vision.blocks - 1
    seen = encode_image(vision, pixels, {0, before_last, vision.blocks}, drop_cls=False)
    entered, grid_hw = seen.layers[0], seen.grid_hw
    return PictureFeatures(
        grid_hw=grid_hw,
        whole=unit(seen.cls),
        windows=see_all_windows(vision, entered, grid_hw, scales, with_values=with_values),
        patches=unit(seen.layers[vision.blocks][:, 1:]),
        values=unit(last_values(vision, seen.layers[before_last])) if with_values else None,
    )


def see_in_batches(
    encoder: "DualEncoder", pictures: Sequence["Rgb"], settings: WindowSettings, *, with_values: bool
) -> Iterator[PictureFeatures]:
    """Yield the features of pictures of any size, as many at once as the settings allow, in order.

    Raises:
        LocalizerError: the side is no multiple of the tower's patch, or a window does not fit the grid.
    """
    vision = encoder.vision
    grid_hw = grid_of(vision, settings)
    tokens = max(1, count_window_tokens(grid_hw, settings.scales))
    at_once = max(1, settings.most_tokens // tokens)
    for start in range(0, len(pictures), at_once):
        some, side = pictures[start : start + at_once], grid_hw[0] * vision.patch
        with torch.inference_mode():
            pixels = prepare_pixels(some, side, vision.normalisation, encoder.device)
            features = see_pictures(vision, pixels, settings.scales, with_values=with_values)
        if not bool(torch.isfinite(features.whole).all()):
            raise LocalizerError(f"{encoder.name} gives features that are not numbers; load it in float32")
        yield features


def grid_of(vision: "VisionTower", settings: WindowSettings) -> tuple[int, int]:
    """Return the grid of patches that pictures have under these settings.

    Raises:
        LocalizerError: the side is no multiple of the tower's patch.
    """
    side = settings.side or vision.side
    if side % vision.patch:
        raise LocalizerError(f"a side of {side} px is not a multiple of the patch of {vision.patch} px")
    return side // vision.patch, side // vision.patch


def recall_normals(
    encoder: "DualEncoder", normals: Sequence["Rgb"], settings: WindowSettings, cache: ArrayCache
) -> NormalFeatures:
    """Return the memory of the normal pictures; each is seen once, and known again by its content."""
    kept = [_recall(encoder, picture, settings, cache) for picture in normals]

    def joined(name: str) -> Tensor:
        return torch.from_numpy(np.concatenate([arrays[name] for arrays in kept])).to(encoder.device)

    return NormalFeatures(tuple(joined(f"windows{scale}") for scale in settings.scales), joined("patches"))


def _recall(encoder: "DualEncoder", picture: "Rgb", settings: WindowSettings, cache: ArrayCache) -> Arrays:
    side = grid_of(encoder.vision, settings)[0] * encoder.vision.patch
    scales = [str(scale) for scale in settings.scales]
    key = key_of("normal", VERSION, encoder.identity, side, scales, content_of(picture))

    def compute() -> Arrays:
        (seen,) = see_in_batches(encoder, [picture], settings, with_values=False)
        arrays = {"patches": seen.patches[0].cpu().numpy()}
        for scale, windows in zip(settings.scales, seen.windows, strict=True):
            arrays[f"windows{scale}"] = windows.features[0].cpu().numpy()
        return arrays

    names = {"patches", *(f"windows{scale}" for scale in settings.scales)}

    def whole(arrays: Arrays) -> Arrays:
        return {name: arrays[name] for name in names}

    return cache.value("normal_pictures", key, compute, whole, whole)
