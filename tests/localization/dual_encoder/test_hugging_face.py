"""Published sizes fit the towers; both styles get their activation; other files than the model's are refused."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.localization.tiny_clip import tiny_model
from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dual_encoder import DualEncoder, load_dual_encoder
from vlm_inspect.localization.dual_encoder.clip_vocabulary import load_tokenizer
from vlm_inspect.localization.dual_encoder.conversion import transformers_settings
from vlm_inspect.localization.dual_encoder.hugging_face import HuggingFaceTokens, wrap_clip
from vlm_inspect.localization.dual_encoder.image_features import encode_image

LARGE = {
    "embed_dim": 768,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 336, "layers": 24, "width": 1024, "patch_size": 14},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 768, "heads": 12, "layers": 12},
}
PLUS = {
    "embed_dim": 640,
    "vision_cfg": {"image_size": 240, "layers": 12, "width": 896, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 640, "heads": 10, "layers": 12},
}


@pytest.fixture(scope="module")
def tokens(openai_folder: Path) -> HuggingFaceTokens:
    return HuggingFaceTokens(load_tokenizer(openai_folder, "tiny"))


def on_meta(settings: dict[str, Any]) -> Any:
    from transformers import CLIPConfig, CLIPModel

    with torch.device("meta"):
        return CLIPModel(CLIPConfig.from_dict(transformers_settings(settings)))


@pytest.mark.parametrize(
    ("settings", "parameters", "side", "count", "width", "heads", "joint"),
    [
        (LARGE, 427_944_193, 518, 37 * 37, 1024, 16, 768),
        (PLUS, 208_377_345, 240, 15 * 15, 896, 14, 640),
    ],
)
def test_published_sizes(
    settings: dict[str, Any],
    parameters: int,
    side: int,
    count: int,
    width: int,
    heads: int,
    joint: int,
    tokens: HuggingFaceTokens,
) -> None:
    model = on_meta(settings)
    assert sum(one.numel() for one in model.parameters()) == parameters
    encoder = wrap_clip(model, tokens, identity="meta", name="meta")
    vision, text = encoder.vision, encoder.text
    assert (vision.width, vision.heads, vision.joint, text.joint) == (width, heads, joint, joint)
    pixels = torch.empty(2, 3, side, side, device="meta")
    features = encode_image(vision, pixels, [vision.blocks // 4, vision.blocks], drop_cls=False)
    assert features.cls.shape == (2, joint)
    assert [tuple(one.shape) for one in features.layers.values()] == [(2, 1 + count, width)] * 2
    embedded = text.enter(torch.empty(5, 77, text.width, device="meta"))
    out = text.block(text.blocks, embedded, torch.zeros(1, 1, 77, 77, device="meta"))
    ends, mask = torch.zeros(5, dtype=torch.long, device="meta"), torch.ones(5, 77, dtype=torch.bool, device="meta")
    assert text.leave(out, ends, mask).shape == (5, joint)


@pytest.mark.parametrize(("style", "activation"), [("openai", "QuickGELUActivation"), ("laion", "GELUActivation")])
def test_each_style_gets_its_activation(style: str, activation: str, openai_folder: Path, laion_folder: Path) -> None:
    encoder = load_dual_encoder(str(openai_folder if style == "openai" else laion_folder), "cpu")
    for tower in (encoder.vision, encoder.text):
        kinds = {type(one).__name__ for one in tower.module.modules() if "GELU" in type(one).__name__}
        assert kinds == {activation}


def test_what_the_towers_say_of_themselves(encoder: DualEncoder) -> None:
    vision, text = encoder.vision, encoder.text
    assert (vision.width, vision.blocks, vision.heads, vision.patch, vision.side, vision.joint) == (64, 4, 4, 8, 32, 32)
    assert (text.width, text.blocks, text.context, text.joint, text.causal) == (48, 3, 77, 32, True)
    assert encoder.temperature == pytest.approx(0.07, rel=1e-3)  # logit_scale_init_value 2.6592 = ln(1 / 0.07)
    assert encoder.device == "cpu"
    assert not vision.module.training


def test_attention_is_split_into_heads(encoder: DualEncoder, pixels: torch.Tensor) -> None:
    tokens = encoder.vision.enter(pixels)
    parts = encoder.vision.attention(1, tokens)
    assert parts.queries.shape == parts.keys.shape == parts.values.shape == (3, 4, 17, 16)
    weights = torch.softmax(parts.queries @ parts.keys.transpose(-1, -2) / 4, dim=-1)
    attended = tokens + encoder.vision.merge_heads(1, weights @ parts.values)
    layer = encoder.vision.module["vision_model"].encoder.layers[0]
    torch.testing.assert_close(
        attended + layer.mlp(layer.layer_norm2(attended)), encoder.vision.block(1, tokens), atol=1e-5, rtol=1e-5
    )


def test_a_tokenizer_of_another_model_is_an_error(tokens: HuggingFaceTokens) -> None:
    model = tiny_model()
    model.text_model.embeddings.token_embedding = torch.nn.Embedding(100, 48)
    with pytest.raises(LocalizerError, match="the tokenizer has 1866 tokens, the text tower embeds 100"):
        wrap_clip(model, tokens, identity="x", name="tiny")


def test_half_precision_stays_half(tokens: HuggingFaceTokens, pixels: torch.Tensor) -> None:
    encoder = wrap_clip(tiny_model().to(torch.bfloat16), tokens, identity="x", name="tiny")
    features = encode_image(encoder.vision, pixels, [4])
    assert features.cls.dtype == features.layers[4].dtype == torch.bfloat16
    full = encode_image(wrap_clip(tiny_model(), tokens, identity="x", name="tiny").vision, pixels).cls
    torch.testing.assert_close(features.cls.float(), full, atol=0.2, rtol=0.1)
    larger = torch.zeros(1, 3, 48, 48)
    assert encoder.vision.enter(larger).dtype == torch.bfloat16
