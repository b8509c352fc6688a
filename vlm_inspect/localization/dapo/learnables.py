"""All that DAPO learns: context, tokens in every block, one adapter a tap; 3,360,768 numbers over ViT-L/14."""

from typing import TYPE_CHECKING

import torch
from torch import nn

from vlm_inspect.localization.dapo.settings import DapoSettings
from vlm_inspect.localization.dapo.towers import TowerSizes

if TYPE_CHECKING:
    from torch import Tensor

_PATCH_INPUTS = 3 * 14 * 14
"""Inputs of a patch of ViT-L/14: the fan-in of the rule that visual tokens are drawn by (VPT)."""


class HybridPrompts(nn.Module):
    """Learned context in front of the sentences, and learned tokens in every text block; the same for every word."""

    def __init__(self, sizes: TowerSizes, settings: DapoSettings) -> None:
        super().__init__()
        shape = (settings.prompts, settings.context, sizes.text_width)
        self.normal_context = nn.Parameter(torch.empty(shape))
        """V, (E, l, width)."""
        self.abnormal_context = nn.Parameter(torch.empty(shape))
        """W, (E, l, width)."""
        self.layer_tokens = nn.Parameter(torch.empty(sizes.text_blocks, settings.layer_tokens, sizes.text_width))
        """(blocks, n_t, width)."""

    @torch.no_grad()
    def draw(self, embeddings: "Tensor") -> None:
        """Draw all tensors from the mean and deviation, by dimension, of the tower's token embeddings."""
        matrix = embeddings.detach().float().cpu()
        mean, deviation = matrix.mean(0), matrix.std(0)
        for tensor in (self.normal_context, self.abnormal_context, self.layer_tokens):
            tensor.copy_(torch.randn(tensor.shape) * deviation + mean)


class DapoLearnables(nn.Module):
    """The module that a checkpoint holds; every tensor is float32."""

    def __init__(self, sizes: TowerSizes, settings: DapoSettings) -> None:
        """Make the tensors, undrawn; see `draw`."""
        super().__init__()
        self.prompts = HybridPrompts(sizes, settings)
        self.visual_tokens: nn.Parameter | None = None
        if sizes.token_shape is not None:
            blocks, width = sizes.token_shape
            self.visual_tokens = nn.Parameter(torch.empty(blocks, settings.layer_tokens, width))
        self.adapters = nn.ModuleList(nn.Linear(width, sizes.joint) for width in sizes.tap_widths)
        self.summary_adapter = None if sizes.summary is None else nn.Linear(sizes.summary, sizes.joint)

    def draw(self, embeddings: "Tensor", seed: int) -> None:
        """Draw all tensors; equal seeds give equal tensors on every device.

        Args:
            embeddings: (vocabulary, width), the text tower's token embeddings.
            seed: of the draw; the global random state is left as it was.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.prompts.draw(embeddings)
            if self.visual_tokens is not None:
                bound = (6 / (_PATCH_INPUTS + self.visual_tokens.shape[-1])) ** 0.5
                nn.init.uniform_(self.visual_tokens, -bound, bound)
            for adapter in (*self.adapters, self.summary_adapter):
                if isinstance(adapter, nn.Linear):
                    adapter.reset_parameters()
