"""EfficientNet-Lite as plain convolutions, run by OpenVINO or by torch.

Batch norm is folded into the weights. Pictures are mirrored outwards before they go in: the network's own zero padding
would mark the rim of every picture.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.vision.network import Layer, PatchFeatures, Rgb
from vlm_inspect.vision.runtime import Runtime, compile_openvino

if TYPE_CHECKING:
    import torch

    TensorFunction = Callable[[torch.Tensor], torch.Tensor]

PAD = 32
"""Pixels of mirrored border; a multiple of the deepest stride, so that the border can be cut off again."""
STRIDE = 8
"""Pixels of a cell of the common grid."""
MEAN, SCALE = 127.0, 128.0
"""EfficientNet-Lite was trained on (x - 127) / 128; with ImageNet's numbers its features are far worse."""


@dataclass(frozen=True, eq=False)
class Convolution:
    """A convolution with TensorFlow's "same" padding, a bias, and perhaps ReLU6 after it."""

    weight: NDArray[np.float32]
    """(out, in / groups, k, k)."""
    bias: NDArray[np.float32]
    stride: int
    groups: int
    clipped: bool

    @property
    def padding(self) -> tuple[int, int]:
        """Rows before and after, columns likewise."""
        total = max(self.weight.shape[2] - self.stride, 0)
        return total // 2, total - total // 2


@dataclass(frozen=True, eq=False)
class Block:
    """An inverted residual block (MobileNetV2, arXiv 1801.04381; no squeeze-and-excitation in Lite)."""

    convolutions: tuple[Convolution, ...]
    residual: bool

    @property
    def stride(self) -> int:
        """By how much it shrinks its input."""
        return math.prod(convolution.stride for convolution in self.convolutions)


@dataclass(frozen=True, eq=False)
class ConvolutionNetwork:
    """See `Network`: the blocks in `taps`, each averaged over 3 x 3 cells, joined on one grid of stride 8."""

    name: str
    identity: str
    layers: tuple[Layer, ...]
    run: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    """From padded pictures (N, H + 64, W + 64, 3) to features (N, H / 8, W / 8, C)."""
    multiple: int = 16

    def extract(self, pictures: Sequence[Rgb]) -> list[PatchFeatures]:
        """See `Network.extract`."""
        return [PatchFeatures((self.run(_padded(picture)[None])[0],)) for picture in pictures]


def _padded(picture: Rgb) -> Rgb:
    import cv2

    mirrors = min(picture.shape[:2]) > PAD
    border = cv2.BORDER_REFLECT_101 if mirrors else cv2.BORDER_REPLICATE  # too small to mirror
    return np.asarray(cv2.copyMakeBorder(picture, PAD, PAD, PAD, PAD, border), np.uint8)


