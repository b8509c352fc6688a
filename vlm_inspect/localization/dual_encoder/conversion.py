"""open_clip's folders as transformers' `CLIPModel`: other names, and fused projections taken apart; the same numbers.

So the LAION B/16+ of WinCLIP and ALFA, not published for transformers, needs neither open_clip nor torchvision.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dual_encoder.encoder import CLIP_NORMALISATION
from vlm_inspect.localization.dual_encoder.weights_file import one_line

if TYPE_CHECKING:
    from torch import Tensor

SETTINGS = "open_clip_config.json"
WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin")
"""Names of open_clip's file of weights, the preferred one first."""

_KNOWN = {
    "model_cfg": {"embed_dim", "quick_gelu", "vision_cfg", "text_cfg"},
    "vision_cfg": {"image_size", "layers", "width", "head_width", "mlp_ratio", "patch_size", "patch_dropout"},
    "text_cfg": {"context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio"},
}
"""All that a plain CLIP needs; any other key asks for parts that `CLIPModel` does not have."""

_NAMES = (
    (r"^visual\.class_embedding$", "vision_model.embeddings.class_embedding"),
    (r"^visual\.conv1\.", "vision_model.embeddings.patch_embedding."),
    (r"^visual\.positional_embedding$", "vision_model.embeddings.position_embedding.weight"),
    (r"^visual\.ln_pre\.", "vision_model.pre_layrnorm."),
    (r"^visual\.ln_post\.", "vision_model.post_layernorm."),
    (r"^visual\.proj$", "visual_projection.weight"),
    (r"^visual\.transformer\.resblocks\.", "vision_model.encoder.layers."),
    (r"^transformer\.resblocks\.", "text_model.encoder.layers."),
    (r"^token_embedding\.", "text_model.embeddings.token_embedding."),
    (r"^positional_embedding$", "text_model.embeddings.position_embedding.weight"),
    (r"^ln_final\.", "text_model.final_layer_norm."),
    (r"^text_projection$", "text_projection.weight"),
    (r"(layers\.\d+)\.ln_1\.", r"\1.layer_norm1."),
    (r"(layers\.\d+)\.ln_2\.", r"\1.layer_norm2."),
    (r"(layers\.\d+)\.mlp\.c_fc\.", r"\1.mlp.fc1."),
    (r"(layers\.\d+)\.mlp\.c_proj\.", r"\1.mlp.fc2."),
    (r"(layers\.\d+)\.attn\.", r"\1.self_attn."),
)


def read_open_clip_folder(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings of a `CLIPConfig`, and image settings as in preprocessor_config.json.

    Raises:
        LocalizerError: the file cannot be read, or describes a model that is no plain CLIP.
    """
    path = folder / SETTINGS
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        model, pictures = content["model_cfg"], content.get("preprocess_cfg", {})
        mean, std = pictures.get("mean", CLIP_NORMALISATION.mean), pictures.get("std", CLIP_NORMALISATION.std)
        parts = {"model_cfg": model, "vision_cfg": model["vision_cfg"], "text_cfg": model["text_cfg"]}
        odd = [key for part, settings in parts.items() for key in settings if key not in _KNOWN[part]]
        if odd:
            raise LocalizerError(f"{path} describes no plain CLIP: {', '.join(odd)}; load it as open_clip:MODEL:FILE")
        return transformers_settings(model), {"image_mean": mean, "image_std": std}
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise LocalizerError(f"{path} is not a usable open_clip configuration: {one_line(error)}") from error


def transformers_settings(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a `CLIPConfig` for open_clip's settings of a plain CLIP."""
    vision, text = model["vision_cfg"], model["text_cfg"]
    joint = int(model["embed_dim"])
    shared = {"hidden_act": "quick_gelu" if model.get("quick_gelu") else "gelu", "projection_dim": joint}
    vision_width, text_width = int(vision.get("width", 768)), int(text.get("width", 512))
    return {
        "model_type": "clip",
        "projection_dim": joint,
        "vision_config": {
            **shared,
            "hidden_size": vision_width,
            "intermediate_size": int(vision_width * vision.get("mlp_ratio", 4.0)),
            "num_hidden_layers": vision.get("layers", 12),
            "num_attention_heads": vision_width // int(vision.get("head_width", 64)),
            "image_size": vision.get("image_size", 224),
            "patch_size": vision.get("patch_size", 16),
        },
        "text_config": {
            **shared,
            "hidden_size": text_width,
            "intermediate_size": int(text_width * text.get("mlp_ratio", 4.0)),
            "num_hidden_layers": text.get("layers", 12),
            "num_attention_heads": text.get("heads", 8),
            "vocab_size": text.get("vocab_size", 49408),
            "max_position_embeddings": text.get("context_length", 77),
        },
    }


def convert_weights(state: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """Return open_clip's tensors under transformers' names; a name that is unknown stays as it is."""
    converted: dict[str, Tensor] = {}
    for name, tensor in state.items():
        new = name
        for pattern, replacement in _NAMES:
            new = re.sub(pattern, replacement, new)
        if ".self_attn.in_proj_" in new:
            for part, piece in zip("qkv", tensor.chunk(3), strict=True):
                converted[new.replace("in_proj_", f"{part}_proj.")] = piece.contiguous()
        elif new in ("visual_projection.weight", "text_projection.weight"):
            converted[new] = tensor.T.contiguous()  # ours multiplies from the other side
        else:
            converted[new] = tensor.reshape(()) if new == "logit_scale" else tensor
    return converted
