"""dapo-mini's trained network: frozen features of EfficientNet-Lite0, each compared with the rest of its picture.

A linear adapter on single patches, as DAPO has it over CLIP, cannot see that a patch is unlike its surroundings, and
features of a small classification network do not say "damaged" by themselves. So a small network stands between the
frozen tower and DAPO's adapters. It is given every patch as it is, against the mean of its picture, against what lies
around it and with its rarity in the picture, and its blocks compare each patch with all the distant ones.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from vlm_inspect.localization.dual_encoder.transformer import join_heads, split_heads

STAGE_WIDTHS = (48, 80, 112, 320)
"""Channels of the stages that it is given: of stride 4 and 8 mean and largest value, then of stride 16 and 32."""
RARITIES = 4
_SURROUND = 5
"""Side in cells of what counts as the surroundings of a patch."""
_ALIGN = 8
"""Columns added to a head, one of them in use: the fast kernels want multiples of 8."""
_NEAREST = 0.02
"""Rarity: mean distance to this share of the picture's patches, those most like it (as `rarity.py` does)."""


def gather_stages(layers: Sequence[Tensor]) -> list[Tensor]:
    """Return the stages of stride 4, 8, 16 and 32 of the frozen network for `MiniVision`: the first two pooled.

    The grid has stride 16; the last stage keeps its own, half as fine.
    """
    pooled = [
        torch.cat([F.avg_pool2d(one, size), F.max_pool2d(one, size)], 1)
        for one, size in zip(layers[:2], (4, 2), strict=True)
    ]
    return [*pooled, layers[2], layers[3]]


def rarities(stages: Sequence[Tensor]) -> Tensor:
    """Return how rare each patch is in its own picture, (B, RARITIES, h, w) float32, on the grid of stride 16.

    For the two fine stages together and for that of stride 16: the mean distance to the patches most like it, those
    right beside it left out; its logarithm as it is, and less its median in the picture.
    """
    found = []
    for layer in (torch.cat([stages[0].float(), stages[1].float()], dim=1), stages[2].float()):
        raw = torch.log(patch_distances(layer) + 1e-3)
        found += [raw, raw - raw.flatten(1).median(dim=1).values[:, None, None]]
    return torch.stack(found, dim=1)


def patch_distances(layer: Tensor) -> Tensor:
    """Return the mean distance (B, h, w) of every cell of (B, C, h, w) to the cells most like it."""
    height, width = layer.shape[-2:]
    rows = layer.flatten(2).transpose(1, 2)
    rows = (rows - rows.mean(1, keepdim=True)) / (rows.std(1, keepdim=True) + 1e-3)
    away = torch.cdist(rows, rows) / rows.shape[-1] ** 0.5
    near = neighbours((height, width), (height, width), 1.5).to(layer.device)
    count = max(2, round(_NEAREST * height * width))
    nearest: Tensor = away.masked_fill(near, torch.inf).topk(count, largest=False).values
    return nearest.mean(-1).reshape(-1, height, width)


def neighbours(grid_hw: tuple[int, int], other_hw: tuple[int, int], radius: float) -> Tensor:
    """Return which cells of one grid over a picture lie within `radius` cells of another grid, (N, M) bool."""
    rows = (_middles(grid_hw[0])[:, None] - _middles(other_hw[0])) * other_hw[0]
    columns = (_middles(grid_hw[1])[:, None] - _middles(other_hw[1])) * other_hw[1]
    away = torch.maximum(rows.abs()[:, None, :, None], columns.abs()[None, :, None, :])
    return (away <= radius).reshape(grid_hw[0] * grid_hw[1], other_hw[0] * other_hw[1])


def _middles(count: int) -> Tensor:
    return (torch.arange(count) + 0.5) / count


