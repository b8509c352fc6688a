"""The frozen network of dapo-mini: EfficientNet-Lite0, read at four depths."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vlm_inspect.localization.dapo_mini.vision import gather_stages
from vlm_inspect.localization.dual_encoder.encoder import Normalisation
from vlm_inspect.vision.convolution import MEAN, SCALE, Block, Convolution, torch_block, torch_convolution
from vlm_inspect.vision.lite0 import TAPS, read_layers

Layer = Callable[[Tensor], Tensor]

IDENTITY = "lite0/2-4-10-15/1"
"""Of the network and the depths, in the record of checkpoints."""
NORMALISATION = Normalisation((MEAN / 255,) * 3, (SCALE / 255,) * 3)
_PAD = 32
"""Pixels of mirrored border: the network's own zero padding would mark the rim of every picture."""


class LiteStages:
    """EfficientNet-Lite0 (Apache-2.0) to the four stages that `MiniVision` takes."""

    identity = IDENTITY

    def __init__(self, stem: Convolution, blocks: Sequence[Block]) -> None:
        self._stem: Layer = torch_convolution(stem)
        self._blocks = tuple(torch_block(block) for block in blocks[: max(TAPS) + 1])

    @torch.no_grad()
    def __call__(self, pixels: Tensor) -> list[Tensor]:
        """Return the stages of pictures (B, 3, H, W), normalised, H and W multiples of 32; see `gather_stages`."""
        height, width = pixels.shape[-2:]
        framed = F.pad(pixels, (_PAD,) * 4, mode="reflect" if min(height, width) > _PAD else "replicate")
        states = self._stem(framed.contiguous(memory_format=torch.channels_last))
        layers = []
        for index, block in enumerate(self._blocks):
            states = block(states)
            if index in TAPS:
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
    return LiteStages(*read_layers())
