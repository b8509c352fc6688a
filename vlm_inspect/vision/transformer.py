"""A vision transformer's middle layers (DINOv2, arXiv 2304.07193), run by OpenVINO or by torch.

Tokens of each layer are standardised (layer norm without weights), so that a few huge channels do not rule the cosine.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.vision.network import Layer, PatchFeatures, Rgb
from vlm_inspect.vision.runtime import Runtime, compile_openvino, fast_precision

PATCH = 14
HEADS = 6

_EPSILON = 1e-6
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32) * 255
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32) * 255

Run = Callable[[NDArray[np.uint8], NDArray[np.float32]], list[NDArray[np.float32]]]
"""From pictures (N, H, W, 3) and positions (1, h * w + 1, D) to the tokens (N, h * w + 1, D) of each layer."""


@dataclass(frozen=True, eq=False)
class TransformerNetwork:
    """See `Network`: the tokens after some layers, one grid cell a token of 14 px."""

    name: str
    identity: str
    layers: tuple[Layer, ...]
    run: Run
    positions: NDArray[np.float32]
    """(1, 1 + G * G, D): learned positions, the class token's first."""
    multiple: int = PATCH

    def extract(self, pictures: Sequence[Rgb]) -> list[PatchFeatures]:
        """See `Network.extract`."""
        return [self._extract(picture) for picture in pictures]

    def _extract(self, picture: Rgb) -> PatchFeatures:
        cells = picture.shape[0] // PATCH, picture.shape[1] // PATCH
        tokens = self.run(np.ascontiguousarray(picture)[None], _resized_positions(self, cells))
        return PatchFeatures(tuple(np.ascontiguousarray(layer[0, 1:].reshape(*cells, -1)) for layer in tokens))


@lru_cache(maxsize=64)
def _resized_positions(network: TransformerNetwork, cells: tuple[int, int]) -> NDArray[np.float32]:
    """Return the learned positions on a grid of (h, w) cells, bicubic as in DINOv2's own code."""
    import torch
    import torch.nn.functional as F

    first, rest = network.positions[:, :1], network.positions[:, 1:]
    side = round(rest.shape[1] ** 0.5)
    square = torch.from_numpy(np.ascontiguousarray(rest)).reshape(1, side, side, -1).permute(0, 3, 1, 2)
    resized = F.interpolate(square, size=cells, mode="bicubic", align_corners=False)
    return np.concatenate([first, resized.permute(0, 2, 3, 1).reshape(1, cells[0] * cells[1], -1).numpy()], axis=1)


def build(runtime: Runtime, weights: Mapping[str, NDArray[np.float32]], layers: Sequence[int]) -> Run:
    """Return the network, cut after the last of `layers`, as a function of pictures."""
    make = _build_openvino if runtime == "openvino" else _build_torch
    return make(weights, tuple(layers))


def _build_openvino(weights: Mapping[str, NDArray[np.float32]], layers: tuple[int, ...]) -> Run:
    import openvino as ov
    from openvino import opset13 as ops

    pictures = ops.parameter([-1, -1, -1, 3], np.uint8, name="pictures")
    positions = ops.parameter([1, -1, weights["embeddings.cls_token"].shape[-1]], np.float32, name="positions")
    scaled = ops.divide(ops.subtract(ops.convert(pictures, "f32"), IMAGENET_MEAN), IMAGENET_STD)
    x = _embed_openvino(ops.transpose(scaled, np.array([0, 3, 1, 2])), positions, weights)
    results = []
    for index in range(max(layers)):
        x = _layer_openvino(x, _of_layer(weights, index))
        if index + 1 in layers:
            results.append(ops.result(_standardise_openvino(x)))
    compiled = compile_openvino(ov.Model(results, [pictures, positions], "transformer"), fast_precision())
    return lambda stack, placed: compiled([stack, placed])


def _of_layer(weights: Mapping[str, NDArray[np.float32]], index: int) -> dict[str, NDArray[np.float32]]:
    prefix = f"encoder.layer.{index}."
    return {
        name.removeprefix(prefix): np.ascontiguousarray(array, np.float32)
        for name, array in weights.items()
        if name.startswith(prefix)
    }


