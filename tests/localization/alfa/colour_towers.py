"""Towers that understand one thing: green is normal, red is damage. Enough to see whether words find a place."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vlm_inspect.localization.dual_encoder.encoder import Attention, DualEncoder, Normalisation, Sentences
from vlm_inspect.localization.dual_encoder.tokens import pad_sentences

PLAIN, DAMAGE = torch.tensor([-0.2, 0.5, -0.3]), torch.tensor([4.0, -5.0, 1.0])
DAMAGE_WORDS = frozenset(
    ["abnormal", "damaged", "damage", "flawed", "flaw", "imperfect", "blemished", "defective", "defect", "scratch"]
)


class ColourVision:
    """A patch's token is its mean colour; the last block makes CLS the mean of the patches."""

    width, blocks, heads, patch, side, joint = 3, 2, 1, 8, 64, 3
    normalisation = Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

    def __init__(self) -> None:
        self.module: nn.Module = nn.Linear(1, 1)

    def enter(self, pixels: Tensor) -> Tensor:
        patches = nn.functional.avg_pool2d(pixels, self.patch).flatten(2).transpose(1, 2)
        return torch.cat([torch.zeros_like(patches[:, :1]), patches], dim=1)

    def block(self, number: int, tokens: Tensor) -> Tensor:
        if number < self.blocks:
            return tokens
        return torch.cat([tokens[:, 1:].mean(dim=1, keepdim=True), tokens[:, 1:]], dim=1)

    def attention(self, number: int, tokens: Tensor) -> Attention:
        del number
        return Attention(tokens[:, None], tokens[:, None], tokens[:, None])

    def merge_heads(self, number: int, attended: Tensor) -> Tensor:
        del number
        return attended[:, 0]

    def leave(self, tokens: Tensor) -> Tensor:
        return tokens


class _Words:
    """0 start, 1 end, 2 a word, 3 a word for damage."""

    end, padding, size = 1, 1, 4

    def __call__(self, texts: Sequence[str], most: int) -> list[list[int]]:
        words = [text.lower().replace(".", " ").split() for text in texts]
        return [[0, *(3 if word in DAMAGE_WORDS else 2 for word in line), 1][:most] for line in words]


class ColourText:
    """A sentence is the sum of its words: damage outweighs everything else."""

    width, blocks, context, joint, causal = 3, 0, 77, 3, False

    def __init__(self) -> None:
        self.module: nn.Module = nn.Linear(1, 1)
        self.embeddings = torch.stack([torch.zeros(3), torch.zeros(3), PLAIN, DAMAGE])

    def tokenize(self, texts: Sequence[str]) -> Sentences:
        return pad_sentences(texts, _Words(), self.context)

    def enter(self, embedded: Tensor) -> Tensor:
        return embedded

    def block(self, number: int, tokens: Tensor, mask: Tensor | None) -> Tensor:
        raise AssertionError("this tower has no blocks")

    def leave(self, tokens: Tensor, ends: Tensor, mask: Tensor) -> Tensor:
        return (tokens * mask[..., None]).sum(dim=1)


def colour_encoder() -> DualEncoder:
    return DualEncoder(ColourVision(), ColourText(), 0.07, "colours 1", "colours")
