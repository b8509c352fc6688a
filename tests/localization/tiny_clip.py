"""A tiny CLIP with random weights, saved as the published ones are: real classes, real files, no download."""

import json
from itertools import product
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any, Literal

from vlm_inspect.localization.dual_encoder.encoder import DualEncoder

if TYPE_CHECKING:
    from transformers import CLIPModel

Style = Literal["openai", "laion"]
ACTIVATIONS = {"openai": "quick_gelu", "laion": "gelu"}
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


def build_tiny_clip(
    folder: Path,
    *,
    style: Style = "openai",
    side: int = 32,
    patch: int = 8,
    layers: int = 4,
    width: int = 64,
    heads: int = 4,
    text_layers: int = 3,
    text_width: int = 48,
    joint: int = 32,
    seed: int = 0,
    weights: Literal["safetensors", "bin"] = "safetensors",
) -> Path:
    """Save a random CLIPModel, its tokenizer and its image settings in `folder`; returns the folder.

    The layout is that of the hub's folders. Any lower-case word tokenizes, two letters a token.
    """
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    model = tiny_model(
        style=style,
        side=side,
        patch=patch,
        layers=layers,
        width=width,
        heads=heads,
        text_layers=text_layers,
        text_width=text_width,
        joint=joint,
        seed=seed,
    )
    model.save_pretrained(folder)
    if weights == "bin":
        (folder / "model.safetensors").unlink()
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    save_tokenizer(folder)
    settings = {
        "crop_size": side,
        "do_center_crop": True,
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "CLIPFeatureExtractor",
        "image_mean": MEAN,
        "image_std": STD,
        "resample": 3,
        "size": side,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder


def tiny_model(
    *,
    style: Style = "openai",
    side: int = 32,
    patch: int = 8,
    layers: int = 4,
    width: int = 64,
    heads: int = 4,
    text_layers: int = 3,
    text_width: int = 48,
    joint: int = 32,
    seed: int = 0,
) -> "CLIPModel":
    """Return a CLIPModel with random weights, large enough that every token and every word counts."""
    import torch
    from transformers import CLIPConfig, CLIPModel

    size = len(vocabulary())
    config = CLIPConfig(
        text_config={
            "vocab_size": size,
            "hidden_size": text_width,
            "intermediate_size": 2 * text_width,
            "num_hidden_layers": text_layers,
            "num_attention_heads": heads,
            "hidden_act": ACTIVATIONS[style],
            "projection_dim": joint,
            "bos_token_id": size - 2,
            "eos_token_id": size - 1,
            "pad_token_id": size - 1,
        },
        vision_config={
            "hidden_size": width,
            "intermediate_size": 2 * width,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "image_size": side,
            "patch_size": patch,
            "hidden_act": ACTIVATIONS[style],
            "projection_dim": joint,
        },
        projection_dim=joint,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CLIPModel(config).eval()
        with torch.no_grad():
            for name, tensor in sorted(model.named_parameters()):
                if tensor.ndim == 1 and name.endswith("bias"):
                    tensor.normal_(0, 0.05)
                elif "position_embedding" in name or "token_embedding" in name:
                    tensor.normal_(0, 0.5)
                elif "_proj.weight" in name or "fc" in name:
                    tensor.normal_(0, tensor.shape[1] ** -0.5)
    return model


def tiny_encoder(folder: Path, **options: Any) -> DualEncoder:
    """Return the towers of `build_tiny_clip(folder, **options)`, loaded from the folder as a user's would be."""
    from vlm_inspect.localization.dual_encoder import load_dual_encoder

    return load_dual_encoder(str(build_tiny_clip(folder, **options)), device="cpu")


def vocabulary() -> list[str]:
    """Return the tokens: all bytes, all bytes that end a word, pairs of letters, start and end last, as in CLIP."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    pairs = [first + second for first, second in merges()]
    return [*letters, *(one + "</w>" for one in letters), *pairs, "<|startoftext|>", "<|endoftext|>"]


def merges() -> list[tuple[str, str]]:
    """Return the merges: two letters at the end of a word first, then any two letters."""
    pairs = list(product(ascii_lowercase, repeat=2))
    return [*((first, second + "</w>") for first, second in pairs), *pairs]


def save_tokenizer(folder: Path) -> None:
    """Write vocab.json, merges.txt and the two small settings files of a CLIP tokenizer."""
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(vocabulary())}))
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges())]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    special = {
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
    }
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    settings = {**special, "model_max_length": 77, "tokenizer_class": "CLIPTokenizer", "do_lower_case": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