def _embed_openvino(x: Any, positions: Any, weights: Mapping[str, NDArray[np.float32]]) -> Any:
    from openvino import opset13 as ops

    kernel = np.ascontiguousarray(weights["embeddings.patch_embeddings.projection.weight"], np.float32)
    bias = np.ascontiguousarray(weights["embeddings.patch_embeddings.projection.bias"], np.float32)
    x = ops.convolution(x, kernel, [PATCH, PATCH], [0, 0], [0, 0], [1, 1])
    x = ops.add(x, bias.reshape(1, -1, 1, 1))
    tokens = ops.transpose(ops.reshape(x, np.array([0, len(bias), -1]), True), np.array([0, 2, 1]))
    one = np.ascontiguousarray(weights["embeddings.cls_token"], np.float32)
    count = ops.gather(ops.shape_of(tokens), np.array([0]), np.array(0))
    first = ops.broadcast(one, ops.concat([count, np.array([1, one.shape[2]])], 0))
    return ops.add(ops.concat([first, tokens], 1), positions)


def _standardise_openvino(x: Any) -> Any:
    from openvino import opset13 as ops

    return ops.mvn(x, np.array([2]), True, _EPSILON, "inside_sqrt")


def _layer_openvino(x: Any, w: Mapping[str, NDArray[np.float32]]) -> Any:
    from openvino import opset13 as ops

    def linear(value: Any, name: str) -> Any:
        return ops.add(ops.matmul(value, w[f"{name}.weight"], False, True), w[f"{name}.bias"])

    def norm(value: Any, name: str) -> Any:
        return ops.add(ops.multiply(_standardise_openvino(value), w[f"{name}.weight"]), w[f"{name}.bias"])

    def heads(value: Any, name: str) -> Any:
        split = ops.reshape(linear(value, f"attention.attention.{name}"), np.array([0, 0, HEADS, -1]), True)
        return ops.transpose(split, np.array([0, 2, 1, 3]))

    y = norm(x, "norm1")
    attended = ops.scaled_dot_product_attention(heads(y, "query"), heads(y, "key"), heads(y, "value"))
    joined = ops.reshape(ops.transpose(attended, np.array([0, 2, 1, 3])), np.array([0, 0, -1]), True)
    x = ops.add(x, ops.multiply(linear(joined, "attention.output.dense"), w["layer_scale1.lambda1"]))
    y = linear(ops.gelu(linear(norm(x, "norm2"), "mlp.fc1"), "erf"), "mlp.fc2")
    return ops.add(x, ops.multiply(y, w["layer_scale2.lambda1"]))


def _build_torch(weights: Mapping[str, NDArray[np.float32]], layers: tuple[int, ...]) -> Run:
    import torch
    import torch.nn.functional as F

    def tensors(named: Mapping[str, NDArray[np.float32]]) -> dict[str, torch.Tensor]:
        return {name: torch.from_numpy(np.array(array, np.float32)) for name, array in named.items()}

    embedding = tensors({name: array for name, array in weights.items() if name.startswith("embeddings.")})
    blocks = [tensors(_of_layer(weights, index)) for index in range(max(layers))]
    mean, std = torch.from_numpy(IMAGENET_MEAN), torch.from_numpy(IMAGENET_STD)

    def run(stack: NDArray[np.uint8], positions: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        with torch.inference_mode():
            x = ((torch.from_numpy(stack).float() - mean) / std).permute(0, 3, 1, 2)
            kernel, bias = (embedding[f"embeddings.patch_embeddings.projection.{part}"] for part in ("weight", "bias"))
            x = F.conv2d(x, kernel, bias, stride=PATCH).flatten(2).transpose(1, 2)
            first = embedding["embeddings.cls_token"].expand(len(x), -1, -1)
            x = torch.cat([first, x], dim=1) + torch.from_numpy(positions)
            found = []
            for index, block in enumerate(blocks):
                x = _layer_torch(x, block)
                if index + 1 in layers:
                    found.append(F.layer_norm(x, x.shape[-1:], eps=_EPSILON).numpy())
            return found

    return run


def _layer_torch(x: Any, w: Mapping[str, Any]) -> Any:
    import torch.nn.functional as F

    count, width = x.shape[1:]

    def linear(value: Any, name: str) -> Any:
        return F.linear(value, w[f"{name}.weight"], w[f"{name}.bias"])

    def norm(value: Any, name: str) -> Any:
        return F.layer_norm(value, (width,), w[f"{name}.weight"], w[f"{name}.bias"], _EPSILON)

    def heads(value: Any, name: str) -> Any:
        return linear(value, f"attention.attention.{name}").reshape(-1, count, HEADS, width // HEADS).transpose(1, 2)

    y = norm(x, "norm1")
    attended = F.scaled_dot_product_attention(heads(y, "query"), heads(y, "key"), heads(y, "value"))
    joined = attended.transpose(1, 2).reshape(-1, count, width)
    x = x + linear(joined, "attention.output.dense") * w["layer_scale1.lambda1"]
    y = linear(F.gelu(linear(norm(x, "norm2"), "mlp.fc1")), "mlp.fc2")
    return x + y * w["layer_scale2.lambda1"]
