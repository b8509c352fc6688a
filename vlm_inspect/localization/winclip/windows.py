"""Windows of a grid of patches: which tokens each holds, what a tower says of them, and maps of their scores.

A window is a square of k x k patches; windows slide by one patch. A tower sees a window as the CLS token and the
window's own tokens, taken before the first block (token-drop): 365 windows of 5 and 10 tokens on a 15 x 15 grid, where
masked pictures would be 365 full passes of 226 tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dual_encoder.image_features import last_values

if TYPE_CHECKING:
    from vlm_inspect.localization.dual_encoder.encoder import VisionTower


@dataclass(frozen=True, eq=False)
class Windows:
    """What a tower says of all windows of one scale."""

    features: Tensor
    """(B, W, J) float32, rows of length 1: CLS of each window."""
    values: Tensor | None
    """(B, W, 1 + k * k, J) float32, rows of length 1: values of the last block in the joint space, CLS first."""


def window_tokens(grid_hw: tuple[int, int], scale: int, device: str = "cpu") -> Tensor:
    """Return the tokens of every window, (W, 1 + k * k) int64, as indices into 1 + h * w tokens; the first is CLS.

    Raises:
        LocalizerError: a window of `scale` x `scale` patches does not fit the grid.
    """
    height, width = grid_hw
    if not 1 <= scale <= min(grid_hw):
        raise LocalizerError(
            f"windows of {scale} x {scale} patches do not fit the grid of {height} x {width}; choose smaller scales"
        )
    cells = torch.arange(1, 1 + height * width, device=device).view(height, width)
    inside = cells.unfold(0, scale, 1).unfold(1, scale, 1).reshape(-1, scale * scale)
    return F.pad(inside, (1, 0))


def count_window_tokens(grid_hw: tuple[int, int], scales: Sequence[int]) -> int:
    """Return how many tokens they hold, CLS included: 2,670 on 15 x 15 at scales 2 and 3."""
    return sum((grid_hw[0] - k + 1) * (grid_hw[1] - k + 1) * (1 + k * k) for k in scales)


def see_all_windows(
    vision: "VisionTower", entered: Tensor, grid_hw: tuple[int, int], scales: Sequence[int], *, with_values: bool
) -> tuple[Windows, ...]:
    """Return what the tower says of the windows of each scale; see `see_windows`.

    Raises:
        LocalizerError: a window does not fit the grid.
    """
    return tuple(see_windows(vision, entered, grid_hw, scale, with_values=with_values) for scale in scales)


def see_windows(
    vision: "VisionTower", entered: Tensor, grid_hw: tuple[int, int], scale: int, *, with_values: bool
) -> Windows:
    """Run all windows of one scale through the tower, in one batch.

    Args:
        vision: the tower.
        entered: (B, 1 + h * w, D): what its `enter` made of the pictures.
        grid_hw: h and w.
        scale: k, the side of a window in patches.
        with_values: whether the values of the last block are wanted, too.

    Raises:
        LocalizerError: a window does not fit the grid.
    """
    index = window_tokens(grid_hw, scale, str(entered.device))
    batch, (count, size) = entered.shape[0], index.shape
    tokens = entered[:, index].flatten(0, 1)
    for number in range(1, vision.blocks):
        tokens = vision.block(number, tokens)
    features = unit(vision.leave(vision.block(vision.blocks, tokens)[:, 0]))
    values = unit(last_values(vision, tokens)) if with_values else None
    return Windows(
        features.view(batch, count, -1), None if values is None else values.view(batch, count, size, vision.joint)
    )


def spread_harmonically(scores: Tensor, grid_hw: tuple[int, int], scale: int, least: float = 1e-6) -> Tensor:
    """Return the harmonic mean, by patch, of the scores of all windows that cover it (arXiv 2303.14814, section 4.2).

    Args:
        scores: (B, W) in [0, 1], windows in the order of `window_tokens`.
        grid_hw: h and w.
        scale: k.
        least: smaller scores count as this; a single 0 would decide every patch that its window touches.

    Returns:
        (B, h, w) in [least, 1].
    """
    height, width = grid_hw
    inverse = 1.0 / scores.clamp(min=least)
    inverse = inverse.view(-1, 1, height - scale + 1, width - scale + 1)
    window = inverse.new_ones(1, 1, scale, scale)
    total = F.conv_transpose2d(inverse, window)
    covered = F.conv_transpose2d(torch.ones_like(inverse[:1]), window)
    return (covered / total)[:, 0]


def harmonic_mean(maps: Sequence[Tensor], least: float = 1e-6) -> Tensor:
    """Return the harmonic mean of maps of one shape."""
    stacked = torch.stack(list(maps)).clamp(min=least)
    return len(maps) / (1.0 / stacked).sum(dim=0)


def unit(vectors: Tensor) -> Tensor:
    """Return the vectors (..., J) in float32, with length 1."""
    return F.normalize(vectors.float(), dim=-1)
