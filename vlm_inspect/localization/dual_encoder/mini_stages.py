"""The frozen network of dapo-mini: EfficientNet-Lite0, read at four depths."""

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from vlm_inspect.localization.backbones import LITE_MEAN, LITE_STD, load_backbone
from vlm_inspect.localization.dual_encoder.encoder import Normalisation
from vlm_inspect.localization.dual_encoder.mini_eye import gather_stages

if TYPE_CHECKING:
    from vlm_inspect.localization.backbones import EfficientNetBackbone

Layer = Callable[[Tensor], Tensor]

NORMALISATION = Normalisation(LITE_MEAN, LITE_STD)
_PAD = 32
"""Pixels of mirrored border: the network's own zero padding would mark the rim of every picture."""


class LiteStages:
    """EfficientNet-Lite0 (Apache-2.0) to the four stages that the eye is given."""

    def __init__(self, backbone: "EfficientNetBackbone") -> None:
        self.identity = backbone.identity
        self._stem: Layer = backbone.stem
        self._blocks: tuple[Layer, ...] = backbone.blocks
        self._taps = frozenset(backbone.taps)

    @torch.no_grad()
    def __call__(self, pixels: Tensor) -> list[Tensor]:
        """Return the stages of pictures (B, 3, H, W), normalised, H and W multiples of 32; see `gather_stages`."""
        height, width = pixels.shape[-2:]
        framed = F.pad(pixels, (_PAD,) * 4, mode="reflect" if min(height, width) > _PAD else "replicate")
        states = self._stem(framed.contiguous(memory_format=torch.channels_last))
        layers = []
        for index, block in enumerate(self._blocks):
            states = block(states)
            if index in self._taps:
                stride = framed.shape[-1] // states.shape[-1]
                rim = _PAD // stride
                inner = states[:, :, rim : rim + height // stride, rim : rim + width // stride]
                layers.append(inner.contiguous())
        return gather_stages(layers)


def load_stages() -> LiteStages:
    """Return the frozen network.

    Raises:
        LocalizerError: its package is missing.
    """
    return LiteStages(cast("EfficientNetBackbone", load_backbone("lite0")))
