"""The picture's side of DAPO: a frozen tower, entered with learned tokens and tapped at several depths."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dapo.token_mixing import mix_tokens
from vlm_inspect.localization.dual_encoder.encoder import VisionTower

if TYPE_CHECKING:
    from torch import Tensor

SIDE = 518
"""Side in pixels of the pictures that DAPO was made for: 37 patches of 14."""
TAPS = 4
"""Depths at which patches are read: every quarter of the blocks, so 6, 12, 18 and 24 of 24."""


@dataclass(frozen=True, eq=False)
class PictureTokens:
    """What a vision path returns for B pictures."""

    summary: "Tensor"
    """(B, J): one feature a picture, not normalised."""
    taps: "list[Tensor]"
    """For each tap (B, N, D_m), N = h * w in row order, not normalised; CLS and learned tokens left out."""
    grid_hw: tuple[int, int]
    """(h, w), the same for every tap."""


class VisionPath:
    """A vision transformer with n learned tokens after CLS in every block (progressive tuning).

    The tokens of block 1 are inserted after the tower's first layer norm, without positions; before every later block
    they are replaced but for `alpha` of what they had become.
    """

    def __init__(
        self,
        tower: VisionTower,
        *,
        side: int | None = None,
        alpha: float = 0.01,
        taps: tuple[int, ...] = (),
        checkpoint_blocks: bool = False,
    ) -> None:
        """Wrap a tower.

        Args:
            tower: the frozen tower.
            side: of the pictures, in pixels, a multiple of the tower's patch; None: the multiple nearest to 518.
            alpha: how much of a token survives from block to block, 0 to 1.
            taps: 1-based blocks whose outputs are read; empty: `TAPS` of them, evenly spaced, the last one included.
            checkpoint_blocks: keep only the input of each block for the backward pass and compute the rest again: a
                third more time. Of 8 pictures at 518 px, ViT-L/14 keeps 35 GiB (13 where attention is fused) without
                it; with it 1 GiB, and what one block needs while it is computed again.

        Raises:
            LocalizerError: the side does not fit the patch, or a tap is no block.
        """
        self._tower = tower
        self._alpha = alpha
        self._checkpoint_blocks = checkpoint_blocks
        self._taps = taps or even_taps(tower.blocks)
        if set(self._taps) - set(range(1, tower.blocks + 1)):
            raise LocalizerError(f"dapo taps {self._taps}: the vision tower has blocks 1 to {tower.blocks}")
        self.module = tower.module
        self.side = side or max(1, round(SIDE / tower.patch)) * tower.patch
        if self.side % tower.patch:
            raise LocalizerError(f"dapo side {self.side}: must be a multiple of the patch, {tower.patch} px")
        self.tap_widths: tuple[int, ...] = (tower.width,) * len(self._taps)
        self.token_shape = (tower.blocks, tower.width)
        self.joint = tower.joint
        self.normalisation = tower.normalisation

    def encode(self, pixels: "Tensor", visual_tokens: "Tensor | None") -> PictureTokens:
        """Return the CLS feature (B, J) and the patches (B, N, D) after every tapped block."""
        states, taps = self._tower.enter(pixels), []
        count = 0 if visual_tokens is None else visual_tokens.shape[1]
        for number in range(1, self._tower.blocks + 1):
            if visual_tokens is not None:
                states = mix_tokens(states, visual_tokens[number - 1], number == 1, self._alpha)
            states = self._block(number, states)
            if number in self._taps:
                taps.append(states[:, 1 + count :])
        grid_hw = (pixels.shape[-2] // self._tower.patch, pixels.shape[-1] // self._tower.patch)
        return PictureTokens(self._tower.leave(states[:, 0]), taps, grid_hw)

    def _block(self, number: int, states: "Tensor") -> "Tensor":
        if self._checkpoint_blocks and states.requires_grad:
            from torch.utils.checkpoint import checkpoint

            again: Tensor = checkpoint(self._tower.block, number, states, use_reentrant=False)
            return again
        return self._tower.block(number, states)


def even_taps(blocks: int, count: int = TAPS) -> tuple[int, ...]:
    """Return `count` evenly spaced blocks of a tower, 1-based, the last one included; fewer for a shallow tower."""
    return tuple(sorted({math.ceil(blocks * part / count) for part in range(1, count + 1)}))
