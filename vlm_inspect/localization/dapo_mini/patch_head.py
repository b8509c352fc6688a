"""dapo-mini's view of DINOv2: how anomalous single patches are, by a small head over frozen features.

Features of a foundation network are adapted on synthetic pairs, which is AnomalyVFM's idea: a head of one
hidden layer is given each patch of two middle layers as it is, against the mean of its picture, and with its rarity in
the picture. It is trained on painted pictures alone (`recipes/dapo_mini/patches.py`). Rarity also counts by itself: it
was never trained, and so is not misled by paint.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from converters.digest import sha256_of
from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.checkpoint import apply_weights, load_weights
from vlm_inspect.localization.dapo_mini.vision import patch_distances
from vlm_inspect.localization.dual_encoder.encoder import Rgb
from vlm_inspect.vision import Network, load_network

METHOD = "dapo-mini-patches"
NETWORK = "dinov2"
CHANNELS = 2 * 384
"""Of two middle layers of DINOv2 ViT-S/14, joined."""
RARITIES = 4
_HIDDEN = 64
_MOST = 6.0
"""Features count to so many standard deviations."""
_STEADY = 0.5
"""Share of a channel's deviation over all pictures that is added to that within one, so that a plain picture is not
stretched."""
_NEVER_0 = 1e-3
Grid = Tensor


class PatchHead(nn.Module):
    """Frozen features of patches to the log-odds of a defect."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(CHANNELS), False)
        self.scale = nn.Parameter(torch.ones(CHANNELS), False)
        """Of each channel over the training patches; not learned."""
        self.hidden = nn.Linear(2 * CHANNELS + RARITIES, _HIDDEN)
        self.last = nn.Linear(_HIDDEN, 1)
        self.drop = nn.Dropout(0.1)

    def rows(self, patches: Tensor, mean: Tensor, spread: Tensor, rarity: Tensor) -> Tensor:
        """Return what the head is given, (N, 2 * CHANNELS + RARITIES).

        Args:
            patches: (N, CHANNELS).
            mean: (N, CHANNELS), of the patch's own picture.
            spread: likewise the standard deviation.
            rarity: (N, RARITIES).
        """
        plain = ((patches - self.mean) / self.scale).clamp(-_MOST, _MOST)
        against = ((patches - mean) / (spread + _STEADY * self.scale)).clamp(-_MOST, _MOST)
        return torch.cat([plain, against, rarity], dim=-1)

    def forward(self, rows: Tensor) -> Tensor:
        """Return log-odds (N,) of `rows`."""
        found: Tensor = self.last(F.gelu(self.hidden(self.drop(rows))))
        return found[..., 0]

    def look(self, layers: Tensor, rarity: Tensor) -> Tensor:
        """Return the log-odds of every patch, (B, h, w).

        Args:
            layers: (B, CHANNELS, h, w).
            rarity: (B, RARITIES, h, w).
        """
        patches = layers.float().flatten(2).transpose(1, 2)
        mean, spread = patches.mean(1, keepdim=True), patches.std(1, keepdim=True)
        rows = self.rows(
            patches, mean.expand_as(patches), spread.expand_as(patches), rarity.float().flatten(2).transpose(1, 2)
        )
        found: Tensor = self(rows)
        return found.reshape(len(layers), *layers.shape[-2:])


def see_patches(network: Network, pictures: Sequence[Rgb], grids_hw: Sequence[tuple[int, int]]) -> list[Tensor]:
    """Return the features of pictures, each (CHANNELS + RARITIES, h, w) float32, on a grid for each.

    Raises:
        LocalizerError: the network has other layers.
    """
    side = network.multiple
    resized = [
        np.asarray(Image.fromarray(picture).resize((w * side, h * side), Image.Resampling.BICUBIC), np.uint8)
        for picture, (h, w) in zip(pictures, grids_hw, strict=True)
    ]
    found = []
    for one in network.extract(resized):
        layers = [torch.from_numpy(layer).permute(2, 0, 1)[None] for layer in one.layers]
        if sum(layer.shape[1] for layer in layers) != CHANNELS:
            raise LocalizerError(f"network {network.identity} has other layers than dapo-mini's head was trained over")
        found.append(torch.cat([*layers, patch_rarities(layers)], dim=1)[0])
    return found


def patch_rarities(layers: Sequence[Tensor]) -> Tensor:
    """Return how rare each patch is in its own picture, (B, RARITIES, h, w): as `vision.rarities`, layer by layer."""
    found = []
    for layer in layers:
        raw = torch.log(patch_distances(layer) + _NEVER_0)
        found += [raw, raw - raw.flatten(1).median(dim=1).values[:, None, None]]
    return torch.stack(found, dim=1)


@dataclass(frozen=True, eq=False)
class PatchWitness:
    """The frozen network and the trained head over it."""

    network: Network
    head: PatchHead
    digest: str
    """Of the head's file."""

    @property
    def identity(self) -> str:
        """Of network and head: equal identity, equal maps."""
        return f"{self.network.identity}/{self.digest}"

    @torch.inference_mode()
    def look(self, pictures: Sequence[Rgb], grids_hw: Sequence[tuple[int, int]]) -> list[tuple[Grid, Grid]]:
        """Return of each picture the log-odds by the head, and the rarity above the picture's median, (h, w) each."""
        found = []
        for seen in see_patches(self.network, pictures, grids_hw):
            layers, rarity = seen[None, :CHANNELS], seen[None, CHANNELS:]
            found.append((self.head.look(layers, rarity)[0], rarity[0, 1] + rarity[0, 3]))
        return found


def head_path() -> Path:
    """Return the head's weights that come with the package."""
    return Path(str(files("vlm_inspect") / "weights" / "dapo_mini_patches.safetensors"))


def load_head(path: Path) -> PatchHead:
    """Return a trained head, frozen.

    Raises:
        LocalizerError: no such file, damaged, or of another method or size.
    """
    _, tensors = load_weights(path, method=METHOD)
    head = PatchHead()
    apply_weights(head, tensors, path)
    return head.eval().requires_grad_(False)


@lru_cache(maxsize=1)
def load_witness() -> PatchWitness:
    """Return the head that comes with the package over DINOv2.

    Raises:
        LocalizerError: the weights of DINOv2 or of the head are missing.
    """
    path = head_path()
    return PatchWitness(load_network(NETWORK), load_head(path), sha256_of(path)[:12])
