"""Any vision transformer of the transformers library that lies on this disk, as a `Network` of one layer."""

import hashlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.errors import LocalizerError
from vlm_inspect.vision.network import Layer, PatchFeatures, Rgb

_CELL = 10.0
"""Pixels of the picture that one token shall cover; smaller sees smaller defects and costs more."""
_DEPTHS = (0.5, 0.75, 1.0)
"""Where in the network the joined layers lie."""


@dataclass(frozen=True, eq=False)
class TransformersNetwork:
    """See `Network`: patch tokens of some hidden layers, each standardised, joined."""

    name: str
    identity: str
    layers: tuple[Layer, ...]
    model: Any
    patch: int
    hidden: tuple[int, ...]
    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    fixed_side: int | None = None
    """Side in pixels where the model takes no other size."""
    multiple: int = 16

    def extract(self, pictures: Sequence[Rgb]) -> list[PatchFeatures]:
        """See `Network.extract`; the grid has one cell a token."""
        return [PatchFeatures((self._extract(picture),)) for picture in pictures]

    def _extract(self, picture: Rgb) -> NDArray[np.float32]:
        import cv2
        import torch
        import torch.nn.functional as F

        if self.fixed_side is not None:
            cells = (self.fixed_side // self.patch,) * 2
        else:
            cells = max(4, round(picture.shape[0] / _CELL)), max(4, round(picture.shape[1] / _CELL))
        size = cells[1] * self.patch, cells[0] * self.patch
        resized = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)
        by_itself = self.fixed_side is not None or self.model.config.model_type.startswith("dinov2")
        options = {} if by_itself else {"interpolate_pos_encoding": True}
        scaled = (resized.astype(np.float32) / 255.0 - self.mean) / self.std
        with torch.inference_mode():
            x = torch.from_numpy(np.ascontiguousarray(scaled.transpose(2, 0, 1), np.float32)[None])
            hidden = self.model(pixel_values=x, output_hidden_states=True, **options).hidden_states
            count = cells[0] * cells[1]
            tokens = [F.layer_norm(hidden[layer][0, -count:], hidden[layer].shape[-1:]) for layer in self.hidden]
            return np.ascontiguousarray(torch.cat(tokens, dim=-1).reshape(*cells, -1).numpy(), np.float32)


def load_transformers(name: str) -> TransformersNetwork:
    """Return a vision model in evaluation mode from a folder or from the hub's local cache.

    Raises:
        LocalizerError: no such folder, nothing cached, or no vision transformer.
    """
    model = _model(name)
    mean, std = _preprocessing(name)
    config = model.config
    depth, width = int(config.num_hidden_layers), int(config.hidden_size)
    hidden = tuple(sorted({max(1, round(depth * share)) for share in _DEPTHS}))
    joined = "-".join(map(str, hidden))
    return TransformersNetwork(
        name=name,
        identity=f"{name}/{joined}/{_digest(model)}",
        layers=(Layer(joined, (width,) * len(hidden)),),
        model=model,
        patch=config.patch_size if isinstance(config.patch_size, int) else int(config.patch_size[0]),
        hidden=hidden,
        mean=mean,
        std=std,
        fixed_side=_fixed_side(model),
    )


def _model(name: str) -> Any:
    if find_spec("transformers") is None:
        raise LocalizerError(f"network {name} needs transformers: pip install 'vlm-inspect[hf]'")
    if Path(name).exists() and not (Path(name) / "config.json").is_file():
        raise LocalizerError(f"network {name}: the folder holds no config.json of a transformers model")
    from transformers import AutoModel

    try:
        model = AutoModel.from_pretrained(name, local_files_only=True)
    except (OSError, ValueError) as error:
        raise LocalizerError(
            f"unknown network {name!r}: use lite0, dinov2, or a transformers folder or cached id"
        ) from error
    model = getattr(model, "vision_model", model).eval()
    if not hasattr(model.config, "patch_size"):
        raise LocalizerError(
            f"network {name}: a {model.config.model_type} has no patch tokens; use a vision transformer"
        )
    return model


def _preprocessing(name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean and deviation (RGB, of values in [0, 1]) that a model was trained with; ImageNet's by default."""
    from transformers.image_processing_base import ImageProcessingMixin

    try:
        settings, _ = ImageProcessingMixin.get_image_processor_dict(name, local_files_only=True)
    except OSError:
        settings = {}
    mean = settings.get("image_mean", (0.485, 0.456, 0.406))
    return np.array(mean, np.float32), np.array(settings.get("image_std", (0.229, 0.224, 0.225)), np.float32)


def _fixed_side(model: Any) -> int | None:
    """Return the only picture side that the model takes, or None where it interpolates its positions."""
    if model.config.model_type.startswith(("dinov2", "dinov3")):
        return None
    if "interpolate_pos_encoding" in inspect.signature(model.forward).parameters:
        return None
    side = model.config.image_size
    return int(side if isinstance(side, int) else side[0])


def _digest(model: Any) -> str:
    """Return a short digest of a model's weights (sums of every tensor), for cache keys."""
    sums = [f"{name}:{float(tensor.double().abs().sum()):.6e}" for name, tensor in sorted(model.state_dict().items())]
    return hashlib.sha256("\n".join(sums).encode()).hexdigest()[:12]
