"""Features of sentences: computed once for each text tower and list of sentences, then read from disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.array_cache import ArrayCache, key_of, user_cache

if TYPE_CHECKING:
    from torch import Tensor

    from vlm_inspect.localization.dual_encoder.encoder import DualEncoder

VERSION = "1"
"""Changes whenever kept features would no longer be what this code computes."""
MOST_TOKENS = 70
"""A description with more (start and end apart) is dropped: it is close to being cut, and says too much at once."""


@dataclass(frozen=True, eq=False)
class Embedded:
    """Sentences with their features."""

    features: "Tensor"
    """(S, J) float32, rows of length 1, on the encoder's device."""
    notes: tuple[str, ...] = ()
    """Says so where sentences were too long and lost their end."""


def embed(encoder: "DualEncoder", sentences: Sequence[str], cache: ArrayCache | None = None) -> Embedded:
    """Return the feature of each sentence.

    Raises:
        LocalizerError: a sentence is empty, or there is none.
    """
    import torch

    cut = encoder.text.tokenize(sentences).cut
    key = key_of("sentences", VERSION, encoder.identity, list(sentences))
    kept = (cache or user_cache()).array("sentences", key, (len(sentences), None), lambda: _compute(encoder, sentences))
    features = torch.from_numpy(np.array(kept, np.float32)).to(encoder.device)
    return Embedded(features, _cut_note(cut, len(sentences), encoder.text.context))


def token_counts(encoder: "DualEncoder", sentences: Sequence[str]) -> list[int]:
    """Return how many tokens each sentence has, start and end apart; at most the tower's context.

    Raises:
        LocalizerError: a sentence is empty.
    """
    if not sentences:
        return []
    counted = encoder.text.tokenize(sentences)
    long = set(counted.cut)
    lengths = counted.mask.sum(dim=1).tolist()
    return [
        encoder.text.context if sentence in long else int(length) - 2
        for sentence, length in zip(sentences, lengths, strict=True)
    ]


def _compute(encoder: "DualEncoder", sentences: Sequence[str]) -> NDArray[np.float32]:
    import torch
    from torch.nn.functional import normalize

    from vlm_inspect.localization.dual_encoder.text_features import encode_texts

    with torch.inference_mode():
        features = normalize(encode_texts(encoder.text, sentences).float(), dim=-1)
    return np.asarray(features.cpu().numpy(), np.float32)


def _cut_note(cut: Sequence[str], count: int, context: int) -> tuple[str, ...]:
    if not cut:
        return ()
    first = cut[0] if len(cut[0]) <= 120 else f"{cut[0][:117]}..."
    told = f"{len(cut)} of {count} prompts have more than {context} tokens and were cut, the first: {first!r}"
    return (f"{told}; a shorter class name or defect word keeps them whole",)
