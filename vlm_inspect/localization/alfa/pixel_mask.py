"""Windows as the paper draws them: the picture masked to one window, one full pass each (arXiv 2404.09654, 4.3).

About 31 times the tokens of `see_windows` on ViT-B/16+; here to check that token-drop is a fair stand-in for it.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vlm_inspect.localization.winclip.windows import unit, window_tokens

if TYPE_CHECKING:
    from vlm_inspect.localization.dual_encoder.encoder import VisionTower


def window_masks(side: int, patch: int, scale: int) -> Tensor:
    """Return the mask of every window, (W, 1, side, side): 1 inside, 0 outside.

    Raises:
        LocalizerError: a window does not fit the grid.
    """
    cells = side // patch
    index = window_tokens((cells, cells), scale)[:, 1:] - 1
    inside = torch.zeros(index.shape[0], cells * cells).scatter(1, index, 1.0)
    return inside.view(-1, 1, cells, cells).repeat_interleave(patch, 2).repeat_interleave(patch, 3)


def see_masked(vision: "VisionTower", pixels: Tensor, scale: int) -> Tensor:
    """Return CLS of every masked picture in the joint space, (B, W, J) float32, rows of length 1.

    Args:
        vision: the tower.
        pixels: (B, 3, S, S), standardised: a masked pixel is 0, the mean colour of what the tower was trained on.
        scale: side of the windows in patches.
    """
    masks = window_masks(pixels.shape[2], vision.patch, scale).to(pixels)
    tokens = vision.enter((pixels[:, None] * masks).flatten(0, 1))
    for number in range(1, vision.blocks + 1):
        tokens = vision.block(number, tokens)
    return unit(vision.leave(tokens[:, 0])).view(pixels.shape[0], masks.shape[0], -1)