class MiniVision(nn.Module):
    """Stages of the frozen network to tokens at two depths and a summary."""

    def __init__(self, width: int = 96, blocks: int = 2, heads: int = 2, stage_width: int = 32) -> None:
        super().__init__()
        self.width = width
        self.means = nn.ParameterList(nn.Parameter(torch.zeros(size, 1, 1), False) for size in STAGE_WIDTHS)
        self.scales = nn.ParameterList(nn.Parameter(torch.ones(size, 1, 1), False) for size in STAGE_WIDTHS)
        """Mean and deviation of each channel over the training pictures; not learned."""
        joined = stage_width * len(STAGE_WIDTHS)
        self.stages = nn.ModuleList(nn.Linear(size, stage_width) for size in STAGE_WIDTHS)
        self.join = nn.Linear(2 * joined + RARITIES, width)
        self.blocks = nn.ModuleList(CompareBlock(width, heads, 1 + depth) for depth in range(blocks))
        self.last_norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(blocks))
        self.gate = nn.Linear(width, 1)

    @property
    def tap_widths(self) -> tuple[int, ...]:
        """Width of each tap."""
        return (self.width,) * len(self.blocks)

    @property
    def joint(self) -> int:
        """Width of the summary."""
        return 3 * self.width

    @torch.no_grad()
    def calibrate(self, data: Sequence[Sequence[NDArray[np.float16]]]) -> None:
        """Take mean and deviation of each channel from stages of training pictures, one entry for each size."""
        for index, (mean, scale) in enumerate(zip(self.means, self.scales, strict=True)):
            own = [one[index].astype(np.float32) for one in data]
            mean[:, 0, 0] = torch.from_numpy(np.mean([one.mean((0, 2, 3)) for one in own], axis=0))
            scale[:, 0, 0] = torch.from_numpy(np.mean([one.std((0, 2, 3)) for one in own], axis=0) + 1e-3)

    def standardise(self, stages: Sequence[Tensor]) -> list[Tensor]:
        """Return the stages of `gather_stages` with the deviations of the training pictures, float32."""
        return [
            ((one.float() - mean) / scale).clamp(-6, 6)
            for one, mean, scale in zip(stages, self.means, self.scales, strict=True)
        ]

    def forward(self, stages: Sequence[Tensor], rarity: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the summary (B, joint) and the taps, each (B, h * w, width).

        Args:
            stages: of `standardise`, each (B, C, h, w).
            rarity: `rarities` of the stages as the network gave them.
        """
        grid_hw = (stages[0].shape[-2], stages[0].shape[-1])
        parts = [_on_grid(one, project, grid_hw) for one, project in zip(stages, self.stages, strict=True)]
        seen = torch.cat(parts, dim=-1)
        deviation = seen.std(1, keepdim=True) + 0.25
        contrast = (seen - seen.mean(1, keepdim=True)) / deviation
        hidden = F.relu(self.join(torch.cat([seen, contrast, rarity.flatten(2).transpose(1, 2)], dim=-1)))
        hide = distant_only(grid_hw, hidden.device)
        taps = []
        for block, norm in zip(self.blocks, self.last_norms, strict=True):
            hidden = block(hidden, grid_hw, hide)
            taps.append(norm(hidden))
        return self.summary(taps[-1]), taps

    def summary(self, tokens: Tensor) -> Tensor:
        """Return one feature a picture (B, joint): tokens by the gate's weight, their largest values, their mean."""
        weight = torch.softmax(self.gate(tokens) * 4, dim=1)
        return torch.cat([(weight * tokens).sum(1), tokens.amax(1), tokens.mean(1)], dim=-1)


def _on_grid(stage: Tensor, project: nn.Module, grid_hw: tuple[int, int]) -> Tensor:
    """Return a stage (B, C, h, w), projected, as tokens (B, N, D) of the grid."""
    small: Tensor = project(stage.flatten(2).transpose(1, 2))
    if tuple(stage.shape[-2:]) == grid_hw:
        return small
    layer = small.transpose(1, 2).reshape(len(stage), -1, *stage.shape[-2:])
    return F.interpolate(layer, grid_hw, mode="bilinear", align_corners=False).flatten(2).transpose(1, 2)


class CompareBlock(nn.Module):
    """What a patch is that the distant patches of its picture do not explain; then its surroundings; then an MLP."""

    def __init__(self, width: int, heads: int, dilation: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.attend = nn.Linear(width, 3 * width)
        self.sharpness = nn.Parameter(torch.full((heads, 1, 1), 2.0))
        self.merge = nn.Linear(width + heads, width)
        self.around = nn.Conv2d(width, width, 5, padding=2 * dilation, dilation=dilation, groups=width)
        self.mix = nn.Linear(width, width)
        self.feed = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))

    def forward(self, hidden: Tensor, grid_hw: tuple[int, int], hide: Tensor) -> Tensor:
        """Return tokens (B, h * w, width) of the same; `hide` is `distant_only` of the grid."""
        hidden = hidden + self.compare(self.norms[0](hidden), hide)
        layer = self.norms[1](hidden).transpose(1, 2).reshape(len(hidden), -1, *grid_hw)
        hidden = hidden + self.mix(F.relu(self.around(layer)).flatten(2).transpose(1, 2))
        result: Tensor = hidden + self.feed(self.norms[2](hidden))
        return result

    def compare(self, hidden: Tensor, hide: Tensor) -> Tensor:
        """Return what each token is, less the distant tokens most like it, and how like it they are.

        `hide` is `distant_only` of the grid. Its last column belongs to a key that is made up here: its likeness to
        every query is the largest there can be, so that the weight w which it gets tells the sum of all the others,
        log(sum) = log((1 - w) / w) + that likeness, and the attention never has to be written out.
        """
        queries, keys, values = (split_heads(part, self.heads) for part in self.attend(hidden).chunk(3, dim=-1))
        sharpness, size = self.sharpness.exp(), values.shape[-1]
        mark = F.one_hot(torch.tensor(size), size + _ALIGN).to(hidden)[None, None, None]
        made_up = mark.expand(len(hidden), self.heads, 1, -1)
        queries = F.pad(F.normalize(queries, dim=-1), (0, _ALIGN)) + mark
        keys = torch.cat([F.pad(F.normalize(keys, dim=-1), (0, _ALIGN)), made_up], dim=2)
        known = torch.cat([F.pad(values, (0, _ALIGN)), made_up], dim=2)
        found = F.scaled_dot_product_attention(queries * sharpness, keys, known, attn_mask=hide, scale=1.0)
        weight = found[..., size : size + 1].clamp(1e-9, 1 - 1e-6)
        rest = values - found[..., :size] / (1 - weight)
        strength = torch.log((1 - weight) / weight)
        merged: Tensor = self.merge(torch.cat([join_heads(rest), strength[..., 0].transpose(1, 2)], dim=-1))
        return merged


def distant_only(grid_hw: tuple[int, int], device: torch.device) -> Tensor:
    """Return the mask of `CompareBlock.compare`, (N, N + 1): -inf where two cells lie beside each other, else 0."""
    near = F.pad(neighbours(grid_hw, grid_hw, 1.5), (0, 1))
    return torch.zeros(near.shape).masked_fill(near, -torch.inf).to(device)
