"""What methods read out of a vision tower: layers, the picture's own feature, values of the last block, the V-V path.

Nothing here switches gradients off: under `torch.no_grad()` it reads, without it learned tokens can be trained through.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch.nn.functional as F
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


def first_replaced(vision: VisionTower, last: int | None = None) -> int:
    """Return the first block of a V-V path over the `last` blocks, or over all of them.

    Raises:
        LocalizerError: the tower has fewer blocks.
    """
    count = vision.blocks if last is None else last
    _check_numbers({count}, 1, vision.blocks)
    return vision.blocks - count + 1


def vv_tokens(vision: VisionTower, inputs: Mapping[int, Tensor], first: int) -> Tensor:
    """Return the tokens (B, K, D) at the end of the V-V path (arXiv 2304.05653; DPAM of AnomalyCLIP, 2310.18961).

    p = z[first - 1] + sum over blocks l >= first of OutProj_l(softmax(v v^T / sqrt(d_h)) v), where v are the values of
    block l for its own, normal input z[l - 1]. The path has no MLP and never feeds back, so one normal pass is enough.

    Args:
        vision: the tower.
        inputs: the normal tokens by block, CLS included; blocks `first - 1` to `blocks - 1` are read.
        first: first replaced block.
    """
    _check_numbers({first}, 1, vision.blocks)
    path = inputs[first - 1]
    for number in range(first, vision.blocks + 1):
        values = vision.attention(number, inputs[number - 1]).values
        path = path + vision.merge_heads(number, F.scaled_dot_product_attention(values, values, values))
    return path


def encode_vv(vision: VisionTower, pixels: Tensor, last: int | None = None) -> ImageFeatures:
    """Return the picture's feature of the normal path, and the V-V path's patches as layer `blocks`, (B, N, J).

    The patches are in the joint space and not normalised, so that their cosine with a text can be taken at once.

    Args:
        vision: the tower.
        pixels: (B, 3, S, S), normalised.
        last: how many blocks are replaced, counted from the end; None: all. AnomalyCLIP: 19 of the 24 of ViT-L.
    """
    first = first_replaced(vision, last)
    normal = encode_image(vision, pixels, range(first - 1, vision.blocks), drop_cls=False)
    patches = vision.leave(vv_tokens(vision, normal.layers, first)[:, 1:])
    return ImageFeatures(normal.cls, {vision.blocks: patches}, normal.grid_hw)


def _check_numbers(numbers: set[int], lowest: int, highest: int) -> None:
    odd = sorted(number for number in numbers if not lowest <= number <= highest)
    if odd:
        raise LocalizerError(f"the vision tower has {highest} blocks; there is no block {', '.join(map(str, odd))}")
