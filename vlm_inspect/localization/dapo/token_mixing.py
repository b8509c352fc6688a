"""Progressive tuning's one rule, the same for pictures and for words (methods: DAPO, "progressive strategy")."""

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def mix_tokens(states: "Tensor", tokens: "Tensor", first: bool, alpha: float) -> "Tensor":
    """Return a block's input with n learned tokens after its first token (CLS, or the start of a sentence).

    Args:
        states: (B, K, D) at the first block; (B, K + n, D) later, with what the tokens have become at 1..n.
        tokens: (n, D), of this block.
        first: whether this is the first block: the tokens are inserted; later `alpha * old + (1 - alpha) * new`
            replaces them.
        alpha: 0 to 1.

    Returns:
        (B, K + n, D).
    """
    new = tokens.to(states.dtype).expand(len(states), -1, -1)
    start = 1 if first else 1 + len(tokens)
    if not first:
        new = alpha * states[:, 1:start] + (1 - alpha) * new
    return torch.cat([states[:, :1], new, states[:, start:]], dim=1)
