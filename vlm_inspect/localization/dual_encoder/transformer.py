"""What every CLIP-like tower is made of: pre-norm residual blocks, and position embeddings that can be resized.

Written over the weights and not over a library's forward call, because those calls change from version to version and
hide what the methods need: values of one block, a mask that is never dropped silently, any number of tokens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dual_encoder.encoder import Attention, Sentences
from vlm_inspect.localization.dual_encoder.tokens import TokenLists, pad_sentences


@dataclass(frozen=True, eq=False)
class Block:
    """One pre-norm transformer block: `x + merge(attention(project(x)))`, then `x + feed(x)`."""

    heads: int
    project: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
    """(B, K, D) to queries, keys and values, each (B, K, D): first layer norm, then the three projections."""
    merge: Callable[[Tensor], Tensor]
    """The output projection, (B, K, D) to (B, K, D)."""
    feed: Callable[[Tensor], Tensor]
    """Second layer norm, then the MLP, (B, K, D) to (B, K, D); the residual is added outside."""

    def attention(self, tokens: Tensor) -> Attention:
        """Return queries, keys and values of the tokens (B, K, D), split into heads."""
        queries, keys, values = (split_heads(part, self.heads) for part in self.project(tokens))
        return Attention(queries, keys, values)

    def run(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the block's output (B, K, D); `mask` is additive and broadcasts to (B, heads, K, K)."""
        parts = self.attention(tokens)
        mask = None if mask is None else mask.to(parts.queries.dtype)
        attended = F.scaled_dot_product_attention(parts.queries, parts.keys, parts.values, attn_mask=mask)
        tokens = tokens + self.merge(join_heads(attended))
        return tokens + self.feed(tokens)


class VisionBlocks:
    """The calls of a `VisionTower` that go through one block, the same for every library."""

    _stack: Sequence[Block]

    def block(self, number: int, tokens: Tensor) -> Tensor:
        """See `VisionTower.block`."""
        return block_at(self._stack, number).run(tokens)

    def attention(self, number: int, tokens: Tensor) -> Attention:
        """See `VisionTower.attention`."""
        return block_at(self._stack, number).attention(tokens)

    def merge_heads(self, number: int, attended: Tensor) -> Tensor:
        """See `VisionTower.merge_heads`."""
        return block_at(self._stack, number).merge(join_heads(attended))


class TextBlocks:
    """The calls of a `TextTower` up to its last block, the same for every library."""

    context: int
    embeddings: Tensor
    _tokenize: TokenLists
    _positions: Tensor
    _stack: Sequence[Block]

    def tokenize(self, texts: Sequence[str]) -> Sentences:
        """See `TextTower.tokenize`."""
        return pad_sentences(texts, self._tokenize, self.context, self.embeddings.device)

    def enter(self, embedded: Tensor) -> Tensor:
        """See `TextTower.enter`."""
        check_length(embedded, self.context)
        return embedded + self._positions[: embedded.shape[1]].to(embedded.dtype)

    def block(self, number: int, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """See `TextTower.block`."""
        return block_at(self._stack, number).run(tokens, mask)


def block_at(blocks: Sequence[Block], number: int) -> Block:
    """Return block `number`, counted from 1.

    Raises:
        LocalizerError: there is no such block.
    """
    if not 1 <= number <= len(blocks):
        raise LocalizerError(f"there is no block {number} in a tower of {len(blocks)}; blocks are counted from 1")
    return blocks[number - 1]


def split_heads(tokens: Tensor, heads: int) -> Tensor:
    """Return (B, K, D) as (B, heads, K, D / heads)."""
    batch, count, width = tokens.shape
    return tokens.reshape(batch, count, heads, width // heads).transpose(1, 2)


def join_heads(attended: Tensor) -> Tensor:
    """Return (B, heads, K, D / heads) as (B, K, D)."""
    return attended.transpose(1, 2).flatten(2)


def resize_positions(positions: Tensor, grid_hw: tuple[int, int]) -> Tensor:
    """Return position embeddings (1 + N, D), CLS first, for another grid of patches: (1 + h * w, D), float32.

    Bicubic, align_corners=False, no antialiasing: what both transformers and open_clip do with these weights.
    """
    side = round((positions.shape[0] - 1) ** 0.5)
    if (side, side) == grid_hw:
        return positions
    grid = positions[1:].float().reshape(side, side, -1).permute(2, 0, 1)[None]
    resized = F.interpolate(grid, grid_hw, mode="bicubic", align_corners=False)
    return torch.cat([positions[:1].float(), resized[0].flatten(1).T])


def embed_patches(patches: Tensor, first: Tensor, positions: Tensor) -> Tensor:
    """Return the tokens (B, 1 + h * w, D) of convolved patches (B, D, h, w): CLS in front, positions added."""
    positions = resize_positions(positions, (patches.shape[2], patches.shape[3])).to(patches.dtype)
    tokens = patches.flatten(2).transpose(1, 2)
    return torch.cat([first.to(patches.dtype).expand(tokens.shape[0], 1, -1), tokens], dim=1) + positions


def check_pixels(pixels: Tensor, patch: int) -> None:
    """Check that pictures (B, 3, H, W) are whole patches.

    Raises:
        LocalizerError: another shape.
    """
    if pixels.ndim != 4 or pixels.shape[1] != 3 or pixels.shape[2] % patch or pixels.shape[3] % patch:
        raise LocalizerError(
            f"pictures of shape {tuple(pixels.shape)} do not fit: (B, 3, S, S) with S a multiple of {patch} is needed"
        )


def check_length(embedded: Tensor, context: int) -> None:
    """Check that token embeddings (S, T, D) fit the context.

    Raises:
        LocalizerError: T is larger than the context.
    """
    if embedded.shape[1] > context:
        raise LocalizerError(f"a sentence of {embedded.shape[1]} tokens does not fit the text tower's {context}")


def rows_at(tokens: Tensor, ends: Tensor) -> Tensor:
    """Return the token at `ends` (S,) of each sentence of (S, T, D): (S, D)."""
    return tokens[torch.arange(tokens.shape[0], device=tokens.device), ends]
