"""The two towers of a transformers `CLIPModel`, block by block.

Only the names of layers and their weights are used, so that versions of transformers whose blocks return tensors or
tuples, or whose feature calls return vectors or records, give the same numbers.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dual_encoder.encoder import CLIP_NORMALISATION, DualEncoder, Normalisation
from vlm_inspect.localization.dual_encoder.tokens import TokenLists
from vlm_inspect.localization.dual_encoder.transformer import (
    Block,
    TextBlocks,
    VisionBlocks,
    check_pixels,
    embed_patches,
    rows_at,
)


class HuggingFaceVision(VisionBlocks):
    """`VisionTower` over a `CLIPVisionModel` and its projection."""

    def __init__(self, model: Any, normalisation: Normalisation = CLIP_NORMALISATION) -> None:
        vision = model.vision_model
        config = model.config.vision_config
        self.module: nn.Module = nn.ModuleDict({"vision_model": vision, "visual_projection": model.visual_projection})
        self.width = int(config.hidden_size)
        self.blocks = int(config.num_hidden_layers)
        self.heads = int(config.num_attention_heads)
        self.patch = int(config.patch_size)
        self.side = int(config.image_size)
        self.joint = int(model.visual_projection.out_features)
        self.normalisation = normalisation
        self._embeddings = vision.embeddings
        self._first_norm = vision.pre_layrnorm  # the library's own spelling
        self._last_norm = vision.post_layernorm
        self._projection = model.visual_projection
        self._stack = [block_of(layer) for layer in vision.encoder.layers]
        _freeze(self.module)

    def enter(self, pixels: Tensor) -> Tensor:
        """See `VisionTower.enter`."""
        check_pixels(pixels, self.patch)
        embeddings = self._embeddings
        patches = embeddings.patch_embedding(pixels.to(embeddings.patch_embedding.weight.dtype))
        tokens = embed_patches(patches, embeddings.class_embedding, embeddings.position_embedding.weight)
        result: Tensor = self._first_norm(tokens)
        return result

    def leave(self, tokens: Tensor) -> Tensor:
        """See `VisionTower.leave`."""
        result: Tensor = self._projection(self._last_norm(tokens))
        return result


class HuggingFaceText(TextBlocks):
    """`TextTower` over a `CLIPTextModel`, its projection and a `CLIPTokenizer`."""

    causal = True

    def __init__(self, model: Any, tokenize: "TokenLists") -> None:
        text = model.text_model
        config = model.config.text_config
        self.module: nn.Module = nn.ModuleDict({"text_model": text, "text_projection": model.text_projection})
        self.width = int(config.hidden_size)
        self.blocks = int(config.num_hidden_layers)
        self.context = int(config.max_position_embeddings)
        self.joint = int(model.text_projection.out_features)
        self._tokenize = tokenize
        self.embeddings: Tensor = text.embeddings.token_embedding.weight
        self._positions: Tensor = text.embeddings.position_embedding.weight
        self._last_norm = text.final_layer_norm
        self._projection = model.text_projection
        self._stack = [block_of(layer) for layer in text.encoder.layers]
        _freeze(self.module)

    def leave(self, tokens: Tensor, ends: Tensor, mask: Tensor) -> Tensor:
        """See `TextTower.leave`: the end token's row; `mask` plays no part."""
        result: Tensor = self._projection(self._last_norm(rows_at(tokens, ends)))
        return result


class HuggingFaceTokens:
    """`TokenLists` of a transformers tokenizer: start and end token included, cut to a length on request."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.end = int(tokenizer.eos_token_id)
        self.padding = self.end if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)
        self.size = len(tokenizer)

    def __call__(self, texts: Sequence[str], most: int) -> list[list[int]]:
        """Return the ids of each text, none longer than `most`."""
        encoded = self._tokenizer(list(texts), padding=False, truncation=True, max_length=most)
        return [[int(one) for one in ids] for ids in encoded["input_ids"]]


def wrap_clip(
    model: Any, tokens: TokenLists, *, identity: str, name: str, normalisation: Normalisation = CLIP_NORMALISATION
) -> DualEncoder:
    """Return the towers of a transformers `CLIPModel`, frozen and in evaluation mode.

    Args:
        model: a `CLIPModel`, on the device and in the precision that it shall run in.
        tokens: its tokenizer, `HuggingFaceTokens(tokenizer)`.
        identity: name and digest of the weights.
        name: what a result calls it.
        normalisation: of the pictures that it was trained with.

    Raises:
        LocalizerError: the tokenizer has more tokens than the text tower has embeddings.
    """
    text = HuggingFaceText(model, tokens)
    rows = text.embeddings.shape[0]
    if tokens.size > rows:
        raise LocalizerError(
            f"{name}: the tokenizer has {tokens.size} tokens, the text tower embeds {rows}: other files"
        )
    model.logit_scale.requires_grad_(False)
    temperature = 1.0 if model.logit_scale.is_meta else float(torch.exp(-model.logit_scale.float()))
    return DualEncoder(HuggingFaceVision(model, normalisation), text, temperature, identity, name)


def block_of(layer: Any) -> Block:
    """Return a `CLIPEncoderLayer` as a `Block`."""
    attention = layer.self_attn

    def project(tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        normed = layer.layer_norm1(tokens)
        return attention.q_proj(normed), attention.k_proj(normed), attention.v_proj(normed)

    def feed(tokens: Tensor) -> Tensor:
        result: Tensor = layer.mlp(layer.layer_norm2(tokens))
        return result

    return Block(int(attention.num_heads), project, attention.out_proj, feed)


def _freeze(module: nn.Module) -> None:
    module.eval().requires_grad_(False)
