"""The words' side of DAPO: sentences with learned context through a frozen text tower, with tokens in every block."""

from typing import TYPE_CHECKING

import torch

from vlm_inspect.localization.dapo.learnables import HybridPrompts
from vlm_inspect.localization.dapo.settings import DapoSettings
from vlm_inspect.localization.dapo.token_mixing import mix_tokens
from vlm_inspect.localization.dual_encoder.encoder import Sentences, TextTower

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 256
"""Sentences that run through the tower at once."""


class ProgressiveTextEncoder:
    """Encodes the normal state and K defect words to one unit vector each."""

    def __init__(self, tower: TextTower, settings: DapoSettings) -> None:
        self._tower = tower
        self._settings = settings

    def encode(self, prompts: HybridPrompts, words: tuple[str, ...]) -> "Tensor":
        """Return (1 + K, J) float32 unit vectors, the normal state first: the mean of E prompts each, normalised.

        Raises:
            LocalizerError: a word holds nothing that the tower knows.
        """
        states = self._sentences(words)
        embedded = self._embed(states, prompts)
        ends = states.ends.repeat_interleave(self._settings.prompts)
        mask = states.mask.repeat_interleave(self._settings.prompts, 0)
        features = torch.cat(
            [
                self._run(embedded[i : i + CHUNK], ends[i : i + CHUNK], mask[i : i + CHUNK], prompts.layer_tokens)
                for i in range(0, len(embedded), CHUNK)
            ]
        )
        means = features.float().reshape(1 + len(words), -1, features.shape[-1]).mean(1)
        return torch.nn.functional.normalize(means, dim=-1)

    def cut_words(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """Return the sentences that are too long for the tower, context included, and lose their end."""
        return self._sentences(words).cut

    def _sentences(self, words: tuple[str, ...]) -> Sentences:
        texts = self._settings.wording.sentences(words)
        return make_room(self._tower.tokenize(texts), texts, self._settings.context, self._tower.context)

    def _embed(self, states: Sentences, prompts: HybridPrompts) -> "Tensor":
        """Return (S * E, T, width): every sentence with every context in the place that `make_room` left."""
        embeddings, count = self._tower.embeddings, self._settings.context
        tokens = embeddings[states.ids][:, None].expand(-1, self._settings.prompts, -1, -1)
        others = prompts.abnormal_context.expand(len(states.ids) - 1, -1, -1, -1)
        context = torch.cat([prompts.normal_context[None], others]).to(tokens.dtype)
        return torch.cat([tokens[:, :, :1], context, tokens[:, :, 1 + count :]], dim=2).flatten(0, 1)

    def _run(self, embedded: "Tensor", ends: "Tensor", mask: "Tensor", layer_tokens: "Tensor") -> "Tensor":
        """Return the features (S, J) of embedded sentences (S, T, width)."""
        count = layer_tokens.shape[1]
        seen = torch.cat([mask[:, :1], mask.new_ones(len(mask), count), mask[:, 1:]], dim=1)
        shown = attention_mask(seen, self._settings.text_causal)
        hidden = self._tower.enter(embedded)
        for number in range(1, self._tower.blocks + 1):
            hidden = mix_tokens(hidden, layer_tokens[number - 1], number == 1, self._settings.alpha)
            hidden = self._tower.block(number, hidden, shown)
        shifted = ends + count if self._settings.readout == "eot" else ends
        words_only = seen.clone()
        words_only[:, 1 : 1 + count] = False  # towers that average do so over the words alone
        return self._tower.leave(hidden, shifted, words_only)


def make_room(sentences: Sentences, texts: list[str], count: int, context: int) -> Sentences:
    """Return sentences with `count` more places after the first token, cut to `context` tokens, end token kept.

    The ids in those places mean nothing; `cut` names the texts that lost their end here or before.
    """
    ids, ends = sentences.ids, sentences.ends
    gap = ids[:, :1].expand(-1, count)
    longer = torch.cat([ids[:, :1], gap, ids[:, 1:]], dim=1)[:, :context]
    mask = torch.cat([sentences.mask[:, :1].expand(-1, 1 + count), sentences.mask[:, 1:]], dim=1)[:, :context]
    places = (ends + count).clamp(max=longer.shape[1] - 1)
    rows = torch.arange(len(ids), device=ids.device)
    longer[rows, places] = ids[rows, ends]
    cut = {texts[row] for row in torch.nonzero(ends + count > places).flatten().tolist()}
    return Sentences(longer, places, mask, tuple(text for text in texts if text in cut or text in sentences.cut))


def attention_mask(seen: "Tensor", causal: bool) -> "Tensor":
    """Return the additive mask (S, 1, T or 1, T) float32 of `seen` (S, T) bool.

    -inf hides padding, and what comes later where `causal`.
    """
    hidden = ~seen[:, None, None, :]
    if causal:
        length = seen.shape[1]
        hidden = hidden | torch.ones(length, length, dtype=torch.bool, device=seen.device).triu(1)
    return torch.zeros(hidden.shape, device=seen.device).masked_fill(hidden, -torch.inf)
