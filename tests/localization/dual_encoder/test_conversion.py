"""open_clip's folders load without open_clip and give the features of the same weights under transformers' names."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dual_encoder import load_dual_encoder
from vlm_inspect.localization.dual_encoder.image_features import encode_image
from vlm_inspect.localization.dual_encoder.text_features import encode_texts

SETTINGS: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": 32,
        "quick_gelu": True,
        "vision_cfg": {
            "image_size": 32,
            "layers": 4,
            "width": 64,
            "head_width": 16,
            "mlp_ratio": 2.0,
            "patch_size": 8,
        },
        "text_cfg": {
            "context_length": 77,
            "vocab_size": 1866,
            "width": 48,
            "heads": 4,
            "layers": 3,
            "mlp_ratio": 2.0,
        },
    },
    "preprocess_cfg": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.1]},
}


def open_clip_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename the way back, block by block, as open_clip's classes lay their weights out."""
    out = {
        "logit_scale": state["logit_scale"],
        "visual.proj": state["visual_projection.weight"].T.contiguous(),
        "text_projection": state["text_projection.weight"].T.contiguous(),
        "token_embedding.weight": state["text_model.embeddings.token_embedding.weight"],
        "positional_embedding": state["text_model.embeddings.position_embedding.weight"],
        "visual.class_embedding": state["vision_model.embeddings.class_embedding"],
        "visual.conv1.weight": state["vision_model.embeddings.patch_embedding.weight"],
        "visual.positional_embedding": state["vision_model.embeddings.position_embedding.weight"],
    }
    for kind in ("weight", "bias"):
        out[f"ln_final.{kind}"] = state[f"text_model.final_layer_norm.{kind}"]
        out[f"visual.ln_pre.{kind}"] = state[f"vision_model.pre_layrnorm.{kind}"]
        out[f"visual.ln_post.{kind}"] = state[f"vision_model.post_layernorm.{kind}"]
    for theirs, ours in (("vision_model", "visual.transformer"), ("text_model", "transformer")):
        layers = {int(m[1]) for name in state if (m := re.match(rf"{theirs}\.encoder\.layers\.(\d+)\.", name))}
        for layer in layers:
            source, target = f"{theirs}.encoder.layers.{layer}", f"{ours}.resblocks.{layer}"
            for kind in ("weight", "bias"):
                out[f"{target}.attn.in_proj_{kind}"] = torch.cat(
                    [state[f"{source}.self_attn.{part}_proj.{kind}"] for part in "qkv"]
                )
                out[f"{target}.attn.out_proj.{kind}"] = state[f"{source}.self_attn.out_proj.{kind}"]
                out[f"{target}.ln_1.{kind}"] = state[f"{source}.layer_norm1.{kind}"]
                out[f"{target}.ln_2.{kind}"] = state[f"{source}.layer_norm2.{kind}"]
                out[f"{target}.mlp.c_fc.{kind}"] = state[f"{source}.mlp.fc1.{kind}"]
                out[f"{target}.mlp.c_proj.{kind}"] = state[f"{source}.mlp.fc2.{kind}"]
    assert sum(one.numel() for one in out.values()) == sum(one.numel() for one in state.values())
    return out


@pytest.fixture
def folder(openai_folder: Path, tmp_path: Path) -> Path:
    """The folder of the tiny model as timm's account on the hub lays it out: its config.json is of another library."""
    save_file(open_clip_names(load_file(openai_folder / "model.safetensors")), tmp_path / "open_clip_model.safetensors")
    (tmp_path / "open_clip_config.json").write_text(json.dumps(SETTINGS))
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "vit_base_patch16_plus_clip_240"}))
    for file in ("vocab.json", "merges.txt"):
        (tmp_path / file).write_text((openai_folder / file).read_text())
    return tmp_path


def test_same_weights_same_features(folder: Path, openai_folder: Path, pixels: torch.Tensor) -> None:
    converted, own = load_dual_encoder(str(folder), "cpu"), load_dual_encoder(str(openai_folder), "cpu")
    for ours, theirs in zip(
        (*encode_image(converted.vision, pixels, range(5)).layers.values(), encode_image(converted.vision, pixels).cls),
        (*encode_image(own.vision, pixels, range(5)).layers.values(), encode_image(own.vision, pixels).cls),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)
    texts = ["a photo of a bent pin", "a nut"]
    torch.testing.assert_close(encode_texts(converted.text, texts), encode_texts(own.text, texts))
    assert converted.temperature == pytest.approx(own.temperature)
    assert converted.vision.normalisation.mean == (0.5, 0.4, 0.3)


def test_gelu_is_the_default_of_open_clip(folder: Path, openai_folder: Path, pixels: torch.Tensor) -> None:
    model = {key: value for key, value in SETTINGS["model_cfg"].items() if key != "quick_gelu"}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model}))
    converted = load_dual_encoder(str(folder), "cpu")
    apart = (
        encode_image(converted.vision, pixels).cls
        - encode_image(load_dual_encoder(str(openai_folder), "cpu").vision, pixels).cls
    )
    assert apart.abs().max() > 1e-3


def test_a_checkpoint_of_a_training_run_loads(folder: Path) -> None:
    state = load_file(folder / "open_clip_model.safetensors")
    (folder / "open_clip_model.safetensors").unlink()
    wrapped = {"epoch": 31, "state_dict": {f"module.{name}": one for name, one in state.items()}}
    torch.save(wrapped, folder / "open_clip_pytorch_model.bin")
    assert load_dual_encoder(str(folder), "cpu").vision.blocks == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model_cfg": {**SETTINGS["model_cfg"], "custom_text": True}}, "describes no plain CLIP: custom_text"),
        ({"model_cfg": {**SETTINGS["model_cfg"], "vision_cfg": {"timm_model_name": "vit"}}}, "timm_model_name"),
        ({"model_cfg": {"embed_dim": 32}}, "not a usable open_clip configuration"),
        ({"model_cfg": {**SETTINGS["model_cfg"], "embed_dim": 16}}, "of another size than its configuration"),
        ([], "not a usable open_clip configuration"),
    ],
)
def test_other_models_are_refused(folder: Path, settings: object, message: str) -> None:
    (folder / "open_clip_config.json").write_text(json.dumps(settings))
    with pytest.raises(LocalizerError, match=message):
        load_dual_encoder(str(folder), "cpu")


def test_no_weights_names_the_file(folder: Path) -> None:
    (folder / "open_clip_model.safetensors").unlink()
    with pytest.raises(LocalizerError, match=r"open_clip_model\.safetensors or .* is missing"):
        load_dual_encoder(str(folder), "cpu")
