"""What methods read out of a vision tower: layers, the picture's own feature, values of the last block.

Nothing here switches gradients off: under `torch.no_grad()` it reads, without it learned tokens can be trained through.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dual_encoder.encoder import VisionTower


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """What one forward pass of B pictures leaves."""

    cls: Tensor
    """(B, J): the CLS token of the last block in the joint space, not normalised."""
    layers: Mapping[int, Tensor]
    """Outputs of the chosen blocks, (B, 1 + N, D) or (B, N, D) without CLS; block 0 is the input of block 1."""
    grid_hw: tuple[int, int]
    """Patches of a column and of a row: N = h * w, row by row."""


def encode_image(
    vision: VisionTower, pixels: Tensor, layers: Iterable[int] = (), *, drop_cls: bool = True
) -> ImageFeatures:
    """Return the picture's feature and the tokens of chosen layers.

    Args:
        vision: the tower.
        pixels: (B, 3, S, S), normalised; S a multiple of the patch.
        layers: numbers of blocks, 1 to `vision.blocks`; 0 for what enters block 1.
        drop_cls: leave the CLS token out of the layers.

    Raises:
        LocalizerError: there is no such block, or the pictures do not fit.
    """
    wanted = set(layers)
    _check_numbers(wanted, 0, vision.blocks)
    tokens = vision.enter(pixels)
    taps: dict[int, Tensor] = {}
    for number in range(vision.blocks + 1):
        if number:
            tokens = vision.block(number, tokens)
        if number in wanted:
            # a copy: a block or a method that works in place must not change a layer that was read before
            taps[number] = (tokens[:, 1:] if drop_cls else tokens).clone()
    grid = pixels.shape[2] // vision.patch, pixels.shape[3] // vision.patch
    return ImageFeatures(vision.leave(tokens[:, 0]), {number: taps[number] for number in sorted(taps)}, grid)


def last_values(vision: VisionTower, before_last: Tensor) -> Tensor:
    """Return the values of the last block in the joint space, (B, K, J), not normalised.

    u = proj(LN_post(OutProj(W_v LN1(z) + b_v))): what each token says for itself, before attention mixes it (the route
    of MaskCLIP, arXiv 2112.01071; here for ALFA's aligner).

    Args:
        vision: the tower.
        before_last: (B, K, D) for any K, input of the last block: `encode_image(..., [blocks - 1], drop_cls=False)`.
    """
    values = vision.attention(vision.blocks, before_last).values
    return vision.leave(vision.merge_heads(vision.blocks, values))


def _check_numbers(numbers: set[int], lowest: int, highest: int) -> None:
    odd = sorted(number for number in numbers if not lowest <= number <= highest)
    if odd:
        raise LocalizerError(f"the vision tower has {highest} blocks; there is no block {', '.join(map(str, odd))}")
