"""Features of sentences and of learned token embeddings, with the mask always spelled out.

A text tower given no mask attends both ways without a word, which for weights trained with a causal mask is another
function; so the mask is built here, and never left to a default.
"""

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from vlm_inspect.errors import InspectWarning
from vlm_inspect.localization.dual_encoder.encoder import TextTower

_BATCH = 256
"""Sentences in one pass: 256 x 77 tokens of width 768 take about 60 MB a layer."""
_SHOWN = 3


class CutPrompt(InspectWarning):
    """A prompt had more tokens than the text tower takes, and lost its end."""


def encode_texts(text: TextTower, texts: Sequence[str], batch: int = _BATCH) -> Tensor:
    """Return one feature a sentence, (S, J), not normalised, without gradients.

    Warns with `CutPrompt`, naming the prompts, where some are longer than the tower's context.

    Args:
        text: the tower.
        texts: the sentences.
        batch: sentences in one pass; sentences of like length go together, and the order is kept.

    Raises:
        LocalizerError: there is no text, or an empty one.
    """
    sentences = text.tokenize(texts)
    warn_of_cut(sentences.cut, text.context)
    ends = sentences.ends
    features = torch.empty(len(texts), text.joint, dtype=text.embeddings.dtype, device=text.embeddings.device)
    with torch.no_grad():
        for rows in torch.split(torch.argsort(ends, stable=True), batch):
            longest = int(ends[rows].max()) + 1
            embedded = text.embeddings[sentences.ids[rows, :longest]]
            mask = sentences.mask[rows, :longest]
            features[rows] = encode_embedded(text, embedded, ends[rows], mask, causal=text.causal)
    return features


def encode_embedded(text: TextTower, embedded: Tensor, ends: Tensor, mask: Tensor, causal: bool) -> Tensor:
    """Return one feature a sentence of token embeddings, (S, J), not normalised; gradients flow to `embedded`.

    Args:
        text: the tower.
        embedded: (S, T, width) token embeddings, learned or looked up, without positions.
        ends: (S,) index of each sentence's end token.
        mask: (S, T) bool, True for real tokens.
        causal: whether a token sees only itself and those before it. `text.causal` is what the weights were made for.

    Raises:
        LocalizerError: the sentences are longer than the tower's context.
    """
    tokens = text.enter(embedded)
    seen = attention_mask(mask, causal=causal, dtype=tokens.dtype)
    for number in range(1, text.blocks + 1):
        tokens = text.block(number, tokens, seen)
    return text.leave(tokens, ends, mask)


def attention_mask(mask: Tensor, *, causal: bool, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return the additive mask of a text block: 0 where a token is seen, -inf where not.

    Causal: (1, 1, T, T), -inf above the diagonal; padding stands at the end, where no real token looks. Not causal:
    (S, 1, 1, T), -inf for padding.

    Args:
        mask: (S, T) bool, True for real tokens.
        causal: whether tokens see only what is before them.
        dtype: of the tokens.
    """
    if causal:
        length = mask.shape[1]
        full = torch.full((length, length), -torch.inf, dtype=dtype, device=mask.device)
        return full.triu(1)[None, None]
    empty = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
    return empty.masked_fill(~mask, -torch.inf)[:, None, None, :]


def warn_of_cut(cut: Sequence[str], context: int) -> None:
    """Warn with `CutPrompt` of prompts that were too long; of none, say nothing."""
    if not cut:
        return
    names = ", ".join(repr(one if len(one) <= 80 else one[:77] + "...") for one in cut[:_SHOWN])
    more = f" and {len(cut) - _SHOWN} more" if len(cut) > _SHOWN else ""
    warnings.warn(
        f"longer than {context} tokens, so the end was cut off: prompt {names}{more}", CutPrompt, stacklevel=3
    )