def build(
    runtime: Runtime, stem: Convolution, blocks: Sequence[Block], taps: Sequence[int]
) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Return the network as a function of padded pictures; see `ConvolutionNetwork.run`."""
    make = _build_openvino if runtime == "openvino" else _build_torch
    return make(stem, blocks[: max(taps) + 1], tuple(taps))


def _build_openvino(
    stem: Convolution, blocks: Sequence[Block], taps: tuple[int, ...]
) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    import openvino as ov
    from openvino import opset13 as ops

    pictures = ops.parameter([-1, -1, -1, 3], np.uint8, name="pictures")
    scaled = ops.multiply(ops.subtract(ops.convert(pictures, "f32"), np.float32(MEAN)), np.float32(1 / SCALE))
    x = _apply_openvino(stem, ops.transpose(scaled, np.array([0, 3, 1, 2])))
    sides = ops.slice(ops.shape_of(pictures), np.array([1]), np.array([3]), np.array([1]))
    cells = ops.divide(ops.subtract(sides, np.array([2 * PAD])), np.array([STRIDE]))
    stride, joined = stem.stride, []
    for index, block in enumerate(blocks):
        y = x
        for convolution in block.convolutions:
            y = _apply_openvino(convolution, y)
        stride *= block.stride
        x = ops.add(x, y) if block.residual else y
        if index in taps:
            joined.append(_on_grid_openvino(x, stride, cells))
    features = ops.transpose(ops.concat(joined, 1), np.array([0, 2, 3, 1]))
    compiled = compile_openvino(ov.Model([ops.result(features)], [pictures], "convolutions"), "f32")
    return lambda stack: compiled([stack])[0]


def _apply_openvino(convolution: Convolution, x: Any) -> Any:
    from openvino import opset13 as ops

    before, after = convolution.padding
    edges = ([before, before], [after, after])
    strides, dilations = [convolution.stride] * 2, [1, 1]
    weight = convolution.weight
    if convolution.groups == 1:
        y = ops.convolution(x, weight, strides, *edges, dilations)
    else:
        grouped = weight.reshape(convolution.groups, -1, *weight.shape[1:])
        y = ops.group_convolution(x, grouped, strides, *edges, dilations)
    y = ops.add(y, convolution.bias.reshape(1, -1, 1, 1))
    return ops.clamp(y, 0.0, 6.0) if convolution.clipped else y


def _on_grid_openvino(layer: Any, stride: int, cells: Any) -> Any:
    from openvino import opset13 as ops

    rim = PAD // stride
    inner = ops.slice(layer, np.array([rim, rim]), np.array([-rim, -rim]), np.array([1, 1]), np.array([2, 3]))
    wide = ops.pad(inner, np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]), "edge")
    local = ops.avg_pool(wide, [1, 1], [0, 0], [0, 0], [3, 3], exclude_pad=True)
    if stride < STRIDE:
        step = STRIDE // stride
        return ops.avg_pool(local, [step, step], [0, 0], [0, 0], [step, step], exclude_pad=True)
    if stride == STRIDE:
        return local
    how = {"mode": "linear", "shape_calculation_mode": "sizes", "coordinate_transformation_mode": "half_pixel"}
    return ops.interpolate(local, cells, axes=np.array([2, 3]), **how)


def _build_torch(
    stem: Convolution, blocks: Sequence[Block], taps: tuple[int, ...]
) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    import torch

    first, steps = torch_convolution(stem), [torch_block(block) for block in blocks]

    def run(stack: NDArray[np.uint8]) -> NDArray[np.float32]:
        cells = (stack.shape[1] - 2 * PAD) // STRIDE, (stack.shape[2] - 2 * PAD) // STRIDE
        with torch.inference_mode():
            x = torch.from_numpy(stack).permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last)
            x = first((x - MEAN) / SCALE)
            stride, joined = stem.stride, []
            for index, (block, apply) in enumerate(zip(blocks, steps, strict=True)):
                x = apply(x)
                stride *= block.stride
                if index in taps:
                    joined.append(_on_grid_torch(x, stride, cells))
            return np.ascontiguousarray(torch.cat(joined, dim=1).permute(0, 2, 3, 1).numpy(), np.float32)

    return run


def torch_block(block: Block) -> "TensorFunction":
    """Return one block as a function of tensors (N, C, H, W)."""
    steps = [torch_convolution(convolution) for convolution in block.convolutions]

    def apply(x: "torch.Tensor") -> "torch.Tensor":
        y = x
        for step in steps:
            y = step(y)
        return x + y if block.residual else y

    return apply


def torch_convolution(convolution: Convolution) -> "TensorFunction":
    """Return one convolution as a function of tensors (N, C, H, W)."""
    import torch
    import torch.nn.functional as F

    weight = torch.from_numpy(convolution.weight).contiguous(memory_format=torch.channels_last)
    bias = torch.from_numpy(convolution.bias)
    before, after = convolution.padding
    own = before if before == after else 0

    def apply(x: "torch.Tensor") -> "torch.Tensor":
        if before != after:
            x = F.pad(x, (before, after, before, after))
        y = F.conv2d(x, weight, bias, stride=convolution.stride, padding=own, groups=convolution.groups)
        return F.relu6(y, inplace=True) if convolution.clipped else y

    return apply


def _on_grid_torch(layer: Any, stride: int, cells: tuple[int, int]) -> Any:
    """Average each 3 x 3 neighbourhood (PatchCore, arXiv 2106.08265, section 3.1) and bring the layer to the grid."""
    import torch.nn.functional as F

    rim = PAD // stride
    inner = layer[:, :, rim : layer.shape[2] - rim, rim : layer.shape[3] - rim]
    local = F.avg_pool2d(F.pad(inner, (1, 1, 1, 1), mode="replicate"), 3, 1)
    if stride < STRIDE:
        return F.avg_pool2d(local, STRIDE // stride)
    if stride == STRIDE:
        return local
    return F.interpolate(local, cells, mode="bilinear", align_corners=False)
